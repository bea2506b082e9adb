import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { ObjectStore } from '../../lib/object-store.ts'
import { TimeLimit } from '../../lib/patience.ts'
import type { RefutedResult, RefutedResults } from './fast-verification.ts'

/** Results that are being saved at once, each in memory; further ones are not kept. */
const MAX_AT_ONCE = 8
/** How long the store may take for one. */
const LIMIT_MS = 30_000
/** What a host and a port may become in the name of a file. */
const UNUSUAL = /[^a-z0-9.-]+/gi
const MAX_HOST = 100

/** What the store works with. */
export interface RefutedStoreNeeds {
  readonly store: Pick<ObjectStore, 'save'>
  readonly clock: Clock
  readonly log: Log
}

/**
 * Saves renditions that were refuted in the bucket of `-FVfailGsbucket`, named for stream, rendition, number, fault and
 * orchestrator. It never holds up a stream: what the store does not take in time is dropped, and logged.
 */
export class RefutedStore implements RefutedResults {
  readonly #needs: RefutedStoreNeeds
  #atOnce = 0

  constructor(needs: RefutedStoreNeeds) {
    this.#needs = needs
  }

  keep(result: RefutedResult): void {
    if (this.#atOnce < MAX_AT_ONCE) void this.#save(result)
    else this.#drop(result, `${MAX_AT_ONCE} others are being saved`)
  }

  /** Never rejects. */
  async #save(result: RefutedResult): Promise<void> {
    const { clock, store } = this.#needs
    this.#atOnce++
    using limit = new TimeLimit(clock, LIMIT_MS)
    try {
      await store.save(pathOf(result), result.bytes, { signal: limit.signal })
    } catch (error) {
      this.#drop(result, limit.signal.aborted ? `no answer in ${LIMIT_MS / 1000} s` : messageOf(error))
    } finally {
      this.#atOnce--
    }
  }

  #drop({ manifestId, orchestrator, sequence }: RefutedResult, reason: string): void {
    const facts = { manifestId, sequence, orchestrator, reason }
    this.#needs.log.warn('a segment that failed fast verification was not saved', facts)
  }
}

function pathOf({ extension, fault, manifestId, orchestrator, rendition, sequence }: RefutedResult): string {
  const host = (URL.parse(orchestrator)?.host ?? orchestrator).replace(UNUSUAL, '_').slice(0, MAX_HOST)
  return `${manifestId}/${rendition}/${sequence}-${fault}-${host}${extension}`
}
