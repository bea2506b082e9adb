import type { Address } from '../lib/crypto.ts'
import { Rational } from '../lib/rational.ts'
import type { Cause } from './causes.ts'
import type { SenderInfo } from './float.ts'
import type { SenderLimits } from './sender-rules.ts'
import type { SkippedOffer } from './skipped-offer.ts'
import { isUnlockingSoon } from './ticket-rules.ts'

/** A redemption is paid for at most at this gas price before an offer is refused, wei (payments.md §4). */
const AVERAGE_GAS_PRICE = 3_000_000_000n

/** What a gateway on chain knows when it explains why a stream has no orchestrator. */
export interface PayingFacts {
  readonly account: Address
  /** Null while the chain cannot be read. */
  readonly funds: SenderInfo | null
  /** Active orchestrators, among which a reserve is shared. */
  readonly poolSize: bigint
  readonly lastInitializedRound: bigint
  readonly limits: SenderLimits
  /** Wei per pixel; null for none. */
  readonly maxPrice: Rational | null
  /** Gas of redeeming a ticket. */
  readonly redeemGas: bigint
  /** Wei; 0 if unknown. */
  readonly gasPrice: bigint
}

/** Where a gateway finds orchestrators: in -orchAddr, by the webhook of -orchWebhookUrl, or on chain. */
export type OrchestratorPlace = 'listed' | 'webhook' | 'on-chain'

/** What a gateway knows when a stream has no orchestrator. */
export interface NoSessionFacts {
  /** How many orchestrators there can be. */
  readonly size: number
  /** By the orchestrators' URLs. */
  readonly skipped: ReadonlyMap<string, SkippedOffer>
  readonly foundAt: OrchestratorPlace
  /** Null offchain. */
  readonly paying: PayingFacts | null
}

type Entry<Kind extends SkippedOffer['kind']> = readonly [
  orchestrator: string,
  skipped: Extract<SkippedOffer, { kind: Kind }>,
]

/**
 * Why a stream has no orchestrator: one cause for each kind of reason, those first that came closest to a session, since
 * that is where a change helps most.
 */
export function causesOfNoSession({ foundAt, paying, size, skipped }: NoSessionFacts): Cause[] {
  const of = skipped.size
  if (of === 0) {
    if (size > 0) return []
    return [{ code: 'no-orchestrators', facts: { where: foundAt } }]
  }
  const entries = <Kind extends SkippedOffer['kind']>(kind: Kind) =>
    [...skipped].filter((entry): entry is [string, Entry<Kind>[1]] => entry[1].kind === kind)
  const urls = (kind: SkippedOffer['kind']) => entries(kind).map(([orchestrator]) => orchestrator)
  const causes: Cause[] = []

  const busy = urls('busy')
  if (busy.length > 0) causes.push({ code: 'orchestrators-busy', facts: { orchestrators: busy } })
  if (paying) causes.push(...causesOfPayment(paying, { entries, of }))
  const unfit = entries('unfit')
  if (unfit.length > 0) {
    const missing = [...new Set(unfit.flatMap(([, { missing }]) => missing))]
    causes.push({ code: 'capability-missing', facts: { missing, orchestrators: urls('unfit'), of } })
  }
  const suspended = entries('suspended').map(([orchestrator, { reason, until }]) => {
    return { orchestrator, reason, until }
  })
  if (suspended.length > 0) {
    causes.push({ code: 'orchestrators-suspended', facts: { orchestrators: suspended, of } })
  }
  const full = urls('full')
  if (full.length > 0) causes.push({ code: 'orchestrators-full', facts: { orchestrators: full, of } })
  for (const [kind, code] of [
    ['refuses', 'orchestrators-refuse'],
    ['silent', 'orchestrators-silent'],
  ] as const) {
    const orchestrators = entries(kind).map(([orchestrator, { reason }]) => ({ orchestrator, reason }))
    if (orchestrators.length > 0) causes.push({ code, facts: { orchestrators, of } })
  }
  const blocked = urls('blocked')
  if (blocked.length > 0) {
    causes.push({ code: 'orchestrators-blocked', facts: { orchestrators: blocked, of } })
  }
  return causes
}

/** The causes that have to do with money, the sender's own funds first. */
function causesOfPayment(
  paying: PayingFacts,
  { entries, of }: { entries: <Kind extends SkippedOffer['kind']>(kind: Kind) => Entry<Kind>[]; of: number },
): Cause[] {
  const { account, funds, limits, maxPrice, poolSize } = paying
  const refusing = entries('reserve-too-small').map(([orchestrator]) => orchestrator)
  const ofFunds = entries('unpayable').length > 0 || refusing.length > 0 ? causeOfFunds(paying) : null
  if (ofFunds) return [ofFunds]
  const causes: Cause[] = []
  if (refusing.length > 0 && funds) {
    const neededShareWei = redemptionCost(paying)
    const { fundsRemaining: reserveWei } = funds
    causes.push({
      code: 'reserve-too-small',
      facts: { account, reserveWei, poolSize, neededShareWei, orchestrators: refusing, of },
    })
  }
  const large = lowest(entries('face-value'), (a, b) => a.faceValue < b.faceValue)
  if (large && funds) {
    const { count, orchestrator } = large
    const { faceValue: faceValueWei } = large.skipped
    const { depositMultiplier: multiplier } = limits
    causes.push({
      code: 'deposit-too-small',
      facts: { account, depositWei: funds.deposit, faceValueWei, multiplier, orchestrator, count, of },
    })
  }
  const worth = lowest(entries('ticket-ev'), (a, b) => a.ev.cmp(b.ev) < 0)
  if (worth) {
    const { count, orchestrator } = worth
    causes.push({
      code: 'ticket-ev-above-maximum',
      facts: { limitWei: limits.maxTicketEv, bestWei: worth.skipped.ev, orchestrator, count, of },
    })
  }
  const priced = lowest(entries('too-expensive'), (a, b) => a.price.cmp(b.price) < 0)
  if (priced) {
    const { count, orchestrator } = priced
    const limit = maxPrice ?? Rational.zero
    causes.push({
      code: 'price-above-maximum',
      facts: { limit, best: priced.skipped.price, orchestrator, count, of },
    })
  }
  return causes
}

/** What is wrong with the sender's funds as such; null if nothing is, or they are not known. */
function causeOfFunds({ account, funds, lastInitializedRound }: PayingFacts): Cause | null {
  if (funds === null) return null
  const { deposit, fundsRemaining, withdrawRound } = funds
  if (isUnlockingSoon(withdrawRound, lastInitializedRound)) {
    return { code: 'funds-unlocking', facts: { account, withdrawRound, round: lastInitializedRound } }
  }
  if (deposit <= 0n) return { code: 'no-deposit', facts: { account, reserveWei: fundsRemaining } }
  if (fundsRemaining <= 0n) return { code: 'no-reserve', facts: { account, depositWei: deposit } }
  return null
}

/** The face value below which orchestrators refuse tickets, as far as a gateway can know (payments.md §4). */
function redemptionCost({ gasPrice, redeemGas }: PayingFacts): bigint {
  const price = gasPrice > 0n && gasPrice < AVERAGE_GAS_PRICE ? gasPrice : AVERAGE_GAS_PRICE
  return redeemGas * price
}

function lowest<Skipped extends SkippedOffer>(
  entries: readonly (readonly [orchestrator: string, skipped: Skipped])[],
  isLess: (a: Skipped, b: Skipped) => boolean,
): { orchestrator: string; skipped: Skipped; count: number } | null {
  let best = entries[0]
  if (!best) return null
  for (const entry of entries) if (isLess(entry[1], best[1])) best = entry
  return { orchestrator: best[0], skipped: best[1], count: entries.length }
}
