import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BalancerMode, hasHaproxy } from '../../devnet/balancer.ts'
import { Network, type NetworkNode } from '../../devnet/network.ts'
import { readAnswer } from '../../src/commands/status/answer.ts'
import { nodeRows } from '../../src/console/models/nodes.ts'
import type { GatewayStatus, NodeStatus } from '../../src/node/status/status.ts'
import { nullEngineEntry } from '../tools/null-engine.ts'
import { until } from '../tools/until.ts'
import { settleTickets } from './settle.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/**
 * A cluster on PostgreSQL behind HAProxy, which knows nothing of sessions, with an engine that takes no time. CLUSTER_NODES,
 * CLUSTER_STREAMS, CLUSTER_KILLS and CLUSTER_EVERY (seconds) make it larger, CLUSTER_UPGRADE=all restarts every node instead of
 * one of each role; each stream pauses for CLUSTER_PAUSE ms between segments; CLUSTER_LOGS keeps the nodes' logs in a folder.
 */
const NODES = Number(process.env.CLUSTER_NODES ?? 3)
const STREAMS = Number(process.env.CLUSTER_STREAMS ?? 4)
const KILLS = Number(process.env.CLUSTER_KILLS ?? 2)
const EVERY_MS = Number(process.env.CLUSTER_EVERY ?? 5) * 1_000
const PAUSE_MS = Number(process.env.CLUSTER_PAUSE ?? 800)
const UPGRADES_ALL = process.env.CLUSTER_UPGRADE === 'all'
/** In blocks of a second: winners at the end of a round can be redeemed for 110 of them. */
const ROUND_LENGTH = 150n
const AWAY_MS = 3_000
/** The console shows within 5 s that a node was killed; up to 2 s of them pass until it reads the figures again. */
const MISSED_MS = 5_000
/** The status answers within a second; longer on a busy machine. Without a limit for the database it takes ten. */
const TOLD_MS = 4_000
/** A gateway waits for half of it for the headers of an answer: on a busy machine a healthy node may take seconds. */
const SEGMENT_MS = 8_000
/** One ticket for some segments: redeeming each costs a transaction. */
const LARGE_TICKETS = [
  ...['-pricePerUnit', '8750000000', '-ticketEV', '40000000000000000'],
  ...['-maxFaceValue', '40000000000000001'],
]
/** Segments cost a hundredth of an ether here. */
const ENOUGH_GRACE = ['-storeGraceValue', '5eth']
/** Every stream goes on for so long after the last node is back. */
const AFTER = 3
const TIMEOUT_MS = (KILLS + 2) * 2 * EVERY_MS + 240_000 + (UPGRADES_ALL ? 60_000 * NODES : 0)

async function clusterBehind(t: TestContext, balancerMode: BalancerMode): Promise<Network> {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-cluster-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  const entry = await nullEngineEntry()
  const network = await Network.prepare({
    ...{ setup: 'cluster', clustered: NODES, balancerMode },
    roundLength: ROUND_LENGTH,
    orchestratorFlags: [...EVERY_TICKET_WINS.orchestrator, ...LARGE_TICKETS, ...ENOUGH_GRACE],
    ...{ orchestratorEntry: entry, gatewayEntry: entry },
    gatewayFlags: ['-transcodingOptions', profiles, '-maxSessions', String(Math.max(10, STREAMS))],
    logFolder: process.env.CLUSTER_LOGS ? join(process.env.CLUSTER_LOGS, balancerMode) : join(folder, 'logs'),
  })
  t.after(() => network.stop())
  const others = network.nodes.filter(({ kind }) => kind !== 'gateway')
  await Promise.all(others.map(({ process }) => process.start()))
  await network.gateway.start()
  return network
}

/** What the store and the chain hold once all is settled: every ticket that won is redeemed, or refused with a reason. */
async function assertNothingLost(network: Network): Promise<void> {
  const { byOrchestrator, lost, pending, received, redeemed, refused, won } = await settleTickets(network)
  assert.ok(won > 0)
  const ofEach = Object.values(byOrchestrator)
  assert.equal(
    ofEach.reduce((sum, tickets) => sum + tickets, 0),
    received,
    JSON.stringify(byOrchestrator),
  )
  assert.deepEqual({ lost, pending, refused }, { lost: 0, pending: 0, refused: 0 })
  assert.equal(redeemed, won)
  // Each ticket counts once, however often a segment was sent again with it.
  const { overpaid, ticketsAccepted, ticketsSent } = await network.gateway.status<GatewayStatus>()
  assert.ok(received >= ticketsAccepted && received <= ticketsSent, `${received} of ${ticketsSent} tickets`)
  assert.deepEqual(overpaid, [])
}

/** Payments are refused for one reason only: a segment was sent again after its node had died, and they had arrived. */
async function assertPaid(network: Network): Promise<void> {
  for (const { process } of network.of('orchestrator')) {
    const { causes = [] } = await process.status<NodeStatus>()
    const refused = causes.filter(({ code }) => /^(payment-refused|sender-)/.test(code))
    for (const { says } of refused) assert.match(says, /since their tickets were received before/)
  }
}

/** Restarts nodes of every role but the gateway as an operator upgrades them: SIGTERM, the next start, the next node. */
async function upgrade(t: TestContext, network: Network): Promise<void> {
  for (const kind of ['orchestrator', 'redeemer', 'reward'] as const) {
    for (const { process } of UPGRADES_ALL ? network.of(kind) : network.of(kind).slice(0, 1)) {
      const startMs = performance.now()
      await process.drain()
      assert.equal(process.exitCode, 0, process.output)
      await process.start()
      t.diagnostic(`${process.command.name} was restarted in ${Math.round(performance.now() - startMs)} ms`)
    }
  }
}

/** Each duty is led by one process, and any node says by which. */
async function assertLed(network: Network): Promise<void> {
  const { process } = network.of('orchestrator')[0]!
  await until(async () => {
    const { cluster } = await process.status<NodeStatus>()
    const led = cluster!.members.flatMap(({ leads }) => leads.map(({ duty }) => duty))
    const isLedOnce = (duty: string) => led.filter((one) => one === duty).length === 1
    return isLedOnce('redeem') && isLedOnce('reward') ? true : null
  }, 'one leader of redemption and one of rewards')
}

/** A node that was killed is shown as late or away by the console of another one, which reads the status every 2 s. */
async function assertMissed(t: TestContext, network: Network): Promise<void> {
  const [watching] = network.of('orchestrator') as [NetworkNode]
  const { dataDir, process } = network.of('reward').at(-1) as NetworkNode
  const key = `member ${(await readFile(join(dataDir, 'node-id'), 'utf8')).trim()}`
  const state = async () => {
    const { control } = watching.process.command
    const answer = { httpStatus: 200, body: JSON.stringify(await watching.process.status()) }
    const seen = readAnswer(control, answer, { atMs: Date.now(), withToken: false })
    return seen.kind === 'status' ? nodeRows(seen).find((row) => row.key === key)?.state : undefined
  }
  await until(async () => ((await state()) === 'ready' ? true : null), 'the node among the members')
  const killedMs = performance.now()
  await process.kill()
  await until(async () => ((await state()) === 'ready' ? null : true), 'the node to be missed', MISSED_MS)
  t.diagnostic(`a killed node was missed after ${Math.round(performance.now() - killedMs)} ms`)
  await process.start()
}

/**
 * While the database does not answer the streams go on, and health is green; a node tells its status, with the cause, and the
 * money that it knows with its age.
 */
async function assertGoesOn(t: TestContext, network: Network, load: TinyLoad): Promise<void> {
  const { postgres } = network.store!
  const orchestrators = network.of('orchestrator').map(({ process }) => process)
  const [process] = orchestrators as [(typeof orchestrators)[number]]
  assert.ok((await process.status<NodeStatus>()).money)
  const isAway = ({ causes = [] }: NodeStatus) => causes.some(({ code }) => code === 'store-away')
  const before = load.served
  const frozenMs = performance.now()
  postgres.freeze()
  try {
    await until(async () => {
      const askedMs = performance.now()
      const status = await process.status<NodeStatus>()
      const tookMs = Math.round(performance.now() - askedMs)
      assert.ok(tookMs < TOLD_MS, `the status took ${tookMs} ms`)
      assert.ok(status.money)
      const { causes = [], nowMs, storeReadMs } = status
      const isTold = causes.some(({ code }) => /^(store-away|membership-lapsed)$/.test(code))
      return isTold && storeReadMs !== undefined && storeReadMs < nowMs ? true : null
    }, 'the cause')
    await until(
      async () => (load.served >= before + AFTER * STREAMS ? true : null),
      'segments without the database',
    )
    assert.ok((await Promise.all(orchestrators.map((node) => node.status<NodeStatus>()))).some(isAway))
    assert.deepEqual(
      await Promise.all(orchestrators.map((node) => node.isReady())),
      orchestrators.map(() => true),
    )
  } finally {
    postgres.thaw()
  }
  const outageMs = Math.round(performance.now() - frozenMs)
  await until(async () => {
    const all = await Promise.all(orchestrators.map((node) => node.status<NodeStatus>()))
    return all.every((status) => !isAway(status) && status.storeReadMs === undefined) ? true : null
  }, 'the journals to be played in')
  t.diagnostic(`${load.served - before} segments in ${outageMs} ms without the database`)
}

for (const mode of ['tcp', 'http'] as const) {
  test(`${mode}: orchestrators are killed one after the other and no segment fails, no payment is refused`, {
    skip: hasHaproxy() ? false : 'HAProxy is not installed',
    timeout: TIMEOUT_MS,
  }, async (t) => {
    const network = await clusterBehind(t, mode)
    await using load = await TinyLoad.start(network.urls.gateway, STREAMS, {
      ...{ pauseMs: PAUSE_MS, durationMs: SEGMENT_MS },
    })
    await until(async () => (load.served >= STREAMS ? true : null), 'the first segments')
    const orchestrators = network.of('orchestrator')
    for (let kill = 0; kill < KILLS; kill++) {
      await sleep(EVERY_MS - AWAY_MS)
      const { process } = orchestrators[kill % orchestrators.length] as NetworkNode
      await process.kill()
      await sleep(AWAY_MS)
      await process.start()
    }
    const before = load.served
    await until(
      async () => (load.served >= before + AFTER * STREAMS ? true : null),
      'segments after the last kill',
    )
    const { retried } = (await network.gateway.status<GatewayStatus>()).segments
    await upgrade(t, network)
    await assertLed(network)
    if (mode === 'tcp') await assertMissed(t, network)
    const upgraded = load.served
    await until(async () => (load.served >= upgraded + STREAMS ? true : null), 'segments after the upgrade')
    const after = (await network.gateway.status<GatewayStatus>()).segments
    assert.equal(after.retried, retried, 'none was retried because of the upgrade')
    await assertGoesOn(t, network, load)
    await load.stop()
    await assertPaid(network)
    const failed = load.pushed
      .filter(({ status }) => status !== 200)
      .map(({ status, text }) => `${status} ${text}`)
    const { segments, segmentsResent: resent } = await network.gateway.status<GatewayStatus>()
    t.diagnostic(
      `${load.served} segments, ${failed.length} failed, ${segments.retried} retried, ${resent} sent again, ${KILLS} kills`,
    )
    assert.deepEqual(failed.slice(0, 20), [])
    await assertNothingLost(network)
  })
}
