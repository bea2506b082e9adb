import { type Causes, noCauses } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { playedName } from '../../domain/stream-name.ts'
import type { Clock } from '../../lib/clock.ts'
import { counted } from '../../lib/counted.ts'
import { isDoneWithin } from '../../lib/patience.ts'
import type { Scope } from '../../lib/service.ts'
import { EndedStreams, GRACE_MS } from './ended-streams.ts'
import { GatewayError } from './gateway-error.ts'
import { type Publication, Publishers } from './publishers.ts'
import type { PushedSegment } from './pushed-segment.ts'
import type { Stream } from './stream.ts'
import type { StreamGrant } from './stream-authority.ts'

/** How often idle streams are ended, and after how long without a segment (gateway.md §3). */
const IDLE_MS = 60_000
/** Time limit for telling orchestrators that a stream ended; shorter when this node stops. */
const END_MS = 10_000
const END_ON_STOP_MS = 1_000

export interface LiveStreamsOptions {
  readonly maxStreams: number
  /** Whether anyone may push to a stream whose name they know. */
  readonly areOpen: boolean
}

export interface LiveStreamsNeeds {
  readonly clock: Clock
  readonly events: NodeEvents
  readonly causes?: Causes
  /** A stream has ended: nothing more is to be said of it. */
  forgotten(manifestId: string): void
}

/** The streams of a gateway: under which names they go, who may add to them, and how they end. */
export class LiveStreams {
  readonly #options: LiveStreamsOptions
  readonly #needs: LiveStreamsNeeds
  /** By the name under which they are played. */
  readonly #streams = new Map<string, Stream>()
  /** Name in the URL to name of the stream, where they differ. */
  readonly #renamed = new Map<string, string>()
  readonly #publishers = new Publishers()
  readonly #ended: EndedStreams
  #scope: Scope | null = null

  constructor(options: LiveStreamsOptions, needs: LiveStreamsNeeds) {
    this.#options = options
    this.#needs = needs
    this.#ended = new EndedStreams(options.maxStreams)
  }

  /** Ends streams that are idle, and all of them when the scope ends. */
  start(scope: Scope): void {
    this.#scope = scope
    scope.spawn('idle streams', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(IDLE_MS, signal)
        const now = this.#needs.clock.now()
        for (const stream of this.all) {
          const isIdle = stream.idleMs(now) > IDLE_MS && !this.#publishers.has(stream.manifestId)
          if (isIdle) this.#finish(stream, 'nothing was pushed for a while')
        }
      }
    })
    scope.defer(async () => {
      this.#scope = null
      this.#ended.clear()
      const streams = this.all
      for (const stream of streams) this.#forget(stream, 'the node is stopping')
      await Promise.all(streams.map((stream) => this.#tellEnd(END_ON_STOP_MS, (limit) => stream.end(limit))))
    })
  }

  /** The oldest first. */
  get all(): readonly Stream[] {
    return [...this.#streams.values()]
  }

  /** A stream that goes on. */
  get(manifestId: string): Stream | null {
    return this.#streams.get(manifestId) ?? null
  }

  /** A stream that can be played: it goes on, or ended a moment ago. */
  played(manifestId: string): Stream | null {
    return this.get(manifestId) ?? this.#ended.get(manifestId)
  }

  /** The name under which a segment's stream is played. */
  nameOf({ config, externalId }: Pick<PushedSegment, 'config' | 'externalId'>): string {
    return this.#renamed.get(externalId) ?? playedName(config?.manifestId ?? null, externalId)
  }

  /** The stream that a segment may join without being asked about. */
  joined({ externalId, isPublished }: Pick<PushedSegment, 'externalId' | 'isPublished'>): Stream | null {
    // A publication goes by the name under which it is played, which may be another publisher’s name in a URL.
    const name = isPublished ? externalId : (this.#renamed.get(externalId) ?? externalId)
    const stream = this.get(name)
    if (!stream) return null
    // With a webhook, the name under which a stream is played gives nobody the right to add to it.
    const isOpen = this.#options.areOpen || isPublished
    const isOwn = stream.externalId === externalId && !this.#publishers.has(stream.manifestId)
    return isOpen || isOwn ? stream : null
  }

  /** What was granted to the publisher that holds a name. */
  grantOf(manifestId: string): StreamGrant | null {
    return this.#publishers.grantOf(manifestId)
  }

  /** The name in the URL of the publisher that holds a name. */
  publishedAs(manifestId: string): string {
    return this.#publishers.externalIdOf(manifestId)
  }

  /**
   * Makes way for a new stream, or gives the one that a segment is to join although it was asked about: a publisher's own.
   * Throws GatewayError `stream-refused` if another one has the name, or if there are too many streams.
   */
  makeWay(manifestId: string, isGranted: boolean): Stream | null {
    const namesake = this.get(manifestId)
    if (namesake && !this.#options.areOpen) {
      if (!isGranted) throw new GatewayError('stream-refused', `another publisher is sending "${manifestId}"`)
      if (this.#publishers.has(manifestId)) return namesake
    }
    if (namesake) this.#end(namesake, 'another name was given to the stream')
    this.#checkRoom(manifestId)
    return null
  }

  /** A stream has begun. */
  add(stream: Stream): void {
    const { externalId, manifestId } = stream
    this.#ended.drop(manifestId)
    this.#streams.set(manifestId, stream)
    if (externalId !== manifestId) this.#renamed.set(externalId, manifestId)
  }

  /**
   * Reserves a name for a live publisher. The stream ends with the publication, and can be played for a minute longer. Throws
   * GatewayError `stream-refused`, which leaves the holder of the name alone.
   */
  publish(
    manifestId: string,
    held: { readonly externalId: string; readonly grant: StreamGrant | null },
  ): Publication {
    this.#publishers.check(manifestId)
    const stream = this.get(manifestId)
    if (stream && !this.#publishers.has(manifestId)) {
      throw new GatewayError('stream-refused', `segments are being pushed to "${manifestId}" over HTTP`)
    }
    if (stream) this.#end(stream, 'its publisher came back')
    this.#checkRoom(manifestId)
    return this.#publishers.hold(manifestId, held, (reason) => {
      const ended = this.get(manifestId)
      if (ended) this.#finish(ended, reason)
    })
  }

  /** A stream that is published has its place from the start. Throws GatewayError. */
  #checkRoom(manifestId: string): void {
    const { maxStreams } = this.#options
    const names = new Set([...this.#streams.keys(), ...this.#publishers.names])
    if (names.size < maxStreams || names.has(manifestId)) return
    const { causes = noCauses } = this.#needs
    causes.met({ code: 'streams-full', facts: { streams: names.size } })
    throw new GatewayError(
      'stream-refused',
      `-maxSessions allows ${counted(names.size, 'stream')}, and there are as many`,
    )
  }

  /** Ends a stream now; its orchestrators are notified in the background. */
  #end(stream: Stream, reason: string): void {
    this.#forget(stream, reason)
    this.#scope?.spawn('end of a stream', () => this.#tellEnd(END_MS, (limit) => stream.end(limit)))
  }

  /** Ends a stream whose segments are all done, and keeps it for players. */
  #finish(stream: Stream, reason: string): void {
    this.#forget(stream, reason)
    this.#ended.keep(stream)
    this.#scope?.spawn('end of a stream', async (signal) => {
      await this.#tellEnd(END_MS, (limit) => stream.finish(limit))
      await this.#needs.clock.sleep(GRACE_MS, signal)
      this.#ended.drop(stream.manifestId, stream)
    })
  }

  #forget(stream: Stream, reason: string): void {
    const { externalId, manifestId } = stream
    this.#needs.forgotten(manifestId)
    this.#streams.delete(manifestId)
    if (this.#renamed.get(externalId) === manifestId) this.#renamed.delete(externalId)
    this.#needs.events.tell({ kind: 'stream-ended', manifestId, reason })
  }

  async #tellEnd(limitMs: number, end: (limit: AbortSignal) => Promise<void>): Promise<void> {
    const limit = new AbortController()
    const stopping = this.#scope?.signal
    try {
      const signal = stopping ? AbortSignal.any([limit.signal, stopping]) : limit.signal
      await isDoneWithin(this.#needs.clock, limitMs, end(signal))
    } finally {
      limit.abort()
    }
  }
}
