import type { SeenNode } from '../../commands/status/answer.ts'
import { moneyRows } from '../../commands/status/money.ts'
import { ether } from '../../lib/amounts.ts'
import { counted } from '../../lib/counted.ts'
import { roundLine } from './chain.ts'
import { nodeRows, nodesLine } from './nodes.ts'

/** A figure that is shown large. */
export interface Card {
  readonly title: string
  readonly figure: string
  readonly detail: string
}

/** The figures that an operator looks at first. */
export function cardsOf(node: SeenNode): Card[] {
  const { capacity, chain, cluster, segments, sessions, streams, tickets } = node.status
  const cards: Card[] = []
  const running = sessions ?? streams?.length
  if (running !== undefined) {
    cards.push({
      title: streams ? 'Streams' : 'Sessions',
      figure: String(running),
      detail: [
        ...(capacity ? [`of ${capacity.maxSessions}`] : []),
        ...(segments ? [`${segments.transcoded} segments done, ${segments.failed} failed`] : []),
      ].join(', '),
    })
  }
  if (cluster) {
    const alive = cluster.members.filter((member) => member.alive)
    const sum = (of: 'sessions' | 'maxSessions') => alive.reduce((total, { work }) => total + work[of], 0)
    cards.push({
      title: 'Cluster',
      ...(cluster.isIn
        ? {
            figure: `${alive.length} of ${cluster.members.length}`,
            detail: `nodes alive, ${sum('sessions')} of ${sum('maxSessions')} sessions`,
          }
        : {
            figure: '?',
            detail: `of ${counted(cluster.members.length, 'node')}: the database does not answer`,
          }),
    })
  }
  if (tickets) cards.push(ticketCard(tickets))
  const money = moneyRows([node])
  if (money) {
    const net = money.rows.at(-1)!
    const [today = 0n, , , ever = 0n] = net.amounts
    cards.push({ title: 'Net today', figure: ether(today), detail: `${ether(ever)} ${money.periods.at(-1)}` })
  }
  if (chain) {
    cards.push({
      title: 'Gas account',
      figure: chain.balance === null ? '?' : ether(chain.balance),
      detail: roundLine(node) ?? '',
    })
  }
  if (cards.length === 0) cards.push({ title: 'Nodes', figure: '1', detail: nodesLine(nodeRows(node)) })
  return cards
}

function ticketCard({ groups, received, won }: NonNullable<SeenNode['status']['tickets']>): Card {
  const count = (...states: readonly string[]) =>
    groups.filter(({ state }) => states.includes(state)).reduce((sum, group) => sum + group.count, 0)
  return {
    title: 'Tickets to redeem',
    figure: String(count('open', 'submitted', 'delivered')),
    detail: `${received} received, ${won} won, ${count('redeemed')} redeemed, ${count('refused')} lost`,
  }
}
