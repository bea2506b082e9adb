import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  answerOf,
  chainFigures,
  NOW_MS,
  ORCHESTRATOR,
  orchestratorStatus,
  redeemerStatus,
  rewardStatus,
} from '../../../test/fakes/status-answers.ts'
import type { NodeStatus } from '../../node/status/status.ts'
import { balanceRows, endpointRows, roundLine, transactionRows } from './chain.ts'

const seen = (status: NodeStatus) => answerOf('n', status)
const ETHER = 10n ** 18n

test('endpoints show their state and how far they are behind the first', () => {
  const endpoints = [
    { endpoint: 'https://a', state: { kind: 'healthy', sinceMs: NOW_MS - 60_000 }, head: 300n },
    {
      endpoint: 'https://b',
      state: { kind: 'stale', sinceMs: NOW_MS - 90_000, reason: 'old block' },
      head: 188n,
    },
    { endpoint: 'https://c', state: { kind: 'untried' }, head: null },
  ] as ReturnType<typeof chainFigures>['endpoints']
  const rows = endpointRows(seen(orchestratorStatus({ chain: chainFigures(ORCHESTRATOR, { endpoints }) })))
  assert.deepEqual(
    rows.map(({ block, isGood, lag, reason, state }) => [state, isGood, block, lag, reason]),
    [
      ['healthy for 60 s', true, '300', 'none', ''],
      ['stale for 90 s', false, '188', '112 blocks', 'old block'],
      ['not used yet', true, '?', '?', ''],
    ],
  )
  assert.deepEqual(endpointRows(seen({ version: '1', ready: true, nowMs: 1 })), [])
})

test('balances say how many rounds, redemptions or days they last', () => {
  const lasts = (status: NodeStatus) =>
    balanceRows(seen(status)).map(({ amount, lasts, what }) => `${what}: ${amount}; ${lasts}`)
  assert.deepEqual(lasts(redeemerStatus()), ['account, for gas: 0.5 ETH; about 800 redemptions'])
  assert.deepEqual(lasts(rewardStatus()), ['account, for gas: 0.5 ETH; about 400 rounds of rewards'])
  const funds = {
    ...{ depositWei: ETHER / 2n, reserveWei: ETHER, spentPerHourWei: ETHER / 100n },
    ...{ depositLastsMs: 50 * 3_600_000, reserveLastsMs: 100 * 3_600_000 },
  }
  const gateway = {
    version: '1',
    ready: true,
    nowMs: NOW_MS,
    roles: ['gateway'],
    chain: chainFigures(ORCHESTRATOR),
  }
  assert.deepEqual(lasts({ ...gateway, funds }).slice(1), [
    'deposit: 0.5 ETH; about 2 days',
    'reserve: 1 ETH; then 4 days more',
  ])
  const idle = { ...funds, depositLastsMs: null, reserveLastsMs: null }
  assert.deepEqual(lasts({ ...gateway, funds: idle }).slice(1), [
    'deposit: 0.5 ETH; nothing spent lately',
    'reserve: 1 ETH; ',
  ])
})

test('the round says how long it lasts, and transactions under way what they are for', () => {
  assert.equal(roundLine(seen(redeemerStatus())), 'round 4000, 5660 L1 blocks (about 19 h) left')
  assert.equal(roundLine(seen({ version: '1', ready: true, nowMs: 1 })), null)
  const transactions = [
    { purpose: 'redeem 0x01 0x02', nonce: 4, txHash: '0xaa', sentAtMs: NOW_MS - 30_000, attempts: 2 },
  ] as const
  assert.deepEqual(
    transactionRows(seen(redeemerStatus({ chain: chainFigures(ORCHESTRATOR, { transactions }) }))),
    [{ purpose: 'redeems 2 tickets', txHash: '0xaa', sent: '30 s ago', attempts: 2 }],
  )
})
