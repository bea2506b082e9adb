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

/** How an answer differs from the recorded one, beyond what the chain's state makes of it; null where it does not. */
export function difference(record: ControlRecord, answered: Answered, method: string): string | null {
  if (record.dropped) return 'the connection was dropped'
  if (answered.status !== record.status) return `status ${answered.status}, not ${record.status}`
  const type = answered.type?.split(';', 1)[0]
  if (type !== record.type) return `type ${type}, not ${record.type}`
  if (record.location !== undefined && answered.headers.location !== record.location)
    return 'another location'
  if (method === 'HEAD') return null
  if (record.hex !== undefined) return differentBytes(record, answered)
  if (record.answer === undefined || record.answer === null || record.cut) return null
  if (record.type === 'application/json') {
    return shapeDifference(JSON.parse(record.answer), JSON.parse(answered.text), 'the answer')
  }
  return sameText(record.answer, answered.text) ? null : `${JSON.stringify(answered.text)}`
}

function differentBytes({ hex, path }: ControlRecord, { bytes }: Answered): string | null {
  if (path.startsWith('/currentBlock')) return bytes.length > 0 && bytes.length < 9 ? null : 'no block'
  // The hashes of transactions depend on their nonces.
  if (path.startsWith('/vote')) return bytes.length === 32 ? null : `${bytes.length} bytes`
  return bytes.toString('hex') === hex ? null : `other bytes: ${bytes.toString('hex')}`
}

/** Numbers are those of the chain; what an endpoint says about itself is its own affair. */
function sameText(recorded: string, answered: string): boolean {
  if (/^\d+$/.test(recorded)) return /^\d+$/.test(answered)
  const down = recorded.search(/Post \\?"http:/)
  if (down >= 0) return answered.startsWith(recorded.slice(0, down))
  const own = /^(.*?): the account has /.exec(answered)
  return answered === recorded || (own !== null && `${own[1]}\n` === recorded)
}

/** Ours may have more fields; every recorded one is there, with a value of the same kind. */
function shapeDifference(recorded: unknown, answered: unknown, at: string): string | null {
  if (Array.isArray(recorded)) {
    if (!Array.isArray(answered)) return `${at} is no list`
    if (recorded.length === 0 || answered.length === 0) return null
    return shapeDifference(recorded[0], answered[0], `${at}[0]`)
  }
  if (recorded !== null && typeof recorded === 'object') {
    if (answered === null || typeof answered !== 'object') return `${at} is no object`
    for (const [name, value] of Object.entries(recorded)) {
      if (!(name in answered)) return `${at} has no ${name}`
      const different = shapeDifference(value, (answered as Record<string, unknown>)[name], `${at}.${name}`)
      if (different) return different
    }
    return null
  }
  const [one, another] = [kindOf(recorded), kindOf(answered)]
  return one === another ? null : `${at} is ${another}, not ${one}`
}

const kindOf = (value: unknown) => (value === null ? 'null' : typeof value)
