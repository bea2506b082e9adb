import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BalancerMode, hasHaproxy, startBalancer } from '../../devnet/balancer.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import { Postgres } from '../../devnet/postgres.ts'
import { freePort, LOOPBACK } from '../../devnet/tcp-link.ts'
import { presetNamed } from '../../src/domain/rendition.ts'
import { GoGateway } from '../fakes/go-gateway.ts'
import { makeSegment } from '../media/media.ts'
import { until } from '../tools/until.ts'

/** A cluster of orchestrators without a chain behind HAProxy. DRAIN_STREAMS and DRAIN_RESTARTS make it larger. */
const NODES = 3
const STREAMS = Number(process.env.DRAIN_STREAMS ?? 8)
const RESTARTS = Number(process.env.DRAIN_RESTARTS ?? 2)
const SEGMENT_MS = 2_000
const PROFILES = [{ ...presetNamed('P144p30fps16x9')!, width: 96, height: 54, format: 'mpegts' as const }]

async function cluster(t: TestContext, mode: BalancerMode, flags: readonly string[] = []) {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-drain-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const postgres = await Postgres.start()
  t.after(() => postgres.stop())
  const store = await postgres.newDatabase()
  const port = await freePort()
  const backends = await Promise.all(
    Array.from({ length: NODES }, async (_, index) => ({
      ...{ name: `node-${index + 1}`, port: await freePort(), controlPort: await freePort() },
    })),
  )
  const nodes = backends.map(({ controlPort, name, port: own }) => {
    const control = `${LOOPBACK}:${controlPort}`
    const role = ['-orchestrator', '-transcoder', '-maxSessions', String(2 * STREAMS)]
    const reached = ['-serviceAddr', `${LOOPBACK}:${port}`, '-httpAddr', `${LOOPBACK}:${own}`]
    const kept = ['-store', store, '-dataDir', join(folder, name), '-cliAddr', control]
    return new NodeProcess({ name, flags: [...role, ...reached, ...kept, ...flags], control })
  })
  t.after(() => Promise.all(nodes.map((node) => node.stop())))
  const balancer = await startBalancer({ port, backends, folder, mode })
  t.after(() => balancer[Symbol.asyncDispose]())
  await Promise.all(nodes.map((node) => node.start()))
  return { nodes, origin: `https://${LOOPBACK}:${port}` }
}

/** Streams of a Go gateway, each with its own phase, until the test stops them. */
async function begin(t: TestContext, origin: string) {
  const gateway = new GoGateway(origin)
  const bytes = await makeSegment({ width: 160, height: 90, fps: 5, durationMs: SEGMENT_MS })
  const stop = new AbortController()
  const streams = Array.from({ length: STREAMS }, async (_, index) => {
    await sleep((index * SEGMENT_MS) / STREAMS)
    const pace = { bytes, durationMs: SEGMENT_MS, paceMs: SEGMENT_MS, profiles: PROFILES }
    await gateway.stream(`stream${index}`, pace, stop.signal)
  })
  const end = async () => {
    stop.abort()
    await Promise.all(streams)
  }
  t.after(async () => {
    await end()
    await gateway[Symbol.asyncDispose]()
  })
  return { gateway, end }
}

/** The node with the most sessions. */
async function busiest(nodes: readonly NodeProcess[]): Promise<NodeProcess> {
  const sessions = await Promise.all(
    nodes.map(async (node) => (await node.status<{ sessions: number }>()).sessions),
  )
  return nodes[sessions.indexOf(Math.max(...sessions))]!
}

test('a Go gateway loses nothing while nodes of a cluster behind HAProxy in HTTP mode are restarted in turn', {
  skip: hasHaproxy() ? false : 'HAProxy is not installed',
  timeout: 240_000,
}, async (t) => {
  const { nodes, origin } = await cluster(t, 'http')
  const { end, gateway } = await begin(t, origin)
  await until(async () => (gateway.served >= STREAMS ? true : null), 'the first segments')
  for (let turn = 0; turn < RESTARTS; turn++) {
    const node = await busiest(nodes)
    const begunMs = performance.now()
    await node.drain()
    assert.equal(node.exitCode, 0, node.output)
    const endedMs = performance.now() - begunMs
    await node.start()
    const tookMs = performance.now() - begunMs
    const what = `${new Date().toISOString()} ${node.command.name} ended in ${Math.round(endedMs)} ms`
    t.diagnostic(`${what} and was back after ${Math.round(tookMs)} ms`)
    const { served } = gateway
    await until(async () => (gateway.served >= served + STREAMS ? true : null), 'segments after a restart')
  }
  await end()
  const { client, failures, served } = gateway
  t.diagnostic(
    `${served} segments, ${failures.length} failed; ${client.connections} connections, ${client.repeated} requests sent again`,
  )
  assert.deepEqual(failures, [])
})
