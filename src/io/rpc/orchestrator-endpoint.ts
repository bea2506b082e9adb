import { create } from '@bufbuild/protobuf'
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect'
import type {
  AuthToken,
  InfoRequest,
  OrchestratorInfo,
  SegmentData,
  TranscodeResult,
} from '../../domain/segment.ts'
import { type Payment, withoutTickets } from '../../domain/ticket.ts'
import { equalBytes } from '../../lib/bytes.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { keccak256, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Share } from '../../lib/fair-budget.ts'
import type { Log } from '../../lib/log.ts'
import { type PeerLimitOptions, PeerLimits } from '../../lib/peer-limits.ts'
import { BodyError, readBody } from '../../lib/request-body.ts'
import type { Admission, Caller } from '../../services/orchestrator/orchestrator.ts'
import { callError, callPeer, type HttpHandler, type Routes } from './calls.ts'
import { connectionOf, type PeerConnection } from './connection-limits.ts'
import { readAuthToken, readInfoRequest, writeInfo } from './convert-info.ts'
import { encodePaymentResult, encodeTranscodeResult } from './convert-result.ts'
import {
  EndTranscodingSessionResponseSchema,
  Orchestrator,
  OrchestratorInfoSchema,
  PingPongSchema,
} from './gen/lp_rpc_pb.ts'
import { CAPPED, type HandOver, type SegmentRequest, SIBLING_REFUSAL_HEADER, UNABLE } from './hand-over.ts'
import {
  PAYMENT_HEADER,
  parsePaymentHeader,
  parseSegmentHeader,
  SEGMENT_HEADER,
  URI_CONTENT_TYPE,
} from './headers.ts'
import { decodedPath, respondResult } from './result-response.ts'
import { SegmentBodies, type SegmentBodiesOptions } from './segment-bodies.ts'
import {
  abortResponse,
  beginResponse,
  completeResponse,
  disconnectSignal,
  type HttpRequest,
  type HttpResponse,
  refuse,
  respond,
} from './server-response.ts'
import { ADMITTED_STATUS } from './sibling-exchange.ts'
import type { SourceLimits } from './source-fetch.ts'

/** Limits of one host, which may be a balancer with all gateways behind it: each makes a few calls per stream. */
const CALLS = { callsPerSecond: 100, burst: 1_000 }
const MAX_URI_BYTES = 8 * 1024
/** Sent before anything is paid. */
const NO_URIS = 'this orchestrator does not fetch segments that come as a URI: send their bytes'

/** The status for each kind of refusal (wire.md §10). */
const STATUS = {
  ...{ forbidden: 403, capped: 403, incapable: 403, unavailable: 503 },
  ...{ 'payment-refused': 400, 'bad-request': 400, internal: 500 },
} as const
/** Refusals that concern this node only, as a sibling is told them that has handed the segment over. */
const ELSEWHERE: Readonly<Record<string, string>> = { capped: CAPPED, incapable: UNABLE, unavailable: UNABLE }
/** The id of the node of a cluster that holds a result, before its path. */
const NODE_PATH = /^([0-9a-f]{16})\/(.*)$/s

/** The orchestrator behind the endpoint. Refusals are NodeErrors whose message is the text for the peer. */
export interface OrchestratorApi {
  ping(value: Uint8Array): Promise<Uint8Array>
  info(request: InfoRequest, caller: Caller): Promise<OrchestratorInfo>
  endSession(token: AuthToken | null): Promise<void>
  /**
   * Codes of refusal: `forbidden`, `payment-refused`, `bad-request`, `internal`; where another node may take it `capped` (no
   * room), `incapable`, `unavailable` (no store).
   */
  admit(segment: SegmentData, payment: Payment | null, caller: Caller): Promise<Admission>
  /** Like `admit`; resolves with the info for the answer. */
  pay(segment: SegmentData, payment: Payment | null, caller: Caller): Promise<OrchestratorInfo | null>
  /** A result's bytes by the path under `/stream/`, percent-decoded, or null. */
  stored(path: string): Promise<Uint8Array | null>
}

/** Limits, which tests lower. */
export interface OrchestratorEndpointOptions extends SegmentBodiesOptions {
  readonly calls?: Omit<PeerLimitOptions, 'streams'>
}

/** What the endpoint needs. */
export interface OrchestratorEndpointNeeds {
  readonly api: OrchestratorApi
  /** Fetches a segment that is sent as a URI, within these limits; null if that is switched off. */
  readonly fetchSource:
    | ((url: string, limits: SourceLimits, signal: AbortSignal) => Promise<Uint8Array>)
    | null
  readonly log: Log
  readonly clock?: Clock
  /** The cluster that the node belongs to; absent or null where it has a database of its own. */
  readonly cluster?: {
    readonly node: string
    readonly handOver: HandOver
    /** A result that this node keeps for one that has left, by that one's id and the path, percent-decoded. */
    readonly kept?: (node: string, path: string) => Uint8Array | null
  } | null
}

/** What a request for a segment shows. */
interface Credentials {
  readonly segment: SegmentData
  readonly payment: Payment | null
}

/** A segment that a sibling hands over: the gateway's host, as that one counts it. */
export interface HandedOver {
  readonly host: string | null
  /** Another node may have admitted it before, and is lost. */
  readonly isAgain: boolean
}

/** Serves an orchestrator's three calls, segments, payments and results (wire.md §3, §10–§12, §15). */
export class OrchestratorEndpoint implements Routes {
  readonly #needs: OrchestratorEndpointNeeds
  readonly #bodies: SegmentBodies
  readonly #calls: PeerLimits

  constructor(options: OrchestratorEndpointOptions, needs: OrchestratorEndpointNeeds) {
    this.#needs = needs
    this.#bodies = new SegmentBodies(options)
    this.#calls = new PeerLimits(
      { ...(options.calls ?? CALLS), streams: 0 },
      { clock: needs.clock ?? systemClock },
    )
  }

  readonly grpc = (router: ConnectRouter): void => {
    const { api, log } = this.#needs
    const translated = async <Answer>(
      context: HandlerContext,
      work: () => Answer | Promise<Answer>,
    ): Promise<Answer> => {
      const { host } = callerOf(context)
      if (host !== null && !this.#calls.takeCall(host)) {
        throw new ConnectError('too many calls from this host: try again later', Code.ResourceExhausted)
      }
      try {
        return await work()
      } catch (error) {
        throw callError(error, log)
      }
    }
    router.service(Orchestrator, {
      getOrchestrator: (request, context) =>
        translated(context, async () =>
          create(
            OrchestratorInfoSchema,
            writeInfo(await api.info(readInfoRequest(request), callerOf(context))),
          ),
        ),
      endTranscodingSession: ({ authToken }, context) =>
        translated(context, async () => {
          await api.endSession(authToken ? readAuthToken(authToken) : null)
          return create(EndTranscodingSessionResponseSchema)
        }),
      ping: ({ value }, context) =>
        translated(context, async () => create(PingPongSchema, { value: await api.ping(value) })),
    })
  }

  readonly http = (path: string): HttpHandler | null => {
    if (path === '/segment') return (request, response) => this.#segment(request, response)
    if (path === '/payment') return (request, response) => this.#payment(request, response)
    if (path.startsWith('/stream/')) return (request, response) => this.#stored(path, request, response)
    return null
  }

  /** A segment that a sibling has no room for. It is done here or refused, and not handed over again. */
  handed(request: HttpRequest, response: HttpResponse, from: HandedOver): Promise<void> {
    return this.#segment(request, response, from)
  }

  /** A result that this node holds, for a sibling; `path` as in `/stream/…`, without the node's id. */
  own(path: string, request: HttpRequest, response: HttpResponse): Promise<void> {
    disconnectSignal(request, response)
    return this.#ownResult(path, request, response)
  }

  /** POST /segment, in the order of wire.md §10. */
  async #segment(
    request: HttpRequest,
    response: HttpResponse,
    handed: HandedOver | null = null,
  ): Promise<void> {
    const gone = disconnectSignal(request, response)
    // Read now, because a closed connection no longer shows its host.
    const host = handed ? handed.host : hostToCount(connectionOf(request.socket))
    const credentials = readCredentials(request, response)
    if (!credentials) return
    const { segment, payment } = credentials
    if (comesAsUri(request) && !this.#needs.fetchSource) {
      refuse(request, response, 400, NO_URIS)
      return
    }
    const entry = this.#bodies.enter(host)
    if (!entry) {
      refuse(request, response, 503, 'OrchestratorBusy')
      return
    }
    let admission: Admission
    try {
      admission = await this.#admit(credentials, { host, signal: gone }, handed?.isAgain ?? false)
    } catch (error) {
      entry.close()
      const refused = { request, response, segment, host, gone }
      await this.#refuseOrHandOver(error, refused, handed !== null)
      return
    }
    entry.close()
    if (handed && 'stream' in response) response.stream.additionalHeaders({ ':status': ADMITTED_STATUS })
    const share = this.#bodies.open({
      sessionId: segment.authToken?.sessionId ?? '',
      sender: payment?.sender ?? ZERO_ADDRESS,
      host,
    })
    let source: Uint8Array | null = null
    try {
      if (share) source = await this.#source(segment, share, { request, response, gone })
      else refuse(request, response, 503, 'OrchestratorBusy')
      if (!source) return
      // Headers are sent now: the gateway waits for them only for half the segment's duration (wire.md §18, 3).
      beginResponse(response, 200)
      completeResponse(response, encodeTranscodeResult(await this.#result(segment, admission, source, gone)))
    } finally {
      if (!source) admission.release()
      share?.close()
    }
  }

  /** Admits a segment. One whose payment another node may have taken is admitted on the credit that it left, if need be. */
  async #admit({ payment, segment }: Credentials, caller: Caller, isAgain: boolean): Promise<Admission> {
    const { api } = this.#needs
    try {
      return await api.admit(segment, payment, caller)
    } catch (error) {
      const mayBePaid = isAgain && payment && error instanceof NodeError && error.code === 'payment-refused'
      if (!mayBePaid) throw error
      return await api.admit(segment, withoutTickets(payment), caller).catch(() => Promise.reject(error))
    }
  }

  async #refuseOrHandOver(
    error: unknown,
    refused: Omit<SegmentRequest, 'mayBePaid'>,
    isHanded: boolean,
  ): Promise<void> {
    const { request, response } = refused
    const code = error instanceof NodeError ? error.code : ''
    const refusal = ELSEWHERE[code]
    if (refusal !== undefined && isHanded) {
      const status = STATUS[code as keyof typeof STATUS]
      refuse(request, response, status, messageOf(error), { [SIBLING_REFUSAL_HEADER]: refusal })
      return
    }
    // Whether the store has taken its payment is not known.
    const mayBePaid = code === 'unavailable'
    if (refusal !== undefined && (await this.#needs.cluster?.handOver.segment({ ...refused, mayBePaid })))
      return
    this.#refuse(request, response, error)
  }

  /** The result of a segment. A failure from here on is sent in the body (wire.md §10). */
  async #result(
    segment: SegmentData,
    admission: Admission,
    source: Uint8Array,
    gone: AbortSignal,
  ): Promise<TranscodeResult> {
    try {
      return await admission.transcode(source, gone)
    } catch (error) {
      if (!gone.aborted) this.#needs.log.error('a segment failed unexpectedly', { seq: segment.seq, error })
      const text = error instanceof NodeError ? error.message : 'Internal Server Error'
      return { seq: segment.seq, info: null, outcome: { kind: 'error', text } }
    }
  }

  /** The segment's bytes, checked against their announced hash; null if they are wrong and the peer has been told. */
  async #source(
    segment: SegmentData,
    share: Share,
    { gone, request, response }: { request: HttpRequest; response: HttpResponse; gone: AbortSignal },
  ): Promise<Uint8Array | null> {
    const maxBytes = this.#bodies.maxBytes(segment)
    const isUri = comesAsUri(request)
    let source: Uint8Array
    try {
      const limits = this.#bodies.limits(segment, isUri ? MAX_URI_BYTES : maxBytes, share)
      source = await readBody(request, limits)
    } catch (error) {
      if (!(error instanceof BodyError)) throw error
      this.#needs.log.debug('a segment did not arrive', { reason: error.code, seq: segment.seq })
      if (error.code === 'body-too-large') refuse(request, response, 500, 'Internal Server Error')
      else if (error.code === 'no-room') refuse(request, response, 503, 'OrchestratorBusy')
      else abortResponse(response)
      return null
    }
    if (isUri) {
      share.give(source.length)
      const url = Buffer.from(source).toString('utf8')
      try {
        source = await this.#needs.fetchSource!(url, { maxBytes, room: share }, gone)
      } catch (error) {
        this.#needs.log.debug('segment could not be fetched', { error })
        refuse(request, response, 400, 'BadRequest')
        return null
      }
    }
    if (!equalBytes(keccak256(source), segment.hash)) {
      refuse(request, response, 403, 'Forbidden')
      return null
    }
    return gone.aborted ? null : source
  }

  /** POST /payment (wire.md §11). */
  async #payment(request: HttpRequest, response: HttpResponse): Promise<void> {
    const signal = disconnectSignal(request, response)
    const host = hostToCount(connectionOf(request.socket))
    const credentials = readCredentials(request, response)
    if (!credentials) return
    const { segment, payment } = credentials
    try {
      const info = await this.#needs.api.pay(segment, payment, { host, signal })
      respond(request, response, 200, encodePaymentResult(info))
    } catch (error) {
      this.#refuse(request, response, error)
    }
  }

  /** GET /stream/… (wire.md §12). */
  async #stored(path: string, request: HttpRequest, response: HttpResponse): Promise<void> {
    disconnectSignal(request, response)
    const named = path.slice('/stream/'.length)
    const { cluster } = this.#needs
    const [, node, rest = ''] = (cluster && NODE_PATH.exec(named)) || []
    if (!cluster || node === undefined) return this.#ownResult(named, request, response)
    if (node === cluster.node) return this.#ownResult(rest, request, response)
    const kept = cluster.kept?.(node, decodedPath(rest) ?? '') ?? null
    if (kept) return respondResult(request, response, rest, kept)
    const host = hostToCount(connectionOf(request.socket))
    if (await cluster.handOver.result(node, rest, { host, request, response })) return
    refuse(request, response, 404, 'ErrNotFound')
  }

  async #ownResult(path: string, request: HttpRequest, response: HttpResponse): Promise<void> {
    const name = decodedPath(path)
    respondResult(request, response, path, name === null ? null : await this.#needs.api.stored(name))
  }

  #refuse(request: HttpRequest, response: HttpResponse, error: unknown): void {
    const status = error instanceof NodeError ? STATUS[error.code as keyof typeof STATUS] : undefined
    if (status === undefined || status === 500) {
      this.#needs.log.error('a request could not be judged', { error })
      refuse(request, response, 500, 'Internal Server Error')
    } else refuse(request, response, status, messageOf(error))
  }
}

/** Whether a segment's body is its URI (wire.md §10). */
function comesAsUri({ headers }: HttpRequest): boolean {
  return headers['content-type'] === URI_CONTENT_TYPE
}

/** The host that a peer's requests are counted for; null for a peer that belongs to the operator. */
function hostToCount(peer: PeerConnection | null): string | null {
  return peer?.isTrusted ? null : (peer?.host ?? 'unknown')
}

function callerOf({ signal, values }: HandlerContext): Caller {
  return { host: hostToCount(values.get(callPeer)?.connection ?? null), signal }
}

/** The credentials of either request; null if they are wrong and the peer has been told (wire.md §10). */
function readCredentials(request: HttpRequest, response: HttpResponse): Credentials | null {
  let payment: Payment | null
  try {
    payment = parsePaymentHeader(header(request, PAYMENT_HEADER))
  } catch (error) {
    refuse(request, response, 402, messageOf(error))
    return null
  }
  try {
    return { payment, segment: parseSegmentHeader(header(request, SEGMENT_HEADER)) }
  } catch (error) {
    refuse(request, response, 403, messageOf(error))
    return null
  }
}

function header(request: HttpRequest, name: string): string {
  const value = request.headers[name]
  return typeof value === 'string' ? value : ''
}
