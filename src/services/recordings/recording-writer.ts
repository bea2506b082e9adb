import type { Causes } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import {
  GrowingIndex,
  INDEX_PREFIX,
  indexName,
  isPathElement,
  type RecordedTrack,
  SOURCE_TRACK,
} from '../../domain/recording-index.ts'
import { extensionOf } from '../../domain/rendition.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { isHopeless } from '../../lib/object-store.ts'
import { TimeLimit, unlessAborted } from '../../lib/patience.ts'
import type { RecordStore } from './record-store.ts'
import type { Recording, SegmentToRecord } from './recorder.ts'

/** An index goes on until it has more than this much of the source (gateway.md §6). */
const INDEX_MS = 3_600_000
/** Segments that one recording saves at once: a source and its renditions. */
const MAX_AT_ONCE = 8
/** One try of one file. */
const SAVE_LIMIT_MS = 30_000
/** Pauses between tries of a store that is down. */
const PAUSES_MS = [500, 1_000, 2_000, 4_000, 8_000]
/** How long after the end of its stream a recording is still tried (gateway.md §6). */
const AFTER_END_MS = 60_000
/** A number that is further back than a live window is no repetition: the publisher counts anew. */
const WINDOW = 12n
const NS_PER_MS = 1_000_000n
/** Counted for each segment that waits, beside its bytes. */
const OVERHEAD_BYTES = 1_000

/** What is recorded, and where. */
export interface RecordingPlace {
  /** The name in the publisher's URL, under which it is found. */
  readonly session: string
  readonly manifestId: string
  readonly nodeId: string
  readonly store: RecordStore
}

/** What a writer depends on. */
export interface WriterNeeds {
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
  readonly causes: Causes
  /** Folders that no other recording may use. */
  readonly folders: Set<string>
  /** Told of each change of the bytes that wait. */
  readonly waiting: (change: number) => void
}

interface Index {
  readonly name: string
  readonly content: GrowingIndex
}

/** Segments whose numbers rise: they share a folder, in which no number means two files. */
interface Part {
  folder: string | null
  /** That which lists the next segment. */
  index: Index | null
  /** Those that list more than what is saved of them. */
  readonly unsaved: Set<Index>
  highest: bigint
}

interface Waiting {
  readonly track: RecordedTrack
  readonly segment: SegmentToRecord
  readonly part: Part
  readonly sinceMs: number
}

/** Saves one recording: each segment, then the index that lists it, so that an index lists only what is there. */
export class RecordingWriter implements Recording {
  readonly #place: RecordingPlace
  readonly #needs: WriterNeeds
  readonly #alarm = new Alarm()
  readonly #stopped = new AbortController()
  #queue: Waiting[] = []
  #parts: Part[] = []
  readonly #stale = new Set<string>()
  /** Those that it keeps from others. */
  readonly #folders: string[] = []
  #endedMs: number | null = null
  #waitingBytes = 0
  #lost = 0
  #lastNs = 0n

  constructor(place: RecordingPlace, needs: WriterNeeds) {
    this.#place = place
    this.#needs = needs
  }

  /** The name under which it is found. */
  get session(): string {
    return this.#place.session
  }

  /** Bytes that wait to be saved. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Whether nothing waits to be saved, and every index lists what was. */
  get isSaved(): boolean {
    return this.#waitingBytes === 0 && this.#parts.every(({ unsaved }) => unsaved.size === 0)
  }

  add(track: RecordedTrack, segment: SegmentToRecord): void {
    if (this.#endedMs !== null || !isPathElement(track.name)) return
    const part = this.#partFor(track, segment.sequence)
    this.#queue.push({ track, segment, part, sinceMs: this.#needs.clock.now() })
    this.#count(sizeOf(segment))
    this.#alarm.ring()
  }

  end(): void {
    this.#endedMs ??= this.#needs.clock.now()
    this.#alarm.ring()
  }

  finalized(playlists: readonly string[]): void {
    if (this.#endedMs === null) for (const path of playlists) this.#stale.add(path)
  }

  /** Gives up at once. */
  stop(): void {
    this.#stopped.abort()
  }

  /** Makes room; false if nothing can be dropped. */
  dropOldest(): boolean {
    const [oldest] = this.#queue
    if (!oldest) return false
    this.#queue.shift()
    this.#count(-sizeOf(oldest.segment))
    this.#lose(1)
    return true
  }

  /** Saves until the recording has ended and all of it is saved, or it is given up. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#stopped
    for (let failures = 0; ; ) {
      try {
        if (await this.#isDone(signal)) break
        await this.#saveSome(signal)
        if (failures > 0) this.#needs.causes.over('recording-failing', this.#place.store.shown)
        failures = 0
      } catch (error) {
        if (signal.aborted) break
        this.#failed(error)
        if (this.#endedMs !== null && this.#needs.clock.now() - this.#endedMs >= AFTER_END_MS) break
        await this.#pause(PAUSES_MS[Math.min(failures++, PAUSES_MS.length - 1)]!, signal)
      }
    }
    this.#giveUp()
  }

  /** Waits for something to save; true at the end. */
  async #isDone(signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted()
    for (;;) {
      if (this.#queue.length > 0 || this.#parts.some(({ unsaved }) => unsaved.size > 0)) return false
      if (this.#endedMs !== null) return true
      await this.#alarm.wait(this.#needs.clock, AFTER_END_MS, signal)
    }
  }

  /** Saves the next segments and the indexes that list them. Throws the first failure, after all others are done. */
  async #saveSome(signal: AbortSignal): Promise<void> {
    for (const part of new Set(this.#queue.slice(0, MAX_AT_ONCE).map((waiting) => waiting.part))) {
      part.folder ??= await this.#folderFor(signal)
    }
    const batch = this.#queue.splice(0, MAX_AT_ONCE)
    const saved = await Promise.allSettled(batch.map((waiting) => this.#save(waiting, signal)))
    const faults: unknown[] = []
    const left: Waiting[] = []
    // In the order in which they came, those that wait on too.
    for (const [at, waiting] of batch.entries()) {
      const result = saved[at]!
      if (result.status === 'rejected') {
        faults.push(result.reason)
        this.#tellFailure(waiting.track.name, result.reason)
      }
      if (result.status === 'rejected' && !isHopeless(result.reason)) left.push(waiting)
      else this.#count(-sizeOf(waiting.segment))
      if (result.status === 'fulfilled') this.#list(waiting, result.value)
    }
    this.#queue.unshift(...left)
    if (faults.length > left.length) this.#lose(faults.length - left.length)
    for (const part of this.#parts) await this.#saveIndexes(part, signal)
    this.#parts = this.#parts.filter((part) => this.#isNeeded(part))
    await this.#dropStale(signal)
    if (faults.length > 0) throw faults[0]
  }

  #isNeeded(part: Part): boolean {
    return part === this.#parts.at(-1) || this.#queue.some((waiting) => waiting.part === part)
  }

  async #save({ part, segment, track }: Waiting, signal: AbortSignal): Promise<string> {
    const { bytes, format, sequence } = segment
    const path = `${part.folder}/${track.name}/${sequence}${extensionOf(format)}`
    const options = { durationMs: durationOf(segment) }
    return this.#limited(signal, (limit) =>
      this.#place.store.save(path, bytes, { ...options, signal: limit }),
    )
  }

  /** Puts a saved segment into the index. */
  #list({ part, segment, sinceMs, track }: Waiting, uri: string): void {
    const { sequence } = segment
    if (part.index === null || part.index.content.durationMs > INDEX_MS) {
      part.index = { name: indexName(this.#nextNs()), content: new GrowingIndex() }
    }
    part.index.content.add(track, { sequence, uri, durationMs: durationOf(segment) })
    part.unsaved.add(part.index)
    const { clock, events } = this.#needs
    const tookMs = clock.now() - sinceMs
    const { manifestId } = this.#place
    events.tell({ kind: 'recording-saved', manifestId, rendition: track.name, tookMs })
  }

  async #saveIndexes({ folder, unsaved }: Part, signal: AbortSignal): Promise<void> {
    for (const index of unsaved) {
      const text = Buffer.from(index.content.text())
      await this.#limited(signal, (limit) =>
        this.#place.store.save(`${folder}/${index.name}`, text, { signal: limit }),
      )
      unsaved.delete(index)
    }
  }

  /**
   * The folder of this node, or one of its own where an earlier recording of the name has that: its files would be
   * replaced, since numbers begin again.
   */
  async #folderFor(signal: AbortSignal): Promise<string> {
    const { nodeId, session } = this.#place
    const { clock, folders } = this.#needs
    const usual = `${session}/${nodeId}`
    const isFree = await this.#isFree(usual, signal)
    const folder = isFree ? usual : `${usual}-${clock.now()}`
    folders.add(folder)
    this.#folders.push(folder)
    return folder
  }

  async #isFree(folder: string, signal: AbortSignal): Promise<boolean> {
    if (this.#needs.folders.has(folder)) return false
    try {
      const prefix = `${folder}/${INDEX_PREFIX}`
      const { files } = await this.#limited(signal, (limit) =>
        this.#place.store.list(prefix, { limit: 1, signal: limit }),
      )
      return files.length === 0 && !this.#needs.folders.has(folder)
    } catch (error) {
      if (signal.aborted) throw error
      // Nothing may be listed, or not now.
      return false
    }
  }

  async #dropStale(signal: AbortSignal): Promise<void> {
    for (const path of this.#stale) {
      await this.#limited(signal, () => this.#place.store.remove(path))
      this.#stale.delete(path)
    }
  }

  /** Numbers that begin again go to a folder of their own; renditions of earlier segments to that of theirs. */
  #partFor(track: RecordedTrack, sequence: bigint): Part {
    const isSource = track.name === SOURCE_TRACK
    const current = this.#parts.at(-1)
    if (!current || (isSource && sequence + WINDOW < current.highest)) {
      const part: Part = { folder: null, index: null, unsaved: new Set(), highest: sequence }
      this.#parts.push(part)
      return part
    }
    if (isSource && sequence > current.highest) current.highest = sequence
    const before = this.#parts.at(-2)
    return before && sequence > current.highest ? before : current
  }

  #nextNs(): bigint {
    const nowNs = BigInt(this.#needs.clock.now()) * NS_PER_MS
    this.#lastNs = nowNs > this.#lastNs ? nowNs : this.#lastNs + 1n
    return this.#lastNs
  }

  async #limited<Value>(signal: AbortSignal, work: (limit: AbortSignal) => Promise<Value>): Promise<Value> {
    signal.throwIfAborted()
    using limit = new TimeLimit(this.#needs.clock, SAVE_LIMIT_MS)
    const either = AbortSignal.any([signal, limit.signal])
    try {
      return await unlessAborted(work(either), either)
    } catch (error) {
      if (limit.signal.aborted) throw new Error(`no answer in ${SAVE_LIMIT_MS / 1000} s`)
      throw error
    }
  }

  #failed(error: unknown): void {
    const { causes, log } = this.#needs
    const { manifestId, store } = this.#place
    const reason = messageOf(error)
    log.debug('recording could not be saved', { stream: manifestId, reason })
    const facts = { store: store.shown, reason, waiting: this.#queue.length, lost: this.#lost }
    causes.met({ code: 'recording-failing', facts }, store.shown)
  }

  #tellFailure(rendition: string, error: unknown): void {
    const { manifestId } = this.#place
    const reason = messageOf(error)
    this.#needs.events.tell({ kind: 'recording-save-failed', manifestId, rendition, reason })
  }

  /** What is lost is told at once. */
  #lose(count: number): void {
    this.#lost += count
    const { causes, events } = this.#needs
    const { manifestId, store } = this.#place
    events.tell({ kind: 'recording-lost', manifestId, segments: count })
    const facts = { store: store.shown, segments: this.#lost, stream: manifestId }
    causes.met({ code: 'recording-lost', facts }, manifestId)
  }

  #giveUp(): void {
    const left = this.#queue.splice(0)
    for (const { segment } of left) this.#count(-sizeOf(segment))
    if (left.length > 0) this.#lose(left.length)
    for (const folder of this.#folders.splice(0)) this.#needs.folders.delete(folder)
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#needs.clock.sleep(ms, signal)
    } catch (error) {
      if (!isAbort(error)) throw error
    }
  }

  #count(change: number): void {
    this.#waitingBytes += change
    this.#needs.waiting(change)
  }
}

function durationOf({ durationMs }: SegmentToRecord): number {
  return Math.max(0, Math.round(durationMs))
}

function sizeOf({ bytes }: SegmentToRecord): number {
  return bytes.length + OVERHEAD_BYTES
}
