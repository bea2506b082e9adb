import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../devnet/free-port.ts'
import type { MemberWork } from '../../src/domain/member.ts'
import { HandOver } from '../../src/io/rpc/hand-over.ts'
import {
  OrchestratorEndpoint,
  type OrchestratorEndpointOptions,
} from '../../src/io/rpc/orchestrator-endpoint.ts'
import { Endpoint } from '../../src/io/rpc/server.ts'
import { SiblingClient } from '../../src/io/rpc/sibling-client.ts'
import { SiblingEndpoint } from '../../src/io/rpc/sibling-endpoint.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Members } from '../../src/services/cluster/members.ts'
import { Siblings } from '../../src/services/cluster/siblings.ts'
import { Successors } from '../../src/services/cluster/successors.ts'
import { OrchestratorError } from '../../src/services/orchestrator/orchestrator-error.ts'
import { RecordingCauses } from './causes.ts'
import { FakeOrchestratorApi } from './endpoint.ts'
import { eventsTo } from './events.ts'
import { FakeMemberRecords } from './member-records.ts'

/** A node of a cluster in this process: a real port on loopback, and a stand-in for what is behind it. */
export interface SiblingNode {
  readonly id: string
  readonly port: number
  readonly api: FakeOrchestratorApi
  readonly members: Members
  readonly siblings: Siblings
  readonly successors: Successors
  readonly causes: RecordingCauses
  /** What it tells of its work, to be changed and then renewed. */
  work: MemberWork
  /** Segments that it handed over: to whom, and how that ended. */
  readonly told: string[]
  /** Sessions that siblings have ended here. */
  readonly ended: string[]
  /** From now on it has no room: it refuses segments, and says so. */
  fill(): Promise<void>
  stop(): Promise<void>
}

export interface SiblingNodesOptions {
  readonly endpoint?: OrchestratorEndpointOptions
  /** How far a node's own clock is wrong, by its index. */
  readonly wrongByMs?: readonly number[]
  /** What a node says of where siblings reach it, by its index. */
  readonly address?: (index: number, port: number) => string
  /** The secret of the cluster as a node has it, by its index. */
  readonly secret?: (index: number) => Uint8Array
}

/** Nodes that share the rows of their members, each with room for ten sessions, and all known to one another. */
export async function startSiblings(count: number, options: SiblingNodesOptions = {}) {
  const records = new FakeMemberRecords(systemClock)
  const nodes: SiblingNode[] = []
  for (let index = 0; index < count; index++) nodes.push(await startNode(index, records, options))
  for (const { members } of nodes) await members.renew()
  return {
    nodes,
    records,
    /** Lets every node read the rows again. */
    renew: () => Promise.all(nodes.map(({ members }) => members.renew())),
    [Symbol.asyncDispose]: async () => {
      for (const node of nodes) await node.stop()
    },
  }
}

async function startNode(
  index: number,
  records: FakeMemberRecords,
  options: SiblingNodesOptions,
): Promise<SiblingNode> {
  const directory = mkdtempSync(join(tmpdir(), 'livepeer-sibling-'))
  const id = (index + 10).toString(16).repeat(16).slice(0, 16)
  const port = await freePort()
  const wrongByMs = options.wrongByMs?.[index] ?? 0
  const clock: Clock = { ...systemClock, now: () => Date.now() + wrongByMs }
  const causes = new RecordingCauses()
  const env = { clock, log: silentLog, causes, dice: seededDice(`sibling ${index}`) }
  const address = options.address?.(index, port) ?? `127.0.0.1:${port}`
  const members = new Members(
    { node: id, account: '', roles: ['orchestrator'], version: '1', address: async () => address },
    { ...env, records },
  )
  const secrets = { keys: [options.secret?.(index) ?? new Uint8Array(32).fill(7)] }
  const client = new SiblingClient({ self: members, secrets })
  const siblings = new Siblings({ ...env, members, calls: client })
  const told: string[] = []
  const events = eventsTo({
    'segment-handed-over': ({ outcome, sibling }) => void told.push(`${sibling} ${outcome}`),
  })
  const successors = new Successors({ ...env, members, siblings, calls: client })
  const handOver = new HandOver({ ...env, siblings, successors, client, events })
  const api = new FakeOrchestratorApi()
  const ended: string[] = []
  const forGateways = new OrchestratorEndpoint(options.endpoint ?? {}, {
    ...{ api, fetchSource: null, log: silentLog },
    cluster: { node: id, handOver, kept: (node, path) => successors.kept(node, path) },
  })
  const forSiblings = new SiblingEndpoint({
    ...{ ...env, self: members, secrets, orchestrator: forGateways },
    api: {
      endedElsewhere: (sessionId) => void ended.push(sessionId),
      keep: (origin, result) => successors.keep(origin, result),
      kept: (origin, path) => successors.kept(origin, path),
      succeeded: (origin, successor) => successors.succeeded(origin, successor),
      lookAt: async (node, signal) => {
        await members.look()
        const sibling = members.all.find((member) => member.node === node)
        return sibling ? client.hello(sibling, signal) : 'it is not in the store'
      },
    },
  })
  const endpoint = new Endpoint(
    {
      ...{ name: 'service endpoint', host: '127.0.0.1', port, drainMs: 200 },
      tls: { hostname: 'localhost', directory },
    },
    { routes: [forGateways, forSiblings], log: silentLog },
  )
  const supervisor = new Supervisor()
  for (const service of [members, client, siblings, successors, endpoint]) await supervisor.start(service)
  const node: SiblingNode = {
    ...{ id, port, api, members, siblings, successors, causes, ended, told },
    work: { takesSegments: true, maxSessions: 10, sessions: 0, segments: 0 },
    fill: async () => {
      api.onAdmit = async () => {
        throw new OrchestratorError('capped', 'OrchestratorCapped')
      }
      node.work = { ...node.work, sessions: node.work.maxSessions }
      await members.renew()
    },
    stop: async () => {
      await supervisor.stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  await members.open({ fingerprint: endpoint.fingerprint ?? '' }, () => node.work)
  return node
}
