import type { Profile } from '../../domain/rendition.ts'
import type { OrchestratorInfo } from '../../domain/segment.ts'
import type { Payment } from '../../domain/ticket.ts'

/** How a gateway pays for segments; offchain it pays nothing. All errors are NodeError<SenderRefusal>. */
export interface Payer {
  /**
   * Throws unless tickets can be made for an offer: `params-expired` (request a new offer), `sender-cannot-pay` (no
   * orchestrator can be paid), `params-refused` and `no-price` (this one cannot).
   */
  validate(info: OrchestratorInfo): Promise<void>
  /** Starts paying one orchestrator for one stream; `from` is the address at which it was found, which identifies it. */
  open(info: OrchestratorInfo, from: string): PaymentSession
  /** Whether an orchestrator is banned now because it was paid more than twice its price. */
  isLeftOut(from: string): boolean
}

/** One stream's payments to one orchestrator. */
export interface PaymentSession {
  /**
   * Sets the session's current offer; a new auth session starts with a new balance. `isDue`: the old auth session had
   * to end, so credit left there is not counted against the orchestrator.
   */
  update(info: OrchestratorInfo, isDue: boolean): void
  /** Whether the orchestrator must be asked for new params before the next segment. */
  needsRefresh(): boolean
  /** Takes a segment's estimated fee from the credit and makes the missing tickets. Takes nothing when it throws. */
  stage(profiles: readonly Profile[], durationMs: number): Promise<StagedPayment>
  /** Ends the payments. `isFault`: the orchestrator caused it, so credit left there counts against it. */
  close(isFault: boolean): void
}

/**
 * The payment of one segment, however often that is sent. Its methods report the outcome; only the first call of each has
 * an effect.
 */
export interface StagedPayment {
  /** Null offchain. */
  readonly payment: Payment | null
  /** An HTTP status of the orchestrator arrived, whatever it is: it has the tickets. */
  answered(): void
  /**
   * The payment was sent, but no answer came, or not the whole of it: what was charged for the segment is in doubt. It is
   * sent again, and ends with `completed` as usual.
   */
  doubted(): void
  /** Whether charges of the session are in doubt. */
  readonly isInDoubt: boolean
  /**
   * The orchestrator says that its credit does not cover the segment: charges in doubt count as made, and the segment is
   * to be staged anew. The last call, in place of `settled`.
   */
  uncovered(): void
  /** The result arrived; `pixels` as it reports them. */
  completed(pixels: bigint): void
  /** No answer arrived: the credit is restored. The tickets are lost if they were sent. */
  abandoned(isSent: boolean): void
  /**
   * The last call, with the pixels that came and were counted; null where the orchestrator is not to be judged: this node
   * called the work off, or the input may be at fault.
   */
  settled(delivered: bigint | null): void
}
