import type { Address } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import type { Capabilities } from './capabilities.ts'
import type { Profile } from './rendition.ts'
import type { PriceInfo, TicketParams } from './ticket.ts'

/** Why a duration is refused. */
export type DurationFault = 'invalid-duration'

/** An orchestrator's proof that it offered the session (wire.md §9). */
export interface AuthToken {
  readonly token: Uint8Array
  /** 8 lower-case hexadecimal digits; the key of balance, fixed price, capacity, transcoder and storage. */
  readonly sessionId: string
  /** Unix seconds. */
  readonly expiration: bigint
}

/** Where a node wants its results stored (wire.md §5, OSInfo). */
export interface StorageInfo {
  readonly kind: 'direct' | 's3' | 'google'
  readonly s3: S3Info | null
}

/** Credentials of an object store. */
export interface S3Info {
  readonly host: string
  readonly key: string
  readonly policy: string
  readonly signature: string
  readonly credential: string
  readonly xAmzDate: string
}

/** The part of a segment to keep, in milliseconds from its first frame, both ends included (transcoding.md §3.9). */
export interface Clip {
  readonly fromMs: bigint
  readonly toMs: bigint
}

/** The metadata of a segment that a gateway sends (wire.md §5, SegData). */
export interface SegmentData {
  readonly manifestId: string
  readonly seq: bigint
  /** keccak-256 of the segment's bytes. */
  readonly hash: Uint8Array
  readonly profiles: readonly Profile[]
  /** The gateway's signature; empty offchain. */
  readonly sig: Uint8Array
  readonly durationMs: number
  readonly capabilities: Capabilities | null
  readonly authToken: AuthToken | null
  readonly calcPerceptualHash: boolean
  readonly storage: readonly StorageInfo[]
  readonly clip: Clip | null
  readonly forceSessionReinit: boolean
}

/** Which addresses may be connected to. */
export type Reach = 'public' | 'any'

/** An orchestrator's offer (wire.md §6). */
export interface OrchestratorInfo {
  /** Base URL of all later calls; empty when it accepts no work. */
  readonly transcoder: string
  /**
   * Not on the wire: `public` if the orchestrator answered from a public address, so that no other kind of address it
   * names may be called. An orchestrator in the operator's network may name addresses in it.
   */
  readonly reach?: Reach | undefined
  /** Absent offchain. */
  readonly ticketParams: TicketParams | null
  /** Absent offchain. */
  readonly priceInfo: PriceInfo | null
  /** Its signing account; 20 zero bytes offchain. */
  readonly address: Address
  readonly capabilities: Capabilities | null
  readonly authToken: AuthToken | null
  readonly storage: readonly StorageInfo[]
  /** Other instances of the same operator. */
  readonly nodes: readonly string[]
}

/** A gateway's request for an offer (wire.md §5, OrchestratorRequest). */
export interface InfoRequest {
  readonly address: Address
  /** Signed by `address` over its checksummed text; empty offchain. */
  readonly sig: Uint8Array
  readonly capabilities: Capabilities | null
  readonly ignoreCapacityCheck: boolean
}

/** One rendition as an orchestrator reports it. */
export interface RenditionResult {
  readonly url: string
  /** Encoded output pixels, which are what is paid for. */
  readonly pixels: bigint
  readonly perceptualHashUrl: string
}

/** The answer to one segment (wire.md §10). */
export interface TranscodeResult {
  readonly seq: bigint
  /** Absent in a malformed answer. */
  readonly info: OrchestratorInfo | null
  readonly outcome:
    | { readonly kind: 'data'; readonly renditions: readonly RenditionResult[]; readonly sig: Uint8Array }
    | { readonly kind: 'error'; readonly text: string }
    | { readonly kind: 'none' }
}

/** The largest segment or rendition that is accepted: 300 s at 8 Mbit/s (gateway.md §1, wire.md §10). */
export const MAX_SEGMENT_BYTES = 300_000_000

/** The highest bitrate expected of a source: 100 Mbit/s, far above what is streamed. */
const MAX_SOURCE_BYTES_PER_MS = 12_500
/** Allowed in addition: a segment without a declared duration counts as 2 s (gateway.md §1), however long it is. */
const SOURCE_ALLOWANCE_BYTES = 16_000_000

/**
 * The largest source, in bytes, for a segment of this duration: 16 MB + 100 Mbit/s × duration, at most
 * `MAX_SEGMENT_BYTES`. For 2 s that is 41 MB.
 */
export function maxSourceBytes(durationMs: number): number {
  return Math.min(MAX_SEGMENT_BYTES, SOURCE_ALLOWANCE_BYTES + MAX_SOURCE_BYTES_PER_MS * durationMs)
}

/**
 * The largest rendition, in bytes, that is fetched for a segment. Encoders overshoot the bitrate of short segments,
 * above all in the first picture, and the declared duration is often only roughly right: eight times bitrate ×
 * duration. Copied streams such as audio come from the source, which may also be longer than declared: four times the
 * source. 4 MiB for anything unrelated to either.
 */
export function maxRenditionBytes(
  { bitrate }: Pick<Profile, 'bitrate'>,
  segment: { readonly durationMs: number; readonly sourceBytes: number },
): number {
  // Without a bitrate the size depends on the quality alone.
  if (bitrate <= 0) return MAX_SEGMENT_BYTES
  const encoded = Math.ceil((bitrate / 8) * (segment.durationMs / 1000))
  return Math.min(MAX_SEGMENT_BYTES, 8 * encoded + 4 * segment.sourceBytes + 4 * 1024 * 1024)
}

/** The time limit of a segment from its arrival: max(8 s, 4 × its duration) (wire.md §13, gateway.md §10). */
export function segmentLimitMs(durationMs: number): number {
  return Math.max(8_000, 4 * durationMs)
}

/** Limit of a segment's duration (wire.md §6, transcoding.md §10). */
export const MAX_DURATION_MS = 300_000
const DEFAULT_DURATION_MS = 2000

/**
 * The duration that a peer sent, in ms; 0 means 2 s. Throws NodeError `invalid-duration` with the peers' text (wire.md
 * §6).
 */
export function receivedDurationMs(ms: number): number {
  if (!(ms >= 0 && ms <= MAX_DURATION_MS))
    throw new NodeError<DurationFault>('invalid-duration', 'invalid duration')
  return ms === 0 ? DEFAULT_DURATION_MS : ms
}

/**
 * The duration of a segment to send, in whole milliseconds. Throws NodeError `invalid-duration` with the peers' text
 * (gateway.md §16).
 */
export function sentDurationMs(seconds: number): number {
  if (!(seconds >= 0 && seconds * 1000 <= MAX_DURATION_MS)) {
    throw new NodeError<DurationFault>('invalid-duration', `invalid duration ${seconds}`)
  }
  return Math.trunc(Math.round(seconds * 1e6) / 1e3)
}
