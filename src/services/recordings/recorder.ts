import type { Causes } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { isPathElement, type RecordedTrack } from '../../domain/recording-index.ts'
import type { Format } from '../../domain/rendition.ts'
import type { StoreAddress } from '../../domain/store-address.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { RecordStores } from './record-store.ts'
import { RecordingWriter } from './recording-writer.ts'

/** Bytes of segments that wait to be saved, of all recordings together. */
const MAX_WAITING_BYTES = 512_000_000
/** How long what waits is still saved when the node stops. */
const FLUSH_MS = 5_000

/** A segment as it is recorded. */
export interface SegmentToRecord {
  readonly sequence: bigint
  readonly format: Format
  readonly bytes: Uint8Array
  readonly durationMs: number
}

/** What is recorded of one stream. Nothing here throws or waits: a store that is down never stops live playback. */
export interface Recording {
  /** Records a segment of a track. */
  add(track: RecordedTrack, segment: SegmentToRecord): void
  /** The stream has ended: what waits is saved within a minute. */
  end(): void
  /** These playlists were saved, which say less than the recording if it goes on. */
  finalized(playlists: readonly string[]): void
}

/** What the recorder depends on. */
export interface RecorderNeeds {
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
  readonly causes: Causes
}

/** Settings of the recorder; tests lower the limit. */
export interface RecorderOptions {
  /** Names this node in paths (gateway.md §6). */
  readonly nodeId: string
  readonly stores: Pick<RecordStores, 'of'>
  readonly maxWaitingBytes?: number
}

/** Saves the segments of streams and their indexes, in the background. */
export class Recorder implements Service {
  readonly name = 'recorder'
  readonly #options: RecorderOptions
  readonly #needs: RecorderNeeds
  readonly #writers = new Set<RecordingWriter>()
  /** Folders of recordings under way, which no other may use. */
  readonly #folders = new Set<string>()
  #scope: Scope | null = null
  #waitingBytes = 0

  constructor(options: RecorderOptions, needs: RecorderNeeds) {
    this.#options = options
    this.#needs = needs
  }

  /** Bytes that wait to be saved. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Whether all recordings are saved as far as they have come. */
  get isSaved(): boolean {
    return [...this.#writers].every(({ isSaved }) => isSaved)
  }

  start(scope: Scope): void {
    this.#scope = scope
    scope.defer(() => {
      this.#scope = null
    })
  }

  /**
   * Begins the recording of a stream under the name that its publisher sends it to, in the store at an address or the
   * gateway's own; null where there is none, or no path can hold the name.
   */
  begin(session: string, manifestId: string, address: StoreAddress | null): Recording | null {
    const scope = this.#scope
    const store = this.#options.stores.of(address)
    if (!scope || !store) return null
    if (!isPathElement(session)) {
      this.#needs.log.warn('stream is not recorded: no path can hold its name', { stream: manifestId })
      return null
    }
    const writer = new RecordingWriter(
      { session, manifestId, nodeId: this.#options.nodeId, store },
      {
        ...this.#needs,
        folders: this.#folders,
        waiting: (change) => {
          this.#waitingBytes += change
          if (change > 0) this.#makeRoom()
        },
      },
    )
    this.#writers.add(writer)
    scope.spawn('record a stream', async (signal) => {
      using _ = this.#flushing(writer, signal)
      await writer.run()
    })
    return writer
  }

  /** The recordings of this node under a name that are not all saved yet. */
  underWay(session: string): readonly Recording[] {
    return [...this.#writers].filter((writer) => writer.session === session)
  }

  /** Lets a writer go on for a while after the node was told to stop. */
  #flushing(writer: RecordingWriter, signal: AbortSignal): Disposable {
    const done = new AbortController()
    const stop = () => {
      writer.end()
      this.#needs.clock.sleep(FLUSH_MS, done.signal).then(
        () => writer.stop(),
        () => {},
      )
    }
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    return {
      [Symbol.dispose]: () => {
        signal.removeEventListener('abort', stop)
        done.abort()
        this.#writers.delete(writer)
      },
    }
  }

  /** Drops the oldest segments of the recording that has the most waiting. */
  #makeRoom(): void {
    const max = this.#options.maxWaitingBytes ?? MAX_WAITING_BYTES
    while (this.#waitingBytes > max) {
      const most = [...this.#writers].reduce((a, b) => (b.waitingBytes > a.waitingBytes ? b : a))
      if (!most.dropOldest()) return
    }
  }
}
