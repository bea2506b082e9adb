import type { OrchestratorInfo } from '../../domain/segment.ts'
import type { Trust } from './orchestrator-source.ts'
import type { PaymentSession } from './payer.ts'

/** One segment assigned to a session. */
export interface Assignment {
  readonly session: Session
  readonly startedMs: number
  readonly durationMs: number
}

/** What a session is doing. A score is the latency score of its last segment. */
export type SessionState =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'ready'; readonly score: number }
  | { readonly kind: 'busy'; readonly score: number | null; readonly assignments: readonly Assignment[] }
  | {
      readonly kind: 'ended'
      readonly reason: string
      /** Whether the orchestrator caused it. */
      readonly isFault: boolean
      readonly assignments: readonly Assignment[]
    }

/** One orchestrator's offer to one stream. Only its pool changes it. */
export interface Session {
  /** The transcoder URL, which identifies it in suspensions and removals. */
  readonly key: string
  readonly trust: Trust
  /** The address at which it was found. */
  readonly from: string
  readonly info: OrchestratorInfo
  /** When its auth token arrived. */
  readonly tokenSinceMs: number
  readonly payment: PaymentSession
  /** Whether another node than the one that offered it has transcoded under its token: they share sessions. */
  readonly isShared: boolean
  readonly state: SessionState
}

/** The latency score of its last segment; null if it has none. */
export function scoreOf({ state }: Session): number | null {
  return state.kind === 'ready' || state.kind === 'busy' ? state.score : null
}

/** The segments that it works on, the oldest first. */
export function assignmentsOf({ state }: Session): readonly Assignment[] {
  return state.kind === 'busy' || state.kind === 'ended' ? state.assignments : []
}
