import type { Capabilities } from '../../domain/capabilities.ts'
import type { Cause } from '../../domain/causes.ts'
import type { SenderInfo } from '../../domain/float.ts'
import { causesOfNoSession, type OrchestratorPlace } from '../../domain/no-session.ts'
import type { SkippedOffer } from '../../domain/skipped-offer.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Rational } from '../../lib/rational.ts'
import type { Found } from './discovery.ts'
import type { PayingView } from './no-sessions.ts'
import type { Directory } from './session-needs.ts'
import { priceOf } from './skipped-offers.ts'

/** More than a search asks. */
const ALL = 1_000

/** An orchestrator that would serve this gateway. */
export interface WillingOrchestrator {
  readonly url: string
  readonly address: Address
  /** Wei per pixel; null where it tells none. */
  readonly price: Rational | null
}

/** Which orchestrators would serve a stream now, and why the others would not. */
export interface OrchestratorCheckResult {
  readonly willing: readonly WillingOrchestrator[]
  /** How many orchestrators there can be. */
  readonly size: number
  /** By the URL asked. */
  readonly skipped: ReadonlyMap<string, SkippedOffer>
  /** What keeps orchestrators from serving, with what is missing; the most telling first. */
  readonly causes: readonly Cause[]
  /** Null offchain, and while the chain cannot be read. */
  readonly funds: SenderInfo | null
}

/**
 * Asks every orchestrator that this gateway may use whether it would serve a stream with the gateway's present funds, as a
 * stream does, and begins none.
 */
export async function checkOrchestrators(
  { capabilities, foundAt }: { readonly capabilities: Capabilities; readonly foundAt: OrchestratorPlace },
  {
    directory,
    paying,
  }: {
    readonly directory: Directory
    /** Null offchain. */
    readonly paying: PayingView | null
  },
  signal: AbortSignal,
): Promise<OrchestratorCheckResult> {
  const skipped = new Map<string, SkippedOffer>()
  const search = {
    ...{ wanted: ALL, capabilities, suspendedMs: () => 0 },
    skipped: (url: string, why: SkippedOffer) => void skipped.set(url, why),
  }
  const trusts = ['trusted', 'untrusted'] as const
  const [sizes, found, funds] = await Promise.all([
    Promise.all(trusts.map((trust) => directory.size(trust))),
    Promise.all(trusts.map((trust) => directory.find({ ...search, trust }, signal))),
    paying ? paying.funds().catch(() => null) : null,
  ])
  const limit = maxPriceOf(paying)
  const willing: WillingOrchestrator[] = []
  for (const { from: url, info } of found.flat() as Found[]) {
    const price = priceOf(info)
    if (limit && price && price.cmp(limit) > 0) skipped.set(url, { kind: 'too-expensive', price })
    else willing.push({ url, address: info.address, price })
  }
  const facts = paying && {
    ...{ account: paying.account, funds, poolSize: paying.poolSize, limits: paying.limits, maxPrice: limit },
    ...{
      lastInitializedRound: paying.lastInitializedRound,
      redeemGas: paying.redeemGas,
      gasPrice: paying.gasPrice,
    },
  }
  const size = sizes.reduce((sum, one) => sum + one, 0)
  const isNothing = willing.length > 0 && skipped.size === 0
  const causes = isNothing ? [] : causesOfNoSession({ size, skipped, foundAt, paying: facts })
  return { willing, size, skipped, causes, funds }
}

/** Null also while the rate of its currency is not known. */
function maxPriceOf(paying: PayingView | null): Rational | null {
  try {
    return paying?.maxPrice ?? null
  } catch {
    return null
  }
}
