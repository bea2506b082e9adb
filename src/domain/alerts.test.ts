import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOTHING_KNOWN } from '../../test/fakes/alert-facts.ts'
import { ALERT_CODES, type AlertCode, type AlertFacts, alertName, alertsIn, ruleOf } from './alerts.ts'
import type { OrchestratorState } from './chain.ts'

const X = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const ETHER = 10n ** 18n
const GIBIBYTE = 2n ** 30n
const DAY_MS = 86_400_000

const recipient: OrchestratorState & { address: typeof X } = {
  ...{ address: X, registered: true, active: true, activationRound: 10n },
  ...{ deactivationRound: 2n ** 256n - 1n, lastRewardRound: 99n, serviceUri: '', stake: 1n },
}

/** A node with everything, in good order. */
const WELL: AlertFacts = {
  nowMs: Date.UTC(2026, 10, 25),
  sinceMs: 3_600_000,
  causes: [{ code: 'sender-underfunded', about: '0x01', says: 'a', change: 'b' }],
  rounds: { currentRound: 100n, startL1Block: 1_000n, roundLength: 100n, l1Block: 1_049n },
  reward: { orchestrator: X, state: 'due' },
  firstTicket: { hash: '0x0a', faceValue: ETHER, expiryBlock: 1_061n },
  recipient,
  account: { address: X, balanceWei: 10n * ETHER, spentWei: 10n * ETHER, spentDays: 7, leastDays: 7 },
  deposit: { address: X, depositWei: 5n * ETHER, lastsMs: 7 * DAY_MS, leastDays: 7 },
  members: [{ node: 'n1', address: 'h:1', isAlive: true, silentMs: 0 }],
  certificateExpiresAtMs: Date.UTC(2026, 11, 25),
  devices: [{ device: '0', outOfService: null }],
  disk: { path: '/d', freeBytes: 30n * GIBIBYTE, totalBytes: 1_000n * GIBIBYTE },
}

const cause = (code: AlertFacts['causes'][number]['code']) => [
  { code, about: 'x', says: 'says', change: 'change' },
]

/** Each rule with what it fires for, and what it says. */
const FAULTS: readonly (readonly [AlertCode, Partial<AlertFacts>, RegExp])[] = [
  [
    'reward-at-risk',
    { rounds: { ...WELL.rounds!, l1Block: 1_050n } },
    /in round 100 is not called, and 50 of/,
  ],
  [
    'reward-at-risk',
    {
      rounds: { ...WELL.rounds!, l1Block: 1_099n },
      reward: { orchestrator: X, state: 'round-not-initialized' },
      firstTicket: null,
    },
    /and 1 of the round's 100 L1 blocks/,
  ],
  [
    'ticket-near-deadline',
    { firstTicket: { ...WELL.firstTicket!, expiryBlock: 1_059n } },
    /for 10 more L1 blocks/,
  ],
  [
    'ticket-near-deadline',
    { firstTicket: { ...WELL.firstTicket!, expiryBlock: 1_040n } },
    /not redeemed before/,
  ],
  ['redeemer-unreachable', { causes: cause('redeemer-away') }, /^says$/],
  ['redeemer-unreachable', { causes: cause('redeemer-refuses') }, /^says$/],
  ['balance-low', { account: { ...WELL.account!, balanceWei: 10n * ETHER - 1n } }, /lasts 6\.9 days/],
  ['balance-low', { causes: cause('no-ether') }, /^says$/],
  ['balance-low', { causes: cause('no-deposit') }, /^says$/],
  ['balance-low', { deposit: { ...WELL.deposit!, lastsMs: 2 * DAY_MS } }, /is 5 ETH, which lasts 2 days/],
  ['rpc-stale', { causes: cause('chain-unreachable') }, /^says$/],
  ['rpc-stale', { causes: cause('chain-standing-still') }, /^says$/],
  [
    'orchestrator-inactive',
    { recipient: { ...recipient, active: false } },
    /not in the active set of round 100/,
  ],
  [
    'orchestrator-inactive',
    { recipient: { ...recipient, registered: false, active: false } },
    /not registered/,
  ],
  [
    'orchestrator-inactive',
    { recipient: { ...recipient, deactivationRound: 101n } },
    /leaves the active set in round 101/,
  ],
  [
    'node-lost',
    { members: [{ node: 'n2', address: 'h:2', isAlive: false, silentMs: 61_400 }] },
    /n2 .* at h:2 .* 61 s/,
  ],
  ['certificate-expiring', { certificateExpiresAtMs: Date.UTC(2026, 11, 9) }, /expire in 14 days/],
  ['gpu-out-of-service', { devices: [{ device: '3', outOfService: 'lost' }] }, /GPU 3 .* \(lost\)/],
  [
    'disk-nearly-full',
    { disk: { ...WELL.disk!, freeBytes: 20n * GIBIBYTE - 1n } },
    /19\.9 GiB of 1000\.0 GiB/,
  ],
  [
    'disk-nearly-full',
    { disk: { path: '/d', freeBytes: GIBIBYTE - 1n, totalBytes: 2n * GIBIBYTE } },
    /0\.9 GiB of 2/,
  ],
  [
    'disk-nearly-full',
    { disk: { path: '/d', freeBytes: GIBIBYTE / 2n - 1n, totalBytes: GIBIBYTE } },
    /0\.4 GiB of 1/,
  ],
]

test('nothing is found of a node in good order', () => {
  assert.deepEqual(alertsIn(WELL), { alerts: [], unknown: new Set() })
})

for (const [code, fault, says] of FAULTS) {
  test(`${code} is found, alone and with what to do: ${says.source}`, () => {
    const { alerts } = alertsIn({ ...WELL, ...fault })
    assert.deepEqual(
      alerts.map((alert) => alert.code),
      [code],
    )
    assert.match(alerts[0]!.says, says)
    assert.notEqual(alerts[0]!.change, '')
  })
}

test('every rule has such a case', () => {
  assert.deepEqual(
    ALERT_CODES.filter((code) => !FAULTS.some(([known]) => known === code)),
    [],
  )
})

test('what is normal is not found: a new orchestrator, a called reward, a node that has spent nothing, a small empty disk', () => {
  const normal: readonly Partial<AlertFacts>[] = [
    { recipient: { ...recipient, active: false, activationRound: 101n } },
    {
      rounds: { ...WELL.rounds!, l1Block: 1_099n },
      reward: { orchestrator: X, state: 'called' },
      firstTicket: null,
    },
    { account: { ...WELL.account!, balanceWei: 0n, spentWei: 0n } },
    { deposit: { ...WELL.deposit!, lastsMs: null } },
    { disk: { path: '/d', freeBytes: (9n * GIBIBYTE) / 10n, totalBytes: GIBIBYTE } },
  ]
  for (const facts of normal) assert.deepEqual(alertsIn({ ...WELL, ...facts }).alerts, [])
})

test('what cannot be told is not taken for well', () => {
  const { alerts, unknown } = alertsIn({ ...NOTHING_KNOWN, members: null })
  assert.deepEqual(alerts, [])
  assert.deepEqual(
    [...unknown],
    [
      ...['reward-at-risk', 'ticket-near-deadline', 'balance-low', 'orchestrator-inactive'],
      ...['node-lost', 'disk-nearly-full'],
    ],
  )
})

test('while a node has lost the database of its cluster, no node of it is told to be lost, or to be back', () => {
  const { alerts, unknown } = alertsIn({ ...WELL, members: null })
  assert.deepEqual([alerts, [...unknown]], [[], ['node-lost']])
})

test('a node that has just started tells a fault that it sees, and says of none that it is over before it could see it', () => {
  const early = { ...WELL, sinceMs: 120_000 }
  assert.deepEqual([...alertsIn(early).unknown], ['redeemer-unreachable', 'rpc-stale'])
  const { alerts, unknown } = alertsIn({ ...early, causes: cause('redeemer-away') })
  assert.deepEqual(
    alerts.map(({ code }) => code),
    ['redeemer-unreachable'],
  )
  assert.ok(!unknown.has('redeemer-unreachable'))
})

test('names, titles and what rules mean are fit for Prometheus', () => {
  assert.equal(alertName('gpu-out-of-service'), 'LivepeerGpuOutOfService')
  for (const code of ALERT_CODES) {
    const { means, title } = ruleOf(code)
    assert.match(title, /^[A-Z][A-Za-z ]+$/)
    assert.match(means, /^[a-z][^:"]+[^.]$/)
  }
})
