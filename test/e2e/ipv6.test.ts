import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startBalancer } from '../../devnet/balancer.ts'
import { freePort } from '../../devnet/free-port.ts'
import { Network } from '../../devnet/network.ts'
import type { OrchestratorStatus } from '../../src/node/status/status.ts'
import { WITHOUT_IPV6 } from '../net/ipv6.ts'
import { eventually, until } from '../tools/until.ts'
import { testNodes } from './nodes.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/** All communication between nodes on machines with IPv6 only. */

const HOST = '::1'
const SEGMENTS = 12

async function serves(load: TinyLoad, segments = SEGMENTS): Promise<void> {
  await eventually('segments come back', () => load.pushed.length >= segments, 60_000)
  await load.stop()
  assert.deepEqual(
    load.pushed.filter(({ status }) => status !== 200).map(({ status, text }) => `${status} ${text}`),
    [],
  )
  assert.equal(load.served, load.pushed.length)
}

describe('over IPv6', { skip: WITHOUT_IPV6 }, () => {
  test('offchain: a balancer, an orchestrator, a standalone transcoder and a gateway serve streams', async (t) => {
    const { folder, node } = await testNodes(t, { host: HOST })
    const port = await freePort()
    const address = `[${HOST}]:${port}`
    const http = `[${HOST}]:${await freePort()}`
    const orchestrator = await node('orchestrator', [
      ...['-orchestrator', '-orchSecret', 'swordfish', '-serviceAddr', address, '-httpAddr', address],
    ])
    const transcoder = await node('transcoder', [
      ...['-transcoder', '-orchSecret', 'swordfish', '-orchAddr', address],
    ])
    orchestrator.launch()
    await transcoder.start()
    await until(async () => (await orchestrator.isReady()) || null, 'the orchestrator, with its transcoder')
    const controlPort = Number(orchestrator.command.control.split(':').at(-1))
    await using balancer = await startBalancer({
      ...{ port: await freePort(), folder, host: HOST },
      backends: [{ name: 'orchestrator', port, controlPort }],
    })
    t.diagnostic(`the balancer is ${balancer.what}`)
    const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
    const gateway = await node('gateway', [
      ...['-gateway', '-httpAddr', http, '-orchAddr', `[${HOST}]:${balancer.port}`],
      ...['-transcodingOptions', profiles],
    ])
    await gateway.start()
    await using load = await TinyLoad.start(`http://${http}`, 2)
    await serves(load)
    const status = await orchestrator.status<{ transcoders: { address: string }[] }>()
    assert.match(status.transcoders[0]!.address, /^\[::1\]:\d+$/)
  })

  test('on chain: tickets go to the redeemer and are redeemed', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'livepeer-ipv6-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
    await using network = await Network.prepare({
      ...{ setup: 'redeemer', host: HOST, roundLength: 1_000n, logFolder: join(folder, 'logs') },
      orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
      gatewayFlags: ['-transcodingOptions', profiles],
    })
    await network.start()
    assert.match(network.urls.orchestrator, /^https:\/\/\[::1\]:/)
    await using load = await TinyLoad.start(network.urls.gateway, 1)
    await serves(load)
    const { tickets } = await network.orchestrator.status<OrchestratorStatus>()
    assert.ok(tickets.won > 0)
    await network.anvil.mine(45)
    const chain = await until(async () => {
      const totals = await network.protocol.redemptions()
      return totals.redeemed >= tickets.won ? totals : null
    }, 'every ticket redeemed')
    assert.deepEqual([...chain.redeemers], [network.of('redeemer')[0]!.account])
  })
})
