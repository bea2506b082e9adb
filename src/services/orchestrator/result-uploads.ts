import type { StorageInfo } from '../../domain/segment.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { maskUrl } from '../../lib/mask-url.ts'

/** Time limit of one upload; shorter where less of the segment's time is left, half of which is for the answer. */
const UPLOAD_MS = 4_000
const MIN_UPLOAD_MS = 250
/** A store that took no result is left alone for this long, so that it holds up no further segment. */
const AVOIDED_MS = 30_000
const MAX_AVOIDED = 1_000

/** How long uploads may take: what is left of the segment's time, and what ends them. */
export interface UploadLimits {
  readonly limitMs: number
  readonly signal: AbortSignal
}

/** Uploads by the forms that gateways hand out. */
export interface UploadForms {
  /** Saves bytes below the key of the form; gives their URL. Throws, without a secret in the message. */
  upload(
    storage: StorageInfo,
    path: string,
    bytes: Uint8Array,
    limits: { readonly limitMs: number; readonly signal: AbortSignal },
  ): Promise<string>
}

/** Saves results in the stores of gateways. What such a store does not take in time stays at this node. */
export class ResultUploads {
  readonly #forms: UploadForms
  readonly #clock: Clock
  readonly #log: Log
  /** By where the store is: until when it is left alone, the oldest first. */
  readonly #avoided = new Map<string, number>()

  constructor(forms: UploadForms, { clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#forms = forms
    this.#clock = clock
    this.#log = log
  }

  /** The URL of a result in a gateway's store; null where it is not there. Throws only when the signal is aborted. */
  async save(
    storage: StorageInfo,
    path: string,
    bytes: Uint8Array,
    { limitMs, signal }: UploadLimits,
  ): Promise<string | null> {
    if (storage.kind === 'direct' || !storage.s3) return null
    const { host } = storage.s3
    const limit = Math.min(UPLOAD_MS, limitMs / 2)
    if (limit < MIN_UPLOAD_MS || (this.#avoided.get(host) ?? 0) > this.#clock.now()) return null
    try {
      return await this.#forms.upload(storage, path, bytes, { limitMs: limit, signal })
    } catch (error) {
      if (signal.aborted || isAbort(error)) throw error
      this.#avoid(host)
      this.#log.info('result stays here, since the store of its gateway does not take it', {
        ...{ store: maskUrl(host), reason: messageOf(error) },
      })
      return null
    }
  }

  #avoid(host: string): void {
    this.#avoided.delete(host)
    this.#avoided.set(host, this.#clock.now() + AVOIDED_MS)
    for (const oldest of this.#avoided.keys()) {
      if (this.#avoided.size <= MAX_AVOIDED) break
      this.#avoided.delete(oldest)
    }
  }
}
