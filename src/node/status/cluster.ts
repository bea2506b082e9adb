import type { Led, MemberWork } from '../../domain/member.ts'
import { LEASE_MS, type Members } from '../../services/cluster/members.ts'

/** A node of a cluster, as another one sees it. */
export interface MemberFigures {
  readonly node: string
  /** HOST:PORT at which its siblings reach it. */
  readonly address: string
  readonly account: string
  readonly roles: readonly string[]
  readonly version: string
  /** Whether its lease holds; one that ended in order is not listed. */
  readonly alive: boolean
  /** Since its lease has run out; 0 while it holds. */
  readonly silentMs: number
  /** Since it last renewed its lease. */
  readonly seenMs: number
  readonly work: MemberWork
  /** What it leads, and for how long; empty for a member that is not alive. */
  readonly leads: readonly Led[]
}

/** A cluster as one of its nodes sees it. */
export interface ClusterFigures {
  /** This node's id, and whether its own lease holds. */
  readonly node: string
  readonly isIn: boolean
  readonly members: readonly MemberFigures[]
}

/** The cluster for `/status`. */
export function clusterFigures({ all, isIn, node }: Pick<Members, 'all' | 'isIn' | 'node'>): ClusterFigures {
  const members = all.map((member) => ({
    ...{ node: member.node, address: member.address, account: member.account, roles: member.roles },
    ...{
      version: member.version,
      alive: member.leftMs > 0,
      silentMs: Math.max(0, Math.round(-member.leftMs)),
      seenMs: Math.max(0, Math.round(LEASE_MS - member.leftMs)),
    },
    work: member.work,
    leads: member.leftMs > 0 ? (member.leads ?? []) : [],
  }))
  // In the same order whichever node is asked.
  return { node, isIn, members: members.sort((a, b) => (a.node < b.node ? -1 : 1)) }
}
