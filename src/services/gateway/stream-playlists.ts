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
import { type SegmentFacts, segmentFacts } from '../../domain/segment-facts.ts'
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
 * The playlists of one stream. A rendition's segments are listed in the order of their numbers: one that is done before an
 * earlier one waits for it, so that no list is renumbered after players have seen it.
 */
export class StreamPlaylists {
  readonly #lists = new Map<string, MediaPlaylist>()
  /** Of each rendition, by number: what is done and not listed yet. */
  readonly #waiting = new Map<string, Map<bigint, PlaylistEntry>>()
  /** How often each number is in work. */
  readonly #atWork = new Map<bigint, number>()
  #timeline: SourceTimeline = []

  /** Whether there is anything to play of a rendition. */
  has(rendition: string): boolean {
    return this.#lists.has(rendition)
  }

  /** A segment is being transcoded, until the result is disposed of. */
  begin(sequence: bigint): Disposable {
    this.#atWork.set(sequence, (this.#atWork.get(sequence) ?? 0) + 1)
    return {
      [Symbol.dispose]: () => {
        const left = this.#atWork.get(sequence)! - 1
        if (left > 0) this.#atWork.set(sequence, left)
        else this.#atWork.delete(sequence)
        for (const rendition of this.#waiting.keys()) this.#list(rendition)
      },
    }
  }

  /** Notes when a segment of the source arrived, and what it says of itself, before any rendition of it is listed. */
  arrived(
    segment: Pick<StoredSegment, 'sequence' | 'format' | 'bytes' | 'durationMs'>,
    arrivedAtMs: number,
  ): SegmentFacts | null {
    const { bytes, durationMs, format, sequence } = segment
    const facts = segmentFacts(bytes, format)
    this.#timeline = placeSegment(this.#timeline, { sequence, durationMs, facts, arrivedAtMs })
    return facts
  }

  /** Lists a segment of the source at once. */
  addSource(rendition: string, segment: StoredSegment, facts: SegmentFacts | null): void {
    this.#add(rendition, this.#entryOf(segment, facts))
  }

  /** Lists a segment of a rendition once no earlier one can come before it any more. */
  add(rendition: string, segment: StoredSegment): void {
    const waiting = this.#waiting.get(rendition) ?? new Map<bigint, PlaylistEntry>()
    this.#waiting.set(rendition, waiting)
    waiting.set(segment.sequence, this.#entryOf(segment, segmentFacts(segment.bytes, segment.format)))
    this.#list(rendition)
  }

  /** Lists all that waits: nothing comes before it any more. */
  end(): void {
    this.#atWork.clear()
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

  #add(rendition: string, entry: PlaylistEntry): void {
    this.#lists.set(rendition, addSegment(this.#lists.get(rendition) ?? EMPTY_PLAYLIST, entry))
  }

  #list(rendition: string): void {
    const waiting = this.#waiting.get(rendition)!
    const inOrder = [...waiting.values()].sort((a, b) => (a.sequence < b.sequence ? -1 : 1))
    for (const entry of inOrder) {
      if (waiting.size <= MAX_WAITING && this.#mayComeBefore(rendition, entry.sequence)) return
      waiting.delete(entry.sequence)
      this.#add(rendition, entry)
    }
  }

  /** Whether a segment is in work that belongs between those listed and this one. */
  #mayComeBefore(rendition: string, sequence: bigint): boolean {
    const newest = this.#lists.get(rendition)?.entries.at(-1)?.sequence ?? -1n
    for (const other of this.#atWork.keys()) if (other > newest && other < sequence) return true
    return false
  }
}
