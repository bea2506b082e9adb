import { NodeError } from '../lib/errors.ts'
import type { Rational } from '../lib/rational.ts'
import { isFullText } from './attempt.ts'

/** Why an orchestrator is not used for a stream. */
export type SkippedOffer =
  /** It does not answer, or breaks off. */
  | { readonly kind: 'silent'; readonly reason: string }
  /** It has no room for another session. */
  | { readonly kind: 'full' }
  /** It finds this gateway's reserve too small. */
  | { readonly kind: 'reserve-too-small' }
  /** It refuses, or offers nothing that can be used; in its own words where it has any. */
  | { readonly kind: 'refuses'; readonly reason: string }
  | { readonly kind: 'blocked' }
  /** It lacks what the job needs, in words. */
  | { readonly kind: 'unfit'; readonly missing: readonly string[] }
  /** Wei per pixel. */
  | { readonly kind: 'too-expensive'; readonly price: Rational }
  /** Its tickets are worth more than the limit of a ticket, in wei. */
  | { readonly kind: 'ticket-ev'; readonly ev: Rational }
  /** Its tickets are larger than the deposit allows, in wei. */
  | { readonly kind: 'face-value'; readonly faceValue: bigint }
  /** This gateway's own funds let it pay nobody. */
  | { readonly kind: 'unpayable' }
  /** It failed lately; `until` says how long it is left out. */
  | { readonly kind: 'suspended'; readonly reason: string; readonly until: string }
  /** It works for this stream, on earlier segments. */
  | { readonly kind: 'busy' }

/** What refusals of a sender's own rules tell of an offer, for `skippedFor`. */
export type OfferDetails = { readonly ticketEv: Rational } | { readonly faceValue: bigint }

/** Texts of orchestrators for a gateway whose reserve is too small (payments.md §4). */
const RESERVE_TEXT = 'insufficient sender reserve'
/** Faults of a peer that is away, or breaks off. */
const SILENCE: ReadonlySet<string> = new Set([
  ...['unreachable', 'header-timeout', 'body-timeout', 'unsent', 'unavailable', 'cut-short'],
])

/** Why an orchestrator whose offer, or whose segment, failed with this error is not used. */
export function skippedFor(error: unknown): SkippedOffer {
  let reason = ''
  for (let at = error; at instanceof Error; at = at.cause) {
    reason ||= at.message
    if (!(at instanceof NodeError)) continue
    const { code, details } = at
    if (code === 'sender-cannot-pay') return { kind: 'unpayable' }
    const offer = details as Partial<Record<'ticketEv', Rational> & Record<'faceValue', bigint>>
    if (offer.ticketEv) return { kind: 'ticket-ev', ev: offer.ticketEv }
    if (offer.faceValue !== undefined) return { kind: 'face-value', faceValue: offer.faceValue }
    if (at.message.includes(RESERVE_TEXT)) return { kind: 'reserve-too-small' }
    if (isFullText(at.message)) return { kind: 'full' }
    if (SILENCE.has(code)) return { kind: 'silent', reason }
  }
  return { kind: 'refuses', reason: reason === '' ? String(error) : reason }
}
