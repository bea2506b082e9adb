import type { ClientHttp2Stream } from 'node:http2'
import type { NodeEvents } from '../../domain/events.ts'
import type { SeenMember } from '../../domain/member.ts'
import { type SegmentData, segmentLimitMs } from '../../domain/segment.ts'
import { SiblingError } from '../../domain/sibling-call.ts'
import { messageOf } from '../../lib/errors.ts'
import { FairBudget, type Holder } from '../../lib/fair-budget.ts'
import type { Log } from '../../lib/log.ts'
import type { Siblings } from '../../services/cluster/siblings.ts'
import { decodeTranscodeResult } from './convert-result.ts'
import { PAYMENT_HEADER, SEGMENT_HEADER } from './headers.ts'
import { KeptBody } from './kept-body.ts'
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
import { type Head, rubbish, SiblingExchange } from './sibling-exchange.ts'
import { MAX_MESSAGE_BYTES } from './wire-message.ts'

/** The host of the gateway whose segment is handed over; empty for one of this operator. */
export const SIBLING_HOST_HEADER = 'livepeer-sibling-host'
/** Marks a segment that another node may have admitted before, and so taken its payment. */
export const SIBLING_AGAIN_HEADER = 'livepeer-sibling-again'
/** Goes with a refusal that concerns only the node itself: another one may take the segment. */
export const SIBLING_REFUSAL_HEADER = 'livepeer-sibling-refusal'
/** Its value where the node has no room, and where it cannot do it, or has no store. */
export const CAPPED = 'capped'
export const UNABLE = 'unable'

/**
 * How long a sibling may take to admit a segment: it checks the payment, and writes it to the store or, after 1.5 s, to its
 * journal. Gateways wait for 2 s or longer, so that there is time for another one.
 */
const ADMIT_MS = 1_700
/** A segment is done within its limit; its body may take many times as long to arrive (see `segment-bodies.ts`). */
const BODY_PATIENCE = 12
const MAX_HANDED_MS = 660_000
/** Segments that are handed over at a time: in all, of a session, of a host. */
const MAX_HANDED = 2_000
const MAX_PER_SESSION = 5
const MAX_PER_HOST = 1_000
/** Bodies that are kept in case their sibling dies: a session may have a quarter, a host three quarters. */
const MAX_KEPT_BYTES = 256_000_000
/** How often a segment may be lost with its sibling before it is given up. */
const MAX_LOSSES = 1
/** Text of a refusal, which is passed on. */
const MAX_REFUSAL_BYTES = 4_096
/** Results that are fetched from siblings at a time, of one host. */
const MAX_FETCHES_PER_HOST = 512
const FETCH_HEADERS_MS = 4_000
const FETCH_MS = 120_000

/** The fields of a segment's request that its sibling needs. */
const PASSED_ON = [SEGMENT_HEADER, PAYMENT_HEADER, 'content-type', 'content-length'] as const
/** A gateway's request for a segment, of which nothing was read but its headers. */
export interface SegmentRequest {
  readonly request: HttpRequest
  readonly response: HttpResponse
  readonly segment: SegmentData
  /** Whether its payment may have been taken, although it was refused. */
  readonly mayBePaid: boolean
  /** As named by `hostOf`; null for a node of this operator. */
  readonly host: string | null
  /** Aborted when the gateway disconnects. */
  readonly gone: AbortSignal
}

/** What hand-over needs. */
export interface HandOverNeeds {
  readonly siblings: Siblings
  /** Who keeps the results of nodes that have left; absent: nobody. */
  readonly successors?: { of(node: string): string | null }
  readonly client: SiblingClient
  readonly events: NodeEvents
  readonly log: Log
}

/**
 * Hands requests to the other nodes of a cluster: segments for which this node has no room, or that it cannot do or record,
 * and results that another one holds. Bodies and answers are streamed.
 */
export class HandOver {
  readonly #needs: HandOverNeeds
  readonly #handed = new FairBudget(MAX_KEPT_BYTES)
  readonly #fetches = new FairBudget(0)

  constructor(needs: HandOverNeeds) {
    this.#needs = needs
  }

  /**
   * Hands a segment to the first sibling that admits it. False if none does, and nothing was answered. A segment that is lost
   * with its sibling goes to one more, if its body was kept.
   */
  async segment(handed: SegmentRequest): Promise<boolean> {
    const { events, siblings } = this.#needs
    const { gone, host, request, segment } = handed
    const session = segment.authToken?.sessionId ?? ''
    const holder = (name: string, maxShares: number, part: number): Holder => {
      return { name, maxShares, maxBytes: part * MAX_KEPT_BYTES }
    }
    const share = this.#handed.open([
      ...[holder('all', MAX_HANDED, 1), holder(`session ${session}`, MAX_PER_SESSION, 1 / 4)],
      ...(host === null ? [] : [holder(`host ${host}`, MAX_PER_HOST, 3 / 4)]),
    ])
    if (!share) return false
    const body = new KeptBody(request, share)
    let losses = 0
    try {
      for (const sibling of siblings.toAsk(segment.capabilities?.bitstring)) {
        const outcome = gone.aborted ? 'answered' : await this.#handTo(sibling, handed, { body, losses })
        if (outcome !== 'refused' && !gone.aborted) {
          events.tell({ kind: 'segment-handed-over', sibling: sibling.address, outcome })
        }
        if (outcome === 'answered') return true
        if (outcome === 'lost' && (++losses > MAX_LOSSES || !body.isKept)) break
      }
      if (losses > 0) lose(request, handed.response)
      return losses > 0
    } finally {
      body.end()
      share.close()
    }
  }

  /**
   * Answers with a result that a sibling holds, at this path, percent-encoded; of one that has left, its successor. False if
   * neither is known.
   */
  async result(
    node: string,
    path: string,
    { host, request, response }: Pick<SegmentRequest, 'host' | 'request' | 'response'>,
  ): Promise<boolean> {
    const { siblings, successors } = this.#needs
    const heir = successors?.of(node) ?? null
    const successor = heir === null ? null : await siblings.holder(heir)
    const sibling = successor ? null : await siblings.holder(node)
    if (!successor && !sibling) return false
    const name = host ?? 'own'
    const place = this.#fetches.open([{ name, maxBytes: 0, maxShares: MAX_FETCHES_PER_HOST }])
    if (!place) {
      refuse(request, response, 503, 'too many results are being fetched: try again later')
      return true
    }
    try {
      if (successor) {
        const kept = `${SIBLING_PATHS.kept}${node}/${path}`
        if (await this.#fetch(successor, kept, { request, response, mayBeElsewhere: true })) return true
      }
      const holder = sibling ?? (await siblings.holder(node))
      if (!holder) return false
      await this.#fetch(holder, `${SIBLING_PATHS.results}${path}`, { request, response })
    } finally {
      place.close()
    }
    return true
  }

  async #handTo(
    sibling: SeenMember,
    handed: SegmentRequest,
    so: { readonly body: KeptBody; readonly losses: number },
    isAgain = false,
  ): Promise<'answered' | 'refused' | 'lost'> {
    const { client, log, siblings } = this.#needs
    let stream: ClientHttp2Stream | null = null
    try {
      const headers = headersFor(handed, handed.mayBePaid || so.losses > 0)
      stream = await client.stream(sibling, { method: 'POST', path: SIBLING_PATHS.segment, headers })
      stream.once('close', siblings.handed(sibling))
      return await this.#follow(sibling, stream, handed, so.body)
    } catch (error) {
      if (handed.gone.aborted) return 'answered'
      const isUnseen = error instanceof SiblingError && error.code === 'sibling-unreachable'
      // It gave up that connection, and may take another one.
      if (stream && isUnseen && !isAgain) return await this.#handTo(sibling, handed, so, true)
      siblings.failed(sibling, error)
      if (isUnseen) return 'refused'
      log.warn('segment lost at a sibling', { seq: handed.segment.seq, sibling: sibling.address, error })
      return 'lost'
    }
  }

  /** Streams a segment to a sibling and its answer back. */
  async #follow(
    sibling: SeenMember,
    stream: ClientHttp2Stream,
    { gone, request, response, segment }: SegmentRequest,
    body: KeptBody,
  ): Promise<'answered' | 'refused'> {
    const { siblings } = this.#needs
    const exchange = new SiblingExchange(sibling, stream, gone)
    try {
      const verdict = await exchange.verdict(ADMIT_MS)
      const refusal = verdict.kind === 'answer' ? verdict.head.headers[SIBLING_REFUSAL_HEADER] : null
      if (refusal === CAPPED || refusal === UNABLE) {
        siblings.answered(sibling)
        if (refusal === CAPPED) siblings.refused(sibling)
        return 'refused'
      }
      if (verdict.kind === 'admitted') void body.sendTo(stream)
      const limitMs = Math.min(MAX_HANDED_MS, BODY_PATIENCE * segmentLimitMs(segment.durationMs))
      const head = verdict.kind === 'answer' ? verdict.head : await exchange.head(limitMs)
      if (head.status === 200) {
        if (!response.headersSent) beginResponse(response, 200, { mayBreakOff: true })
        const result = await exchange.body(MAX_MESSAGE_BYTES, limitMs)
        checkResult(sibling, result)
        completeResponse(response, result)
      } else {
        const text = await exchange.body(MAX_REFUSAL_BYTES, limitMs)
        checkRefusal(sibling, head)
        body.end()
        // A status that was sent before, for a sibling that died, cannot be taken back.
        if (response.headersSent) abortResponse(response)
        respond(request, response, head.status, text, { 'content-type': 'text/plain; charset=utf-8' })
      }
      siblings.answered(sibling)
      return 'answered'
    } finally {
      exchange.end()
      body.stop()
    }
  }

  /** False if the result may be elsewhere, and nothing was answered. */
  async #fetch(
    sibling: SeenMember,
    path: string,
    {
      isAgain = false,
      mayBeElsewhere = false,
      request,
      response,
    }: Pick<SegmentRequest, 'request' | 'response'> & {
      readonly isAgain?: boolean
      readonly mayBeElsewhere?: boolean
    },
  ): Promise<boolean> {
    const { client, log, siblings } = this.#needs
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    let exchange: SiblingExchange | null = null
    try {
      const stream = await client.stream(sibling, { method: 'GET', path })
      exchange = new SiblingExchange(sibling, stream, gone.signal)
      const head = await exchange.head(FETCH_HEADERS_MS)
      if (head.status === 404) {
        siblings.answered(sibling)
        if (mayBeElsewhere) return false
        refuse(request, response, 404, 'ErrNotFound')
        return true
      }
      if (head.status !== 200) throw rubbish(sibling, `it answered ${head.status} when asked for a result`)
      siblings.answered(sibling)
      await exchange.pipeTo(response, head, FETCH_MS)
      return true
    } catch (error) {
      if (gone.signal.aborted) return true
      const isUnseen = error instanceof SiblingError && error.code === 'sibling-unreachable'
      // It may have just started again, with another certificate.
      const restarted = isUnseen && !isAgain ? await siblings.anew(sibling) : null
      if (restarted)
        return await this.#fetch(restarted, path, { isAgain: true, mayBeElsewhere, request, response })
      siblings.failed(sibling, error)
      log.debug('result not fetched from a sibling', { sibling: sibling.address, error })
      if (mayBeElsewhere && !response.headersSent) return false
      lose(request, response)
      return true
    } finally {
      exchange?.end()
    }
  }
}

/** The request as it came, but for what only siblings tell one another. */
function headersFor({ host, request }: SegmentRequest, isAgain: boolean): Record<string, string> {
  const passed = PASSED_ON.flatMap((name) => {
    const value = request.headers[name]
    return typeof value === 'string' ? [[name, value] as const] : []
  })
  return {
    ...Object.fromEntries(passed),
    [SIBLING_HOST_HEADER]: host ?? '',
    ...(isAgain && { [SIBLING_AGAIN_HEADER]: '1' }),
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
