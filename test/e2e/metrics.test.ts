import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import { Network } from '../../devnet/network.ts'
import type { NodeProcess } from '../../devnet/node-process.ts'
import { LOOPBACK } from '../../devnet/tcp-link.ts'
import { hostAndPort } from '../../src/lib/hosts.ts'
import type { GatewayStatus, OrchestratorStatus, RedeemerStatus } from '../../src/node/status/status.ts'
import { until } from '../tools/until.ts'
import { testNodes } from './nodes.ts'
import { confirm } from './settle.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

const SEGMENTS = 12
const WEI_PER_GWEI = 1e9

test('after a paid stream the sums of a cluster’s metrics are what store and chain have', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-metrics-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  await using network = await Network.prepare({
    ...{ setup: 'service-node', roundLength: 1_000n, logFolder: join(folder, 'logs') },
    gatewayFlags: ['-transcodingOptions', profiles],
    orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
  })
  await network.start()
  const nodes = network.nodes.map(({ process }) => process)
  const sum = async (name: string) => {
    const values = await Promise.all(nodes.map((node) => sumAt(node, name)))
    return values.reduce((total, value) => total + value, 0)
  }
  assert.equal(await sum('ticket_value_recv'), 0)
  assert.equal(await sum('value_redeemed'), 0)

  await using load = await TinyLoad.start(network.urls.gateway, 3)
  await until(async () => load.served >= SEGMENTS || null)
  await load.stop()
  assert.ok(load.pushed.every(({ status }) => status === 200))

  const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
  assert.equal(await sum('tickets_recv'), ticketsAccepted)
  assert.equal(await sum('tickets_sent'), ticketsAccepted)
  const received = await sum('ticket_value_recv')
  assertClose(received, (1e16 * ticketsAccepted) / WEI_PER_GWEI)
  assertClose(await sum('ticket_value_sent'), received)
  const stored = await Promise.all(
    network.of('orchestrator').map(({ process }) => process.status<OrchestratorStatus & Stored>()),
  )
  assertClose(
    received,
    stored.reduce((total, { money }) => total + Number(money.ever.receivedWei), 0) / WEI_PER_GWEI,
  )
  const won = stored.reduce((total, { tickets }) => total + tickets.won, 0)
  assert.equal(await sum('winning_tickets_recv'), won)
  assert.equal(won, ticketsAccepted)

  const redeemer = network.of('redeemer')[0]!.process
  await network.anvil.mine(45)
  await until(
    async () => ((await network.protocol.redemptions()).redeemed === won ? true : null),
    'redemptions',
  )
  await confirm(network)
  const { money, tickets } = await until(async () => {
    const status = await redeemer.status<RedeemerStatus & Stored>()
    return status.tickets.redeemed === won ? status : null
  })
  const onChain = await network.protocol.redemptions()
  assert.equal(BigInt(tickets.redeemedWei), onChain.paid)
  assertClose(await sum('value_redeemed'), Number(onChain.paid) / WEI_PER_GWEI)
  assert.equal(await sumAt(redeemer, 'tickets_handed_in_total'), won)
  assert.deepEqual(
    [BigInt(money.ever.redeemedWei), BigInt(money.ever.redeemGasWei)],
    [onChain.paid, onChain.fees],
  )
  assertClose(await sum('redemption_fees_wei_total'), Number(onChain.fees))

  // The gateway's own figures.
  const left = 50e9 - Number(onChain.paid) / WEI_PER_GWEI
  await until(
    async () => Math.abs((await sum('gateway_deposit')) - left) < 1 || null,
    'the deposit that is left',
  )
  assert.equal(await sum('gateway_reserve'), 50e9)
  assert.equal(await sum('http_client_segment_transcoded_realtime_ratio_count'), load.served)
  assert.equal(await sum('success_rate'), 1)
})

test('a node without -monitor answers 404 where metrics would be, in the words of the network', async (t) => {
  const nodes = await testNodes(t)
  const http = hostAndPort(LOOPBACK, await freePort())
  const gateway = await nodes.node('gateway', ['-gateway', '-orchAddr', '127.0.0.1:1', '-httpAddr', http])
  await gateway.start()
  const response = await fetch(`http://${gateway.command.control}/metrics`)
  assert.deepEqual(
    [response.status, response.headers.get('content-type'), response.headers.get('x-content-type-options')],
    [404, 'text/plain; charset=utf-8', 'nosniff'],
  )
  assert.equal(await response.text(), '404 page not found\n')
})

/** What the status says of a node's money, as JSON has it. */
interface Stored {
  readonly money: {
    readonly ever: Readonly<Record<'receivedWei' | 'redeemedWei' | 'redeemGasWei', string>>
  }
}

/** The sum of a metric's series at one node; 0 where the node does not have it. */
async function sumAt(node: NodeProcess, name: string): Promise<number> {
  const response = await fetch(`http://${node.command.control}/metrics`)
  assert.equal(response.status, 200, 'the devnet’s nodes run with -monitor')
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith(`livepeer_${name}{`))
  return lines.reduce((total, line) => total + Number(line.split(' ').at(-1)), 0)
}

/** Metrics are floats. */
function assertClose(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.abs(expected), `${actual}, expected ${expected}`)
}
