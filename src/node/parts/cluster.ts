import { portOf } from '../../config/addresses.ts'
import type { Settings } from '../../config/settings.ts'
import type { MemberWork } from '../../domain/member.ts'
import type { Endpoint } from '../../io/rpc/server.ts'
import { MemberRows } from '../../io/store/member-rows.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { hostAndPort, isUnspecified, withoutBrackets } from '../../lib/hosts.ts'
import { addressTowards } from '../../lib/own-address.ts'
import type { Service } from '../../lib/service.ts'
import { Members } from '../../services/cluster/members.ts'
import type { Core } from './core.ts'
import { serviceUrlOf } from './orchestrator.ts'

/** Why siblings cannot be told where to reach this node. */
export type ClusterAddressFault = 'no-cluster-address'

/** What makes a node one of a cluster: its membership, and the way to its siblings. */
export class ClusterParts {
  readonly members: Members

  constructor(core: Core, node: string) {
    const { access, env, settings, store } = core
    this.members = new Members(
      {
        ...{ node, account: access?.wallet.address ?? '', roles: [...settings.roles], version: env.version },
        address: () => clusterAddress(settings),
      },
      { ...env, records: new MemberRows(store) },
    )
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
 * database. A node without a port for peers is told apart by that of its control API.
 */
async function clusterAddress(settings: Settings): Promise<string> {
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
