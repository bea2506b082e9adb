import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_WORK, type SeenMember } from '../../domain/member.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { type LeftResult, Successors } from './successors.ts'

const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(16)) as [string, string, string]

const member = (node: string): SeenMember => ({
  ...{ node, instance: node, account: '', roles: ['orchestrator'], version: '1', work: NO_WORK },
  ...{ address: `${node[0]}.example:8935`, fingerprint: 'AB', leftMs: 5_000 },
})

/** A node that leaves, with siblings of which some keep nothing, or no more than so many results. */
function world(keeps: Readonly<Record<string, number>>) {
  const clock = new ManualClock()
  const calls: string[] = []
  const kept: Record<string, number> = {}
  const all = Object.keys(keeps).map(member)
  const successors = new Successors({
    ...{ clock, log: silentLog, siblings: { toAsk: () => all }, members: { siblings: all } },
    calls: {
      keep: async ({ node }, { path }) => {
        if ((kept[node] ?? 0) >= keeps[node]!) throw new Error('no room')
        kept[node] = (kept[node] ?? 0) + 1
        calls.push(`${node[0]} keeps ${path}`)
      },
      succeeded: async ({ node }, successor) => {
        calls.push(`${node[0]} knows ${successor[0]}`)
        if (node === C) throw new Error('it does not answer')
      },
    },
  })
  return { calls, clock, successors }
}

const result = (path: string, bytes = new Uint8Array(10)): LeftResult => ({ path, bytes })

test('results go to the first sibling that takes them, and the others are told', async () => {
  const { calls, successors } = world({ [A]: 0, [B]: 9, [C]: 9 })
  const given = await successors.giveAway([result('s/p/1.ts'), result('s/p/2.ts')])
  assert.deepEqual([...given], ['s/p/1.ts', 's/p/2.ts'])
  assert.deepEqual(calls, ['b keeps s/p/1.ts', 'b keeps s/p/2.ts', 'a knows b', 'c knows b'])
})

test('those that it has no room for stay, as do all where nobody takes any', async () => {
  const full = world({ [A]: 2, [B]: 9 })
  const five = ['1', '2', '3', '4', '5'].map((name) => result(name))
  assert.deepEqual([...(await full.successors.giveAway(five))], ['1', '2'])
  const nobody = world({ [A]: 0, [B]: 0, [C]: 9 })
  assert.equal((await nobody.successors.giveAway(five)).size, 0)
  assert.deepEqual(nobody.calls, [], 'two are asked, and there is nothing to tell')
  assert.equal((await world({}).successors.giveAway(five)).size, 0)
})

test('what a node keeps for others is bounded in bytes and time', async () => {
  const { clock, successors } = world({})
  await using supervisor = new Supervisor()
  await supervisor.start(successors)
  const big = new Uint8Array(100_000_000)
  assert.equal(successors.keep(A, result('s/p/1.ts', big)), true)
  assert.equal(successors.keep(A, result('s/p/1.ts', big)), true, 'the same one again')
  assert.equal(successors.keep(B, result('s/p/1.ts', big)), true)
  assert.equal(successors.keep(B, result('s/p/2.ts', big)), false)
  assert.equal(successors.kept(A, 's/p/1.ts'), big)
  assert.equal(successors.kept(C, 's/p/1.ts'), null)
  await clock.wind(9_999)
  assert.equal(successors.kept(B, 's/p/1.ts'), big)
  await clock.wind(1)
  assert.equal(successors.kept(B, 's/p/1.ts'), null)
  assert.equal(successors.keep(B, result('s/p/2.ts', big)), true)
})

test('who succeeded whom is remembered for as long, and only of the last thousand', async () => {
  const { clock, successors } = world({})
  successors.succeeded(A, B)
  assert.deepEqual([successors.of(A), successors.of(B)], [B, null])
  successors.succeeded(A, C)
  assert.equal(successors.of(A), C)
  await clock.wind(10_000)
  assert.equal(successors.of(A), null)
  for (let node = 0; node <= 1_000; node++) successors.succeeded(node.toString(16).padStart(16, '0'), B)
  assert.deepEqual([successors.of('0'.repeat(16)), successors.of('3e8'.padStart(16, '0'))], [null, B])
})
