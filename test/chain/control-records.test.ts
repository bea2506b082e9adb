import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { decodeFunctionData } from 'viem'
import { abis } from '../../src/io/chain/contracts.ts'
import { formatHex, type Hex } from '../../src/lib/bytes.ts'
import { ACTS, type Act, LATER, type Step } from './control-acts.ts'
import { guardFaults, pathsOf } from './control-guarded.ts'
import type { Answered, LocalNode } from './control-nodes.ts'
import {
  type ControlRecord,
  difference,
  methodsOf,
  pathOf,
  play,
  RECORDS,
  type RecordedRole,
  rolesOf,
  sameText,
} from './control-player.ts'
import { ACCOUNTS, Stage } from './control-stage.ts'
import { isChange, type Verdict, verdictOn } from './control-verdicts.ts'

/**
 * Every call that was recorded at the roles of a Go node, at ours, in the state in which it was recorded: the same, better, or
 * out of scope. First those of a node as it starts, then act by act those of other states.
 */

/** The polls of the recording. */
const RECORDED_POLLS = {
  open: '0xb4dC171C0edEc8C0032cd0f2d30921c09FA35e34',
  over: '0x70e0ba845a1a0f2da3359c97e0285013525ffc49',
}
/** They unbond all there is, which is what the chain's rewards made of it. */
const UNBONDS_ALL = new Set([552, 558, 592, 709, 771])

/** Paths beside those of a Go node: status and type of their answer without parameters, at a node that has started. */
const OWN_PATHS: Readonly<Record<string, RegExp>> = {
  '/healthz': /^(200 |503 text\/plain)$/,
  '/drain': /^200 application\/json$/,
  '/undrain': /^200 application\/json$/,
  '/openapi.json': /^200 application\/json$/,
  '/sendSigned': /^(400|500) text\/plain$/,
  '/signedState': /^(400|500) text\/plain$/,
  '/checkOrchestrators': /^(200 application\/json|400 text\/plain)$/,
  '/tickets': /^(200 application\/json|\d{3} text\/plain)$/,
  '/ticket': /^400 text\/plain$/,
  '/tickets/retry': /^400 text\/plain$/,
  '/ledger': /^(200 application\/json|\d{3} text\/plain)$/,
  '/rewards': /^200 application\/json$/,
  '/accountInfo': /^(200 application\/json|[45]00 text\/plain)$/,
  '/console/': /^404 text\/plain$/,
  '/console/login': /^400 text\/plain$/,
  '/console/logout': /^200 $/,
  '/stream/': /^404 text\/plain$/,
}
/** Has no end. */
const EVENTS = '/events'

let stage: Stage
before(async () => {
  stage = await Stage.set()
})
after(() => stage?.[Symbol.asyncDispose]())

/** Which verdicts each record got, over its roles and methods. */
const judged = new Map<number, Set<string>>()
/** What was judged, as `number role method`. */
const played = new Set<string>()

function note(record: ControlRecord, role: RecordedRole, method: string, verdict: Verdict): void {
  judged.set(record.n, (judged.get(record.n) ?? new Set()).add(verdict.kind))
  played.add(`${record.n} ${role} ${method}`)
}

/** What is wrong with the answers to a record at one role. In a later state a change by GET is made by POST too. */
async function faultsOf(record: ControlRecord, role: RecordedRole, goesOn: boolean): Promise<string[]> {
  const faults: string[] = []
  const node = stage.nodes[role]
  const ask = async (method: string) => {
    const verdict = verdictOn(record, role, method)
    if (verdict.kind === 'out') return verdict
    const made = await madeHere(record, node)
    const answered = await play(node, made, method)
    const fault =
      verdict.kind === 'same'
        ? difference(record, answered, { method, isOfState: goesOn })
        : unmet(record, verdict, answered)
    if (fault) faults.push(`${record.n} ${role} ${method} ${made.path} ${made.form ?? ''}: ${fault}`)
    return verdict
  }
  for (const method of methodsOf(record)) {
    note(record, role, method, await ask(method))
    if (goesOn && isChange(record, method) && !methodsOf(record).includes('POST')) await ask('POST')
  }
  return faults
}

function unmet(
  record: ControlRecord,
  { status, text }: Verdict & { kind: 'better' },
  answered: Answered,
): string | null {
  if (status >= 0 && answered.status !== status)
    return `status ${answered.status}, not ${status}: ${answered.text}`
  if (text === 'recorded') return sameText(record.answer!, answered.text) ? null : answered.text
  return text === undefined || text.test(answered.text) ? null : answered.text
}

/** The call as it is made on this chain: its polls, its rounds, and all that is bonded. */
async function madeHere(record: ControlRecord, node: LocalNode): Promise<ControlRecord> {
  const { open, over } = stage.votes
  const here = (text: string) => text.replace(RECORDED_POLLS.open, open).replace(RECORDED_POLLS.over, over)
  const made = {
    ...{ ...record, path: here(record.path) },
    ...(record.form !== undefined && { form: here(record.form) }),
  }
  if (UNBONDS_ALL.has(record.n)) {
    const [, pending] = /"PendingStake":(\d+)/.exec((await node.ask('GET', '/delegatorInfo')).text)!
    return { ...made, form: `amount=${pending}` }
  }
  if (record.n !== 575) return made
  const { text: round } = await node.ask('GET', '/currentRound')
  return { ...made, path: `${pathOf(record)}?round=${round}` }
}

/** The first readings were made before anything was set. */
const isFirst = (record: ControlRecord) => record.case === 'right, wrong method'
const inOrder = RECORDS.toSorted((a, b) => Number(isFirst(b)) - Number(isFirst(a)) || a.n - b.n)

test('every call of a node as it starts is answered as recorded, or better', async () => {
  const faults: string[] = []
  for (const record of inOrder) {
    const roles = rolesOf(record).filter((role) => !LATER[role].has(record.n))
    faults.push(...(await Promise.all(roles.map((role) => faultsOf(record, role, false)))).flat())
  }
  assert.deepEqual(faults, [])
})

test('no path of any role answers a page of another site, a strange name, a wrong method or an incomplete request', async () => {
  for (const [role, node] of Object.entries(stage.nodes)) assert.deepEqual(await guardFaults(node), [], role)
})

test('every path was recorded, or is one of these, which each role answers', async () => {
  const recorded = new Set(RECORDS.map(pathOf))
  for (const [role, node] of Object.entries(stage.nodes)) {
    const own = (await pathsOf(node)).filter(({ path }) => !recorded.has(path) && path !== EVENTS)
    assert.deepEqual(
      own.map(({ path }) => path).filter((path) => !(path in OWN_PATHS)),
      [],
      role,
    )
    for (const { changes, path } of own) {
      const answered = await node.ask(changes ? 'POST' : 'GET', path)
      const type = answered.type?.split(';', 1)[0] ?? ''
      assert.match(`${answered.status} ${type}`, OWN_PATHS[path]!, `${role} ${path}: ${answered.text}`)
    }
  }
})

/** The last one ends the chain. */
const [whileUp, down] = [ACTS.slice(0, -1), ACTS.at(-1)!]
for (const act of whileUp) playing(act)

test('votes reach the poll and the governor, each under the account of its node', async () => {
  const cast = Map.groupBy(await stage.votesCast(), ([voter]) => voter)
  const choices = (role: keyof typeof ACCOUNTS) =>
    new Set(cast.get(ACCOUNTS[role].address)?.map(([, choice]) => choice))
  assert.deepEqual(
    [choices('O'), choices('G'), choices('R'), choices('W')],
    [new Set([0n]), new Set([0n, 1n]), new Set([0n]), new Set([1n, 0n])],
  )
  const abi = abis.LivepeerGovernor
  for (const [values, functionName, args] of [
    [{ proposalID: 7, support: 2 }, 'castVote', [7n, 2]],
    [{ proposalID: 7, support: 0, reason: 'too dear' }, 'castVoteWithReason', [7n, 0, 'too dear']],
  ] as const) {
    const { bytes } = await stage.nodes.O.post('/voteOnProposal', values)
    const sent = await stage.chain.anvil.request<{ from: string; to: string; input: Hex }>(
      'eth_getTransactionByHash',
      [formatHex(bytes)],
    )
    assert.deepEqual(
      [sent.from, sent.to],
      [ACCOUNTS.O.address.toLowerCase(), stage.votes.governor.toLowerCase()],
    )
    assert.deepEqual(decodeFunctionData({ abi, data: sent.input }), { functionName, args })
  }
})

playing(down)

function playing(act: Act): void {
  test(`${act.name}: answered as recorded, or better`, async () => {
    await act.begins?.(stage)
    const faults: string[] = []
    const roles = Object.entries(act.plays) as [RecordedRole, readonly Step[]][]
    await Promise.all(
      roles.map(async ([role, steps]) => {
        for (const step of steps) {
          if (typeof step === 'number') faults.push(...(await faultsOf(RECORDS[step]!, role, true)))
          else await step(stage.nodes[role])
        }
      }),
    )
    assert.deepEqual(faults, [])
  })
}

test('every record was played at each of its roles by each of its methods, and has a verdict', () => {
  const all = RECORDS.flatMap((record) =>
    rolesOf(record).flatMap((role) => methodsOf(record).map((method) => `${record.n} ${role} ${method}`)),
  )
  assert.deepEqual(
    all.filter((one) => !played.has(one)),
    [],
  )
  const count = (kind: string) => [...judged.values()].filter((kinds) => kinds.has(kind)).length
  const isBetter = (kinds: Set<string>) => kinds.has('better')
  const better = [...judged.values()].filter(isBetter).length
  assert.deepEqual(
    { all: judged.size, better, out: count('out'), same: judged.size - better - count('out') },
    { all: 852, better: 254, out: 22, same: 576 },
  )
})
