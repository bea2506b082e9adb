import { pricePerPixel } from './price.ts'
import type { OrchestratorInfo } from './segment.ts'
import type { PriceInfo } from './ticket.ts'

/**
 * A session's offer after a result came with one of its own, for which nobody asked. It may bring fresh ticket params
 * (wire.md §4) for the same recipient at the same price, good for at least as long: whatever else it says would move
 * the session, so that what was paid in advance is lost, and waits until this gateway asks for a renewal.
 */
export function afterResult(current: OrchestratorInfo, told: OrchestratorInfo): OrchestratorInfo {
  const { ticketParams: ours } = current
  const { ticketParams: theirs, priceInfo } = told
  if (!ours || !theirs || !isSamePurse(current, told)) return current
  if (theirs.expirationBlock < ours.expirationBlock) return current
  // The recipient's secret number is bound to the price as it was told: the two stay together.
  return { ...current, ticketParams: theirs, priceInfo }
}

/**
 * A session's offer after this gateway asked for a renewal. While the token is good and node, recipient and price are
 * the same, the auth session goes on, and with it the credit; a new one begins with nothing (payments.md §7).
 */
export function afterRenewal(
  current: OrchestratorInfo,
  answer: OrchestratorInfo,
  options: { readonly tokenEnds: boolean },
): OrchestratorInfo {
  // An empty address asks for no new sessions; this one goes on.
  const transcoder = answer.transcoder || current.transcoder
  // An answer without params leaves the last ones, with the price that they are bound to.
  const { ticketParams, priceInfo } = answer.ticketParams ? answer : current
  const reach = current.reach === 'public' ? { reach: current.reach } : {}
  const renewed = { ...answer, ...reach, transcoder, ticketParams, priceInfo }
  const isSameNode = transcoder === current.transcoder && answer.address === current.address
  const goesOn =
    !options.tokenEnds && current.authToken !== null && isSameNode && isSamePurse(current, renewed)
  return goesOn ? { ...renewed, authToken: current.authToken } : renewed
}

/** Whether credit at one is credit at the other: the recipient keys it, and the price fixes what it buys. */
function isSamePurse(one: OrchestratorInfo, other: OrchestratorInfo): boolean {
  if (one.ticketParams?.recipient !== other.ticketParams?.recipient) return false
  return isSamePrice(one.priceInfo, other.priceInfo)
}

function isSamePrice(one: PriceInfo | null, other: PriceInfo | null): boolean {
  if (one === null || other === null) return one === other
  try {
    return pricePerPixel(one).cmp(pricePerPixel(other)) === 0
  } catch {
    // One of them is none.
    return false
  }
}
