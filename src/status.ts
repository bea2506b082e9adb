import type { Parts } from './parts.ts'
import type { WaitingTicket } from './services/redeemer.ts'
import type { RedeemerHealth } from './services/redeemer-peers.ts'

/** The most urgent of the tickets that wait; the others are only counted. */
const MAX_WAITING_SHOWN = 100

/** Winning tickets by where they stand, with the reasons of those that wait or were refused. */
export interface TicketFigures {
  /** Received since the node started; the others count everything that the database holds. */
  readonly received: number
  readonly won: number
  readonly open: number
  readonly submitted: number
  /** With a redeemer, and not seen redeemed yet. */
  readonly delivered: number
  readonly redeemed: number
  readonly refused: number
  readonly reasons: Readonly<Record<string, number>>
  /** Wei; as text, for JSON. */
  readonly redeemedWei: string
}

/** The chain as the node sees it. */
export interface ChainFigures {
  readonly chainId: string
  readonly account: string
  readonly block: string | null
  readonly l1Block: string | null
  readonly round: string
  readonly endpoints: unknown
  /** Transactions that are not known to be mined. */
  readonly openTransactions: number
}

/** What `/status` of an orchestrator tells. */
export interface OrchestratorStatus {
  readonly sessions: number
  readonly segments: { readonly transcoded: number; readonly failed: number }
  readonly tickets: TicketFigures
  /** Where it hands over its winning tickets; absent when it redeems them itself. */
  readonly redeemers?: readonly RedeemerHealth[]
  /** Whether offers rest on this node's own view of the chain, because no redeemer tells what others take. */
  readonly floatIsOwnView?: boolean
}

/** What `/status` of a redeemer tells. */
export interface RedeemerStatus {
  readonly recipient: string
  readonly tickets: TicketFigures
  /** Floats that orchestrators listen to. */
  readonly floatStreams: number
}

/** What `/status` of a gateway tells. */
export interface GatewayStatus {
  readonly streams: unknown
  readonly segments: { readonly transcoded: number; readonly failed: number }
  readonly ticketsSent: number
  /** In payments that the orchestrator took. */
  readonly ticketsAccepted: number
}

/** The node's state for its operator, as JSON. */
export async function statusOf(
  parts: Parts | null,
  isReady: boolean,
  version: string,
): Promise<Record<string, unknown>> {
  if (!parts) return { version, ready: false, waitingFor: 'account and chain' }
  const { settings, metrics } = parts
  const { segmentsTranscoded, segmentsFailed, ticketsReceived, ticketsSent, ticketsAccepted } = metrics.totals
  const segments = { transcoded: segmentsTranscoded, failed: segmentsFailed }
  return {
    version,
    ready: isReady,
    roles: [...settings.roles],
    network: settings.network.name,
    ...(settings.chain ? { chain: chainFigures(parts) } : {}),
    ...(settings.orchestrator
      ? {
          serviceUri: settings.orchestrator.service.kind === 'url' ? settings.orchestrator.service.url : null,
          recipient: parts.recipientAddress,
          sessions: parts.orchestrator.sessionCount,
          segments,
          transcoders: parts.transcoders.status(),
        }
      : {}),
    ...(settings.transcoder && !settings.orchestrator
      ? { segments, worker: parts.remoteWorker.status() }
      : {}),
    ...(settings.redeemer
      ? { recipient: parts.recipientAddress, floatStreams: parts.redeemerDesk.streams }
      : {}),
    ...(parts.keepsTickets
      ? { tickets: await ticketFigures(parts, ticketsReceived), waiting: waitingTickets(parts) }
      : {}),
    ...(parts.rewards ? { reward: parts.reward.status() } : {}),
    ...(settings.roles.has('roundInitializer') ? { rounds: parts.roundInitializer.status() } : {}),
    ...(parts.handsOver
      ? { redeemers: parts.redeemers.health, floatIsOwnView: parts.remoteFloat.isAlone }
      : {}),
    ...(settings.gateway ? { streams: parts.gateway.status(), segments, ticketsSent, ticketsAccepted } : {}),
  }
}

function chainFigures(parts: Parts): ChainFigures {
  const { chain, watch, rounds } = parts
  return {
    chainId: chain.chainId.toString(),
    account: chain.wallet.address,
    block: watch.head?.number.toString() ?? null,
    l1Block: watch.head?.l1Block.toString() ?? null,
    round: rounds.lastInitializedRound.toString(),
    endpoints: chain.rpc.health(),
    openTransactions: parts.sendsTransactions ? parts.transactions.open.length : 0,
  }
}

function waitingTickets(parts: Parts): { shown: readonly WaitingTicket[]; more: number } {
  const all = parts.winners.waiting()
  return { shown: all.slice(0, MAX_WAITING_SHOWN), more: Math.max(0, all.length - MAX_WAITING_SHOWN) }
}

async function ticketFigures(parts: Parts, received: number): Promise<TicketFigures> {
  const groups = await parts.store.countTickets()
  const count = (state: string) =>
    groups.filter((group) => group.state === state).reduce((sum, group) => sum + group.count, 0)
  const paid = groups.reduce((sum, group) => sum + group.paid, 0n)
  const reasons = groups
    .filter(({ reason }) => reason !== '')
    .map(({ reason, count }) => [reason, count] as const)
  return {
    received,
    won: groups.reduce((sum, group) => sum + group.count, 0),
    open: count('open'),
    submitted: count('submitted'),
    delivered: count('delivered'),
    redeemed: count('redeemed'),
    refused: count('refused'),
    reasons: Object.fromEntries(reasons),
    redeemedWei: paid.toString(),
  }
}
