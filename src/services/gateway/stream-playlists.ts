import {
  addSegment,
  EMPTY_PLAYLIST,
  type MediaPlaylist,
  type PlaylistEntry,
  targetSeconds,
  writeMasterPlaylist,
  writeMediaPlaylist,
} from '../../domain/playlist.ts'
import type { Format } from '../../domain/rendition.ts'
import { MAX_DURATION_MS } from '../../domain/segment.ts'
import { type SegmentFacts, segmentFacts, spanMs } from '../../domain/segment-facts.ts'
import { placeOf, placeSegment, type SourceTimeline } from '../../domain/source-timeline.ts'
import { measuredRate, variantFacts } from '../../domain/variant.ts'

/** Segments of a rendition that wait for an earlier one; with more, the earliest of them goes ahead. */
const MAX_WAITING = 4

/** A segment of one rendition that lies in the store. */
export interface StoredSegment {
  readonly sequence: bigint
  readonly path: string
  /** Where players fetch it, if not from this node. */
  readonly url?: string | null
  readonly format: Format
  readonly bytes: Uint8Array
  readonly durationMs: number
}

/** A variant as the stream describes it, for what its segments do not say. */
export interface NamedVariant {
  readonly name: string
  readonly bandwidth: number
  /** `WxH`; null where it is not known. */
  readonly resolution: string | null
}

/**
 * The playlists of one stream. Segments are listed in the order of their numbers: one that is done before an earlier one
 * waits for it, so that no list is renumbered after players have seen it.
 */
export class StreamPlaylists {
  readonly #source: string
  readonly #lists = new Map<string, MediaPlaylist>()
  /** Of each rendition, by number: what is done and not listed yet. */
  readonly #waiting = new Map<string, Map<bigint, PlaylistEntry>>()
  /** How often each number is in work. */
  readonly #atWork = new Map<bigint, number>()
  /** Numbers in work whose source is not listed yet. */
  readonly #arriving = new Set<bigint>()
  #timeline: SourceTimeline = []

  /** `source`: the name of the source among the renditions. */
  constructor(source: string) {
    this.#source = source
  }

  /** Whether there is anything to play of a rendition. */
  has(rendition: string): boolean {
    return this.#lists.has(rendition)
  }

  /** A segment is being transcoded, until the result is disposed of. */
  begin(sequence: bigint): Disposable {
    this.#atWork.set(sequence, (this.#atWork.get(sequence) ?? 0) + 1)
    this.#arriving.add(sequence)
    return {
      [Symbol.dispose]: () => {
        const left = this.#atWork.get(sequence)! - 1
        if (left > 0) this.#atWork.set(sequence, left)
        else this.#atWork.delete(sequence)
        this.#arriving.delete(sequence)
        for (const rendition of this.#waiting.keys()) this.#list(rendition)
      },
    }
  }

  /** Notes when a segment of the source arrived, and what it says of itself, before any rendition of it is listed. */
  arrived(
    segment: Pick<StoredSegment, 'sequence' | 'format' | 'bytes' | 'durationMs'> & {
      readonly isDurationGuessed?: boolean
    },
    arrivedAtMs: number,
  ): SegmentFacts | null {
    const { bytes, format, isDurationGuessed, sequence } = segment
    const facts = segmentFacts(bytes, format)
    const measuredMs = isDurationGuessed && facts?.span ? spanMs(facts.span) : 0
    const durationMs = measuredMs > 0 ? Math.min(measuredMs, MAX_DURATION_MS) : segment.durationMs
    this.#timeline = placeSegment(this.#timeline, { sequence, durationMs, facts, arrivedAtMs })
    return facts
  }

  /** Lists a segment of the source, whatever becomes of its renditions. */
  addSource(segment: StoredSegment, facts: SegmentFacts | null): void {
    this.#arriving.delete(segment.sequence)
    this.#wait(this.#source, this.#entryOf(segment, facts))
  }

  /** Lists a segment of a rendition once no earlier one can come before it any more. */
  add(rendition: string, segment: StoredSegment): void {
    this.#wait(rendition, this.#entryOf(segment, segmentFacts(segment.bytes, segment.format)))
  }

  /** Lists all that waits: nothing comes before it any more. */
  end(): void {
    this.#atWork.clear()
    this.#arriving.clear()
    for (const rendition of this.#waiting.keys()) this.#list(rendition)
  }

  /** The master playlist of the variants that have segments; null if none has. */
  master(manifestId: string, variants: readonly NamedVariant[]): string | null {
    const listed = variants.flatMap((variant) => {
      const list = this.#lists.get(variant.name)
      if (!list) return []
      const rate = measuredRate(list.entries, targetSeconds(list) * 1000)
      const { size, ...facts } = variantFacts(list.entries)
      return {
        ...facts,
        name: variant.name,
        bandwidth: rate?.peak ?? variant.bandwidth,
        averageBandwidth: rate?.average ?? null,
        resolution: size ? `${size.width}x${size.height}` : variant.resolution,
      }
    })
    return listed.length === 0 ? null : writeMasterPlaylist(manifestId, listed)
  }

  /** The playlist of a rendition; null before its first segment. */
  media(rendition: string, options: { isEnded: boolean }): string | null {
    const list = this.#lists.get(rendition)
    return list === undefined ? null : writeMediaPlaylist(list, options)
  }

  #entryOf(
    { bytes, durationMs, path, sequence, url = null }: StoredSegment,
    facts: SegmentFacts | null,
  ): PlaylistEntry {
    return {
      ...{ sequence, path, url, durationMs, bytes: bytes.length, facts },
      ...placeOf(this.#timeline, sequence),
    }
  }

  #wait(rendition: string, entry: PlaylistEntry): void {
    const waiting = this.#waiting.get(rendition) ?? new Map<bigint, PlaylistEntry>()
    this.#waiting.set(rendition, waiting)
    waiting.set(entry.sequence, entry)
    this.#list(rendition)
  }

  #list(rendition: string): void {
    const waiting = this.#waiting.get(rendition)!
    const inOrder = [...waiting.values()].sort((a, b) => (a.sequence < b.sequence ? -1 : 1))
    for (const entry of inOrder) {
      if (waiting.size <= MAX_WAITING && this.#mayComeBefore(rendition, entry.sequence)) return
      waiting.delete(entry.sequence)
      this.#lists.set(rendition, addSegment(this.#lists.get(rendition) ?? EMPTY_PLAYLIST, entry))
    }
  }

  /** Whether a segment may still come that belongs between those listed and this one. */
  #mayComeBefore(rendition: string, sequence: bigint): boolean {
    const newest = this.#lists.get(rendition)?.entries.at(-1)?.sequence ?? -1n
    const pending = rendition === this.#source ? this.#arriving : this.#atWork.keys()
    for (const other of pending) if (other > newest && other < sequence) return true
    return false
  }
}
