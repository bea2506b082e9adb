import type { Profile } from '../../domain/rendition.ts'
import type { OrchestratorInfo } from '../../domain/segment.ts'
import type { Payment } from '../../domain/ticket.ts'

/** How a gateway pays for segments; offchain it pays nothing. All errors are NodeError<SenderRefusal>. */
export interface Payer {
  /**
   * Whether what an orchestrator offers can be paid with: `params-expired` (ask it again), `sender-cannot-pay` (no
   * orchestrator will do), `params-refused` and `no-price` (this one will not do).
   */
  validate(info: OrchestratorInfo): Promise<void>
  /** Begins to pay one orchestrator for one stream; `from` is the address at which it was found, by which it is judged. */
  open(info: OrchestratorInfo, from: string): PaymentSession
  /** Whether an orchestrator is banned now because it was paid more than twice its price. */
  isLeftOut(from: string): boolean
}

/** One stream's payments to one orchestrator. */
export interface PaymentSession {
  /**
   * Takes the session's present offer; a new auth session begins with a new balance. `isDue`: the old auth session had to
   * end, so the credit left there is not counted against the orchestrator.
   */
  update(info: OrchestratorInfo, isDue: boolean): void
  /** Whether the orchestrator must be asked for new params before the next segment. */
  needsRefresh(): boolean
  /** Takes a segment's estimated fee from the credit and makes the missing tickets. Takes nothing when it throws. */
  stage(profiles: readonly Profile[], durationMs: number): Promise<StagedPayment>
  /** Nothing more will be staged. `isFault`: the orchestrator caused it, so the credit left there counts as its loss. */
  close(isFault: boolean): void
}

/** The payment of one segment, which is told the outcome; only the first call of each kind has an effect. */
export interface StagedPayment {
  /** Null offchain. */
  readonly payment: Payment | null
  /** Any HTTP status came: the orchestrator has the tickets. */
  answered(): void
  /** The result came; `pixels` as it reports them. */
  completed(pixels: bigint): void
  /** No answer came: the credit is restored. The tickets are lost if they were sent. */
  abandoned(isSent: boolean): void
  /**
   * The last call, with the pixels that came and were counted; null where the orchestrator is not to be judged: this node
   * called the work off, or the input may be at fault.
   */
  settled(delivered: bigint | null): void
}
