import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../../devnet/free-port.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import { pushSegment } from '../../devnet/publisher.ts'
import { canConnect } from '../../devnet/tcp-link.ts'
import { makeSegment } from '../media/media.ts'

const program = fileURLToPath(new URL('../../bin/livepeer', import.meta.url))
const livepeer = (...argv: string[]) => promisify(execFile)(program, argv)

/** The inspector's port, which SIGUSR1 opens in Node.js by default. */
const INSPECTOR_PORT = 9229
/** A node with nothing to finish exits within this time; the stream's idle time comes before it. */
const END_MS = 1_000

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'livepeer-signals-'))
})
after(() => rm(folder, { recursive: true, force: true }))

async function node(name: string, flags: readonly string[]): Promise<NodeProcess> {
  const control = `127.0.0.1:${await freePort()}`
  const all = [...flags, '-cliAddr', control, '-dataDir', join(folder, name)]
  const process = new NodeProcess({ name, flags: all, control })
  await process.start()
  return process
}

async function endedWithin(node: NodeProcess, signal: NodeJS.Signals): Promise<number> {
  const sent = performance.now()
  process.kill(node.pid!, signal)
  await node.ended()
  assert.equal(node.exitCode, 0, node.output)
  return performance.now() - sent
}

test('the signals of log rotators have no effect, and none opens a debugger', async (t) => {
  const gateway = await node('rotated', ['-gateway', '-httpAddr', `127.0.0.1:${await freePort()}`])
  t.after(() => gateway.stop())
  assert.equal(await canConnect(INSPECTOR_PORT), false, 'the port is free')
  for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGPIPE'] as const) process.kill(gateway.pid!, signal)
  await sleep(500)
  assert.ok(await gateway.isReady(), gateway.output)
  assert.equal(await canConnect(INSPECTOR_PORT), false)
  assert.ok((await readFile(`/proc/${gateway.pid}/cmdline`, 'utf8')).includes('--disable-sigusr1'))
})

test('SIGTERM and SIGHUP drain, and an idle node exits within a second', async (t) => {
  const port = await freePort()
  const orchestrator = await node('orchestrator', [
    ...['-orchestrator', '-transcoder', '-serviceAddr', `127.0.0.1:${port}`, '-maxSessions', '2'],
  ])
  t.after(() => orchestrator.stop())
  const ingest = await freePort()
  const gateway = await node('gateway', [
    ...['-gateway', '-httpAddr', `127.0.0.1:${ingest}`, '-orchAddr', `127.0.0.1:${port}`],
  ])
  t.after(() => gateway.stop())
  const durationMs = 1_000
  const bytes = await makeSegment({ width: 160, height: 90, fps: 10, durationMs })
  const pushed = await pushSegment(`http://127.0.0.1:${ingest}`, 'idle', { seq: 0, bytes, durationMs })
  assert.equal(pushed.status, 200, pushed.text)
  // The stream stops: its session stays open but nothing is running.
  await sleep(3 * durationMs)
  assert.equal((await orchestrator.status<{ sessions: number }>()).sessions, 1)
  for (const [ended, signal] of [
    [orchestrator, 'SIGTERM'],
    [gateway, 'SIGHUP'],
  ] as const) {
    const tookMs = await endedWithin(ended, signal)
    t.diagnostic(`${ended.command.name}: ${Math.round(tookMs)} ms`)
    assert.match(ended.output, /draining: no new sessions/)
    assert.ok(tookMs < END_MS, `${ended.command.name} took ${Math.round(tookMs)} ms\n${ended.output}`)
  }
})

test('a drained node runs without its port until it is undrained, and then serves the same stream again', async (t) => {
  const port = await freePort()
  const orchestrator = await node('drained', [
    ...['-orchestrator', '-transcoder', '-serviceAddr', `127.0.0.1:${port}`, '-maxSessions', '2'],
  ])
  t.after(() => orchestrator.stop())
  const ingest = await freePort()
  const gateway = await node('its-gateway', [
    ...['-gateway', '-httpAddr', `127.0.0.1:${ingest}`, '-orchAddr', `127.0.0.1:${port}`],
  ])
  t.after(() => gateway.stop())
  const durationMs = 1_000
  const bytes = await makeSegment({ width: 160, height: 90, fps: 10, durationMs })
  const push = (seq: number) => pushSegment(`http://127.0.0.1:${ingest}`, 'again', { seq, bytes, durationMs })
  assert.equal((await push(0)).status, 200)
  const control = orchestrator.command.control
  const drained = await livepeer('drain', control)
  assert.match(drained.stdout, /is drained\n$/)
  assert.equal(await canConnect(port), false)
  assert.equal(await orchestrator.isReady(), false)
  assert.ok(orchestrator.isRunning)
  const status = await orchestrator.status<{ ready: boolean; drain: string }>()
  assert.deepEqual([status.ready, status.drain], [false, 'drained'])

  assert.equal((await livepeer('undrain', control)).stdout, `${control} takes work again\n`)
  assert.ok(await orchestrator.isReady())
  assert.equal((await push(1)).status, 200)
  assert.ok((await endedWithin(orchestrator, 'SIGTERM')) < 10_000)
})
