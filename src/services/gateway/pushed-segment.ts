import type { Format, Profile } from '../../domain/rendition.ts'
import type { Clip } from '../../domain/segment.ts'
import type { StreamGrant } from './stream-authority.ts'

/** What a publisher may set for a stream (gateway.md §3, §4). */
export interface StreamConfig {
  /** The name under which it is played and paid for; null for the name in the URL. */
  readonly manifestId: string | null
  /** Null for the gateway's own; with an empty list only the source is served. */
  readonly profiles: readonly Profile[] | null
  /** Stretches time-outs when above 1; for this segment only. */
  readonly timeoutMultiplier: number
  /** For this segment only. */
  readonly forceSessionReinit: boolean
  /** One result in so many is compared with a trusted orchestrator's; absent or 0 for none. */
  readonly verificationFrequency?: number
  /** The platform's names for the stream, in events, and for the session, in the log: where no webhook says them. */
  readonly streamId?: string
  readonly sessionId?: string
}

/** One segment as it was pushed, or cut from what a publisher sends over RTMP. */
export interface PushedSegment {
  /** The stream's name in the URL; not empty. */
  readonly externalId: string
  readonly sequence: bigint
  readonly format: Exclude<Format, 'none'>
  readonly bytes: Uint8Array
  readonly durationMs: number
  /** Whether nobody said how long it is: players are told what its pictures last, as far as that can be read. */
  readonly isDurationGuessed?: boolean
  /** `WxH` as the publisher names it: for players, until the segment itself tells. */
  readonly resolution: string
  readonly clip: Clip | null
  readonly config: StreamConfig | null
  /** The publisher's address; null or absent where it is not known. */
  readonly clientIp?: string | null
  /** The URL that it was pushed to, without a query; absent where no webhook is asked about it. */
  readonly url?: string
  /** What `admit` told of it; absent where it was not asked. */
  readonly grant?: StreamGrant | null
  /** Of a publication, which needs no slicing by orchestrators (gateway.md §17, 16). */
  readonly isPublished?: boolean
  /** Without pictures: it is played as it is, in every rendition. */
  readonly hasOnlySound?: boolean
}

/** One rendition of a segment. */
export interface Rendition {
  readonly name: string
  readonly format: Exclude<Format, 'none'>
  readonly bytes: Uint8Array
  /** Where it is in the object store; null or absent where it is in this node's memory alone. */
  readonly url?: string | null
}
