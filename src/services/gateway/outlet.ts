import type { Causes } from '../../domain/causes.ts'
import type { StorageInfo } from '../../domain/segment.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { isHopeless, mayPass } from '../../lib/object-store.ts'
import { TimeLimit, unlessAborted } from '../../lib/patience.ts'
import type { GrantLimits, OutsideStore } from './outside-store.ts'

/** The pause before the second try; it doubles with each. */
const FIRST_PAUSE_MS = 100
const MAX_PAUSE_MS = 1_000
/** How often a store that is down gets a segment to see whether it is back. */
const PROBE_MS = 5_000

/** What an outlet works with. */
export interface OutletNeeds {
  readonly clock: Clock
  readonly log: Log
  readonly causes: Causes
}

/** One segment to be saved. */
export interface OutletFile {
  readonly path: string
  readonly bytes: Uint8Array
  readonly durationMs: number
  /** How long players may wait for it. */
  readonly limitMs: number
}

/**
 * A store outside, as live streams use it: a segment that it does not take in time, all tries together, is played from this
 * node. From then on nobody waits for the store, until a segment that it gets every few seconds shows that it is back.
 */
export class Outlet {
  readonly #store: OutsideStore
  readonly #needs: OutletNeeds
  /** Whether its last answer was a failure. */
  #isTroubled = false
  #lastReason = ''
  /** When a store that is down is tried again; null while it is not down. */
  #nextProbeMs: number | null = null
  /** Aborted when it goes down, so that nobody waits any more. */
  #down = new AbortController()

  constructor(store: OutsideStore, needs: OutletNeeds) {
    this.#store = store
    this.#needs = needs
  }

  /** Loads what the store's use takes. */
  async prepare(): Promise<void> {
    await this.#store.prepare?.()
  }

  get isDown(): boolean {
    return this.#nextProbeMs !== null
  }

  /**
   * Saves a segment; resolves with the URL at which players fetch it, or with null where they fetch it from this node. Never
   * rejects.
   */
  async save(file: OutletFile, signal: AbortSignal): Promise<string | null> {
    if (this.#nextProbeMs !== null) {
      const now = this.#needs.clock.now()
      if (now >= this.#nextProbeMs) {
        this.#nextProbeMs = now + PROBE_MS
        void this.#once(file, signal)
      }
      return null
    }
    return (await this.#withinLimit(file, signal)) ? this.#store.urlOf(file.path) : null
  }

  /** The bytes of a file; null where it is not there. Throws StoreError. */
  async load(
    path: string,
    options: { readonly maxBytes: number; readonly signal: AbortSignal },
  ): Promise<Uint8Array | null> {
    try {
      return await this.#store.load(path, options)
    } catch (error) {
      // The next try is to do without it.
      if (!options.signal.aborted) this.doubt()
      throw error
    }
  }

  urlOf(path: string): string | null {
    return this.#store.urlOf(path)
  }

  /** What lets an orchestrator save files below a path; null where it cannot, or the store is in trouble. */
  grant(below: string, limits: GrantLimits): StorageInfo | null {
    return this.#isTroubled ? null : this.#store.grant(below, limits)
  }

  /** What it was to take seems to be lost: nothing is granted until it has taken a segment. */
  doubt(): void {
    this.#isTroubled = true
  }

  async #withinLimit(file: OutletFile, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#needs
    using limit = new TimeLimit(clock, file.limitMs)
    const either = AbortSignal.any([signal, limit.signal, this.#down.signal])
    const untilMs = clock.now() + file.limitMs
    this.#lastReason = `it does not answer within ${file.limitMs} ms`
    for (let pauseMs = FIRST_PAUSE_MS; !either.aborted; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
      const outcome = await this.#once(file, either)
      if (outcome !== 'failed') return outcome === 'saved'
      if (clock.now() + pauseMs >= untilMs) break
      await clock.sleep(pauseMs, either).catch(() => {})
    }
    if (!signal.aborted && !this.isDown) this.#fail()
    return false
  }

  /** Tries once. `refused`: another try is in vain. */
  async #once(
    { bytes, durationMs, path }: OutletFile,
    signal: AbortSignal,
  ): Promise<'saved' | 'failed' | 'refused'> {
    try {
      await unlessAborted(this.#store.save(path, bytes, { durationMs, signal }), signal)
      this.#recovered()
      return 'saved'
    } catch (error) {
      if (signal.aborted) return 'failed'
      // Such a name or size is not the store's fault.
      if (isHopeless(error)) {
        this.#needs.log.debug('segment cannot be saved in the object store', { path, error })
        return 'refused'
      }
      this.#isTroubled = true
      this.#lastReason = messageOf(error)
      const isInVain = !mayPass(error)
      if (isInVain || this.isDown) this.#fail()
      return isInVain ? 'refused' : 'failed'
    }
  }

  #fail(): void {
    const { causes, clock } = this.#needs
    const { shown: store } = this.#store
    this.#isTroubled = true
    this.#nextProbeMs = clock.now() + PROBE_MS
    causes.met({ code: 'object-store-failing', facts: { store, reason: this.#lastReason } }, store)
    this.#down.abort()
  }

  #recovered(): void {
    this.#isTroubled = false
    if (this.#nextProbeMs === null) return
    this.#nextProbeMs = null
    this.#down = new AbortController()
    this.#needs.causes.over('object-store-failing', this.#store.shown)
  }
}
