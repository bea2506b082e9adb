import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2'
import type { SeenMember } from '../../domain/member.ts'
import { SiblingError } from '../../domain/sibling-call.ts'
import { messageOf } from '../../lib/errors.ts'
import { beginResponse, type HttpResponse } from './server-response.ts'

/** The informational status by which a sibling says that it has admitted a segment, and waits for its bytes. */
export const ADMITTED_STATUS = 103

/** The fields of a result's answer. */
const PASSED_BACK = [
  ...['content-type', 'content-length', 'cache-control'],
  ...['access-control-allow-origin', 'access-control-expose-headers'],
] as const

/** What a sibling said to a segment: it waits for the bytes, or its answer is final. */
export type Verdict = { readonly kind: 'admitted' } | { readonly kind: 'answer'; readonly head: Head }

/** The head of an answer. */
export interface Head {
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

/** One request to a sibling and its answer, within limits of time. */
export class SiblingExchange {
  readonly #sibling: SeenMember
  readonly #stream: ClientHttp2Stream
  readonly #session: ClientHttp2Stream['session']
  readonly #gone: AbortSignal
  readonly #admitted = Promise.withResolvers<void>()
  readonly #head = Promise.withResolvers<Head>()
  /** Rejects when the stream ends before its answer. */
  readonly #lost = Promise.withResolvers<never>()
  #error: unknown = null
  readonly #onGone = () => this.#stream.close(constants.NGHTTP2_CANCEL)

  constructor(sibling: SeenMember, stream: ClientHttp2Stream, gone: AbortSignal) {
    this.#sibling = sibling
    this.#stream = stream
    this.#session = stream.session
    this.#gone = gone
    for (const { promise } of [this.#admitted, this.#head, this.#lost]) promise.catch(() => {})
    if (gone.aborted) this.#onGone()
    gone.addEventListener('abort', this.#onGone, { once: true })
    stream.on('headers', (headers: IncomingHttpHeaders & { ':status'?: number }) => {
      if (headers[':status'] === ADMITTED_STATUS) this.#admitted.resolve()
    })
    stream.on('response', (headers: IncomingHttpHeaders & { ':status'?: number }) => {
      this.#head.resolve({ status: Number(headers[':status']), headers })
    })
    stream.on('error', (error) => {
      this.#error = error
    })
    stream.on('close', () => this.#lost.reject(this.#loss()))
  }

  /** Whether the segment was admitted, or the answer that came instead. */
  verdict(limitMs: number): Promise<Verdict> {
    const admitted = this.#admitted.promise.then(() => ({ kind: 'admitted' }) as const)
    const answered = this.#head.promise.then((head) => ({ kind: 'answer', head }) as const)
    return this.#within(limitMs, Promise.race([admitted, answered]))
  }

  head(limitMs: number): Promise<Head> {
    return this.#within(limitMs, this.#head.promise)
  }

  /** The whole body of the answer. */
  async body(maxBytes: number, limitMs: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    let length = 0
    const whole = Promise.withResolvers<Uint8Array>()
    whole.promise.catch(() => {})
    this.#stream.on('data', (chunk: Uint8Array) => {
      length += chunk.length
      if (length <= maxBytes) chunks.push(chunk)
      else whole.reject(rubbish(this.#sibling, `its answer has more than ${maxBytes} bytes`))
    })
    this.#stream.once('end', () => {
      if (this.#isWhole) whole.resolve(Buffer.concat(chunks))
    })
    return this.#within(limitMs, whole.promise)
  }

  /** Sends the answer on as it comes. */
  async pipeTo(response: HttpResponse, { headers, status }: Head, limitMs: number): Promise<void> {
    const fields = PASSED_BACK.flatMap((name) => (headers[name] ? [[name, String(headers[name])]] : []))
    const target = 'stream' in response ? response.stream : response
    if (target.destroyed) return
    beginResponse(response, status, { headers: Object.fromEntries(fields), mayBreakOff: true })
    const done = Promise.withResolvers<void>()
    this.#stream.once('end', () => {
      if (!this.#isWhole) return
      target.end()
      done.resolve()
    })
    this.#stream.pipe(target, { end: false })
    await this.#within(limitMs, done.promise)
  }

  end(): void {
    this.#gone.removeEventListener('abort', this.#onGone)
    if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_CANCEL)
  }

  get #isWhole(): boolean {
    return this.#stream.rstCode === constants.NGHTTP2_NO_ERROR && !this.#session?.destroyed
  }

  async #within<T>(limitMs: number, wanted: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>()
    const text = `${this.#sibling.address} did not answer within ${limitMs / 1000} s`
    const timer = setTimeout(() => late.reject(new SiblingError('sibling-lost', text)), limitMs)
    try {
      return await Promise.race([wanted, this.#lost.promise, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  #loss(): SiblingError {
    const { address } = this.#sibling
    // By HTTP/2, a stream that is refused was not begun.
    if (this.#stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) {
      return new SiblingError('sibling-unreachable', `${address} takes no more requests on this connection`)
    }
    const why = this.#error ? messageOf(this.#error) : `the stream was reset (${this.#stream.rstCode})`
    return new SiblingError('sibling-lost', `the exchange with ${address} broke off: ${why}`)
  }
}

/** The error for an answer that no node would give. */
export function rubbish({ address }: SeenMember, what: string): SiblingError {
  return new SiblingError(
    'sibling-rubbish',
    `${address} does not answer as a node of this version would: ${what}`,
  )
}
