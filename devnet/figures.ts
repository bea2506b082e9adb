import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { OrchestratorStatus, RedeemerStatus } from '../src/node/status/status.ts'
import type { Network, SharedStore } from './network.ts'
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

/** Asks the chain, and all nodes with tickets or the store that they share. */
export async function ticketFigures(network: Network, ask: AskNode = askNow): Promise<TicketFigures> {
  const orchestrators = await Promise.all(
    network.of('orchestrator').map(async ({ process }) => ({
      name: process.command.name,
      ...(await ask<OrchestratorStatus>(process)),
    })),
  )
  const chain = await network.protocol.redemptions()
  const kept = network.store
    ? await inStore(network, network.store)
    : await inNodes(network, orchestrators, ask)
  // Nodes count a redemption once it is confirmed: until then only the chain has it.
  const pending = kept.unfinished - (chain.distinct - kept.redeemed)
  const { byOrchestrator, received, refused, won } = kept
  return {
    sessions: orchestrators.reduce((total, { sessions }) => total + sessions, 0),
    ...{ received, won, pending, refused, byOrchestrator },
    redeemed: chain.redeemed,
    paid: chain.paid,
    faceValue: chain.faceValue,
    fees: chain.fees,
    lost: won - chain.distinct - pending - refused,
    isAtRest: kept.isQuiet && kept.redeemed === chain.redeemed,
  }
}

/** The tickets as they are stored, wherever that is. */
interface KeptTickets extends Pick<TicketFigures, 'received' | 'won' | 'refused' | 'byOrchestrator'> {
  readonly redeemed: number
  /** Neither redeemed nor refused. */
  readonly unfinished: number
  /** Whether none is on its way to a redeemer or the chain. */
  readonly isQuiet: boolean
}

/** What each node keeps for itself. */
async function inNodes(
  network: Network,
  orchestrators: readonly (HasTickets & { readonly name: string })[],
  ask: AskNode,
): Promise<KeptTickets> {
  const redeemers = await Promise.all(
    network.of('redeemer').map(({ process }) => ask<RedeemerStatus>(process)),
  )
  const sum = (of: (tickets: OrchestratorStatus['tickets']) => number, nodes: readonly HasTickets[]) =>
    nodes.reduce((total, { tickets }) => total + of(tickets), 0)
  const all = [...orchestrators, ...redeemers]
  const holders = redeemers.length > 0 ? redeemers : orchestrators
  return {
    received: sum((tickets) => tickets.received, orchestrators),
    won: sum((tickets) => tickets.won, orchestrators),
    redeemed: sum((tickets) => tickets.redeemed, holders),
    unfinished: sum((tickets) => tickets.open + tickets.submitted, all),
    // Both nodes count the expiry of a handed-over ticket.
    refused: sum((tickets) => tickets.refused, holders),
    byOrchestrator: Object.fromEntries(orchestrators.map(({ name, tickets }) => [name, tickets.received])),
    isQuiet:
      sum((tickets) => tickets.submitted, all) === 0 &&
      (redeemers.length === 0 || sum((tickets) => tickets.open, orchestrators) === 0),
  }
}

/** What the nodes of a cluster keep in their store, read from its tables. */
async function inStore(network: Network, { postgres, url }: SharedStore): Promise<KeptTickets> {
  const counts = await postgres.runIn(
    url,
    'select node, tickets_received as received, tickets_won as won from livepeer.money where period = $$ever$$',
  )
  const states = await postgres.runIn(
    url,
    'select state, count(*) as count from livepeer.tickets group by state',
  )
  const inState = (name: string) => Number(states.find(({ state }) => state === name)?.count ?? 0)
  const total = (column: 'received' | 'won') => counts.reduce((sum, row) => sum + Number(row[column]), 0)
  const byOrchestrator = await Promise.all(
    network.of('orchestrator').map(async ({ dataDir, process }) => {
      const id = (await readFile(join(dataDir, 'node-id'), 'utf8')).trim()
      // The payments of a node are counted in a row of their own, ID+payments.
      const own = counts.filter(({ node }) => String(node).split('+', 1)[0] === id)
      return [process.command.name, own.reduce((sum, row) => sum + Number(row.received), 0)] as const
    }),
  )
  return {
    received: total('received'),
    won: total('won'),
    redeemed: inState('redeemed'),
    unfinished: inState('open') + inState('submitted') + inState('delivered'),
    refused: inState('refused'),
    byOrchestrator: Object.fromEntries(byOrchestrator),
    isQuiet: inState('submitted') === 0,
  }
}

type HasTickets = Pick<OrchestratorStatus, 'tickets'>
