import type { CauseCode } from '../../domain/cause-facts.ts'
import type { Cause, Causes } from '../../domain/causes.ts'
import type { SenderInfo } from '../../domain/float.ts'
import { causesOfNoSession, type OrchestratorPlace, type PayingFacts } from '../../domain/no-session.ts'
import type { SkippedOffer } from '../../domain/skipped-offer.ts'

/** How a gateway pays, for its explanations. */
export interface PayingView extends Omit<PayingFacts, 'funds'> {
  funds(): Promise<SenderInfo>
}

/**
 * Explains why streams have no orchestrator, and notes the causes: each begins with the first stream that it concerns
 * and ends when the last one has been served, or has ended.
 */
export class NoSessions {
  readonly #options: { readonly foundAt: OrchestratorPlace }
  readonly #causes: Causes
  readonly #paying: PayingView | null
  /** By cause, the streams that it concerns. */
  readonly #concerned = new Map<CauseCode, Set<string>>()

  constructor(
    options: { readonly foundAt: OrchestratorPlace },
    needs: { causes: Causes /** Null offchain. */; paying: PayingView | null },
  ) {
    this.#options = options
    this.#causes = needs.causes
    this.#paying = needs.paying
  }

  /**
   * The causes for a stream, the most telling first: how many orchestrators there can be, and why those that are known
   * were skipped, by their URLs.
   */
  async explain(
    manifestId: string,
    { size, skipped }: { readonly size: number; readonly skipped: ReadonlyMap<string, SkippedOffer> },
  ): Promise<readonly Cause[]> {
    const causes = causesOfNoSession({ ...this.#options, size, skipped, paying: await this.#facts() })
    const codes = new Set(causes.map(({ code }) => code))
    for (const code of this.#concerned.keys()) if (!codes.has(code)) this.#forget(code, manifestId)
    for (const cause of causes) {
      const streams = this.#concerned.get(cause.code) ?? new Set()
      this.#concerned.set(cause.code, streams.add(manifestId))
      this.#causes.met(cause)
    }
    return causes
  }

  /** A segment of the stream was done, or the stream has ended: no cause concerns it any more. */
  settled(manifestId: string): void {
    for (const code of this.#concerned.keys()) this.#forget(code, manifestId)
  }

  #forget(code: CauseCode, manifestId: string): void {
    const streams = this.#concerned.get(code)
    if (!streams?.delete(manifestId) || streams.size > 0) return
    this.#concerned.delete(code)
    this.#causes.over(code)
  }

  async #facts(): Promise<PayingFacts | null> {
    if (!this.#paying) return null
    const { account, gasPrice, lastInitializedRound, limits, poolSize, redeemGas } = this.#paying
    const funds = await this.#paying.funds().catch(() => null)
    return {
      account,
      funds,
      gasPrice,
      lastInitializedRound,
      limits,
      maxPrice: this.#maxPrice,
      poolSize,
      redeemGas,
    }
  }

  /** Null also while the rate of its currency is not known. */
  get #maxPrice(): PayingFacts['maxPrice'] {
    try {
      return this.#paying?.maxPrice ?? null
    } catch {
      return null
    }
  }
}
