import type { SegmentData } from '../../domain/segment.ts'
import type { Payment } from '../../domain/ticket.ts'
import { messageOf } from '../../lib/errors.ts'
import { decodePayment, encodePayment } from './convert-payment.ts'
import { decodeSegment, encodeSegment } from './convert-segment.ts'
import { WireError } from './wire-message.ts'

/** Headers of one request: the largest payment and segment, and as much again for the rest. */
export const MAX_HEADER_BYTES = 128 * 1024
/** Text of a payment: with 600 tickets, the maximum, it is 58 KB (wire.md §18, 19). */
const MAX_PAYMENT_TEXT = 64 * 1024
/** Text of a segment: ten profiles, capabilities and the credentials of a store take about 8 KB. */
const MAX_SEGMENT_TEXT = 32 * 1024

/** Request headers of `/segment` and `/payment` (wire.md §10), in lower case for HTTP/2. */
export const SEGMENT_HEADER = 'livepeer-segment'
export const PAYMENT_HEADER = 'livepeer-payment'

/** The content type of a body that is the URI of the segment (wire.md §10). */
export const URI_CONTENT_TYPE = 'application/vnd+livepeer.uri'
/** The content type of a segment's bytes, MP4 included (wire.md §10). */
export const SEGMENT_CONTENT_TYPE = 'video/MP2T'

/** The text of `Livepeer-Segment`. */
export function formatSegmentHeader(segment: SegmentData): string {
  return formatBase64(encodeSegment(segment))
}

/** Reads `Livepeer-Segment`. The error's message is what the peer is told (wire.md §10). */
export function parseSegmentHeader(text: string): SegmentData {
  if (text.length > MAX_SEGMENT_TEXT) throw tooLong('segment', text, MAX_SEGMENT_TEXT)
  const bytes = parseBase64(text)
  if (!bytes) throw new WireError('bad-base64', 'ErrorSegEncoding')
  return decodeSegment(bytes)
}

/** The text of `Livepeer-Payment`; empty without a payment. */
export function formatPaymentHeader(payment: Payment | null): string {
  return payment ? formatBase64(encodePayment(payment)) : ''
}

/**
 * Reads `Livepeer-Payment`; an empty text means no payment. The error's message is what the peer is told (wire.md §10).
 */
export function parsePaymentHeader(text: string): Payment | null {
  if (text === '') return null
  if (text.length > MAX_PAYMENT_TEXT) throw tooLong('payment', text, MAX_PAYMENT_TEXT)
  const bytes = parseBase64(text)
  if (!bytes) throw new WireError('bad-base64', 'base64 decode error: illegal base64 data')
  try {
    return decodePayment(bytes)
  } catch (cause) {
    throw new WireError('bad-message', `protobuf unmarshal error: ${messageOf(cause)}`, { cause })
  }
}

function formatBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function tooLong(what: string, { length }: string, max: number): WireError {
  return new WireError(
    'bad-message',
    `the header of the ${what} has ${length} bytes, at most ${max} are taken`,
  )
}

/** Decodes standard base64 with padding (wire.md §18, 20); null for anything else. */
function parseBase64(text: string): Uint8Array | null {
  const digits = text.endsWith('==') ? text.slice(0, -2) : text.endsWith('=') ? text.slice(0, -1) : text
  if (text.length % 4 !== 0 || /[^A-Za-z0-9+/]/.test(digits)) return null
  return new Uint8Array(Buffer.from(digits, 'base64'))
}
