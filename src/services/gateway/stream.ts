import type { Capabilities } from '../../domain/capabilities.ts'
import { SOURCE_BANDWIDTH } from '../../domain/playlist.ts'
import type { RecordedTrack } from '../../domain/recording-index.ts'
import { extensionOf, type Format, type Profile } from '../../domain/rendition.ts'
import { objectPath } from '../../domain/stream-name.ts'
import type { ObjectStore } from '../../lib/object-store.ts'
import type { Recording } from '../recordings/recorder.ts'
import type { Outlet } from './outlet.ts'
import type { StreamSessions } from './sessions.ts'
import { type StoredSegment, StreamPlaylists } from './stream-playlists.ts'

/** Players wait for the object store as long as a segment lasts, but never longer. */
const MAX_SAVING_MS = 2_000

/** The name of the source variant in paths and playlists. */
export const SOURCE = 'source'

/** The result of probing a segment. */
export interface InputProbe {
  /** FFmpeg's name; empty when there is no video or nothing could be read. */
  readonly videoCodec: string
  /** Empty without an audio stream. */
  readonly audioCodec: string
  /** FFmpeg's name; empty when unknown. */
  readonly pixelFormat: string
  readonly width: number
  readonly height: number
  /** Audio with a video stream in which nothing can be decoded: such a segment bypasses transcoding. */
  readonly zeroFrame: boolean
}

/** A segment for players. */
export interface PublishedSegment {
  readonly sequence: bigint
  readonly format: Format
  readonly bytes: Uint8Array
  readonly durationMs: number
  /** Whether nobody said how long it is. */
  readonly isDurationGuessed?: boolean
}

/** One live stream: its renditions, its sessions with orchestrators, and its playlists. */
export class Stream {
  readonly manifestId: string
  /** The name under which it is pushed. */
  readonly externalId: string
  /** Its name in events for other programs. */
  readonly streamId: string
  /** Profiles that name no container get that of the first segment. */
  readonly profiles: readonly Profile[]
  readonly capabilities: Capabilities
  /** For segments whose publisher sets none. */
  readonly timeoutMultiplier: number
  /** One result in so many is compared with a trusted orchestrator's; 0 for none. */
  readonly verificationFrequency: number
  readonly sessions: StreamSessions
  /** Resolves when the first search for orchestrators has ended. */
  readonly opened: Promise<void>
  /** Where its segments are saved for players; null where they stay in memory. */
  readonly outlet: Outlet | null
  readonly #store: ObjectStore
  readonly #recording: Recording | null
  #sourceResolution: string
  readonly #playlists = new StreamPlaylists(SOURCE)
  readonly #ended = new AbortController()
  #lastInput: InputProbe | null = null
  #segmentsAtWork = 0
  #lastUsedMs: number

  constructor(
    description: {
      manifestId: string
      externalId: string
      streamId: string
      profiles: readonly Profile[]
      capabilities: Capabilities
      timeoutMultiplier: number
      verificationFrequency: number
      sourceResolution: string
      nowMs: number
    },
    needs: {
      sessions: StreamSessions
      store: ObjectStore
      outlet?: Outlet | null
      recording?: Recording | null
    },
  ) {
    this.manifestId = description.manifestId
    this.externalId = description.externalId
    this.streamId = description.streamId
    this.profiles = description.profiles
    this.capabilities = description.capabilities
    this.timeoutMultiplier = description.timeoutMultiplier
    this.verificationFrequency = description.verificationFrequency
    this.sessions = needs.sessions
    this.outlet = needs.outlet ?? null
    this.#store = needs.store
    this.#recording = needs.recording ?? null
    this.#sourceResolution = description.sourceResolution
    this.#lastUsedMs = description.nowMs
    this.opened = description.profiles.length > 0 ? needs.sessions.open() : Promise.resolve()
  }

  /** Aborted when the stream ends. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** How many segments are being worked on. */
  get segmentsAtWork(): number {
    return this.#segmentsAtWork
  }

  /** Milliseconds since its last segment was done; 0 while one is in work. */
  idleMs(nowMs: number): number {
    return this.#segmentsAtWork > 0 ? 0 : nowMs - this.#lastUsedMs
  }

  /** Counts a segment as in work until the result is disposed of. */
  begin(sequence: bigint, now: () => number): Disposable {
    this.#segmentsAtWork++
    const listing = this.#playlists.begin(sequence)
    return {
      [Symbol.dispose]: () => {
        this.#segmentsAtWork--
        this.#lastUsedMs = now()
        listing[Symbol.dispose]()
      },
    }
  }

  /** Whether the input differs from the previous segment's in a way that requires a new encoder (gateway.md §3). */
  inputChanged(input: InputProbe): boolean {
    const before = this.#lastInput
    this.#lastInput = input
    if (before === null) return false
    const compared = ['audioCodec', 'videoCodec', 'pixelFormat', 'width', 'height'] as const
    return compared.some((field) => before[field] !== input[field])
  }

  /** The source variant has the size of its newest segment; until one can be read, the size that the publisher names. */
  noteSize({ height, width }: InputProbe): void {
    if (width > 0 && height > 0) this.#sourceResolution = `${width}x${height}`
  }

  /** Stores a segment of the source and shows it to players; does nothing after the stream has ended. */
  async publishSource(segment: PublishedSegment, arrivedAtMs: number): Promise<void> {
    const facts = this.#playlists.arrived(segment, arrivedAtMs)
    const stored = await this.#stored(SOURCE, segment, null)
    if (stored) this.#playlists.addSource(stored, facts)
  }

  /**
   * The same with a segment of one rendition, unless its orchestrator saved it in the object store, at `savedAt`. Resolves
   * with its URL there; with null where players fetch it from this node.
   */
  async publish(
    rendition: string,
    segment: PublishedSegment,
    savedAt: string | null = null,
  ): Promise<string | null> {
    const stored = await this.#stored(rendition, segment, savedAt)
    if (stored) this.#playlists.add(rendition, stored)
    return stored?.url ?? null
  }

  /** The master playlist; null while there is nothing to play. */
  masterPlaylist(): string | null {
    const names = [SOURCE, ...this.profiles.map(({ name }) => name)]
    const variants = names.map((name) => this.#track(name))
    return this.#playlists.master(
      this.manifestId,
      variants.map((variant) => ({ ...variant, resolution: sizeOrNull(variant.resolution) })),
    )
  }

  #track(name: string): RecordedTrack {
    const profile = this.profiles.find((one) => one.name === name)
    return profile
      ? { name, bandwidth: profile.bitrate, resolution: `${profile.width}x${profile.height}` }
      : { name, bandwidth: SOURCE_BANDWIDTH, resolution: this.#sourceResolution }
  }

  /** The playlist of one rendition; null before its first segment. */
  mediaPlaylist(rendition: string): string | null {
    return this.#playlists.media(rendition, { isEnded: this.signal.aborted })
  }

  async #stored(
    rendition: string,
    { bytes, durationMs, format, sequence }: PublishedSegment,
    savedAt: string | null,
  ): Promise<StoredSegment | null> {
    if (this.signal.aborted) return null
    // A pushed one also has the URL that it was pushed to, which may be a secret.
    const segment = { bytes, durationMs, format, sequence }
    const path = objectPath(this.manifestId, rendition, sequence, extensionOf(format))
    await this.#store.save(path, bytes)
    if (!this.signal.aborted) this.#recording?.add(this.#track(rendition), segment)
    const limitMs = Math.min(durationMs, MAX_SAVING_MS)
    const saving = () => this.outlet?.save({ path, bytes, durationMs, limitMs }, this.signal)
    const url = savedAt ?? (this.outlet && (await saving())) ?? null
    if (!this.signal.aborted) return { ...segment, path, url }
    // The stream may have ended meanwhile and dropped its segments.
    await this.#store.remove(path)
    return null
  }

  /** Stops all work and notifies the orchestrators until the signal is aborted; what there is can still be played. */
  async finish(signal: AbortSignal): Promise<void> {
    this.#ended.abort()
    this.#recording?.end()
    this.#playlists.end()
    await this.sessions.end(signal)
  }

  /** Drops the segments of a stream that has finished. */
  discard(): void {
    this.#store.drop(`${this.manifestId}/`).catch(() => {
      // What cannot be dropped is dropped when its place is needed.
    })
  }

  /** Stops all work, drops all segments, and notifies the orchestrators until the signal is aborted. */
  async end(signal: AbortSignal): Promise<void> {
    this.#ended.abort()
    this.#recording?.end()
    await Promise.all([this.#store.drop(`${this.manifestId}/`), this.sessions.end(signal)])
  }
}

/** A publisher that names no size is taken to name `0x0`, and a profile may leave a side to the encoder. */
function sizeOrNull(resolution: string): string | null {
  return /^0*x|x0*$/.test(resolution) ? null : resolution
}
