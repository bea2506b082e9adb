import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { RefutedResult, RefutedResults } from './fast-verification.ts'
import type { OutsideStore } from './outside-store.ts'

/** Segments that are being saved; further ones are dropped, since they only help to see what went wrong. */
const MAX_AT_ONCE = 4
/** How long one may take. */
const SAVING_MS = 30_000
/** The byte that MPEG-TS begins with. */
const SYNC = 0x47

/** Keeps results that failed fast verification in the bucket of `-FVfailGsbucket`, for the operator to look at. */
export class FailedSegments implements RefutedResults {
  readonly #store: OutsideStore
  readonly #log: Log
  #atWork = 0

  constructor(store: OutsideStore, { log }: { readonly log: Log }) {
    this.#store = store
    this.#log = log
  }

  keep(result: RefutedResult): void {
    if (this.#atWork >= MAX_AT_ONCE) return
    this.#atWork++
    void this.#save(result).finally(() => this.#atWork--)
  }

  /** Under `{stream}/{rendition}/{number}-{fault}-{orchestrator}.ts`. Never rejects. */
  async #save({ bytes, fault, manifestId, orchestrator, rendition, sequence }: RefutedResult): Promise<void> {
    const whose = orchestrator.replace(/[^0-9A-Za-z.-]+/g, '_').slice(0, 100)
    const path = `${manifestId}/${rendition}/${sequence}-${fault}-${whose}${bytes[0] === SYNC ? '.ts' : '.mp4'}`
    try {
      await this.#store.save(path, bytes, { signal: AbortSignal.timeout(SAVING_MS) })
    } catch (error) {
      const store = this.#store.shown
      this.#log.warn('failed segment was not kept', { manifestId, sequence, store, reason: messageOf(error) })
    }
  }
}
