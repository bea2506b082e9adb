import { readFileSync } from 'node:fs'
import type { Answered, LocalNode } from './control-nodes.ts'

/** One recorded call at a Go node, or the same at several of its roles: see `test/vectors/README.md`. */
export interface ControlRecord {
  readonly n: number
  readonly roles: string
  readonly case: string
  readonly when?: string
  readonly method: string
  readonly path: string
  readonly form?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly dropped?: true
  readonly status?: number
  readonly type?: string
  readonly answer?: string | null
  readonly hex?: string
  readonly cut?: true
  readonly location?: string
}

export const RECORDS: readonly ControlRecord[] = JSON.parse(
  readFileSync(new URL('../vectors/control.json', import.meta.url), 'utf8'),
)

/** The roles of the nodes that were recorded. */
export type RecordedRole = 'O' | 'G' | 'R' | 'W' | 'T' | 'fO' | 'fG'

export const rolesOf = ({ roles }: ControlRecord) => roles.split(' ') as RecordedRole[]
export const methodsOf = ({ method }: ControlRecord) => method.split(' ')
export const pathOf = ({ path }: ControlRecord) => path.split('?', 1)[0]!

const FORM = 'application/x-www-form-urlencoded'

/** Makes the call of a record. */
export function play(node: LocalNode, record: ControlRecord, method: string): Promise<Answered> {
  const { form, headers = {}, path } = record
  const isBare = record.case === 'no content type'
  const typed = form === undefined || isBare ? headers : { 'Content-Type': FORM, ...headers }
  return node.ask(method, path, { form, headers: typed, isBare })
}

/** What tells the state of an account: there texts are compared too, and whether a number is zero. */
const OF_THE_ACCOUNT = new Set([
  ...['/senderInfo', '/delegatorInfo', '/orchestratorInfo', '/unbondingLocks'],
  '/orchestratorEarningPoolsForRound',
])
/** These depend on nothing but what was asked for. */
const EXACT = new Set(['Deposit', 'FundsRemaining', 'RewardCut', 'FeeShare'])
/** What the orchestrator asks for at the moment. */
const ASKED = 'PriceInfo'

/**
 * How an answer differs from the recorded one, beyond what the chain makes of it; null where it does not. `isOfState`: it shows the
 * state that the account was brought to.
 */
export function difference(
  record: ControlRecord,
  answered: Answered,
  { method, isOfState }: { readonly method: string; readonly isOfState: boolean },
): string | null {
  if (record.dropped) return 'the connection was dropped'
  if (answered.status !== record.status) return `status ${answered.status}, not ${record.status}`
  const type = answered.type?.split(';', 1)[0]
  // A Go node guesses the type from the bytes.
  if (type !== record.type && pathOf(record) !== '/currentBlock') return `type ${type}, not ${record.type}`
  if (record.location !== undefined && answered.headers.location !== record.location)
    return 'another location'
  if (method === 'HEAD') return null
  if (record.hex !== undefined) return differentBytes(record, answered)
  if (record.answer === undefined || record.answer === null) return null
  if (record.cut) return differentBeginning(record, answered)
  if (record.type === 'application/json') {
    const isStrict = isOfState && OF_THE_ACCOUNT.has(pathOf(record))
    const read = isStrict ? parsed : JSON.parse
    return shapeDifference(read(record.answer), read(answered.text), { at: 'the answer', isStrict })
  }
  return sameText(record.answer, answered.text) ? null : `${JSON.stringify(answered.text)}`
}

function differentBytes({ hex, path }: ControlRecord, { bytes }: Answered): string | null {
  if (path.startsWith('/currentBlock')) return bytes.length > 0 && bytes.length < 9 ? null : 'no block'
  // The hashes of transactions depend on their nonces.
  if (path.startsWith('/vote')) return bytes.length === 32 ? null : `${bytes.length} bytes`
  return bytes.toString('hex') === hex ? null : `other bytes: ${bytes.toString('hex')}`
}

/** Of a stream that runs: its name, where it is played. What stands behind is the Go node's memory. */
function differentBeginning({ answer, path }: ControlRecord, { text }: Answered): string | null {
  if (path !== '/status') return null
  const [recorded] = /"Manifests":\{(?:"\w+":\{"Variants":\[\{"URI":"\w+\/\w+\.m3u8")?/.exec(answer!)!
  return text.replace(/\s+/g, '').includes(recorded) ? null : `no ${recorded}`
}

/** Numbers are those of the chain; what an endpoint says about itself is its own affair. */
export function sameText(recorded: string, answered: string): boolean {
  if (/^\d+$/.test(recorded)) return /^\d+$/.test(answered)
  const down = recorded.search(/Post \\*"http:/)
  if (down >= 0) return answered.startsWith(recorded.slice(0, down)) && answered.length > down + 1
  const own = /^(.*?): the account has /.exec(answered)
  if (own !== null) return `${own[1]}\n` === recorded
  return answered.replace(/\d+(?= more minutes)/, '60') === recorded.replace(/\d+(?= more minutes)/, '60')
}

/** JSON with its integers as bigints: as numbers two amounts may be one. */
function parsed(text: string): unknown {
  const marked = text.replace(/(?<=[:[,]\s*)-?\d+(?=\s*[,}\]])/g, '"$&n"')
  return JSON.parse(marked, (_, value) =>
    typeof value === 'string' && /^-?\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
  )
}

interface Compared {
  readonly at: string
  readonly isStrict: boolean
}

/** Ours may have more fields; every recorded one is there, with a value of the same kind. */
function shapeDifference(recorded: unknown, answered: unknown, how: Compared): string | null {
  const { at, isStrict } = how
  if (Array.isArray(recorded)) {
    if (!Array.isArray(answered)) return `${at} is no list`
    if (isStrict && recorded.length !== answered.length) return `${at} has ${answered.length} entries`
    const pairs = isStrict ? recorded.length : Math.min(recorded.length, answered.length, 1)
    for (let i = 0; i < pairs; i++) {
      const different = shapeDifference(recorded[i], answered[i], { at: `${at}[${i}]`, isStrict })
      if (different) return different
    }
    return null
  }
  if (recorded !== null && typeof recorded === 'object') {
    if (answered === null || typeof answered !== 'object') return `${at} is no object`
    for (const [name, value] of Object.entries(recorded)) {
      if (!(name in answered)) return `${at} has no ${name}`
      const own = (answered as Record<string, unknown>)[name]
      const different = shapeDifference(value, own, { at: `${at}.${name}`, isStrict })
      if (different) return different
    }
    return null
  }
  const [one, another] = [kindOf(recorded), kindOf(answered)]
  if (one !== another) return `${at} is ${another}, not ${one}`
  return !isStrict || isAlike(recorded, answered, at) ? null : `${at} is ${answered}, not ${recorded}`
}

/** Rewards are rounded down, so that one unit more or less may be left of a stake. */
function isAlike(recorded: unknown, answered: unknown, at: string): boolean {
  const name = at.slice(at.lastIndexOf('.') + 1)
  if (name === ASKED) return true
  if (typeof recorded !== 'bigint' || typeof answered !== 'bigint') return recorded === answered
  if (EXACT.has(name)) return recorded === answered
  const apart = recorded > answered ? recorded - answered : answered - recorded
  return apart <= 1n || (recorded > 0n && answered > 0n)
}

const kindOf = (value: unknown) => (value === null ? 'null' : typeof value)
