import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BalancerMode, hasHaproxy, startBalancer } from '../../devnet/balancer.ts'
import { freePort } from '../../devnet/free-port.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import { Postgres } from '../../devnet/postgres.ts'
import { LOOPBACK } from '../../devnet/tcp-link.ts'
import { presetNamed } from '../../src/domain/rendition.ts'
import { GoGateway } from '../fakes/go-gateway.ts'
import { makeSegment } from '../media/media.ts'
import { memoryFolder } from '../tools/memory-folder.ts'
import { nullEngineEntry } from '../tools/null-engine.ts'
import { until } from '../tools/until.ts'

/**
 * A cluster of orchestrators without a chain, and clients with a Go gateway’s habits: one behind HAProxy in TCP mode, whose only
 * connection carries all its streams, and one behind HAProxy in HTTP mode; alone it has twice as many streams. DRAIN_STREAMS,
 * DRAIN_RESTARTS and DRAIN_KILLS make it larger; DRAIN_LOGS keeps the nodes’ logs in a folder.
 */
const NODES = 3
/** Of each client. */
const STREAMS = Number(process.env.DRAIN_STREAMS ?? 10)
const RESTARTS = Number(process.env.DRAIN_RESTARTS ?? NODES)
const KILLS = Number(process.env.DRAIN_KILLS ?? 1)
const SEGMENT_MS = 2_000
const PROFILES = [{ ...presetNamed('P144p30fps16x9')!, width: 96, height: 54, format: 'mpegts' as const }]
/** A node that carries the only connection keeps it for 20 s. */
const TURN_MS = 20_000
/** By then a client has heard that its connection was cut; what it began until then is hit too. */
const NOTICED_MS = 200

const modes = ['tcp', 'http'] as const

/** What the tests share. */
interface World extends AsyncDisposable {
  readonly nodes: readonly NodeProcess[]
  /** The nodes’ ids, in the order of the nodes. */
  readonly ids: readonly string[]
  readonly origins: Readonly<Record<(typeof modes)[number], string>>
  readonly segment: Uint8Array
}

async function startWorld(): Promise<World> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-drain-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const postgres = stack.use(await Postgres.start({ within: memoryFolder() }))
  const store = await postgres.newDatabase()
  const entry = await nullEngineEntry()
  const logs = process.env.DRAIN_LOGS ?? join(folder, 'logs')
  const ports = { tcp: await freePort(), http: await freePort() }
  const backends = []
  for (let index = 1; index <= NODES; index++)
    backends.push({ name: `node-${index}`, port: await freePort(), controlPort: await freePort() })
  const nodes = backends.map(({ controlPort, name, port: own }) => {
    const control = `${LOOPBACK}:${controlPort}`
    const role = ['-orchestrator', '-transcoder', '-maxSessions', String(3 * STREAMS)]
    const reached = ['-serviceAddr', `${LOOPBACK}:${ports.tcp}`, '-httpAddr', `${LOOPBACK}:${own}`]
    const kept = ['-store', store, '-dataDir', join(folder, name), '-cliAddr', control]
    const flags = [...role, ...reached, ...kept]
    return new NodeProcess({ name, entry, flags, control, logFile: join(logs, `${name}.log`) })
  })
  stack.defer(async () => void (await Promise.all(nodes.map((node) => node.stop()))))
  for (const mode of modes) {
    // Each has its own configuration file.
    const own = await mkdtemp(join(folder, mode))
    stack.use(await startBalancer({ port: ports[mode], backends, folder: own, mode }))
  }
  await Promise.all(nodes.map((node) => node.start()))
  const ids = await Promise.all(
    nodes.map(async ({ command }) => (await readFile(join(folder, command.name, 'node-id'), 'utf8')).trim()),
  )
  const segment = await makeSegment({ width: 160, height: 90, fps: 5, durationMs: SEGMENT_MS })
  const origins = { tcp: `https://${LOOPBACK}:${ports.tcp}`, http: `https://${LOOPBACK}:${ports.http}` }
  const running = stack.move()
  return { nodes, ids, origins, segment, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

/** The streams of a Go gateway, each with its own phase, until they are ended. */
class Streams implements AsyncDisposable {
  readonly mode: BalancerMode
  readonly gateway: GoGateway
  readonly #stop = new AbortController()
  readonly #streams: readonly Promise<void>[]

  constructor({ origins, segment: bytes }: World, mode: (typeof modes)[number], count = STREAMS) {
    this.mode = mode
    this.gateway = new GoGateway(origins[mode])
    const pace = { bytes, durationMs: SEGMENT_MS, paceMs: SEGMENT_MS, profiles: PROFILES }
    this.#streams = Array.from({ length: count }, async (_, index) => {
      await sleep((index * SEGMENT_MS) / count)
      await this.gateway.stream(`${mode}${index}`, pace, this.#stop.signal)
    })
  }

  /** Waits until every stream has had so many more segments. */
  async go(segments: number): Promise<void> {
    const served = this.gateway.served + segments * this.#streams.length
    await until(async () => (this.gateway.served >= served ? true : null), `segments over ${this.mode}`)
  }

  async end(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#streams)
  }

  toString(): string {
    const { client, failures, served } = this.gateway
    return `${this.mode}: ${served} segments, ${failures.length} failed; ${client.connections} connections, ${client.repeated} requests sent again`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
    await this.gateway[Symbol.asyncDispose]()
  }
}

/** The node with the most sessions. */
async function busiest(nodes: readonly NodeProcess[]): Promise<NodeProcess> {
  const sessions = await Promise.all(
    nodes.map(async (node) => (await node.status<{ sessions: number }>()).sessions),
  )
  return nodes[sessions.indexOf(Math.max(...sessions))]!
}

describe('a cluster behind HAProxy', { skip: hasHaproxy() ? false : 'HAProxy is not installed' }, () => {
  let world: World
  before(async () => {
    world = await startWorld()
  })
  after(() => world?.[Symbol.asyncDispose]())

  test('one connection that carries all streams takes turns at the nodes, and nothing is lost', {
    timeout: 180_000,
  }, async (t) => {
    const { ids } = world
    await using streams = new Streams(world, 'tcp', 2 * STREAMS)
    const { client, failures, holders } = streams.gateway
    const startMs = performance.now()
    // Every node has had a whole turn once a fourth begins.
    await until(async () => (client.connections > NODES ? true : null), 'turns', 150_000)
    await streams.go(1)
    const turns = (performance.now() - startMs) / TURN_MS
    await streams.end()
    const done = ids.map((id) => holders.get(id) ?? 0)
    t.diagnostic(`${streams}; renditions by node: ${done}`)
    assert.deepEqual(failures, [])
    // How long each has it depends on where the balancer sends the next connection; that all have it does not.
    for (const count of done) assert.ok(count > 0, `${done}`)
    assert.ok(client.connections - 1 <= turns, `${client.connections} connections in ${turns} turns`)
  })

  test('Go gateways lose nothing while the nodes are restarted in turn', {
    timeout: 60_000 + RESTARTS * 60_000,
  }, async (t) => {
    await using tcp = new Streams(world, 'tcp')
    await using http = new Streams(world, 'http')
    await Promise.all([tcp.go(1), http.go(1)])
    // It has the connection in TCP mode.
    const first = await busiest(world.nodes)
    const order = [first, ...world.nodes.filter((node) => node !== first)]
    for (let turn = 0; turn < RESTARTS; turn++) {
      const node = order[turn % NODES]!
      const begunMs = performance.now()
      await node.drain()
      assert.equal(node.exitCode, 0, node.output)
      const endedMs = performance.now() - begunMs
      await node.start()
      const what = `${new Date().toISOString()} ${node.command.name} ended in ${Math.round(endedMs)} ms`
      t.diagnostic(`${what} and was back after ${Math.round(performance.now() - begunMs)} ms`)
      await Promise.all([tcp.go(1), http.go(1)])
    }
    await Promise.all([tcp.end(), http.end()])
    t.diagnostic(`${tcp}`)
    t.diagnostic(`${http}`)
    assert.deepEqual([...tcp.gateway.failures, ...http.gateway.failures], [])
  })

  test('what a gateway has not fetched yet from a node that ends is found at the others', {
    timeout: 120_000,
  }, async (t) => {
    const { ids, nodes, origins, segment: bytes } = world
    await using gateway = new GoGateway(origins.http)
    let ended: NodeProcess | null = null
    gateway.beforeDownload = async (path) => {
      if (ended) return
      ended = nodes[ids.indexOf(path.split('/')[2]!)]!
      await ended.drain()
      assert.equal(ended.exitCode, 0, ended.output)
      assert.match(ended.output, /results handed to a sibling/)
    }
    const stop = new AbortController()
    t.after(() => stop.abort())
    const pace = { bytes, durationMs: SEGMENT_MS, paceMs: SEGMENT_MS, profiles: PROFILES }
    const streaming = gateway.stream('late', pace, stop.signal)
    await until(async () => (gateway.served + gateway.failures.length > 0 ? true : null), 'the segment')
    stop.abort()
    await streaming
    assert.deepEqual(gateway.failures, [])
    await ended!.start()
  })

  test('a node that is killed costs Go gateways the segments that were under way, and no more', {
    timeout: 60_000 + KILLS * 60_000,
  }, async (t) => {
    await using tcp = new Streams(world, 'tcp')
    await using http = new Streams(world, 'http')
    for (let turn = 0; turn < KILLS; turn++) {
      await Promise.all([tcp.go(2), http.go(2)])
      const node = await busiest(world.nodes)
      const before = [tcp, http].map(({ gateway }) => gateway.failures.length)
      const begun = [tcp, http].map(({ gateway }) => gateway.begun - gateway.underWay)
      await node.kill()
      await sleep(NOTICED_MS)
      const hit = [tcp, http].map(({ gateway }, index) => gateway.begun - begun[index]!)
      await Promise.all([tcp.go(3), http.go(3)])
      for (const [index, { gateway, mode }] of [tcp, http].entries()) {
        const failed = gateway.failures.slice(before[index])
        t.diagnostic(`${mode}: ${hit[index]} under way at ${node.command.name}, ${failed.length} failed`)
        for (const failure of failed) t.diagnostic(failure)
        assert.ok(failed.length <= hit[index]!, failed.join('\n'))
      }
      await node.start()
    }
  })
})
