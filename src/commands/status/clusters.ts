import { counted } from '../../lib/counted.ts'
import type { SeenNode } from './answer.ts'
import { roleName } from './role-name.ts'
import type { Line } from './screen.ts'
import { duration } from './words.ts'

/** Members shown of a cluster; further ones are only counted. */
const MAX_MEMBERS = 40

type Cluster = NonNullable<SeenNode['status']['cluster']>
type Member = Cluster['members'][number]

/** The chapter of each cluster that these nodes belong to: its members, whether they were asked or not. */
export function clustersOf(nodes: readonly SeenNode[]): { title: string; lines: Line[] }[] {
  const clusters = distinct(nodes)
  return clusters.map(({ isIn, members }, index) => {
    const alive = members.filter((member) => member.alive)
    const sum = (of: (member: Member) => number) => alive.reduce((total, member) => total + of(member), 0)
    const most = sum(({ work }) => work.maxSessions)
    const all = counted(members.length, 'node')
    const head = isIn
      ? `${alive.length} of ${all} alive, ${sum(({ work }) => work.sessions)} of ${counted(most, 'session')}`
      : `${all}, as they were when the database last answered: which are alive is not known`
    const shown = members.slice(0, MAX_MEMBERS).map((member): Line => [2, memberLine(member, isIn)])
    const more = members.length - shown.length
    return {
      title: clusters.length === 1 ? 'Cluster' : `Cluster ${index + 1}`,
      lines: [[1, head], ...shown, ...(more > 0 ? [[2, counted(more, 'more node')] as Line] : [])],
    }
  })
}

/** Those that lead a duty of the clusters of some nodes, but are not among these. */
export function otherLeaders(nodes: readonly SeenNode[], duty: string): string[] {
  const asked = new Set(nodes.flatMap(({ status: { cluster } }) => cluster?.node ?? []))
  return distinct(nodes).flatMap(({ members }) =>
    members.flatMap((member) => {
      const led = member.leads?.find((one) => one.duty === duty)
      if (!led || !member.alive || asked.has(member.node)) return []
      return [`${nameOf(member)} of the cluster, which has led for ${duration(led.forMs)}`]
    }),
  )
}

/**
 * One sentence for each member that ended without giving its place back. A node whose own lease has run out does not know of
 * any: its database does not answer.
 */
export function silentMembers(nodes: readonly SeenNode[]): string[] {
  return distinct(nodes).flatMap(({ isIn, members }) =>
    members
      .filter(({ alive }) => isIn && !alive)
      .map(
        (member) =>
          `the ${nameOf(member)} of the cluster has been silent for ${duration(member.silentMs)}: start it again, unless it was taken out for good (it is forgotten after a day)`,
      ),
  )
}

/** Of nodes that share a store, an orchestrator knows their money best, since tickets pay it. */
const knowsMoney = ({ status: { money, roles } }: SeenNode) =>
  Number(money !== undefined) + Number(money !== undefined && (roles?.includes('orchestrator') ?? false))

/** The one that redeems also knows until when tickets can be redeemed. */
export const knowsTickets = ({ status: { tickets } }: SeenNode) =>
  Number(tickets !== undefined) +
  Number(tickets?.groups.some(({ firstExpiryBlock }) => firstExpiryBlock !== null) ?? false)

/** The nodes, but of those that share a store only the one that knows most: what each of them reads there is of all. */
export function oncePerStore(
  nodes: readonly SeenNode[],
  knows: (node: SeenNode) => number = knowsMoney,
): SeenNode[] {
  const stores: { readonly ids: Set<string>; readonly nodes: SeenNode[] }[] = []
  for (const node of nodes) {
    const { cluster } = node.status
    const ids = cluster ? [cluster.node, ...cluster.members.map((member) => member.node)] : []
    const known = stores.find((store) => ids.some((id) => store.ids.has(id)))
    for (const id of known ? ids : []) known!.ids.add(id)
    if (known) known.nodes.push(node)
    else stores.push({ ids: new Set(ids), nodes: [node] })
  }
  return stores.map(({ nodes: [first, ...others] }) =>
    others.reduce((best, node) => (knows(node) > knows(best) ? node : best), first!),
  )
}

/** Each cluster once, as one sees it whose own lease holds, if any does. */
function distinct(nodes: readonly SeenNode[]): Cluster[] {
  const views = nodes.flatMap(({ status: { cluster } }) => (cluster ? [cluster] : []))
  const found: Cluster[] = []
  for (const view of views.sort((a, b) => Number(b.isIn) - Number(a.isIn))) {
    const ids = new Set([view.node, ...view.members.map(({ node }) => node)])
    if (!found.some(({ members }) => members.some(({ node }) => ids.has(node)))) found.push(view)
  }
  return found
}

function nameOf({ address, node, roles }: Member): string {
  return `${roleName(roles)} ${address} (${node})`
}

/** What a leader does, in its line. */
const LEADS: Readonly<Record<string, string>> = {
  ...{ redeem: 'leads redemption', 'redeem late': 'leads late redemption' },
  ...{ reward: 'leads rewards', 'initialize rounds': 'leads round initialisation' },
}

function memberLine(member: Member, isIn: boolean): string {
  const { alive, leads = [], silentMs, version, work } = member
  const led = leads.flatMap(({ duty, forMs }) =>
    LEADS[duty] ? [`, ${LEADS[duty]} for ${duration(forMs)}`] : [],
  )
  const { maxSessions, sessions, takesSegments } = work
  const load = maxSessions > 0 || sessions > 0 ? `, ${sessions} of ${counted(maxSessions, 'session')}` : ''
  const rests = maxSessions > 0 && !takesSegments ? ', takes no more' : ''
  return `${nameOf(member)}   version ${version}${load}${led.join('')}${alive || !isIn ? rests : `, silent for ${duration(silentMs)}`}`
}
