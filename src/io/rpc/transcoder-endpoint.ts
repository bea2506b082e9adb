import { create } from '@bufbuild/protobuf'
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect'
import { MAX_SEGMENT_BYTES } from '../../domain/segment.ts'
import type { Notice, Registration } from '../../domain/transcoder-notice.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { NodeError } from '../../lib/errors.ts'
import { FairBudget } from '../../lib/fair-budget.ts'
import type { Log } from '../../lib/log.ts'
import { PeerLimits } from '../../lib/peer-limits.ts'
import { receiveBody } from '../../lib/request-body.ts'
import type { TranscodeOutput } from '../../services/transcoding/transcoder.ts'
import type { TranscoderPeer } from '../../services/transcoding/transcoder-member.ts'
import type { WantedResult } from '../../services/transcoding/transcoder-pool.ts'
import { callError, callPeer, type HttpHandler, ownIdentity, type Routes } from './calls.ts'
import { connectionOf } from './connection-limits.ts'
import { readRegistration, writeNotice } from './convert-transcoder.ts'
import { type NotifySegment, NotifySegmentSchema, type RegisterRequest, Transcoder } from './gen/lp_rpc_pb.ts'
import { disconnectSignal, type HttpRequest, type HttpResponse, refuse, respond } from './server-response.ts'
import { ERROR_CONTENT_TYPE, parseContentType, parsePixels, ResultReader } from './transcoder-result.ts'

/** Why a task has no renditions. */
export type ResultFault = 'bad-result' | 'remote-failure'

/** What transcoders send in `Authorization` in addition to the secret (wire.md §13). */
export const AUTHORIZATION = 'Livepeer-Transcoder-1.0'

/** Wrong secrets of one host that are logged. */
const WRONG_SECRETS = { callsPerSecond: 1, burst: 20, streams: 0 }
const MAX_ERROR_BYTES = 64 * 1024
/** All renditions of a segment together. */
const MAX_RESULT_BYTES = 2 * MAX_SEGMENT_BYTES
/** All results in memory at a time. */
const MAX_BUFFERED_BYTES = 1_200_000_000
/** The part of it for one transcoder. */
const TRANSCODER_PART = 1 / 2
/** A result may be sent again before this node has noticed that the first connection is gone. */
const MAX_TRIES_AT_ONCE = 2
/** A sender that is silent for this long is gone. */
const BODY_STALL_MS = 10_000

/** The orchestrator's transcoders behind the endpoint. */
export interface TranscoderApi {
  register(registration: Registration, peer: TranscoderPeer, signal: AbortSignal): AsyncIterable<Notice>
  knowsSecret(shown: string): boolean
  /**
   * The result expected for a task; null if there is none, or none from a peer with this certificate, or without one.
   */
  wanted(taskId: bigint, identity: string | null): WantedResult | null
  finish(taskId: bigint, outcome: TranscodeOutput | NodeError): void
  /** A result broke off and may be sent again. */
  resultLost(taskId: bigint): void
}

/**
 * Serves an orchestrator's transcoders: registration and results (wire.md §13). Registrations end before the port
 * closes, because a cancelled one ends a Go transcoder for good (wire.md §18, 12).
 */
export class TranscoderEndpoint implements Routes {
  readonly #api: TranscoderApi
  readonly #log: Log
  readonly #maxResultBytes: number
  readonly #ownOnly: boolean
  readonly #budget = new FairBudget(MAX_BUFFERED_BYTES)
  readonly #wrongSecrets: PeerLimits
  #stopping = new AbortController()

  constructor(
    options: {
      maxResultBytes?: number
      /** Whether transcoders must show a certificate of the operator. */
      ownOnly?: boolean
    },
    needs: { api: TranscoderApi; log: Log; clock?: Clock },
  ) {
    this.#wrongSecrets = new PeerLimits(WRONG_SECRETS, { clock: needs.clock ?? systemClock })
    this.#maxResultBytes = options.maxResultBytes ?? MAX_RESULT_BYTES
    this.#ownOnly = options.ownOnly ?? false
    this.#api = needs.api
    this.#log = needs.log
  }

  stop(): void {
    this.#stopping.abort()
    // The endpoint may come back.
    this.#stopping = new AbortController()
  }

  readonly grpc = (router: ConnectRouter): void => {
    router.service(Transcoder, {
      registerTranscoder: (request, context) => this.#notices(request, context),
    })
  }

  readonly http = (path: string): HttpHandler | null =>
    path === '/transcodeResults' ? (request, response) => this.#result(request, response) : null

  async *#notices(request: RegisterRequest, context: HandlerContext): AsyncGenerator<NotifySegment, void> {
    const signal = AbortSignal.any([context.signal, this.#stopping.signal])
    const peer = context.values.get(callPeer)
    // It disconnected before it was identified.
    if (!peer) return
    if (this.#ownOnly && peer.identity === null) {
      this.#log.warn('a transcoder shows no certificate of this operator', { address: peer.address })
      throw new ConnectError(
        'this orchestrator asks for a certificate: give the transcoder -certs too',
        Code.Unauthenticated,
      )
    }
    if (this.#api.knowsSecret(request.secret)) peer.connection?.trust()
    // The pool logs each one that it sees.
    else if (!this.#wrongSecrets.takeCall(peer.host)) throw new ConnectError('invalid secret', Code.Unknown)
    try {
      for await (const notice of this.#api.register(readRegistration(request), peer, signal)) {
        yield create(NotifySegmentSchema, writeNotice(notice))
      }
    } catch (error) {
      const failure = callError(error, this.#log)
      // CANCELED would end a Go transcoder for good.
      throw failure.code === Code.Canceled
        ? new ConnectError('registration ended', Code.Unavailable)
        : failure
    }
  }

  /** POST /transcodeResults, its checks in the order of wire.md §13. */
  async #result(request: HttpRequest, response: HttpResponse): Promise<void> {
    disconnectSignal(request, response)
    const header = (name: string) => String(request.headers[name] ?? '')
    const identity = ownIdentity(request.socket)
    if (this.#ownOnly && identity === null) return refuse(request, response, 401, 'Unauthorized')
    if (header('authorization') !== AUTHORIZATION || !this.#api.knowsSecret(header('credentials'))) {
      return refuse(request, response, 401, 'Unauthorized')
    }
    connectionOf(request.socket)?.trust()
    const contentType = parseContentType(header('content-type'))
    if (!contentType) return refuse(request, response, 415, 'mime: invalid media type')
    if (!/^\d{1,19}$/.test(header('taskid'))) return refuse(request, response, 400, 'Invalid Task ID')
    const taskId = BigInt(header('taskid'))
    const isError = contentType.type === ERROR_CONTENT_TYPE
    let decodedPixels = 0n
    if (!isError) {
      try {
        decodedPixels = parsePixels(header('pixels'))
      } catch {
        return refuse(request, response, 400, 'Invalid Pixels')
      }
    }
    // A result that is no longer expected is not read.
    const isResult = isError || contentType.type === 'multipart/mixed'
    const wanted = this.#api.wanted(taskId, identity)
    if (!wanted || !isResult) return accept(request, response)
    const share = this.#budget.open([
      { name: `task ${taskId}`, maxBytes: MAX_RESULT_BYTES, maxShares: MAX_TRIES_AT_ONCE },
      { name: `transcoder ${wanted.transcoder}`, maxBytes: TRANSCODER_PART * MAX_BUFFERED_BYTES },
    ])
    // It is already being sent twice.
    if (!share) return accept(request, response)
    const reader = isError ? new TextReader() : new ResultReader({ boundary: contentType.boundary ?? '' })
    try {
      const maxBytes = isError ? MAX_ERROR_BYTES : Math.min(wanted.maxBytes, this.#maxResultBytes)
      const limits = { maxBytes, stallMs: BODY_STALL_MS, budget: share, signal: wanted.over }
      await receiveBody(request, limits, (chunk) => reader.add(chunk))
      if (reader instanceof TextReader)
        this.#api.finish(taskId, new NodeError<ResultFault>('remote-failure', reader.end()))
      else this.#api.finish(taskId, { decodedPixels, renditions: reader.end() })
      accept(request, response)
    } catch (error) {
      this.#refuseResult(taskId, error, request, response)
    } finally {
      share.close()
    }
  }

  #refuseResult(taskId: bigint, error: unknown, request: HttpRequest, response: HttpResponse): void {
    if (!(error instanceof NodeError)) throw error
    if (error.code === 'unwanted') {
      accept(request, response)
      return
    }
    // An incomplete result may be sent again, or another transcoder does the segment.
    if (error.code === 'body-broken-off' || error.code === 'body-stalled') this.#api.resultLost(taskId)
    else this.#api.finish(taskId, new NodeError<ResultFault>('bad-result', error.message))
    refuse(request, response, 500, error.message)
  }
}

/** Reads the text of a failed task. */
class TextReader {
  readonly #chunks: Uint8Array[] = []

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
  }

  end(): string {
    return Buffer.concat(this.#chunks).toString('utf8').trim()
  }
}

function accept(request: HttpRequest, response: HttpResponse): void {
  respond(request, response, 200, Buffer.from('OK'), { 'content-type': 'text/plain; charset=utf-8' })
}
