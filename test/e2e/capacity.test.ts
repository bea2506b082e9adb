import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import { eventually } from '../tools/until.ts'

/** Nodes that measure their capacity, started by the commands of an operator; offchain, with the real engine. */

type Status = Required<Pick<NodeStatus, 'capacity' | 'transcoders' | 'sessions'>>

const AUTO = ['-maxSessions', 'auto']
const MEASURED = /capacity measured; -maxSessions N sets another|cannot keep up with one stream/

async function launch(t: TestContext, name: string, flags: readonly string[]): Promise<NodeProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-capacity-'))
  const control = `127.0.0.1:${await freePort()}`
  const node = new NodeProcess({ name, flags: [...flags, '-dataDir', folder, '-cliAddr', control], control })
  t.after(async () => {
    await node.stop()
    await rm(folder, { recursive: true, force: true })
  })
  node.launch()
  return node
}

async function start(t: TestContext, name: string, flags: readonly string[]): Promise<NodeProcess> {
  const node = await launch(t, name, flags)
  await eventually(`${name} is ready`, () => node.isReady())
  return node
}

async function maxSessionsOf(node: NodeProcess): Promise<number> {
  const response = await fetch(`http://${node.command.control}/metrics`)
  const line = (await response.text())
    .split('\n')
    .find((one) => one.startsWith('livepeer_max_sessions_total'))
  return Number(line?.split(' ').at(-1))
}

/** The number of sessions logged before the node is ready. */
function loggedBy({ output }: NodeProcess): number {
  const lines = output.split('\n').filter((line) => MEASURED.test(line))
  assert.equal(lines.length, 1, output)
  const ready = output.split('\n').findIndex((line) => /\bready\b/.test(line))
  assert.ok(output.split('\n').indexOf(lines[0]!) < ready, 'measured before it is ready')
  assert.match(lines[0]!, /sustained=\d+(\.\d+)? .*secondTakesMs=\d+ .*ladder=P240p30fps16x9,P360p30fps16x9/)
  return Number(/sessions=(\d+)/.exec(lines[0]!)![1])
}

test('a transcoding node measures what it sustains, and reports it in log, status and metrics', async (t) => {
  const address = `127.0.0.1:${await freePort()}`
  const node = await start(t, 'combined', [
    ...['-orchestrator', '-transcoder', '-serviceAddr', address, '-monitor', ...AUTO],
  ])
  const logged = loggedBy(node)
  const { capacity, sessions } = await node.status<Status>()
  const { engine, maxSessions } = capacity
  assert.ok(logged >= 1)
  assert.deepEqual([maxSessions, engine!.sessions, engine!.isAutomatic, sessions], [logged, logged, true, 0])
  assert.ok(engine!.sustainedAtStart! > 0 && engine!.secondTakesMs! > 0)
  assert.equal(await maxSessionsOf(node), logged)
})

test('a standalone transcoder registers with its measured capacity, and its orchestrator accepts as many sessions', async (t) => {
  const address = `127.0.0.1:${await freePort()}`
  // It is not ready without a transcoder.
  const orchestrator = await launch(t, 'orchestrator', [
    ...['-orchestrator', '-orchSecret', 's', '-serviceAddr', address, '-monitor', ...AUTO],
  ])
  const transcoder = await start(t, 'transcoder', [
    ...['-transcoder', '-orchSecret', 's', '-orchAddr', address, '-monitor', ...AUTO],
  ])
  const logged = loggedBy(transcoder)
  const status = () => orchestrator.status<Status>()
  await eventually('it is registered', async () => (await status()).transcoders?.length === 1)
  const { capacity, transcoders } = await status()
  assert.deepEqual([transcoders[0]!.capacity, capacity], [logged, { maxSessions: logged }])
  assert.deepEqual([await maxSessionsOf(orchestrator), await maxSessionsOf(transcoder)], [logged, logged])
})
