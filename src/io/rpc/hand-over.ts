import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2'
import type { SeenMember } from '../../domain/member.ts'
import { type SegmentData, segmentLimitMs } from '../../domain/segment.ts'
import { SiblingError } from '../../domain/sibling-call.ts'
import { messageOf } from '../../lib/errors.ts'
import { FairBudget, type Holder } from '../../lib/fair-budget.ts'
import type { Log } from '../../lib/log.ts'
import type { Siblings } from '../../services/cluster/siblings.ts'
import { decodeTranscodeResult } from './convert-result.ts'
import { PAYMENT_HEADER, SEGMENT_HEADER } from './headers.ts'
import {
  abortResponse,
  beginResponse,
  completeResponse,
  type HttpRequest,
  type HttpResponse,
  refuse,
  respond,
} from './server-response.ts'
import { SIBLING_PATHS, type SiblingClient } from './sibling-client.ts'
import { MAX_MESSAGE_BYTES } from './wire-message.ts'

/** The host of the gateway whose segment is handed over; empty for one of this operator. */
export const SIBLING_HOST_HEADER = 'livepeer-sibling-host'
/** Goes with a refusal that concerns only the node itself: another one may take the segment. */
export const SIBLING_REFUSAL_HEADER = 'livepeer-sibling-refusal'
/** Its value where the node has no room. */
export const CAPPED = 'capped'
/** The informational status by which a sibling says that it has admitted a segment, and waits for its bytes. */
export const ADMITTED_STATUS = 103

/** How long a sibling may take to admit a segment: it checks the payment and writes it to the store. */
const ADMIT_MS = 5_000
/** A segment is done within its limit; its body may take many times as long to arrive (see `segment-bodies.ts`). */
const BODY_PATIENCE = 12
const MAX_HANDED_MS = 660_000
/** Segments that are handed over at a time: in all, of a session, of a host. */
const MAX_HANDED = 2_000
const MAX_PER_SESSION = 5
const MAX_PER_HOST = 1_000
/** Text of a refusal, which is passed on. */
const MAX_REFUSAL_BYTES = 4_096
/** Results that are fetched from siblings at a time, of one host. */
const MAX_FETCHES_PER_HOST = 512
const FETCH_HEADERS_MS = 4_000
const FETCH_MS = 120_000

/** The fields of a segment's request that its sibling needs. */
const PASSED_ON = [SEGMENT_HEADER, PAYMENT_HEADER, 'content-type', 'content-length'] as const
/** The fields of a result's answer. */
const PASSED_BACK = [
  ...['content-type', 'content-length', 'cache-control'],
  ...['access-control-allow-origin', 'access-control-expose-headers'],
] as const

/** A gateway's request for a segment, of which nothing was read but its headers. */
export interface SegmentRequest {
  readonly request: HttpRequest
  readonly response: HttpResponse
  readonly segment: SegmentData
  /** As named by `hostOf`; null for a node of this operator. */
  readonly host: string | null
  /** Aborted when the gateway disconnects. */
  readonly gone: AbortSignal
}

/** What hand-over needs. */
export interface HandOverNeeds {
  readonly siblings: Siblings
  readonly client: SiblingClient
  readonly log: Log
}

/** What a sibling said to a segment: it waits for the bytes, or its answer is final. */
type Verdict = { readonly kind: 'admitted' } | { readonly kind: 'answer'; readonly head: Head }

interface Head {
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

/**
 * Hands requests to the other nodes of a cluster: segments for which this node has no room, and results that another one
 * holds. Bodies and answers are streamed.
 */
export class HandOver {
  readonly #needs: HandOverNeeds
  readonly #handed = new FairBudget(0)
  readonly #fetches = new FairBudget(0)

  constructor(needs: HandOverNeeds) {
    this.#needs = needs
  }

  /**
   * Hands a segment to the first sibling that admits it. False if none does, and nothing was answered. Once a sibling may
   * have admitted it, and so taken its payment, no other is asked.
   */
  async segment(handed: SegmentRequest): Promise<boolean> {
    const { siblings } = this.#needs
    const { gone, host, segment } = handed
    const holders: Holder[] = [
      { name: 'all', maxBytes: 0, maxShares: MAX_HANDED },
      {
        name: `session ${segment.authToken?.sessionId ?? ''}`,
        ...{ maxBytes: 0, maxShares: MAX_PER_SESSION },
      },
      ...(host === null ? [] : [{ name: `host ${host}`, maxBytes: 0, maxShares: MAX_PER_HOST }]),
    ]
    const place = this.#handed.open(holders)
    if (!place) return false
    try {
      for (const sibling of siblings.toAsk) {
        if (gone.aborted || (await this.#handTo(sibling, handed))) return true
      }
      return false
    } finally {
      place.close()
    }
  }

  /** Answers with a result that a sibling holds, at this path, percent-encoded. False if that sibling is not known. */
  async result(
    node: string,
    path: string,
    { host, request, response }: Pick<SegmentRequest, 'host' | 'request' | 'response'>,
  ): Promise<boolean> {
    const sibling = this.#needs.siblings.callable(node)
    if (!sibling) return false
    const name = host ?? 'own'
    const place = this.#fetches.open([{ name, maxBytes: 0, maxShares: MAX_FETCHES_PER_HOST }])
    if (!place) {
      refuse(request, response, 503, 'too many results are being fetched: try again later')
      return true
    }
    try {
      await this.#fetch(sibling, path, request, response)
    } finally {
      place.close()
    }
    return true
  }

  /** True once the segment is answered; false if another sibling may be asked. */
  async #handTo(sibling: SeenMember, handed: SegmentRequest, isAgain = false): Promise<boolean> {
    const { client, siblings } = this.#needs
    const { host, request } = handed
    const passed = PASSED_ON.flatMap((name) => {
      const value = request.headers[name]
      return typeof value === 'string' ? [[name, value] as const] : []
    })
    const headers = { ...Object.fromEntries(passed), [SIBLING_HOST_HEADER]: host ?? '' }
    let stream: ClientHttp2Stream
    try {
      stream = await client.stream(sibling, { method: 'POST', path: SIBLING_PATHS.segment, headers })
    } catch (error) {
      siblings.failed(sibling, error)
      return false
    }
    const over = siblings.handed(sibling)
    stream.once('close', over)
    try {
      return await this.#follow(sibling, stream, handed)
    } catch (error) {
      if (handed.gone.aborted) return true
      const isUnseen = error instanceof SiblingError && error.code === 'sibling-unreachable'
      // It gave up that connection, and may take another one.
      if (isUnseen && !isAgain) return await this.#handTo(sibling, handed, true)
      siblings.failed(sibling, error)
      if (isUnseen) return false
      const { segment } = handed
      this.#needs.log.warn('segment lost at a sibling', { seq: segment.seq, sibling: sibling.address, error })
      lose(handed.request, handed.response)
      return true
    } finally {
      if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL)
    }
  }

  /** Streams a segment to a sibling and its answer back. False if the sibling has no room. */
  async #follow(
    sibling: SeenMember,
    stream: ClientHttp2Stream,
    { gone, request, response, segment }: SegmentRequest,
  ): Promise<boolean> {
    const { siblings } = this.#needs
    const exchange = new Exchange(sibling, stream, gone)
    try {
      const verdict = await exchange.verdict(ADMIT_MS)
      if (verdict.kind === 'answer' && verdict.head.headers[SIBLING_REFUSAL_HEADER] === CAPPED) {
        siblings.answered(sibling)
        siblings.refused(sibling)
        return false
      }
      if (verdict.kind === 'admitted') request.pipe(stream)
      const limitMs = Math.min(MAX_HANDED_MS, BODY_PATIENCE * segmentLimitMs(segment.durationMs))
      const head = verdict.kind === 'answer' ? verdict.head : await exchange.head(limitMs)
      if (head.status !== 200) {
        const text = await exchange.body(MAX_REFUSAL_BYTES, limitMs)
        checkRefusal(sibling, head)
        request.unpipe(stream)
        respond(request, response, head.status, text, { 'content-type': 'text/plain; charset=utf-8' })
      } else {
        beginResponse(response, 200, { mayBreakOff: true })
        const result = await exchange.body(MAX_MESSAGE_BYTES, limitMs)
        checkResult(sibling, result)
        completeResponse(response, result)
      }
      siblings.answered(sibling)
      return true
    } finally {
      exchange.end()
      request.unpipe(stream)
    }
  }

  async #fetch(
    sibling: SeenMember,
    path: string,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const { client, log, siblings } = this.#needs
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    let exchange: Exchange | null = null
    try {
      const stream = await client.stream(sibling, { method: 'GET', path: `${SIBLING_PATHS.results}${path}` })
      exchange = new Exchange(sibling, stream, gone.signal)
      const head = await exchange.head(FETCH_HEADERS_MS)
      if (head.status === 404) {
        siblings.answered(sibling)
        refuse(request, response, 404, 'ErrNotFound')
        return
      }
      if (head.status !== 200) throw rubbish(sibling, `it answered ${head.status} when asked for a result`)
      siblings.answered(sibling)
      await exchange.pipeTo(response, head, FETCH_MS)
    } catch (error) {
      if (gone.signal.aborted) return
      siblings.failed(sibling, error)
      log.debug('result not fetched from a sibling', { sibling: sibling.address, error })
      lose(request, response)
    } finally {
      exchange?.end()
    }
  }
}

/** One request to a sibling and its answer, within limits of time. */
class Exchange {
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

/** Answers as a balancer would whose node is gone; an answer that has begun is cut. */
function lose(request: HttpRequest, response: HttpResponse): void {
  if (response.headersSent) abortResponse(response)
  else refuse(request, response, 502, 'Bad Gateway')
}

function checkResult(sibling: SeenMember, bytes: Uint8Array): void {
  try {
    decodeTranscodeResult(bytes)
  } catch (error) {
    throw rubbish(sibling, `its answer to a segment cannot be read (${messageOf(error)})`)
  }
}

/** The statuses by which nodes refuse segments (wire.md §10). */
const REFUSALS: readonly number[] = [400, 402, 403, 500, 503]

function checkRefusal(sibling: SeenMember, { status }: Head): void {
  if (!REFUSALS.includes(status)) throw rubbish(sibling, `it answered ${status} to a segment`)
}

function rubbish({ address }: SeenMember, what: string): SiblingError {
  return new SiblingError(
    'sibling-rubbish',
    `${address} does not answer as a node of this version would: ${what}`,
  )
}
