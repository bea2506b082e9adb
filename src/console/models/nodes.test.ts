import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerOf, NOW_MS, orchestratorStatus, redeemerStatus } from '../../../test/fakes/status-answers.ts'
import type { MemberFigures } from '../../node/status/cluster.ts'
import type { NodeStatus } from '../../node/status/status.ts'
import { nodeRows, nodesLine } from './nodes.ts'

const rowsOf = (status: NodeStatus) => nodeRows(answerOf('10.0.0.1:7935', status))

function member(digit: string, changes: Partial<MemberFigures> = {}): MemberFigures {
  return {
    ...{ node: digit.repeat(16), address: `10.0.0.${digit}:8935`, account: '0xA', roles: ['orchestrator'] },
    ...{ version: '0.1.0', alive: true, silentMs: 0, seenMs: 1_000, leads: [] },
    work: { takesSegments: true, maxSessions: 10, sessions: 3, segments: 1 },
    ...changes,
  }
}

test('a node shows itself with its sessions and load, its redeemer and its transcoders', () => {
  const transcoder = {
    ...{ name: 'atelier-3', address: '10.0.0.9:4000', hardware: 'GPU 0', capacity: 8, load: 2, sinceMs: 0 },
    ...{ running: 1, done: 5, failed: 0, lastAnswerMs: NOW_MS - 4_000, outOfRotation: null, version: '2' },
    streams: [],
  } as const
  const rows = rowsOf(
    orchestratorStatus({
      capacity: { maxSessions: 12 },
      redeemers: [
        { name: 'a:8935', answers: true, sinceMs: 0, lastError: null },
        { name: 'b:8935', answers: false, sinceMs: NOW_MS - 60_000, lastError: 'refused' },
        { name: 'c:8935', answers: false, sinceMs: null, lastError: null },
      ],
      transcoders: [
        transcoder,
        { ...transcoder, address: '10.0.0.8:4000', name: '', outOfRotation: 'silent' },
      ],
    }),
  )
  assert.deepEqual(
    rows.map(({ load, name, role, seen, sessions, state }) => [role, name, state, sessions, load, seen]),
    [
      ['orchestrator', '10.0.0.1:7935', 'ready', '3 of 12', 0.25, 'now'],
      ['redeemer', 'a:8935', 'ready', '', null, 'now'],
      ['redeemer', 'b:8935', 'away', '', null, 'away for 60 s'],
      ['redeemer', 'c:8935', 'not ready', '', null, 'not tried yet'],
      ['transcoder', 'atelier-3 at 10.0.0.9:4000', 'ready', '2 of 8', 0.25, '4 s ago'],
      ['transcoder', '10.0.0.8:4000', 'away', '2 of 8', 0.25, 'registered'],
    ],
  )
  assert.equal(nodesLine(rows), '4 of 6 nodes are there')
})

test('any node of a cluster shows all of them: who leads, who is late, who is away', () => {
  const members = [
    member('1', { leads: [{ duty: 'redeem', forMs: 600_000 }], roles: ['redeemer'], seenMs: 2_400 }),
    member('2'),
    member('3', { seenMs: 3_000 }),
    member('4', { alive: false, silentMs: 90_000, seenMs: 96_000 }),
    member('5', { work: { takesSegments: false, maxSessions: 10, sessions: 10, segments: 0 } }),
  ]
  const status = orchestratorStatus({ redeemers: [], cluster: { node: '2'.repeat(16), isIn: true, members } })
  const rows = rowsOf(status)
  assert.deepEqual(
    rows.map(({ name, notes, seen, state, via }) => [name, via, state, seen, notes]),
    [
      ['10.0.0.2:8935', 'this node', 'ready', 'now', ''],
      ['10.0.0.1:8935', 'of the cluster', 'ready', '2 s ago', 'leads: redeem, for 10 min'],
      ['10.0.0.3:8935', 'of the cluster', 'late', '3 s ago', ''],
      ['10.0.0.4:8935', 'of the cluster', 'away', 'silent for 90 s', ''],
      ['10.0.0.5:8935', 'of the cluster', 'ready', '1 s ago', 'takes no more'],
    ],
  )
  assert.deepEqual(
    rows.map(({ key }) => key).length,
    new Set(rows.map(({ key }) => key)).size,
    'each row has a key of its own',
  )
})

test('a node that its database does not answer shows the others as late, not as away', () => {
  const members = [member('1', { alive: false, silentMs: 9_000, seenMs: 15_000 }), member('2')]
  const status = orchestratorStatus({
    redeemers: [],
    cluster: { node: '2'.repeat(16), isIn: false, members },
  })
  assert.deepEqual(
    rowsOf(status).map(({ seen, state }) => [state, seen]),
    [
      ['ready', 'now'],
      ['late', '15 s ago'],
    ],
  )
})

test('a node that waits says for what, and one that is not in its cluster’s rows is there all the same', () => {
  const waits = { version: '1', ready: false, waitingFor: 'the chain', nowMs: NOW_MS }
  assert.deepEqual(
    rowsOf(waits).map(({ notes, role, state }) => [role, state, notes]),
    [['node', 'not ready', 'waits for the chain']],
  )
  const alone = redeemerStatus({ cluster: { node: '9'.repeat(16), isIn: false, members: [member('1')] } })
  assert.deepEqual(
    rowsOf(alone).map(({ via }) => via),
    ['this node', 'of the cluster'],
  )
})
