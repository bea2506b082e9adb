import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Network } from '../../devnet/network.ts'
import { CONFIRMATIONS } from '../../src/domain/chain.ts'
import type { GatewayStatus, OrchestratorStatus } from '../../src/node/status/status.ts'
import { until } from '../tools/until.ts'
import { confirm } from './settle.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

const PARAMS_LIFETIME = 45
/** So many winners that they do not fit into one block. */
const SEGMENTS = 120
const BEFORE = 30

test('a burst of winners is redeemed completely although the first endpoint is gone for good', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-burst-'))
  try {
    const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
    await using network = await Network.prepare({
      cuttable: true,
      spareEndpoint: true,
      roundLength: 1_000n,
      orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
      gatewayFlags: ['-transcodingOptions', profiles],
      logFolder: join(folder, 'logs'),
    })
    await network.orchestrator.start()
    await network.gateway.start()
    await using load = await TinyLoad.start(network.urls.gateway, 6)
    await until(async () => (load.served >= BEFORE ? true : null), 'the first segments')
    network.chainLink!.cut()
    const cutAt = load.served
    await until(async () => (load.served >= SEGMENTS ? true : null), 'the others')
    await load.stop()
    const failed = load.pushed.filter(({ status }) => status !== 200)
    t.diagnostic(
      `${load.served} segments, ${load.served - cutAt} of them without the first endpoint, ${failed.length} failed`,
    )
    assert.ok(failed.length <= 6, `${failed.length} failed: ${failed[0]?.text}`)

    const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
    const firstBlock = BigInt(await network.anvil.request<string>('eth_blockNumber'))
    await network.anvil.mine(PARAMS_LIFETIME)
    await until(
      async () => ((await network.protocol.redemptions()).redeemed >= ticketsAccepted ? true : null),
      'every ticket redeemed',
      90_000,
    )
    await confirm(network)
    const totals = await until(
      async () => {
        const totals = await network.protocol.redemptions()
        const { tickets } = await network.orchestrator.status<OrchestratorStatus>()
        return tickets.open + tickets.submitted === 0 ? totals : null
      },
      'every ticket at rest',
      90_000,
    )
    const blocks =
      BigInt(await network.anvil.request<string>('eth_blockNumber')) -
      firstBlock -
      BigInt(PARAMS_LIFETIME) -
      CONFIRMATIONS
    t.diagnostic(`${totals.redeemed} of ${ticketsAccepted} redeemed within ${blocks} blocks`)
    assert.ok(ticketsAccepted >= SEGMENTS)
    assert.equal(totals.redeemed, ticketsAccepted)
    assert.equal(totals.distinct, ticketsAccepted)
    assert.equal(totals.paid, totals.faceValue)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
