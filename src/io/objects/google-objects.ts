import { randomUUID } from 'node:crypto'
import type { StorePlace } from '../../domain/store-address.ts'
import { encodePath } from '../../domain/stream-name.ts'
import { abortError } from '../../lib/errors.ts'
import {
  checkObjectPath,
  isObjectPath,
  type Listing,
  type ListOptions,
  type LoadOptions,
  MAX_LISTED,
  MAX_OBJECT_BYTES,
  type SaveOptions,
  StoreError,
} from '../../lib/object-store.ts'
import { unlessAborted } from '../../lib/patience.ts'
import type { OutsideStore } from '../../services/gateway/outside-store.ts'
import { type BucketOptions, behind, readBounded } from './bucket.ts'
import { contentTypeOf } from './content-type.ts'
import { readGoogleListing } from './google-listing.ts'
import { googleTokens, type TokenSource } from './google-token.ts'
import { removeAll } from './remove-all.ts'

/** A bucket of Google. */
export type GooglePlace = StorePlace & { readonly kind: 'google' }

const REQUEST_MS = 10_000
/** Of the answer to anything but a load. */
const MAX_ANSWER_BYTES = 16_000_000

/**
 * A bucket of Google Cloud Storage, over its JSON API. Other nodes are given nothing to upload with: peers do not take
 * Google's forms (wire.md §19), so that the gateway saves their results itself.
 */
export class GoogleObjects implements OutsideStore {
  readonly shown: string
  readonly #place: GooglePlace
  readonly #isPublic: boolean
  readonly #tokens: () => Promise<TokenSource>
  #opened: Promise<TokenSource> | null = null

  constructor(
    place: GooglePlace,
    { isPublic, shown }: BucketOptions,
    needs: { readonly tokens?: () => Promise<TokenSource> } = {},
  ) {
    this.shown = shown
    this.#place = place
    this.#isPublic = isPublic
    this.#tokens = needs.tokens ?? (() => googleTokens(place.key))
  }

  async save(path: string, bytes: Uint8Array, { durationMs, signal }: SaveOptions = {}): Promise<string> {
    checkObjectPath(path)
    const { bucket, prefix, setsAcl } = this.#place
    const query = new URLSearchParams({ uploadType: 'multipart' })
    if (this.#isPublic && setsAcl) query.set('predefinedAcl', 'publicRead')
    const contentType = contentTypeOf(path)
    const facts = {
      ...{ name: prefix + path, contentType },
      ...(durationMs !== undefined && { metadata: { duration: String(Math.trunc(durationMs)) } }),
    }
    const boundary = randomUUID()
    const head = `--${boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n${JSON.stringify(facts)}\r\n--${boundary}\r\nContent-Type: ${contentType}\r\n\r\n`
    const body = Buffer.concat([Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)])
    const headers = { 'content-type': `multipart/related; boundary=${boundary}` }
    const url = `/upload/storage/v1/b/${bucket}/o?${query}`
    await this.#ask({ url, method: 'POST', headers, body, maxBytes: MAX_ANSWER_BYTES }, signal)
    return this.urlOf(path)
  }

  async load(
    path: string,
    { maxBytes = MAX_OBJECT_BYTES, signal }: LoadOptions = {},
  ): Promise<Uint8Array | null> {
    if (!isObjectPath(path)) return null
    return await this.#ask({ url: `${this.#objectUrl(path)}?alt=media`, method: 'GET', maxBytes }, signal)
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Listing> {
    const { after = '', limit = MAX_LISTED, shallow = false, signal } = options
    const { bucket, prefix: root } = this.#place
    const most = Math.max(1, Math.min(limit, MAX_LISTED))
    const query = new URLSearchParams({
      prefix: root + prefix,
      // A file that was named comes once more.
      maxResults: String(most + 1),
      fields: 'items(name,size,updated),prefixes,nextPageToken',
      ...(shallow && { delimiter: '/' }),
      ...(after !== '' && { startOffset: root + behind(after) }),
    })
    const url = `/storage/v1/b/${bucket}/o?${query}`
    const answer = await this.#ask({ url, method: 'GET', maxBytes: MAX_ANSWER_BYTES }, signal)
    if (!answer) throw new StoreError('store-refused', `${this.shown} is not there`)
    const listing = readGoogleListing(answer, { root, after, most })
    if (!listing) throw new StoreError('store-unreachable', `${this.shown} answers with no listing`)
    return listing
  }

  async remove(path: string): Promise<void> {
    if (!isObjectPath(path)) return
    await this.#ask({ url: this.#objectUrl(path), method: 'DELETE', maxBytes: MAX_ANSWER_BYTES }, undefined)
  }

  drop(prefix: string): Promise<void> {
    return removeAll(this, prefix)
  }

  urlOf(path: string): string {
    const { bucket, endpoint, prefix } = this.#place
    return `${endpoint}/${bucket}/${encodePath(prefix + path)}`
  }

  grant(): null {
    return null
  }

  async #token(): Promise<string> {
    this.#opened ??= this.#tokens()
    return await (await this.#opened)()
  }

  #objectUrl(path: string): string {
    const { bucket, prefix } = this.#place
    return `/storage/v1/b/${bucket}/o/${encodeURIComponent(prefix + path)}`
  }

  /** The body of a good answer; null where there is no such thing. */
  async #ask(
    { body, headers = {}, maxBytes, method, url }: Asked,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array | null> {
    if (signal?.aborted) throw abortError(signal)
    const limit = AbortSignal.timeout(REQUEST_MS)
    const either = signal ? AbortSignal.any([signal, limit]) : limit
    try {
      const token = await unlessAborted(this.#token(), either)
      const response = await fetch(this.#place.endpoint + url, {
        ...{ method, redirect: 'error', signal: either },
        headers: { ...headers, authorization: `Bearer ${token}` },
        ...(body && { body: body as Uint8Array<ArrayBuffer> }),
      })
      if (response.ok) return await readBounded(response.body ?? [], maxBytes)
      await response.body?.cancel()
      if (response.status === 404 && method !== 'POST') return null
      const { status } = response
      const code = status >= 500 || status === 408 || status === 429 ? 'store-unreachable' : 'store-refused'
      throw new StoreError(code, `${this.shown} answers ${status}`)
    } catch (error) {
      if (signal?.aborted) throw abortError(signal)
      if (error instanceof StoreError) {
        // A key that could not be read may be there at the next try.
        if (error.code === 'store-refused') this.#opened = null
        throw error
      }
      const what = limit.aborted ? `did not answer within ${REQUEST_MS} ms` : 'cannot be reached'
      throw new StoreError('store-unreachable', `${this.shown} ${what}`)
    }
  }
}

interface Asked {
  /** Behind the endpoint. */
  readonly url: string
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly maxBytes: number
}
