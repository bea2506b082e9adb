import type { EngineState } from '../../io/media/engine/engine.ts'
import type { OverpaidOrchestrator } from '../../services/gateway/orchestrator-accounts.ts'
import type { RewardStatus } from '../../services/protocol/reward-service.ts'
import type { RoundInitializerStatus } from '../../services/protocol/round-initializer.ts'
import type { RedeemerHealth } from '../../services/redemption/redeemer-peers.ts'
import type { EngineCapacityStatus } from '../../services/transcoding/engine-capacity.ts'
import type { StandaloneTranscoderStatus } from '../../services/transcoding/standalone-transcoder.ts'
import type { TranscoderState } from '../../services/transcoding/transcoder-member.ts'
import type { Parts } from '../parts.ts'
import type { ChainFigures, StatusFacts, TicketFigures, WaitingFigures } from './facts.ts'

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
  /** Orchestrators that are left out, or were lately; on chain. */
  readonly overpaid: readonly OverpaidOrchestrator[]
}

/** What `/status` of every node tells: sections that do not concern it are absent. */
export interface NodeStatus
  extends Partial<OrchestratorStatus>,
    Partial<RedeemerStatus>,
    Partial<GatewayStatus> {
  readonly version: string
  readonly ready: boolean
  /** What it is doing while it is not ready. */
  readonly waitingFor?: string
  /** The node's clock, ms since the epoch: what its other times are to be compared with. */
  readonly nowMs: number
  readonly roles?: readonly string[]
  readonly network?: string
  /** Why nothing can be written down just now, a sentence; absent while all is well. */
  readonly storeFault?: string
  readonly serviceUri?: string | null
  readonly chain?: ChainFigures
  readonly waiting?: WaitingFigures
  readonly reward?: RewardStatus
  readonly rounds?: RoundInitializerStatus
  /** How many sessions, or streams, it takes at once just now; with an engine of its own, what is known of that. */
  readonly capacity?: { readonly maxSessions: number; readonly engine?: EngineCapacityStatus }
  /** Those of other machines, of an orchestrator that takes them in. */
  readonly transcoders?: readonly TranscoderState[]
  /** Of a node that transcodes itself: its worker processes and GPUs. */
  readonly media?: EngineState
  /** Of a transcoder that works for an orchestrator elsewhere. */
  readonly worker?: StandaloneTranscoderStatus
}

/** How far the node has come. */
export interface Progress {
  readonly version: string
  readonly nowMs: number
  /** What it is doing; null once it is ready. */
  readonly waitingFor: string | null
  /** Whether all its parts have been started. */
  readonly hasStarted: boolean
}

/** The node's state for its operator; of one that is not ready, what is known already. */
export async function statusOf(
  running: { readonly parts: Parts; readonly facts: StatusFacts } | null,
  { hasStarted, nowMs, version, waitingFor }: Progress,
): Promise<NodeStatus> {
  const progress = { version, ready: waitingFor === null, ...(waitingFor !== null && { waitingFor }), nowMs }
  if (!running) return progress
  const { facts, parts } = running
  const { settings, metrics } = parts
  const { segmentsTranscoded, segmentsFailed, ticketsSent, ticketsAccepted } = metrics.totals
  const segments = { transcoded: segmentsTranscoded, failed: segmentsFailed }
  return {
    ...progress,
    roles: [...settings.roles],
    network: settings.network.name,
    ...(parts.storeFault === null ? {} : { storeFault: parts.storeFault }),
    ...(settings.chain ? { chain: await facts.chain() } : {}),
    ...(settings.orchestrator
      ? {
          serviceUri: settings.orchestrator.service.kind === 'url' ? settings.orchestrator.service.url : null,
          sessions: parts.orchestrator.sessionCount,
          segments,
        }
      : {}),
    ...(parts.takesSessions ? { capacity: capacityOf(parts) } : {}),
    ...(parts.keepsTickets ? { recipient: parts.recipientAddress! } : {}),
    ...(settings.redeemer ? { floatStreams: parts.redeemerDesk.streams } : {}),
    ...(hasStarted && parts.keepsTickets
      ? { tickets: await facts.tickets(), waiting: await facts.waiting() }
      : {}),
    ...(parts.rewards ? { reward: parts.reward.status() } : {}),
    ...(hasStarted && settings.roles.has('roundInitializer')
      ? { rounds: parts.roundInitializer.status() }
      : {}),
    ...(parts.handsOver
      ? { redeemers: parts.redeemers.health, floatIsOwnView: parts.remoteFloat.isAlone }
      : {}),
    ...(settings.orchestrator && settings.secrets.orchSecret !== ''
      ? { transcoders: parts.transcoders.status() }
      : {}),
    ...(settings.transcoder && parts.media.state ? { media: parts.media.state } : {}),
    ...(settings.transcoder && !settings.orchestrator ? { worker: parts.standaloneTranscoder.status() } : {}),
    ...(settings.gateway ? { streams: parts.gateway.status(), segments, ticketsSent, ticketsAccepted } : {}),
    ...(settings.gateway && settings.chain ? { overpaid: parts.orchestratorAccounts.overpaid } : {}),
  }
}

function capacityOf(parts: Parts): NonNullable<NodeStatus['capacity']> {
  const { maxSessions, settings } = parts
  return { maxSessions, ...(settings.transcoder ? { engine: parts.capacity.status() } : {}) }
}
