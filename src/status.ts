import type { Parts } from './parts.ts'

/** Winning tickets by where they stand, with the reasons of those that wait or were refused. */
export interface TicketFigures {
  /** Received since the node started; the others count everything that the database holds. */
  readonly received: number
  readonly won: number
  readonly open: number
  readonly submitted: number
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
          ...(settings.chain
            ? { tickets: await ticketFigures(parts, ticketsReceived), waiting: parts.redeemer.waiting() }
            : {}),
        }
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
    openTransactions: parts.settings.orchestrator ? parts.transactions.open.length : 0,
  }
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
    redeemed: count('redeemed'),
    refused: count('refused'),
    reasons: Object.fromEntries(reasons),
    redeemedWei: paid.toString(),
  }
}
