import type { Profile } from '../domain/rendition.ts'
import type { OrchestratorInfo } from '../domain/segment.ts'
import type { Payment } from '../domain/ticket.ts'

/** How a gateway pays for segments; offchain it does not. All errors are NodeError<SenderRefusal>. */
export interface Payer {
  /**
   * Whether what an orchestrator offers can be paid with: `params-expired` (ask it again), `sender-cannot-pay` (no
   * orchestrator will do), `params-refused` and `no-price` (this one will not do).
   */
  validate(info: OrchestratorInfo): Promise<void>
  /** Begins to pay one orchestrator for one stream. */
  open(info: OrchestratorInfo): PaymentSession
}

/** One stream's payments to one orchestrator. */
export interface PaymentSession {
  /** Takes what the orchestrator says of itself now; a new auth session begins with a new balance. */
  update(info: OrchestratorInfo): void
  /** Whether the orchestrator must be asked for new params before the next segment. */
  needsRefresh(): boolean
  /** Takes what a segment will cost and makes the tickets that are missing. Nothing is taken when it throws. */
  stage(profiles: readonly Profile[], durationMs: number): Promise<StagedPayment>
  close(): void
}

/** The payment of one segment, to be told what became of it; each call but the first of its kind has no effect. */
export interface StagedPayment {
  /** Null offchain. */
  readonly payment: Payment | null
  /** Any HTTP status came: the orchestrator has the tickets. */
  answered(): void
  /** The result came, and reports so many pixels. */
  completed(pixels: bigint): void
  /** It was never sent, or nothing ever came back: the credit that was taken is there again. */
  abandoned(): void
}
