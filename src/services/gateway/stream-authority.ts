import type { StoreAddress } from '../../domain/store-address.ts'
import type { Clock } from '../../lib/clock.ts'
import type { RecordingGrant } from '../recordings/recordings.ts'
import { GatewayError } from './gateway-error.ts'
import type { StreamConfig } from './pushed-segment.ts'

/** A denial counts for this long for the same URL, so that a publisher that tries on is not asked about each time. */
const DENIED_MS = 2_000
const MAX_DENIED = 1_000
/** Questions under way at once. */
const MAX_QUESTIONS = 100

/** What a webhook grants a stream (gateway.md §4). */
export interface StreamGrant {
  readonly config: StreamConfig
  /** The platform's name for the session, for the log; null for none. */
  readonly sessionId: string | null
  /** Where it is recorded, and with what it is joined; absent where nothing is said. */
  readonly recording?: RecordingGrant
  /** Where the stream's segments are saved for players; null or absent for the gateway's own. */
  readonly objectStore?: StoreAddress | null
  /** The platform's name for the stream, in events for other programs; null or absent for the name it is played under. */
  readonly streamId?: string | null
}

/** A decision on a new stream; reasons are for the publisher and the log. */
export type StreamVerdict =
  /** `grant` is null where the stream may be published just as its publisher asks. */
  | { readonly kind: 'allowed'; readonly grant: StreamGrant | null }
  /** `isUnknown`: the webhook knows no such stream. */
  | { readonly kind: 'denied'; readonly reason: string; readonly isUnknown?: boolean }
  /** Allowed, on terms that cannot be met. */
  | { readonly kind: 'unusable'; readonly reason: string; readonly recording?: RecordingGrant }
  /** Nobody decided. */
  | { readonly kind: 'undecided'; readonly reason: string }

/** Decides which streams may be published, by the URLs that they are published to. */
export interface StreamAuthority {
  /** Never rejects, and takes a bounded time. */
  decide(url: string): Promise<StreamVerdict>
}

/** Asks the authority: once for segments that arrive together, and not again at once after a denial. */
export class StreamAdmissions {
  readonly #authority: StreamAuthority
  readonly #clock: Clock
  readonly #questions = new Map<string, Promise<StreamVerdict>>()
  /** By what was asked about, the oldest first: why, and until when it counts. */
  readonly #denied = new Map<string, { readonly reason: string; readonly untilMs: number }>()

  constructor(authority: StreamAuthority, clock: Clock) {
    this.#authority = authority
    this.#clock = clock
  }

  /** How many denials are remembered. */
  get remembered(): number {
    return this.#denied.size
  }

  /**
   * What is granted to a stream. `key` is the part of its URL that all its segments share. Throws GatewayError
   * `stream-denied` or `stream-refused`.
   */
  async ask(url: string, key: string): Promise<StreamGrant | null> {
    const denied = this.#denied.get(key)
    if (denied && this.#clock.now() < denied.untilMs) throw new GatewayError('stream-denied', denied.reason)
    const verdict = await (this.#questions.get(key) ?? this.#begin(url, key))
    if (verdict.kind === 'allowed') return verdict.grant
    throw new GatewayError(verdict.kind === 'unusable' ? 'stream-refused' : 'stream-denied', verdict.reason)
  }

  #begin(url: string, key: string): Promise<StreamVerdict> {
    if (this.#questions.size >= MAX_QUESTIONS) {
      throw new GatewayError('stream-refused', `${MAX_QUESTIONS} other new streams wait to be let in`)
    }
    const question = this.#authority.decide(url).then((verdict) => {
      this.#questions.delete(key)
      if (verdict.kind === 'denied') this.#remember(key, verdict.reason)
      return verdict
    })
    this.#questions.set(key, question)
    return question
  }

  #remember(key: string, reason: string): void {
    this.#denied.delete(key)
    this.#denied.set(key, { reason, untilMs: this.#clock.now() + DENIED_MS })
    for (const oldest of this.#denied.keys()) {
      if (this.#denied.size <= MAX_DENIED) break
      this.#denied.delete(oldest)
    }
  }
}

/** The part of the URL of a pushed segment that its stream's other segments share: all but the last element. */
export function sharedUrl(url: string): string {
  return url.slice(0, url.lastIndexOf('/'))
}
