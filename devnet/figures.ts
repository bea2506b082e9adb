import type { OrchestratorStatus, RedeemerStatus } from '../src/node/status/status.ts'
import type { Network } from './network.ts'

/** Where the tickets of a network are, counted at the orchestrators' doors, where they are held, and on chain. */
export interface TicketFigures {
  readonly sessions: number
  readonly received: number
  readonly won: number
  /** Not redeemed yet: on their way to a redeemer, or to the chain. */
  readonly pending: number
  readonly refused: number
  /** On chain. */
  readonly redeemed: number
  readonly paid: bigint
  readonly faceValue: bigint
  readonly fees: bigint
  /** Won, and neither redeemed nor held by anyone nor refused with a reason. */
  readonly lost: number
  /** Tickets received, by the name of the orchestrator. */
  readonly byOrchestrator: Readonly<Record<string, number>>
  /** Whether nothing is on its way and everyone has seen what the chain has. */
  readonly isAtRest: boolean
}

/** Asks all nodes that know of tickets, and the chain. */
export async function ticketFigures(network: Network): Promise<TicketFigures> {
  const orchestrators = await Promise.all(
    network.of('orchestrator').map(async ({ process }) => ({
      name: process.command.name,
      ...(await process.status<OrchestratorStatus>()),
    })),
  )
  const redeemers = await Promise.all(
    network.of('redeemer').map(({ process }) => process.status<RedeemerStatus>()),
  )
  const chain = await network.protocol.redemptions()
  const sum = (of: (tickets: OrchestratorStatus['tickets']) => number, nodes: readonly HasTickets[]) =>
    nodes.reduce((total, { tickets }) => total + of(tickets), 0)
  const all = [...orchestrators, ...redeemers]
  const holders = redeemers.length > 0 ? redeemers : orchestrators
  const won = sum((tickets) => tickets.won, orchestrators)
  // Nodes call a ticket redeemed once that is confirmed: until then the chain alone knows of it.
  const unconfirmed = chain.distinct - sum((tickets) => tickets.redeemed, holders)
  const pending = sum((tickets) => tickets.open + tickets.submitted, all) - unconfirmed
  // Of a ticket that was handed over both know that it expired.
  const refused = sum((tickets) => tickets.refused, holders)
  return {
    sessions: orchestrators.reduce((total, { sessions }) => total + sessions, 0),
    received: sum((tickets) => tickets.received, orchestrators),
    won,
    pending,
    refused,
    redeemed: chain.redeemed,
    paid: chain.paid,
    faceValue: chain.faceValue,
    fees: chain.fees,
    lost: won - chain.distinct - pending - refused,
    byOrchestrator: Object.fromEntries(orchestrators.map(({ name, tickets }) => [name, tickets.received])),
    isAtRest:
      sum((tickets) => tickets.submitted, all) === 0 &&
      sum((tickets) => tickets.redeemed, holders) === chain.redeemed &&
      (redeemers.length === 0 || sum((tickets) => tickets.open, orchestrators) === 0),
  }
}

type HasTickets = Pick<OrchestratorStatus, 'tickets'>
