import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import type { NodeProcess } from '../../devnet/node-process.ts'
import { Postgres } from '../../devnet/postgres.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import { memoryFolder } from '../tools/memory-folder.ts'
import { eventually } from '../tools/until.ts'
import { type TestNodes, testNodes } from './nodes.ts'
import { TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/** Orchestrators that share a PostgreSQL store, and a gateway that knows the address of the first; offchain. */

const STREAMS = 5
/** Segments served before and after each event. */
const SOME = 15

interface Cluster {
  readonly folder: string
  readonly nodes: readonly NodeProcess[]
  /** One more node of this name, not started: with its own transcoder unless `role` says otherwise. */
  readonly add: (name: string, more?: readonly string[], role?: string) => Promise<NodeProcess>
  /** Where the last node that was added listens. */
  readonly addedAt: () => string
  readonly node: TestNodes['node']
  readonly startGateway: () => Promise<TinyLoad>
}

async function startCluster(t: TestContext, maxSessions: readonly number[]): Promise<Cluster> {
  const postgres = await Postgres.start({ within: memoryFolder() })
  t.after(() => postgres.stop())
  const { folder, node } = await testNodes(t)
  const store = join(folder, 'store-url')
  await writeFile(store, await postgres.newDatabase())
  const ports = await Promise.all(maxSessions.map(() => freePort()))
  const service = `127.0.0.1:${ports[0]}`
  let added = ''
  const orchestrator = (name: string, port: number, more: readonly string[], role = '-transcoder') =>
    node(name, [
      ...['-orchestrator', role, '-store', store, '-serviceAddr', service],
      ...['-httpAddr', `127.0.0.1:${port}`, '-startupAvailabilityCheck=false', ...more],
    ])
  const nodes = await Promise.all(
    maxSessions.map((most, i) =>
      orchestrator(`orchestrator-${i + 1}`, ports[i]!, ['-maxSessions', `${most}`]),
    ),
  )
  for (const one of nodes) await one.start()
  return {
    folder,
    nodes,
    add: async (name, more = [], role = '-transcoder') => {
      const port = await freePort()
      added = `127.0.0.1:${port}`
      return orchestrator(name, port, more, role)
    },
    addedAt: () => added,
    node,
    async startGateway() {
      const http = `127.0.0.1:${await freePort()}`
      const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
      const gateway = await node('gateway', [
        ...['-gateway', '-orchAddr', service, '-httpAddr', http, '-transcodingOptions', profiles],
      ])
      await gateway.start()
      return await TinyLoad.start(`http://${http}`, STREAMS)
    },
  }
}

async function serves(load: TinyLoad, what: string): Promise<void> {
  const before = load.served
  await eventually(`segments are served ${what}`, () => load.served >= before + SOME)
  const failed = load.pushed.filter(({ status }) => status !== 200)
  assert.deepEqual(
    failed.map(({ status, text }) => `${status} ${text}`),
    [],
    what,
  )
}

const transcodedBy = async (node: NodeProcess) =>
  (await node.status<NodeStatus & { segments: { transcoded: number } }>()).segments.transcoded

test('five streams come to one node that takes two: the others do the rest, and no segment fails when one of them is restarted, killed or frozen', async (t) => {
  const { nodes, startGateway } = await startCluster(t, [2, 10, 10])
  const [first, second, third] = nodes as [NodeProcess, NodeProcess, NodeProcess]
  await eventually('each node sees all three', async () => {
    const { cluster } = await first.status<NodeStatus>()
    return cluster?.members.filter(({ alive, work }) => alive && work.takesSegments).length === 3
  })
  await using load = await startGateway()
  await serves(load, 'by all')
  await eventually('the others have worked', async () => {
    return (await transcodedBy(second)) > 0 && (await transcodedBy(third)) > 0
  })
  assert.ok((await transcodedBy(first)) > 0)
  const { cluster } = await third.status<NodeStatus>()
  assert.deepEqual(
    cluster?.members.map(({ alive, roles }) => [alive, roles]),
    nodes.map(() => [true, ['orchestrator', 'transcoder']]),
  )
  await second.stop()
  await serves(load, 'without the second')
  await second.start()
  await serves(load, 'with the second again')
  await second.kill()
  await serves(load, 'after the second was killed')
  await second.start()
  await serves(load, 'with the second again, at once in its place')
  process.kill(second.pid!, 'SIGSTOP')
  await serves(load, 'while the second is frozen')
  process.kill(second.pid!, 'SIGCONT')
  await eventually('the second is one of them again', async () => {
    const { cluster } = await second.status<NodeStatus>()
    return cluster?.isIn === true
  })
  await serves(load, 'after it has thawed')
  await load.stop()
  assert.deepEqual(
    load.pushed.filter(({ status }) => status !== 200),
    [],
  )
})

test('the transcoders of one node serve the streams that come to another', async (t) => {
  const { add, addedAt, node, nodes, startGateway } = await startCluster(t, [1])
  const [first] = nodes as [NodeProcess]
  const second = await add('orchestrator-2', [], '-orchSecret=swordfish')
  second.launch()
  const transcoder = await node('transcoder', [
    '-transcoder',
    '-orchSecret',
    'swordfish',
    '-orchAddr',
    addedAt(),
  ])
  await transcoder.start()
  await eventually('the second has room', async () => {
    const { cluster } = await first.status<NodeStatus>()
    return cluster?.members.some(({ alive, work }) => alive && work.maxSessions > 1) ?? false
  })
  await using load = await startGateway()
  await serves(load, 'by a transcoder of the second')
  assert.ok((await transcodedBy(second)) > 0)
})

test('a data folder that was copied to a second node is refused there, and the first goes on', async (t) => {
  const { add, folder, nodes } = await startCluster(t, [2])
  const [first] = nodes as [NodeProcess]
  const id = await readFile(join(folder, 'orchestrator-1', 'node-id'), 'utf8')
  const copy = await add('copy')
  await mkdir(join(folder, 'copy'))
  await writeFile(join(folder, 'copy', 'node-id'), id)
  await assert.rejects(copy.start(), (error: Error) => {
    assert.match(
      error.message,
      /the node id [0-9a-f]{16} of this data folder belongs to a running node at 127\.0\.0\.1:\d+: give each node its own -dataDir, or remove the file node-id from a copied one/,
    )
    return true
  })
  assert.equal((await first.status<NodeStatus>()).cluster?.isIn, true)
})
