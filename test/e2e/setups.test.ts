import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Network } from '../../devnet/network.ts'
import { SETUPS } from '../../devnet/setups.ts'
import type { GatewayStatus, OrchestratorStatus } from '../../src/node/status/status.ts'
import { until } from '../tools/until.ts'
import { confirm } from './settle.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/** Each setup, started by the commands of an operator: real processes, chain and contracts, and HAProxy. */

const STREAMS = 4
const SEGMENTS = 16
const PARAMS_LIFETIME = 45
const ROUND_LENGTH = 200n

for (const setup of SETUPS.filter((name) => name !== 'single')) {
  test(`setup ${setup}: streams are paid, all tickets are redeemed for the registered orchestrator, and reward is called in every round`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'livepeer-setups-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
    await using network = await Network.prepare({
      setup,
      roundLength: ROUND_LENGTH,
      orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
      gatewayFlags: ['-transcodingOptions', profiles],
      logFolder: join(folder, 'logs'),
    })
    await network.start()
    if (network.balancer) t.diagnostic(`the balancer is ${network.balancer.what}`)

    await using load = await TinyLoad.start(network.urls.gateway, STREAMS)
    await until(async () => (load.pushed.length >= SEGMENTS ? true : null), 'the segments')
    await load.stop()
    const bad = load.pushed.filter(({ status }) => status !== 200)
    assert.deepEqual(bad, [])
    const statuses = () =>
      Promise.all(network.of('orchestrator').map(({ process }) => process.status<OrchestratorStatus>()))
    for (const { tickets } of await statuses())
      assert.ok(tickets.received > 0, 'an orchestrator without work')

    const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
    assert.ok(ticketsAccepted >= SEGMENTS, `${ticketsAccepted} tickets for ${load.served} segments`)
    await network.anvil.mine(PARAMS_LIFETIME)
    const totals = await until(async () => {
      const chain = await network.protocol.redemptions()
      return chain.redeemed >= ticketsAccepted ? chain : null
    }, 'every ticket redeemed')
    assert.equal(totals.redeemed, ticketsAccepted)
    assert.equal(totals.distinct, ticketsAccepted)
    assert.equal(totals.paid, totals.faceValue)
    assert.deepEqual([...totals.recipients], [network.accounts.orchestrator])
    assert.deepEqual([...totals.redeemers], [network.of('redeemer')[0]!.account])
    await confirm(network)
    await until(async () => {
      const seen = (await statuses()).map(({ tickets }) => tickets)
      return seen.every(({ redeemed, won }) => redeemed === won) ? true : null
    }, 'every orchestrator sees its tickets redeemed')

    // The round in which the nodes started, and two more.
    for (const passed of [1, 2, 3]) {
      if (passed > 1) await network.protocol.nextRound()
      await until(async () => {
        const { rewards, rounds } = await network.protocol.roundsSince(network.fromBlock)
        return rounds === passed && rewards === passed ? true : null
      }, `reward called in each of ${passed} rounds`)
    }
  })
}
