import { extensionOf, type Format } from '../../domain/rendition.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { OutsideStore } from './outside-store.ts'

/** Segments that are being saved; further ones are dropped, since they only help to see what went wrong. */
const MAX_AT_ONCE = 4

/** A rendition that failed fast verification, or one that it was compared with. */
export interface FailedSegment {
  readonly manifestId: string
  readonly sequence: bigint
  readonly rendition: string
  /** Whose result it is: a name of one path element, such as `trusted`, or an orchestrator's address. */
  readonly of: string
  readonly format: Exclude<Format, 'none'>
  readonly bytes: Uint8Array
}

/** Keeps segments that failed fast verification in the bucket of `-FVfailGsbucket`, for the operator to look at. */
export class FailedSegments {
  readonly #store: OutsideStore | null
  readonly #log: Log
  #atWork = 0

  constructor(
    /** Null keeps nothing. */
    store: OutsideStore | null,
    { log }: { readonly log: Log },
  ) {
    this.#store = store
    this.#log = log
  }

  /** Saves one, under `{stream}/{rendition}/{number}-{of}.ts`; nobody waits for it. Never rejects. */
  async keep({ bytes, format, manifestId, of, rendition, sequence }: FailedSegment): Promise<void> {
    if (!this.#store || this.#atWork >= MAX_AT_ONCE) return
    this.#atWork++
    const name = `${sequence}-${of.replace(/[^0-9A-Za-z.-]/g, '_')}${extensionOf(format)}`
    try {
      await this.#store.save(`${manifestId}/${rendition}/${name}`, bytes)
    } catch (error) {
      const store = this.#store.shown
      this.#log.warn('failed segment was not kept', { manifestId, sequence, store, reason: messageOf(error) })
    } finally {
      this.#atWork--
    }
  }
}
