import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { alertsIn } from '../domain/alerts.ts'
import { makeOwnCerts, readOwnCerts } from '../io/rpc/own-certs.ts'
import { IN_MEMORY } from '../io/store/open.ts'
import { Store } from '../io/store/store.ts'
import { ManualClock } from '../lib/clock.ts'
import { seededDice } from '../lib/dice.ts'
import { NodeAlertFacts } from './alert-facts.ts'
import type { Parts } from './parts.ts'
import type { StatusFacts } from './status/facts.ts'

const X = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const DAY_MS = 86_400_000
const NOW = Date.UTC(2026, 10, 25, 12)

/** A node of which every part has something to tell; nothing of it runs but its store and its disk. */
async function world(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-alerts-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const clock = new ManualClock(NOW)
  const needs = { clock, dice: seededDice('alerts') }
  makeOwnCerts(folder, [{ name: 'n1', hosts: ['a.example'] }], needs)
  const store = new Store({ location: IN_MEMORY })
  await store.open()
  t.after(() => store.close())
  const causes = { current: [{ code: 'redeemer-away', about: 'r', says: 'away', change: 'check' }] }
  const devices = [
    { device: '0', sessions: 1, outOfService: null },
    { device: '1', sessions: 0, outOfService: 'lost' },
  ]
  const recipient = {
    ...{ registered: true, active: true, activationRound: 1n, deactivationRound: 11n },
    ...{ lastRewardRound: 8n, serviceUri: '', stake: 1n },
  }
  const roundClock = { currentRound: 10n, startL1Block: 100n, roundLength: 100n, l1Block: 160n }
  const parts = {
    core: {
      ...{ env: { clock, causes }, store, ownCerts: readOwnCerts(join(folder, 'n1'), needs) },
      settings: { dataDir: folder, certs: join(folder, 'n1') },
    },
    duties: { sendsTransactions: true, rewards: false },
    chain: {
      ...{ account: X, recipient: X, rounds: { isKnown: true, lastInitializedRound: 10n, roundClock } },
      settings: { alertBalanceDays: 14 },
    },
    reward: { reward: { status: () => ({ orchestrator: X, state: 'off' }) } },
    winners: { keeper: { waiting: () => [{ hash: '0x0a', faceValue: 5n, expiryBlock: 165n }] } },
    cluster: {
      members: {
        isIn: true,
        all: [
          { node: 'n1', address: 'a:1', leftMs: 3_000, roles: ['orchestrator'] },
          { node: 'n2', address: 'b:1', leftMs: -5_000, roles: ['reward'] },
        ],
      },
    },
    transcoder: { media: { state: { devices } } },
  } as unknown as Parts
  const facts = {
    balance: async () => 1_000n,
    recipientState: async () => recipient,
    funds: async () => ({ depositWei: 7n, depositLastsMs: 20 * DAY_MS }),
  } as unknown as StatusFacts
  return { clock, store, parts, recipient, alertFacts: new NodeAlertFacts(parts, facts) }
}

test('what rules judge is read from the parts of the node, its store and its disk', async (t) => {
  const { alertFacts, clock, parts, store } = await world(t)
  const spend = (nonce: number, fee: bigint, atMs: number) =>
    store.saveTransaction(
      {
        ...{ account: X, nonce, purpose: 'reward', to: X, data: '0x', value: 0n, gas: 1n },
        ...{ attempts: [], state: 'mined', fee },
      },
      atMs,
    )
  await spend(1, 5_000n, NOW - 20 * DAY_MS)
  await spend(2, 300n, NOW - 2 * DAY_MS)
  await spend(3, 400n, NOW)
  const facts = await alertFacts.read()
  assert.deepEqual(facts.account, {
    ...{ address: X, balanceWei: 1_000n, spentWei: 700n, spentDays: 7, leastDays: 14 },
  })
  assert.deepEqual(facts.deposit, { address: X, depositWei: 7n, lastsMs: 20 * DAY_MS, leastDays: 14 })
  assert.ok(facts.disk!.totalBytes >= facts.disk!.freeBytes && facts.disk!.totalBytes > 0n)
  const codes = async () => alertsIn(await alertFacts.read()).alerts.map(({ code }) => code)
  const always = [
    ...['reward-at-risk', 'ticket-near-deadline', 'redeemer-unreachable', 'balance-low'],
    ...['orchestrator-inactive', 'node-lost', 'gpu-out-of-service'],
  ]
  const withoutDisk = (await codes()).filter((code) => code !== 'disk-nearly-full')
  assert.deepEqual(withoutDisk, always)
  await clock.wind(10 * 365 * DAY_MS)
  assert.ok((await codes()).includes('certificate-expiring'))
  Object.assign(parts.cluster!.members, { isIn: false })
  assert.equal((await alertFacts.read()).members, null, 'its own lease has run out')
})

test('any node of a cluster sees by the chain whether reward is called, as long as a node is there to call it', async (t) => {
  const { alertFacts, parts, recipient } = await world(t)
  const state = async () => (await alertFacts.read()).reward?.state
  assert.equal(await state(), 'due', 'its own service calls none')
  recipient.lastRewardRound = 10n
  assert.equal(await state(), 'called')
  const { members } = parts.cluster as unknown as { members: { all: { roles: string[] }[] } }
  members.all[1]!.roles = ['orchestrator']
  assert.equal(await state(), 'off', 'reward is called elsewhere, or not at all')
})

test('a node without chain, cluster and transcoder has nothing to tell of them', async () => {
  const parts = {
    core: {
      ...{ env: { clock: new ManualClock(), causes: { current: [] } }, store: {} },
      settings: { dataDir: '/nowhere', keepsNothing: true, certs: null },
    },
    duties: { sendsTransactions: false },
    ...{ chain: null, reward: null, winners: null, cluster: null, transcoder: null },
  } as unknown as Parts
  const facts = {
    balance: async () => null,
    recipientState: async () => null,
    funds: async () => null,
  } as unknown as StatusFacts
  assert.deepEqual(alertsIn(await new NodeAlertFacts(parts, facts).read()).alerts, [])
})
