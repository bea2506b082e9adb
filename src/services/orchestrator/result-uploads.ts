import type { StorageInfo } from '../../domain/segment.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
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

/** A store of this node's own, from which gateways can fetch. */
export interface OwnStore {
  /** Without keys. */
  readonly shown: string
  save(path: string, bytes: Uint8Array, options: { readonly signal: AbortSignal }): Promise<string>
}

/** A result: a path below its session. */
export interface ResultFile {
  readonly sessionId: string
  readonly path: string
  readonly bytes: Uint8Array
}

/**
 * Saves results outside this node: in the stores of gateways, otherwise in one of its own. What neither takes in time stays
 * here.
 */
export class ResultUploads {
  readonly #forms: UploadForms | null
  readonly #own: OwnStore | null
  readonly #clock: Clock
  readonly #log: Log
  /** By where the store is: until when it is left alone, the oldest first. */
  readonly #avoided = new Map<string, number>()

  constructor(
    places: {
      /** Null where nothing is saved in stores of gateways. */
      readonly forms: UploadForms | null
      /** `-objectStore`; null for none. */
      readonly own: OwnStore | null
    },
    { clock, log }: { readonly clock: Clock; readonly log: Log },
  ) {
    this.#forms = places.forms
    this.#own = places.own
    this.#clock = clock
    this.#log = log
  }

  /** The URL of a result in a store outside; null where it is in none. Throws only when the signal is aborted. */
  async save(
    storage: StorageInfo | null,
    { bytes, path, sessionId }: ResultFile,
    limits: UploadLimits,
  ): Promise<string | null> {
    const [forms, own] = [this.#forms, this.#own]
    const s3 = storage && storage.kind !== 'direct' ? storage.s3 : null
    if (forms && storage && s3) {
      const url = await this.#try(s3.host, maskUrl(s3.host), limits, (limitMs, signal) =>
        forms.upload(storage, path, bytes, { limitMs, signal }),
      )
      if (url !== null) return url
    }
    if (!own) return null
    return await this.#try(own.shown, own.shown, limits, (limitMs, signal) =>
      own.save(`${sessionId}/${path}`, bytes, {
        signal: AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(limitMs))]),
      }),
    )
  }

  async #try(
    at: string,
    store: string,
    { limitMs, signal }: UploadLimits,
    work: (limitMs: number, signal: AbortSignal) => Promise<string>,
  ): Promise<string | null> {
    const limit = Math.min(UPLOAD_MS, limitMs / 2)
    if (limit < MIN_UPLOAD_MS || (this.#avoided.get(at) ?? 0) > this.#clock.now()) return null
    try {
      return await work(limit, signal)
    } catch (error) {
      if (signal.aborted) throw error
      this.#avoid(at)
      this.#log.info('result was not saved in a store', { store, reason: messageOf(error) })
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
