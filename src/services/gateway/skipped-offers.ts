import { pricePerPixel } from '../../domain/price.ts'
import type { OrchestratorInfo } from '../../domain/segment.ts'
import type { SelectionWeights } from '../../domain/selection.ts'
import type { SkippedOffer } from '../../domain/skipped-offer.ts'
import { remainingMs, type Suspensions } from '../../domain/suspension.ts'
import type { Rational } from '../../lib/rational.ts'
import type { Session } from './session.ts'

/** Remembers why a stream does not use the orchestrators that it knows: after a search, and after failures. */
export class SkippedOffers {
  /** Whom the last search found no use for, by the URL asked. */
  #searched = new Map<string, SkippedOffer>()
  /** The same for a search that runs. */
  #searching = new Map<string, SkippedOffer>()
  /** Why orchestrators were suspended, by their transcoder URLs. */
  #failed = new Map<string, SkippedOffer>()

  /** A new search begins. */
  beginSearch(): void {
    this.#searching = new Map()
  }

  /** The search skips an orchestrator. */
  skip(url: string, why: SkippedOffer): void {
    this.#searching.set(url, why)
  }

  /** The search is over: what it found replaces what the one before had found. Suspensions that ended are forgotten. */
  endSearch(suspensions: Suspensions): void {
    this.#searched = this.#searching
    this.#failed = new Map([...this.#failed].filter(([key]) => suspensions.has(key)))
  }

  /** An orchestrator is suspended. */
  fail(transcoder: string, why: SkippedOffer): void {
    this.#failed.set(transcoder, why)
  }

  /** Why each known orchestrator cannot take a segment now, by its URL. */
  all(
    sessions: Iterable<Session>,
    given: { suspensions: Suspensions; weights: SelectionWeights | null; nowMs: number },
  ): ReadonlyMap<string, SkippedOffer> {
    const { nowMs, suspensions, weights } = given
    const all = new Map([...this.#searched, ...this.#searching])
    for (const [key, why] of this.#failed) {
      if (!all.has(key)) all.set(key, suspendedFor(why, remainingMs(suspensions, key, nowMs)))
    }
    for (const session of sessions) all.set(session.key, unusable(session, weights))
    return all
  }
}

/** A failure with a reason of its own explains itself; any other one suspends for some time. */
function suspendedFor(why: SkippedOffer, ms: number): SkippedOffer {
  if (why.kind !== 'silent' && why.kind !== 'refuses') return why
  const until = ms === 0 ? 'until the next search' : `for ${Math.ceil(ms / 1000)} s`
  return { kind: 'suspended', reason: why.reason, until }
}

/** Why a session cannot take a segment: only its price keeps an idle one from being chosen. */
function unusable({ info, state }: Session, weights: SelectionWeights | null): SkippedOffer {
  if (state.kind === 'busy' || weights === null) return { kind: 'busy' }
  const price = priceOf(info)
  if (price === null) return { kind: 'refuses', reason: 'it tells no price' }
  const { maxPrice } = weights
  return maxPrice && price.cmp(maxPrice) > 0 ? { kind: 'too-expensive', price } : { kind: 'busy' }
}

/** Wei per pixel; null if the price is absent or invalid. */
export function priceOf({ priceInfo }: OrchestratorInfo): Rational | null {
  if (priceInfo === null) return null
  try {
    return pricePerPixel(priceInfo)
  } catch {
    return null
  }
}
