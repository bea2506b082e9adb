import { serviceUriOf } from '../../domain/duties.ts'
import type { EngineState } from '../../io/media/engine/engine.ts'
import type { OverpaidOrchestrator } from '../../services/gateway/orchestrator-accounts.ts'
import type { RewardStatus } from '../../services/protocol/reward-service.ts'
import type { RoundInitializerStatus } from '../../services/protocol/round-initializer.ts'
import type { RedeemerHealth } from '../../services/redemption/redeemer-peers.ts'
import type { EngineCapacityStatus } from '../../services/transcoding/engine-capacity.ts'
import type { StandaloneTranscoderStatus } from '../../services/transcoding/standalone-transcoder.ts'
import type { TranscoderState } from '../../services/transcoding/transcoder-member.ts'
import type { LastingCause } from '../cause-book.ts'
import type { DrainState } from '../drain.ts'
import type { Parts } from '../parts.ts'
import type { ClusterFigures } from './cluster.ts'
import type { ChainFigures, StatusFacts, TicketFigures, WaitingFigures } from './facts.ts'
import type { MoneyFigures } from './money.ts'
import type { FundsFigures, PriceFigures } from './terms.ts'

/** `/status` of an orchestrator. */
export interface OrchestratorStatus {
  readonly sessions: number
  /** `retried`: attempts beyond the first of a segment. */
  readonly segments: { readonly transcoded: number; readonly failed: number; readonly retried: number }
  readonly tickets: TicketFigures
  /** The redeemers that it hands winning tickets to; absent when it redeems them itself. */
  readonly redeemers?: readonly RedeemerHealth[]
  /** Whether it goes by its own view of senders' funds, because no redeemer reports them. */
  readonly floatIsOwnView?: boolean
}

/** `/status` of a redeemer. */
export interface RedeemerStatus {
  readonly recipient: string
  readonly tickets: TicketFigures
  /** Open streams by which orchestrators follow senders' max floats. */
  readonly floatStreams: number
}

/** `/status` of a gateway. */
export interface GatewayStatus {
  readonly streams: unknown
  /** `retried`: attempts beyond the first of a segment. */
  readonly segments: { readonly transcoded: number; readonly failed: number; readonly retried: number }
  /** Segments sent to the same orchestrator again within an attempt, after a fault of what lies between. */
  readonly segmentsResent: number
  readonly ticketsSent: number
  /** Sent in payments that the orchestrator accepted. */
  readonly ticketsAccepted: number
  /** Orchestrators that are left out for overcharging, or were lately; absent offchain. */
  readonly overpaid: readonly OverpaidOrchestrator[]
}

/** `/status` of any node; sections that do not concern it are absent. */
export interface NodeStatus
  extends Partial<OrchestratorStatus>,
    Partial<RedeemerStatus>,
    Partial<GatewayStatus> {
  readonly version: string
  readonly ready: boolean
  /** What it waits for while it is not ready. */
  readonly waitingFor?: string
  /** Whether its operator, or its end, takes it out of work; absent while it takes work. */
  readonly drain?: 'draining' | 'drained'
  /** The node's clock, ms since the epoch, to compare the other times with. */
  readonly nowMs: number
  readonly roles?: readonly string[]
  readonly network?: string
  /** Why the store cannot be written just now, a sentence; absent while it can. */
  readonly storeFault?: string
  /** When tickets and money were read, ms since the epoch, where the store has not answered since; absent where it has. */
  readonly storeReadMs?: number
  /** The cluster that it belongs to; absent where it has a database of its own. */
  readonly cluster?: ClusterFigures
  /** What keeps it from part of its work, the oldest first; absent while nothing does. */
  readonly causes?: readonly LastingCause[]
  readonly serviceUri?: string | null
  readonly chain?: ChainFigures
  readonly waiting?: WaitingFigures
  /** What an orchestrator asks. */
  readonly price?: PriceFigures
  /** What a gateway pays with. */
  readonly funds?: FundsFigures
  /** What the node earned and spent; absent where it does neither. */
  readonly money?: MoneyFigures
  readonly reward?: RewardStatus
  readonly rounds?: RoundInitializerStatus
  /** The sessions, or streams, that it takes at once just now, and what its engine was measured to do. */
  readonly capacity?: { readonly maxSessions: number; readonly engine?: EngineCapacityStatus }
  /** The transcoders on other machines that are registered with an orchestrator. */
  readonly transcoders?: readonly TranscoderState[]
  /** The worker processes and GPUs of a node that transcodes. */
  readonly media?: EngineState
  /** The work of a transcoder for an orchestrator in another process. */
  readonly worker?: StandaloneTranscoderStatus
}

/** How far the node has come with its start or its end. */
export interface Progress {
  readonly version: string
  readonly nowMs: number
  /** Null once it is ready. */
  readonly waitingFor: string | null
  /** Whether all its parts have been started. */
  readonly hasStarted: boolean
  /** Null while it takes work. */
  readonly drain: DrainState
}

/** The node's state for its operator; of a node whose parts are not made yet, only its progress. */
export async function statusOf(
  running: { readonly parts: Parts; readonly facts: StatusFacts } | null,
  { drain, hasStarted, nowMs, version, waitingFor }: Progress,
): Promise<NodeStatus> {
  const progress = {
    ...{ version, ready: waitingFor === null, ...(waitingFor !== null && { waitingFor }), nowMs },
    ...(drain !== null && { drain }),
  }
  if (!running) return progress
  const { facts, parts } = running
  const { core, duties, gateway, handingOver, orchestrator, redeemer, reward, roundInitializer } = parts
  const { settings, transcoder } = parts
  const { fault: storeFault } = core.store
  const { segmentsFailed, segmentsRetried, segmentsTranscoded, ticketsAccepted, ticketsSent } = core.totals
  const segments = { transcoded: segmentsTranscoded, failed: segmentsFailed, retried: segmentsRetried }
  const { segmentsResent } = core.totals
  const price = facts.price()
  const [chain, members, funds, tickets, money] = await Promise.all([
    facts.chain(),
    facts.cluster(),
    facts.funds(),
    hasStarted ? ticketsOf(facts) : {},
    hasStarted ? moneyOf(facts) : {},
  ])
  const { storeReadMs } = facts
  return {
    ...progress,
    roles: [...settings.roles],
    network: settings.network.name,
    ...(storeFault !== null && { storeFault }),
    ...(storeReadMs !== null && { storeReadMs }),
    ...(core.env.causes.current.length > 0 && { causes: core.env.causes.current }),
    ...(members && { cluster: members }),
    ...(chain && { chain }),
    ...(price && { price }),
    ...(funds && { funds }),
    ...(orchestrator && {
      serviceUri: serviceUriOf(settings) || null,
      sessions: orchestrator.orchestrator.sessionCount,
      segments,
    }),
    ...(duties.takesSessions && { capacity: capacityOf(parts) }),
    ...(duties.keepsTickets && { recipient: parts.chain!.recipient }),
    ...(redeemer && { floatStreams: redeemer.desk.streams }),
    ...tickets,
    ...money,
    ...(reward && { reward: reward.reward.status() }),
    ...(hasStarted && roundInitializer && { rounds: roundInitializer.roundInitializer.status() }),
    ...(handingOver && {
      redeemers: handingOver.redeemers.health,
      floatIsOwnView: handingOver.floats.isAlone,
    }),
    ...(orchestrator && duties.takesTranscoders && { transcoders: orchestrator.transcoders.status() }),
    ...(transcoder?.media.state && { media: transcoder.media.state }),
    ...(transcoder?.worker && { worker: transcoder.worker.status() }),
    ...(gateway && { streams: gateway.gateway.status(), segments, segmentsResent }),
    ...(gateway && { ticketsSent, ticketsAccepted }),
    ...(gateway && duties.sendsTickets && { overpaid: gateway.accounts.overpaid }),
  }
}

async function ticketsOf(facts: StatusFacts): Promise<Pick<NodeStatus, 'tickets' | 'waiting'>> {
  const [tickets, waiting] = [await facts.tickets(), await facts.waiting()]
  return { ...(tickets && { tickets }), ...(waiting && { waiting }) }
}

async function moneyOf(facts: StatusFacts): Promise<Pick<NodeStatus, 'money'>> {
  const money = await facts.money()
  return money ? { money } : {}
}

function capacityOf({ maxSessions, transcoder }: Parts): NonNullable<NodeStatus['capacity']> {
  return { maxSessions, ...(transcoder && { engine: transcoder.capacity.status() }) }
}
