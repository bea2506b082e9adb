import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerOf, NOW_MS, orchestratorStatus, redeemerStatus } from '../../../test/fakes/status-answers.ts'
import type { NodeStatus } from '../../node/status/status.ts'
import { cardsOf } from './cards.ts'
import { renditionIn, streamRows } from './streams.ts'
import { viewIn, viewsOf } from './views.ts'

const seen = (status: NodeStatus) => answerOf('n', status)
const STREAM = { manifestId: 'a <b>/ä', externalId: 'x', profiles: ['P240p30fps16x9', 'tiny'], sessions: 1 }
const GATEWAY = { version: '1', ready: true, nowMs: NOW_MS, roles: ['gateway'], streams: [STREAM] }

test('each kind of node has the views that have something to show', () => {
  assert.deepEqual(viewsOf(seen(orchestratorStatus())), ['overview', 'nodes', 'tickets', 'money', 'chain'])
  assert.deepEqual(viewsOf(seen(GATEWAY)), ['overview', 'nodes', 'streams'])
  assert.deepEqual(viewsOf(seen({ version: '1', ready: false, nowMs: 1 })), ['overview', 'nodes'])
})

test('the address names a view, and nothing else does', () => {
  const cases = ['#/money', '#/tickets/0xab', '#/moneys', '#/', '', '#main', '#/constructor']
  assert.deepEqual(cases.map(viewIn), ['money', 'tickets', null, null, null, null, null])
})

test('a stream shows its renditions and the orchestrators that work for it, and leads to its playlist', () => {
  assert.deepEqual(streamRows(seen(GATEWAY)), [
    {
      name: 'a <b>/ä',
      renditions: ['source', 'P240p30fps16x9', 'tiny'],
      orchestrators: '1 orchestrator',
      playlist: 'stream/a%20%3Cb%3E/%C3%A4.m3u8',
    },
  ])
  assert.equal(streamRows(seen(orchestratorStatus())), null)
  assert.deepEqual(
    ['http://n/stream/movie/P240p30fps16x9.m3u8?x', 'a%20b.m3u8', '%ff.m3u8', ''].map(renditionIn),
    ['P240p30fps16x9', 'a b', '%ff', ''],
  )
})

test('the first figures are sessions, tickets, what is left of the day, and the gas account', () => {
  const figures = (status: NodeStatus) =>
    cardsOf(seen(status)).map(({ detail, figure, title }) => `${title}: ${figure}; ${detail}`)
  assert.deepEqual(figures(orchestratorStatus({ capacity: { maxSessions: 10 } })), [
    'Sessions: 3; of 10, 120 segments done, 0 failed',
    'Tickets to redeem: 2; 900 received, 9 won, 7 redeemed, 0 lost',
    'Net today: 0.1 ETH; 0.7 ETH since 2026-08-03',
    'Gas account: 0 ETH; round 4000, 5660 L1 blocks (about 19 h) left',
  ])
  assert.deepEqual(
    figures(redeemerStatus()).map((line) => line.split(':')[0]),
    ['Tickets to redeem', 'Net today', 'Gas account'],
  )
  const cluster = { node: '7'.repeat(16), isIn: false, members: [] }
  assert.ok(
    figures(redeemerStatus({ cluster })).includes('Cluster: ?; of 0 nodes: the database does not answer'),
  )
  assert.deepEqual(figures(GATEWAY), ['Streams: 1; '])
  assert.deepEqual(figures({ version: '1', ready: false, nowMs: 1 }), ['Nodes: 1; 1 of 1 node is there'])
})
