import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Network, type NetworkOptions } from '../../devnet/network.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import type { NodeKind } from '../../devnet/setups.ts'
import { runCerts } from '../../src/commands/certs.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'
import type { GatewayStatus, OrchestratorStatus, RedeemerStatus } from '../../src/node/status/status.ts'
import { eventually, until } from '../tools/until.ts'
import { confirm } from './settle.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/** Two orchestrators of one operator behind HAProxy, with a redeemer and a reward service. */

const STREAMS = 4

/** Metrics under the names that operators know, and new ones (operations.md §6). */
const EVERYWHERE = [
  ...['versions', 'rpc_up', 'account_balance_wei', 'current_round', 'chain_silence_seconds', 'min_gas_price'],
]
const FIGURES: Partial<Record<NodeKind, string[]>> = {
  redeemer: [
    ...['tickets_handed_in_total', 'value_redeemed', 'tickets', 'recipient_active', 'suggested_gas_price'],
    'open_transactions',
  ],
  reward: ['reward_calls_total', 'last_reward_round', 'suggested_gas_price', 'open_transactions'],
  orchestrator: [
    ...['tickets_recv', 'winning_tickets_recv', 'ticket_value_recv', 'segment_transcoded_total'],
    ...['transcode_time_seconds_count', 'transcode_score_count', 'mil_pixels_processed', 'tickets'],
    ...[
      'current_sessions_total',
      'redeemer_up',
      'tickets_delivered_total',
      'recipient_active',
      'max_sessions_total',
    ],
  ],
  gateway: [
    ...['stream_started_total', 'segment_source_appeared_total', 'segment_transcoded_total', 'tickets_sent'],
    ...['transcode_overall_latency_seconds_count', 'gateway_deposit', 'ticket_value_sent'],
  ],
}

async function behindBalancer(t: TestContext, options: NetworkOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-balancer-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  const network = await Network.prepare({
    setup: 'cold',
    roundLength: 1_000n,
    gatewayFlags: ['-transcodingOptions', profiles, '-monitor'],
    logFolder: join(folder, 'logs'),
    ...options,
    orchestratorFlags: [...EVERY_TICKET_WINS.orchestrator, ...(options.orchestratorFlags ?? [])],
  })
  t.after(() => network.stop())
  t.diagnostic(`the balancer is ${network.balancer!.what}`)
  const sessionsOf = async (node: NodeProcess) => (await node.status<OrchestratorStatus>()).sessions
  const figure = async (name: string, label: string) => {
    const text = await (await fetch(`http://${network.gateway.command.control}/metrics`)).text()
    const lines = text.split('\n').filter((line) => line.startsWith(`livepeer_${name}{${label}`))
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }
  const [one, two] = network.of('orchestrator').map(({ process }) => process) as [NodeProcess, NodeProcess]
  return { folder, network, one, two, sessionsOf, figure }
}

const failuresOf = (load: TinyLoad) =>
  load.pushed.filter(({ status }) => status !== 200).map(({ status, text }) => `${status} ${text}`)

test('a lost node costs each of its streams at most one retried segment, and a draining node none', async (t) => {
  const { figure, network, one, sessionsOf, two } = await behindBalancer(t)
  await network.start()
  await using load = await TinyLoad.start(network.urls.gateway, STREAMS)
  await eventually(
    'both have work',
    async () => (await sessionsOf(one)) > 0 && (await sessionsOf(two)) > 0,
    30_000,
  )
  const hit = await sessionsOf(two)
  const retriedBefore = await figure('transcode_retried', 'try="2"')
  await two.kill()
  const servedAtKill = load.served
  await eventually('the streams go on', () => load.served >= servedAtKill + 4 * STREAMS, 30_000)
  const retried = (await figure('transcode_retried', 'try="2"')) - retriedBefore
  t.diagnostic(`${hit} sessions were lost, ${retried} segments took a second try`)
  assert.ok(retried <= hit, `${retried} segments of ${hit} sessions were retried`)
  assert.deepEqual(failuresOf(load), [])

  // It comes back and takes new streams; then the first one is told to stop, with all its streams.
  await two.start()
  const running = await sessionsOf(one)
  assert.ok(running > 0)
  const drained = one.drain()
  await eventually('its health is red at once', async () => !(await one.isReady()), 2_000)
  assert.ok(one.isRunning)
  const servedAtDrain = load.served
  await eventually('its running streams continue', () => load.served >= servedAtDrain + STREAMS)
  // Until the balancer has noticed, for three seconds at most, the first one still takes new ones.
  let stream = 100
  do {
    assert.ok(stream < 110, 'new streams go to the other node')
    await using late = await TinyLoad.start(network.urls.gateway, 1, { from: stream++ })
    await eventually('a new stream is served', () => late.served >= 2, 20_000)
    await late.stop()
    assert.deepEqual(failuresOf(late), [])
    await sleep(500)
  } while ((await sessionsOf(two)) === 0)
  t.diagnostic(`${stream - 100} new streams until one was served by the other node`)
  await load.stop()
  assert.deepEqual(failuresOf(load), [])
  await drained
  assert.equal(one.exitCode, 0, one.output)
})

test('nodes that all advertise the balancer are told at the start what is wrong and what to do', async (t) => {
  const { network, one, two } = await behindBalancer(t)
  const wrong = [one, two].map(({ command }) => {
    const flags = [...command.flags, '-serviceAddr', network.urls.orchestrator]
    return new NodeProcess({ ...command, flags })
  }) as [NodeProcess, NodeProcess]
  t.after(() => Promise.all(wrong.map((node) => node.stop())))
  for (const node of wrong) node.launch()
  const ended = await until(async () => wrong.find(({ isRunning }) => !isRunning) ?? null, 'one to end')
  assert.equal(ended.exitCode, 1)
  const { orchestrator } = network.accounts
  for (const sentence of [
    `this orchestrator advertises the address that ${orchestrator} registered: that is right for a single orchestrator; behind a balancer, each of several needs its own -serviceAddr`,
    ` answers at the advertised address ${network.urls.orchestrator} instead of `,
    "set -serviceAddr to this node's own address; a balancer's belongs on chain only, unless the nodes behind it share a -store",
  ])
    assert.ok(ended.output.includes(sentence), `${sentence}\n${ended.output}`)
})

test('with certificates and a secret, and the redeemer started last, streams are paid and every ticket is redeemed', async (t) => {
  const certs = await mkdtemp(join(tmpdir(), 'livepeer-e2e-certs-'))
  t.after(() => rm(certs, { recursive: true, force: true }))
  let said = ''
  const code = runCerts({
    argv: [join(certs, 'own'), 'redeemer=127.0.0.1', 'orchestrators=127.0.0.1'],
    write: () => {},
    writeError: (text) => {
      said += text
    },
    clock: systemClock,
    dice: systemDice,
  })
  assert.equal(code, 0, said)
  const { network } = await behindBalancer(t, {
    redeemerFlags: ['-certs', join(certs, 'own', 'redeemer'), '-redeemerSecret', 'swordfish', '-monitor'],
    rewardFlags: ['-monitor'],
    orchestratorFlags: [
      '-certs',
      join(certs, 'own', 'orchestrators'),
      '-redeemerSecret',
      'swordfish',
      '-monitor',
    ],
  })
  const redeemer = network.of('redeemer')[0]!.process
  for (const { process } of network.nodes) if (process !== redeemer) await process.start()
  await using load = await TinyLoad.start(network.urls.gateway, STREAMS)
  await eventually('segments', () => load.served >= 12, 30_000)
  const views = () =>
    Promise.all(
      network.of('orchestrator').map(async ({ process }) => {
        const { floatIsOwnView, redeemers } = await process.status<OrchestratorStatus>()
        return { answers: redeemers![0]!.answers, floatIsOwnView }
      }),
    )
  assert.deepEqual(await views(), new Array(2).fill({ answers: false, floatIsOwnView: true }))
  await redeemer.start()
  await eventually('it answers', async () => (await views()).every(({ answers }) => answers))
  const servedWithout = load.served
  await eventually('more segments', () => load.served >= servedWithout + 12, 30_000)
  await load.stop()
  assert.deepEqual(failuresOf(load), [])
  const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
  await network.anvil.mine(45)
  await until(
    async () => ((await network.protocol.redemptions()).redeemed >= ticketsAccepted ? true : null),
    'every ticket redeemed',
  )
  await confirm(network)
  await eventually(
    'the redeemer knows',
    async () => {
      const { tickets } = await redeemer.status<RedeemerStatus>()
      return tickets.redeemed === ticketsAccepted
    },
    60_000,
  )
  assert.deepEqual(await views(), new Array(2).fill({ answers: true, floatIsOwnView: false }))

  // The operator's view.
  const text = await livepeer('status', ...network.nodes.map(({ process }) => process.command.control))
  const screen = text.replace(/\s+/g, ' ')
  t.diagnostic(text)
  for (const sign of [
    '5 nodes',
    'MONEY',
    'net: redeemed less gas',
    'WHO REDEEMS',
    'hands its winning tickets to',
    'LOST OR REFUSED: nothing',
  ])
    assert.ok(screen.includes(sign), `${sign}\n${text}`)
  assert.match(screen, /WHO REWARDS reward service \S+ with account 0x\w+ called in round \d+/)
  for (const [kind, names] of Object.entries(FIGURES)) {
    const found = await figuresOf(network.of(kind as NodeKind)[0]!.process)
    assert.deepEqual(
      [...EVERYWHERE, ...names].filter((name) => !found.has(name)),
      [],
      `figures that a ${kind} does not tell`,
    )
  }
})

async function figuresOf(node: NodeProcess): Promise<Set<string>> {
  const text = await (await fetch(`http://${node.command.control}/metrics`)).text()
  return new Set([...text.matchAll(/^livepeer_(\w+)/gm)].map(([, name]) => name!))
}

/** The output of a command of the node. */
async function livepeer(...args: string[]): Promise<string> {
  const program = fileURLToPath(new URL('../../bin/livepeer', import.meta.url))
  return new Promise((resolve) => {
    execFile(program, args, (_, stdout, stderr) => resolve(stdout + stderr))
  })
}
