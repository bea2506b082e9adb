import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import type { NodeProcess } from '../../devnet/node-process.ts'
import { Postgres } from '../../devnet/postgres.ts'
import { ChainClient, resolveContracts } from '../../src/io/chain/client.ts'
import { Rpc } from '../../src/io/chain/rpc.ts'
import type { MediaEngine } from '../../src/io/media/engine/engine.ts'
import { makeOwnCerts } from '../../src/io/rpc/own-certs.ts'
import { Store } from '../../src/io/store/store.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import { engineOfFakes, mediaJob } from '../fakes/engine-of-fakes.ts'
import { memoryFolder } from '../tools/memory-folder.ts'
import { eventually } from '../tools/until.ts'
import { AlertStage } from './alert-stage.ts'
import { accountNamed } from './clustered.ts'
import { accountAt, type LocalNode, LPT } from './control-nodes.ts'
import { RECIPIENT, winners } from './redeeming.ts'

/**
 * Alerts of an operator with an orchestrator that hands its tickets to a redeemer, and with a cluster of an orchestrator and a
 * service that calls reward. The redeemer and that service are processes, which are killed.
 */

const X = accountNamed(RECIPIENT)
const ROUND_LENGTH = 200n
const DAY_MS = 86_400_000
/** Certificates last for ten years; the first of the cluster were made this long before their end. */
const TEN_YEARS_MS = 3_652.5 * DAY_MS
const LEFT_MS = 10 * DAY_MS
/** The orchestrators: the one in the cluster, and the other one. */
const [CLUSTERED, ORCHESTRATOR] = ['clustered', 'orchestrator']
/** The redeemer answers in its own time, which a hurried orchestrator does not give it. */
const LITTLE_HURRY = 20

const folder = mkdtempSync(join(tmpdir(), 'livepeer-alerts-'))
const stack = new AsyncDisposableStack()
let stage: AlertStage
let redeemer: NodeProcess
let rewarder: NodeProcess
let orchestrator: LocalNode
let clustered: LocalNode
let gpu: MediaEngine
let redeemerPort: number
let postgres: Postgres
let storeUrl: string

before(async () => {
  stage = stack.use(await AlertStage.set({ roundLength: ROUND_LENGTH }))
  postgres = stack.use(await Postgres.start({ within: memoryFolder() }))
  storeUrl = await postgres.newDatabase()
  const { protocol } = stage.chain
  const serviceUri = `https://127.0.0.1:${await freePort()}`
  await protocol.bondAndRegister(X.key, { stake: 100n * LPT, serviceUri })
  await protocol.nextRound()
  redeemerPort = await freePort()
  const flags = `-redeemer -httpAddr 127.0.0.1:${redeemerPort} -ethOrchAddr ${X.address}`
  redeemer = await stage.process('redeemer', flags, accountAt(2))
  rewarder = await stage.process('rewarder', `-reward -store ${storeUrl}`, X)
  await Promise.all([redeemer.start(), rewarder.start()])
  await rewardIsCalled()
  orchestrator = await startOrchestrator('No such device')
  clustered = await startClustered('expiring', systemClock.now() + LEFT_MS - TEN_YEARS_MS)
})
after(async () => {
  await stack.disposeAsync()
  rmSync(folder, { recursive: true, force: true })
})

/** `gpuFault`: what its GPU says when it is tried out; null: it works. */
function startOrchestrator(gpuFault: string | null): Promise<LocalNode> {
  const tryOut = () => (gpuFault === null ? Promise.resolve() : Promise.reject(new Error(gpuFault)))
  gpu = engineOfFakes({ gpus: 1, clock: stage.clock, tryOut })
  return startOn(ORCHESTRATOR, `-redeemerAddr 127.0.0.1:${redeemerPort}`, gpu)
}

function startClustered(certs: string, madeAtMs: number): Promise<LocalNode> {
  const needs = { clock: { ...systemClock, now: () => madeAtMs }, dice: systemDice }
  makeOwnCerts(join(folder, certs), [{ name: 'node', hosts: ['127.0.0.1'] }], needs)
  return startOn(CLUSTERED, `-store ${storeUrl} -certs ${join(folder, certs, 'node')}`)
}

async function startOn(name: string, flags: string, media?: MediaEngine): Promise<LocalNode> {
  const at = `127.0.0.1:${await freePort()}`
  const account = accountAt(name === CLUSTERED ? 3 : 4)
  const role = `-orchestrator -transcoder -ethOrchAddr ${X.address} -httpAddr ${at} -serviceAddr ${at}`
  const terms = '-pricePerUnit 1000 -maxSessions 2 -startupAvailabilityCheck=false'
  const options = { dataDir: join(folder, name), ...(media && { media }) }
  return stage.node(name, `${role} ${terms} ${flags}`, account, options)
}

/** Waits until the reward of this round is called: until then it may be at risk. */
async function rewardIsCalled(): Promise<void> {
  const { protocol } = stage.chain
  const round = await protocol.read<bigint>('RoundsManager', 'currentRound')
  const isCalled = async () => {
    const [lastRewardRound] = await protocol.read<bigint[]>('BondingManager', 'getTranscoder', [X.address])
    return lastRewardRound === round
  }
  await eventually('reward is called', isCalled)
}

test('certificates of -certs that expire in ten days', async () => {
  const { says } = await stage.begins(CLUSTERED, clustered, 'certificate-expiring')
  assert.match(says, /the certificates of -certs expire in (9|10) days/)
})

test('of two nodes of the cluster the one that keeps tickets tells what concerns both, although the other one was first', async () => {
  const { cluster } = await clustered.json<NodeStatus>('/status')
  const isTeller = async () => {
    const [lease] = await postgres.runIn(storeUrl, "select node from livepeer.leases where name = 'alerts'")
    return lease?.node === cluster!.node
  }
  await stage.clock.hurry(() => eventually('it tells', isTeller))
})

test('a redeemer that is killed', async () => {
  await redeemer.kill()
  const { about, says } = await stage.begins(ORCHESTRATOR, orchestrator, 'redeemer-unreachable')
  assert.equal(about, `127.0.0.1:${redeemerPort}`)
  const { causes = [] } = await orchestrator.json<NodeStatus>('/status')
  assert.ok(causes.some((cause) => cause.says === says))
})

test('a GPU that fails segments and its test, until the node is restarted with one that works', async () => {
  const { signal } = new AbortController()
  for (let i = 0; i < 3; i++) await gpu.transcode(mediaJob({ provider: 'GPU 0 fails' }), signal)
  const { says } = await stage.begins(ORCHESTRATOR, orchestrator, 'gpu-out-of-service')
  assert.equal(says, 'the GPU 0 is no longer used, since it failed (No such device)')
  await orchestrator.stop()
  await winTicket()
  orchestrator = await startOrchestrator(null)
  await stage.ends(ORCHESTRATOR, orchestrator, 'gpu-out-of-service')
})

/** Leaves a winning ticket in the store of the orchestrator, which does not run. */
async function winTicket(): Promise<void> {
  const { anvil, protocol } = stage.chain
  using rpc = new Rpc({ urls: [anvil.url], chainId: anvil.chainId }, { clock: systemClock, log: silentLog })
  const client = new ChainClient({
    rpc,
    addresses: await resolveContracts(rpc, protocol.addresses.controller),
  })
  const [ticket] = await winners({ client, protocol } as Parameters<typeof winners>[0], {
    ...{ count: 1, name: 'gateway of alerts' },
  })
  const store = new Store({ location: join(folder, ORCHESTRATOR, 'livepeer-ts.sqlite3') })
  await store.open()
  await store.addTickets([ticket!], Date.now())
  await store.close()
}

test('a winning ticket near its deadline while the redeemer is away, until it is back and has redeemed it', async () => {
  const { anvil, protocol } = stage.chain
  await protocol.nextRound()
  await rewardIsCalled()
  await protocol.mineTo((await protocol.roundStart()) + ROUND_LENGTH - ROUND_LENGTH / 10n)
  const { says } = await stage.begins(ORCHESTRATOR, orchestrator, 'ticket-near-deadline')
  assert.match(says, /^the ticket 0x[0-9a-f]{64} over 0\.01 ETH is not redeemed, and can be for \d+ more/)
  await redeemer.start()
  await eventually('it is redeemed', async () => (await protocol.redemptions()).distinct === 1)
  // Until that is confirmed, and into the next round, from whose begin on its reward can be called.
  await anvil.mine(Number(ROUND_LENGTH) / 8)
  await protocol.nextRound()
  await stage.ends(ORCHESTRATOR, orchestrator, 'ticket-near-deadline', LITTLE_HURRY)
  await stage.ends(ORCHESTRATOR, orchestrator, 'redeemer-unreachable', LITTLE_HURRY)
  await orchestrator.stop()
})

test('a killed node of the cluster, and the reward that it does not call, of which another node tells', async () => {
  const { anvil, protocol } = stage.chain
  await rewardIsCalled()
  await rewarder.kill()
  const isGone = async () => {
    const { cluster } = await clustered.json<NodeStatus>('/status')
    return cluster!.members.some(({ alive }) => !alive)
  }
  await eventually('its lease has run out', isGone)
  const { says } = await stage.begins(CLUSTERED, clustered, 'node-lost')
  assert.match(says, /^the node [0-9a-f]{16} of this cluster at \S+ has not been seen for \d+ s$/)
  await protocol.nextRound()
  await anvil.mine(Number(ROUND_LENGTH) / 2)
  const risk = await stage.begins(CLUSTERED, clustered, 'reward-at-risk')
  assert.match(risk.says, new RegExp(`^reward of ${X.address} in round \\d+ is not called`))
  await rewarder.start()
  await rewardIsCalled()
  await stage.ends(CLUSTERED, clustered, 'node-lost')
  await stage.ends(CLUSTERED, clustered, 'reward-at-risk')
})

test('certificates that are replaced: the node that starts with the new ones says that it is over', async () => {
  await clustered.stop()
  clustered = await startClustered('new', systemClock.now())
  await stage.ends(CLUSTERED, clustered, 'certificate-expiring')
})

test('nothing else was told, and nothing twice', () => stage.assertNothingElse())
