import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { freePort } from '../../devnet/tcp-link.ts'
import { accountAt, ControlledChain, type LocalNode, LPT } from './control-nodes.ts'
import {
  type ControlRecord,
  difference,
  methodsOf,
  play,
  RECORDS,
  type RecordedRole,
  rolesOf,
} from './control-player.ts'
import { type Verdict, verdictOn } from './control-verdicts.ts'

/**
 * Every call that was recorded at the roles of a Go node, at ours: the same, better, out of scope, or not played yet, since the
 * account or the round must be in another state for it. The last test counts these.
 */

let chain: ControlledChain
let nodes: Readonly<Record<RecordedRole, LocalNode>>

before(async () => {
  chain = await ControlledChain.start({ roundLength: 600n })
  const [w, o, g, r] = [accountAt(1), accountAt(3), accountAt(4), accountAt(5)]
  const stake = { stake: 1_000n * LPT, rewardCut: 500_000n, feeShare: 500_000n }
  await chain.protocol.bondAndRegister(w.key, { ...stake, serviceUri: 'https://127.0.0.1:8935' })
  await chain.fund(o, { lpt: 5_000n })
  await chain.fund(g, { lpt: 1_000n })
  await chain.fund(r)
  await chain.protocol.nextRound()
  const ports = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()]
  const [po, pr, pg, pfo, pfg] = ports.map((port) => `127.0.0.1:${port}`)
  const gateway = (of: string | undefined, own: string | undefined) =>
    `-gateway -orchAddr https://${of} -httpAddr ${own} -transcodingOptions P240p30fps16x9,P360p30fps16x9`
  nodes = {
    O: await chain.node(
      'o',
      `-orchestrator -orchSecret s -serviceAddr ${po} -httpAddr ${po} -pricePerUnit 3000000000 -monitor`,
      o,
    ),
    G: await chain.node('g', `${gateway(po, pg)} -maxPricePerUnit 1000000000000`, g),
    R: await chain.node('r', `-redeemer -httpAddr ${pr}`, r),
    W: await chain.node('w', '-reward', w),
    T: await chain.node('t', `-transcoder -orchSecret s -orchAddr ${po}`, null),
    fO: await chain.node('fo', `-orchestrator -transcoder -serviceAddr ${pfo} -httpAddr ${pfo}`, null),
    fG: await chain.node('fg', gateway(pfo, pfg), null),
  }
})
after(() => chain[Symbol.asyncDispose]())

/** The first readings were made before anything was set. */
const isFirst = (record: ControlRecord) => record.case === 'right, wrong method'
const inOrder = RECORDS.toSorted((a, b) => Number(isFirst(b)) - Number(isFirst(a)) || a.n - b.n)
const counted = new Map<string, Set<number>>()

function count(verdict: Verdict, { n }: ControlRecord): void {
  const name = verdict.kind === 'same' ? 'same' : `${verdict.kind}: ${verdict.why}`
  counted.set(name, (counted.get(name) ?? new Set()).add(n))
}

/** What is wrong with the answers to a record, by role and method. */
async function faultsOf(record: ControlRecord): Promise<string[]> {
  const faults: string[] = []
  for (const role of rolesOf(record)) {
    for (const method of methodsOf(record)) {
      const verdict = verdictOn(record, role, method)
      count(verdict, record)
      if (verdict.kind === 'later' || verdict.kind === 'out') continue
      const answered = await play(nodes[role], record, method)
      const fault = verdict.kind === 'same' ? difference(record, answered, method) : unmet(verdict, answered)
      if (fault) faults.push(`${record.n} ${role} ${method} ${record.path} ${record.form ?? ''}: ${fault}`)
    }
  }
  return faults
}

function unmet(
  { status, text }: Verdict & { kind: 'better' },
  answered: { status: number; text: string },
): string | null {
  if (status >= 0 && answered.status !== status)
    return `status ${answered.status}, not ${status}: ${answered.text}`
  return text === undefined || text.test(answered.text) ? null : answered.text
}

test('852 calls are recorded, and each has a verdict', () => {
  assert.equal(RECORDS.length, 852)
})

test('every call of a node as it starts is answered as recorded, or better', async () => {
  const faults: string[] = []
  for (const record of inOrder) faults.push(...(await faultsOf(record)))
  assert.deepEqual(faults, [])
})

test('what is not played yet is named, and how much it is', () => {
  const later = new Set(
    [...counted].flatMap(([name, records]) => (name.startsWith('later') ? [...records] : [])),
  )
  const out = new Set([...counted].flatMap(([name, records]) => (name.startsWith('out') ? [...records] : [])))
  assert.deepEqual({ later: later.size, out: out.size }, { later: 313, out: 22 })
})
