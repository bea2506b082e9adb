import type { OrchestratorStatus, RedeemerStatus } from '../src/node/status/status.ts'
import type { Network } from './network.ts'
import type { NodeProcess } from './node-process.ts'

/** The tickets of a network, counted at the orchestrators that received them, where they are stored, and on chain. */
export interface TicketFigures {
  readonly sessions: number
  readonly received: number
  readonly won: number
  /** Not redeemed yet: on the way to a redeemer or to the chain. */
  readonly pending: number
  readonly refused: number
  /** On chain. */
  readonly redeemed: number
  readonly paid: bigint
  readonly faceValue: bigint
  readonly fees: bigint
  /** Won, but neither redeemed nor stored by a node nor refused with a reason. */
  readonly lost: number
  /** Tickets received, by orchestrator. */
  readonly byOrchestrator: Readonly<Record<string, number>>
  /** Whether no ticket is pending and all nodes have seen what is on chain. */
  readonly isAtRest: boolean
}

/** Asks a node for its status. */
export type AskNode = <Status>(node: NodeProcess) => Promise<Status>

const askNow: AskNode = (node) => node.status()

/** Asks nodes for their status; one that does not answer is taken to be as it last answered. */
export function lastKnown(): AskNode {
  const known = new Map<NodeProcess, unknown>()
  return async <Status>(node: NodeProcess) => {
    try {
      known.set(node, await node.status())
    } catch (error) {
      if (!known.has(node)) throw error
    }
    return known.get(node) as Status
  }
}

/** Asks the chain and all nodes with tickets. */
export async function ticketFigures(network: Network, ask: AskNode = askNow): Promise<TicketFigures> {
  const orchestrators = await Promise.all(
    network.of('orchestrator').map(async ({ process }) => ({
      name: process.command.name,
      ...(await ask<OrchestratorStatus>(process)),
    })),
  )
  const redeemers = await Promise.all(
    network.of('redeemer').map(({ process }) => ask<RedeemerStatus>(process)),
  )
  const chain = await network.protocol.redemptions()
  const sum = (of: (tickets: OrchestratorStatus['tickets']) => number, nodes: readonly HasTickets[]) =>
    nodes.reduce((total, { tickets }) => total + of(tickets), 0)
  const all = [...orchestrators, ...redeemers]
  const holders = redeemers.length > 0 ? redeemers : orchestrators
  const won = sum((tickets) => tickets.won, orchestrators)
  // Nodes count a redemption once it is confirmed: until then only the chain has it.
  const unconfirmed = chain.distinct - sum((tickets) => tickets.redeemed, holders)
  const pending = sum((tickets) => tickets.open + tickets.submitted, all) - unconfirmed
  // Both nodes count the expiry of a handed-over ticket.
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
