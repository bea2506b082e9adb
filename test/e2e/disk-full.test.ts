import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Network } from '../../devnet/network.ts'
import type { GatewayStatus } from '../../src/status.ts'
import { eventually, until } from '../until.ts'
import { settleRewards, settleTickets } from './settle.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

const STREAMS = 4
const SEGMENTS = 40
const ROUND_LENGTH = 90n
const DISK_BYTES = 4 * 1024 * 1024
const NODE = 'orchestrator-1'

/** A small disk of its own: a tmpfs. */
class SmallDisk {
  readonly path: string
  readonly #filler: string

  constructor(path: string) {
    this.path = path
    this.#filler = join(path, 'filler')
  }

  /** Whether this machine lets us have one. */
  mount(): boolean {
    const args = ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', this.path]
    return spawnSync('mount', args, { stdio: 'ignore' }).status === 0
  }

  unmount(): void {
    spawnSync('umount', ['--lazy', this.path], { stdio: 'ignore' })
  }

  /** Leaves no free byte. */
  fill(): void {
    const file = openSync(this.#filler, 'a')
    try {
      for (const size of [65_536, 1]) {
        const piece = new Uint8Array(size)
        while (hasRoom(file, piece));
      }
    } finally {
      closeSync(file)
    }
  }

  free(): void {
    rmSync(this.#filler)
  }
}

function hasRoom(file: number, piece: Uint8Array): boolean {
  try {
    return writeSync(file, piece) > 0
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false
    throw error
  }
}

test('an orchestrator whose disk is full acknowledges no payment and loses no ticket, killed or not; the other one does its work', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-disk-'))
  const disk = new SmallDisk(join(folder, 'small'))
  t.after(() => {
    disk.unmount()
    return rm(folder, { recursive: true, force: true })
  })
  await mkdir(disk.path)
  if (!disk.mount()) return t.skip('no tmpfs can be mounted here: that takes root')
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
  await using load = await TinyLoad.start(network.urls.gateway, STREAMS, { pauseMs: 50 })
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
  // What was in flight when it was killed.
  assert.ok(failed.length <= 1, `${failed.length} segments failed: ${failed[0]?.status} ${failed[0]?.text}`)
})
