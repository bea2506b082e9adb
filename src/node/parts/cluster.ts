import { portOf } from '../../config/addresses.ts'
import type { OrchestratorSettings, Settings } from '../../config/settings.ts'
import type { MemberWork } from '../../domain/member.ts'
import { HandOver } from '../../io/rpc/hand-over.ts'
import type { OrchestratorEndpoint } from '../../io/rpc/orchestrator-endpoint.ts'
import type { Endpoint } from '../../io/rpc/server.ts'
import { SiblingClient } from '../../io/rpc/sibling-client.ts'
import { type SiblingApi, SiblingEndpoint } from '../../io/rpc/sibling-endpoint.ts'
import { HoldRows } from '../../io/store/hold-rows.ts'
import { MemberRows } from '../../io/store/member-rows.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { hostAndPort, isUnspecified, withoutBrackets } from '../../lib/hosts.ts'
import { addressTowards } from '../../lib/own-address.ts'
import { isPublicAddress } from '../../lib/public-address.ts'
import type { Service } from '../../lib/service.ts'
import { LapsedHolds } from '../../services/cluster/lapsed-holds.ts'
import { Members } from '../../services/cluster/members.ts'
import { Siblings } from '../../services/cluster/siblings.ts'
import { Successors } from '../../services/cluster/successors.ts'
import type { OtherNodes } from '../../services/orchestrator/orchestrator.ts'
import { SecretRing } from '../../services/orchestrator/secret-ring.ts'
import type { Core } from './core.ts'
import { serviceUrlOf } from './orchestrator.ts'

/** Why siblings cannot be told where to reach this node. */
export type ClusterAddressFault = 'no-cluster-address'

/** What makes a node one of a cluster: its membership, and the way to its siblings. */
export class ClusterParts {
  readonly members: Members
  readonly siblings: Siblings
  /** Results that outlive their node for some seconds. */
  readonly successors: Successors
  /** Hands requests to siblings. */
  readonly handOver: HandOver
  /** What an orchestrator needs started before its port is open. */
  readonly services: readonly Service[]
  readonly #env: Core['env']
  readonly #client: SiblingClient
  readonly #secrets: SecretRing

  constructor(core: Core, node: string) {
    const { access, env, settings, store } = core
    this.#env = env
    this.members = new Members(
      {
        ...{ node, account: access?.wallet.address ?? '', roles: [...settings.roles], version: env.version },
        address: () => clusterAddress(settings),
      },
      { ...env, records: new MemberRows(store) },
    )
    const { members } = this
    this.#secrets = new SecretRing('cluster', { ...env, secrets: store })
    this.#client = new SiblingClient({ self: members, secrets: this.#secrets })
    this.siblings = new Siblings({ ...env, members, calls: this.#client })
    const { siblings } = this
    this.successors = new Successors({ ...env, members, siblings, calls: this.#client })
    const { successors } = this
    this.handOver = new HandOver({ ...env, siblings, successors, client: this.#client })
    const lapsed = new LapsedHolds({ ...env, members, holds: new HoldRows(store) })
    this.services = [this.#secrets, this.#client, this.siblings, this.successors, lapsed]
  }

  /**
   * Where this node's transcoders fetch their sources: at its own address, since they fetch from no other in the operator's
   * network; those on the internet at the service address, where any node of the cluster passes them on.
   */
  sourceUrlsAt(serviceUri: string, { bind }: OrchestratorSettings): (url: string, peer: string) => string {
    const scheme = bind.clearText ? 'http' : 'https'
    return (url, peer) => {
      const host = withoutBrackets(URL.parse(`tcp://${peer}`)?.hostname ?? '')
      if (isPublicAddress(host) || !url.startsWith(`${serviceUri}/`)) return url
      return `${scheme}://${this.members.address}${url.slice(serviceUri.length)}`
    }
  }

  /** Whether another node that lives has the role redeemer. */
  hasRedeemer(): boolean {
    return this.members.siblings.some(({ roles }) => roles.includes('redeemer'))
  }

  /** The other nodes, as the orchestrator of this one uses them. */
  get others(): OtherNodes {
    const { siblings, successors } = this
    return {
      get hasRoom() {
        return siblings.hasRoom
      },
      ended: (sessionId) => siblings.ended(sessionId),
      giveAway: (results) => successors.giveAway(results),
    }
  }

  /** What siblings call on the port of an orchestrator. */
  routes(endpoint: OrchestratorEndpoint, orchestrator: Pick<SiblingApi, 'endedElsewhere'>): SiblingEndpoint {
    const { members, successors } = this
    const api: SiblingApi = {
      keep: (origin, result) => successors.keep(origin, result),
      kept: (origin, path) => successors.kept(origin, path),
      succeeded: (origin, successor) => successors.succeeded(origin, successor),
      endedElsewhere: (sessionId) => orchestrator.endedElsewhere(sessionId),
      lookAt: async (node, signal) => {
        if (!this.siblings.callable(node)) await members.look()
        const sibling = members.all.find((member) => member.node === node)
        return sibling ? this.#client.hello(sibling, signal) : 'it is not in the store'
      },
    }
    return new SiblingEndpoint({
      ...{ ...this.#env, self: members, secrets: this.#secrets, orchestrator: endpoint, api },
    })
  }

  /** What tells siblings that they may call this node, once its port for peers is open. */
  opening(port: Pick<Endpoint, 'fingerprint'>, worker: { work(): MemberWork }): Service {
    return {
      name: 'opening for siblings',
      start: () => this.members.open({ fingerprint: port.fingerprint ?? '' }, () => worker.work()),
    }
  }
}

/**
 * HOST:PORT at which siblings reach this node: as given, or where it listens, on all addresses at the one on the way to the
 * database. A node without a port for peers is told apart by that of its control API. Throws NodeError `no-cluster-address`.
 */
export async function clusterAddress(settings: Settings): Promise<string> {
  const { clusterAddress: given, controlBind, orchestrator, redeemer } = settings
  const bind = orchestrator?.bind ?? redeemer?.bind
  const listensAt = bind && !isUnspecified(bind.host) ? bind.host : null
  const host = given?.host ?? listensAt ?? (await addressTowardsStore(settings))
  const port = given?.port ?? (bind ? (bind.port ?? portOf(serviceUrlOf(settings))) : controlBind.port)
  return hostAndPort(host, port)
}

async function addressTowardsStore({ secrets }: Settings): Promise<string> {
  const database = withoutBrackets(URL.parse(secrets.storeUrl)?.hostname ?? '')
  let why = 'it is of one network interface only'
  try {
    const address = await addressTowards(database === '' ? '127.0.0.1' : database)
    if (!address.includes('%')) return address
  } catch (error) {
    why = messageOf(error)
  }
  throw new NodeError<ClusterAddressFault>(
    'no-cluster-address',
    `this machine's address on the way to the database of -store cannot be used (${why}): give -clusterAddr, where the other nodes reach this one`,
  )
}
