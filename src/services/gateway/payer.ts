import type { Profile } from '../../domain/rendition.ts'
import type { OrchestratorInfo } from '../../domain/segment.ts'
import type { Payment } from '../../domain/ticket.ts'

/** How a gateway pays for segments; offchain it does not. All errors are NodeError<SenderRefusal>. */
export interface Payer {
  /**
   * Whether what an orchestrator offers can be paid with: `params-expired` (ask it again), `sender-cannot-pay` (no
   * orchestrator will do), `params-refused` and `no-price` (this one will not do).
   */
  validate(info: OrchestratorInfo): Promise<void>
  /** Begins to pay one orchestrator for one stream; `from` is the address at which it was found, by which it is judged. */
  open(info: OrchestratorInfo, from: string): PaymentSession
  /** Whether an orchestrator gets no work now since it was paid more than twice its price. */
  isLeftOut(from: string): boolean
}

/** One stream's payments to one orchestrator. */
export interface PaymentSession {
  /**
   * Takes the session's offer as it is now; a new auth session begins with a new balance. `isDue` where the old one had
   * to end: what is left there is then nobody's fault, and otherwise the orchestrator's.
   */
  update(info: OrchestratorInfo, isDue: boolean): void
  /** Whether the orchestrator must be asked for new params before the next segment. */
  needsRefresh(): boolean
  /** Takes what a segment will cost and makes the tickets that are missing. Nothing is taken when it throws. */
  stage(profiles: readonly Profile[], durationMs: number): Promise<StagedPayment>
  /** Nothing more will be staged. `isFault`: because of the orchestrator, so that the credit left there is lost by it. */
  close(isFault: boolean): void
}

/** The payment of one segment, to be told what became of it; each call but the first of its kind has no effect. */
export interface StagedPayment {
  /** Null offchain. */
  readonly payment: Payment | null
  /** Any HTTP status came: the orchestrator has the tickets. */
  answered(): void
  /** The result came, and reports so many pixels. */
  completed(pixels: bigint): void
  /** Nothing came back: the credit that was taken is there again. The tickets are lost unless it was never sent. */
  abandoned(isSent: boolean): void
  /**
   * The last call: pixels came and were counted; null judges nobody, when this node called the work off, or the input
   * may be at fault.
   */
  settled(delivered: bigint | null): void
}
