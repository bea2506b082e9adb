import { pricePerPixel } from './price.ts'
import type { OrchestratorInfo } from './segment.ts'
import type { PriceInfo } from './ticket.ts'

/**
 * A session's offer after a result that includes an unrequested one. Fresh ticket params (wire.md §4) are used if they
 * have the same recipient and price and last at least as long. Any other change would move the session, and with it
 * lose what was paid in advance, so it waits for the next renewal.
 */
export function afterResult(current: OrchestratorInfo, told: OrchestratorInfo): OrchestratorInfo {
  const { ticketParams: ours } = current
  const { ticketParams: theirs, priceInfo } = told
  if (!ours || !theirs || !isSamePurse(current, told)) return current
  if (theirs.expirationBlock < ours.expirationBlock) return current
  // The recipient's rand is bound to the price as it was sent: the two stay together.
  return { ...current, ticketParams: theirs, priceInfo }
}

/**
 * A session's offer after a renewal. While the token is valid and node, recipient and price are the same, the auth
 * session and its credit continue; a new one starts without credit (payments.md §7). Nodes behind one address that share
 * their sessions, which results have shown, count as one.
 */
export function afterRenewal(
  current: OrchestratorInfo,
  answer: OrchestratorInfo,
  options: { readonly tokenEnds: boolean; readonly isShared: boolean },
): OrchestratorInfo {
  // An empty address means "no new sessions"; this one continues.
  const transcoder = answer.transcoder || current.transcoder
  // An answer without params keeps the last ones, with the price that they are bound to.
  const { ticketParams, priceInfo } = answer.ticketParams ? answer : current
  const reach = current.reach === 'public' ? { reach: current.reach } : {}
  const renewed = { ...answer, ...reach, transcoder, ticketParams, priceInfo }
  const mayKnow = options.isShared || answer.address === current.address
  const isSameNode = transcoder === current.transcoder && mayKnow
  const goesOn =
    !options.tokenEnds && current.authToken !== null && isSameNode && isSamePurse(current, renewed)
  return goesOn ? { ...renewed, authToken: current.authToken } : renewed
}

/** Whether credit with one is credit with the other: the recipient keys it, and the price fixes its value. */
function isSamePurse(one: OrchestratorInfo, other: OrchestratorInfo): boolean {
  if (one.ticketParams?.recipient !== other.ticketParams?.recipient) return false
  return isSamePrice(one.priceInfo, other.priceInfo)
}

function isSamePrice(one: PriceInfo | null, other: PriceInfo | null): boolean {
  if (one === null || other === null) return one === other
  try {
    return pricePerPixel(one).cmp(pricePerPixel(other)) === 0
  } catch {
    // One of them is invalid.
    return false
  }
}
