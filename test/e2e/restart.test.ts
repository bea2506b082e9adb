import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../devnet/free-port.ts'
import { Network } from '../../devnet/network.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import { until } from '../tools/until.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/** Real processes: the only orchestrator, or the only transcoder, is killed under load and restarted. */

const STREAMS = 4
const SEGMENTS = 40
const AWAY_MS = 1_000
/** Long enough that even a busy machine restarts a node before a segment's deadline of four times its duration. */
const DURATION_MS = 8_000

test(`none of ${SEGMENTS} segments is lost when the only orchestrator is killed and restarted`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-restart-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  await using network = await Network.prepare({
    roundLength: 1_000n,
    orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
    gatewayFlags: ['-transcodingOptions', profiles],
    logFolder: join(folder, 'logs'),
  })
  await network.orchestrator.start()
  await network.gateway.start()
  await using load = await TinyLoad.start(network.urls.gateway, STREAMS, {
    pauseMs: 100,
    durationMs: DURATION_MS,
  })
  await until(async () => (load.pushed.length >= SEGMENTS / 4 ? true : null), 'the first segments')
  const atKill = Date.now()
  await network.orchestrator.kill()
  await sleep(AWAY_MS)
  await network.orchestrator.start()
  t.diagnostic(`ready again after ${Date.now() - atKill} ms`)
  await until(async () => (load.pushed.length >= SEGMENTS ? true : null), 'all segments')
  await load.stop()
  assertAllServed(load, t)
})

test(`none of ${SEGMENTS} segments is lost when the only transcoder of an orchestrator is killed and restarted`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-restart-'))
  const running: NodeProcess[] = []
  t.after(async () => {
    await Promise.all(running.map((process) => process.stop()))
    await rm(folder, { recursive: true, force: true })
  })
  const node = async (name: string, flags: readonly string[]) => {
    const control = `127.0.0.1:${await freePort()}`
    const data = ['-dataDir', join(folder, name), '-cliAddr', control]
    const process = new NodeProcess({ name, flags: [...flags, ...data], control })
    running.push(process)
    return process
  }
  const address = `127.0.0.1:${await freePort()}`
  const http = `127.0.0.1:${await freePort()}`
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  const secret = ['-orchSecret', 'swordfish']
  const orchestrator = await node('orchestrator', ['-orchestrator', ...secret, '-serviceAddr', address])
  const transcoder = await node('transcoder', ['-transcoder', ...secret, '-orchAddr', address])
  const gateway = await node('gateway', [
    ...['-gateway', '-orchAddr', address, '-httpAddr', http, '-transcodingOptions', profiles],
  ])
  orchestrator.launch()
  await transcoder.start()
  await until(async () => ((await orchestrator.isReady()) ? true : null), 'the orchestrator')
  await gateway.start()
  await using load = await TinyLoad.start(`http://${http}`, STREAMS, {
    pauseMs: 100,
    durationMs: DURATION_MS,
  })
  await until(async () => (load.pushed.length >= SEGMENTS / 4 ? true : null), 'the first segments')
  await transcoder.kill()
  await sleep(AWAY_MS)
  await transcoder.start()
  await until(async () => (load.pushed.length >= SEGMENTS ? true : null), 'all segments')
  await load.stop()
  assertAllServed(load, t)
})

function assertAllServed(load: TinyLoad, t: TestContext): void {
  const slowest = Math.max(...load.pushed.map(({ tookMs }) => tookMs))
  t.diagnostic(
    `${load.served} of ${load.pushed.length} segments served, the slowest after ${Math.round(slowest)} ms`,
  )
  assert.deepEqual(
    load.pushed.filter(({ status }) => status !== 200).map(({ status, text }) => `${status} ${text}`),
    [],
  )
  assert.equal(load.served, load.pushed.length)
}
