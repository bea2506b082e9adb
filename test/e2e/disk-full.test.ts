import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Network } from '../../devnet/network.ts'
import type { GatewayStatus, NodeStatus } from '../../src/node/status/status.ts'
import { SmallDisk } from '../tools/small-disk.ts'
import { eventually, until } from '../tools/until.ts'
import { settleRewards, settleTickets } from './settle.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

const STREAMS = 4
const SEGMENTS = 20
const ROUND_LENGTH = 90n
const DISK_BYTES = 4 * 1024 * 1024
const NODE = 'orchestrator-1'

test('an orchestrator with a full disk acknowledges no payment and loses no ticket, killed or not, while the other one continues', async (t) => {
  using disk = SmallDisk.mount(DISK_BYTES)
  if (!disk) return t.skip('no tmpfs can be mounted here: this requires root')
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-disk-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  const logFolder = process.env.CHAOS_LOGS ?? join(folder, 'logs')
  await using network = await Network.prepare({
    setup: 'cold',
    roundLength: ROUND_LENGTH,
    dataDirs: { [NODE]: disk.path },
    orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
    gatewayFlags: ['-transcodingOptions', profiles],
    logFolder,
  })
  await network.start()
  await using load = await TinyLoad.start(network.urls.gateway, STREAMS)
  const serve = (count: number, what: string) => {
    const from = load.served
    return until(async () => (load.served >= from + count ? true : null), what)
  }
  await serve(SEGMENTS, 'segments before')
  disk.fill()
  const isFull = async () => {
    const log = await readFile(join(logFolder, `${NODE}.log`), 'utf8')
    return log.includes('database or disk is full')
  }
  await eventually('the node notices', isFull)
  await serve(SEGMENTS, 'segments while the disk is full')
  const full = network.of('orchestrator').find(({ process }) => process.command.name === NODE)!
  // A small write may still fit into SQLite's pages, which clears the fault until the next one.
  const fault = await until(
    async () => (await full.process.status<NodeStatus>()).storeFault ?? null,
    'a fault of the store in the status',
  )
  assert.match(fault, /^the database .* cannot be used, the disk is full: /)
  await full.process.kill()
  disk.free()
  await full.process.start()
  await serve(SEGMENTS, 'segments after')
  await load.stop()

  const failed = load.pushed.filter(({ status }) => status !== 200)
  const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
  const tickets = await settleTickets(network)
  const { distinct } = await network.protocol.redemptions()
  const { rewards, rounds } = await settleRewards(network)
  const { lost, pending, redeemed, refused, won } = tickets
  t.diagnostic(
    JSON.stringify({
      ...{ accepted: ticketsAccepted, won, redeemed, pending, refused, lost, rounds, rewards },
      ...{ served: load.served, failed: failed.map(({ status, text }) => `${status} ${text}`) },
    }),
  )
  assert.ok(distinct >= ticketsAccepted, 'accepted tickets are lost')
  assert.deepEqual(
    { redeemed, pending, refused, lost },
    { redeemed: distinct, pending: 0, refused: 0, lost: 0 },
  )
  assert.equal(won, redeemed)
  assert.equal(tickets.paid, tickets.faceValue)
  assert.equal(rewards, rounds)
  // The segment in flight when it was killed.
  assert.ok(failed.length <= 1, `${failed.length} segments failed: ${failed[0]?.status} ${failed[0]?.text}`)
})
