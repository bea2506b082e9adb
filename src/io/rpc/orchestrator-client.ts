import { STATUS_CODES } from 'node:http'
import { type Client, Code, ConnectError } from '@connectrpc/connect'
import { mayBeOfBalancer } from '../../domain/attempt.ts'
import {
  type AuthToken,
  type InfoRequest,
  MAX_SEGMENT_BYTES,
  type OrchestratorInfo,
  type Reach,
  type TranscodeResult,
} from '../../domain/segment.ts'
import { abortError, messageOf, NodeError } from '../../lib/errors.ts'
import { isPublicAddress } from '../../lib/public-address.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { SessionEnder } from '../../services/gateway/sessions.ts'
import type { RenditionOptions, Submission, SubmissionClient } from '../../services/gateway/submission.ts'
import { clientOver } from './client-over.ts'
import { Connections } from './connections.ts'
import { readInfo, writeInfoRequest } from './convert-info.ts'
import { decodeTranscodeResult } from './convert-result.ts'
import { Orchestrator } from './gen/lp_rpc_pb.ts'
import {
  formatPaymentHeader,
  formatSegmentHeader,
  PAYMENT_HEADER,
  SEGMENT_CONTENT_TYPE,
  SEGMENT_HEADER,
  URI_CONTENT_TYPE,
} from './headers.ts'
import {
  ExchangeError,
  type NameLookup,
  openSession,
  openSocket,
  type PeerRequest,
  type PeerResponse,
  protocolOf,
} from './peer-exchange.ts'
import { MAX_MESSAGE_BYTES } from './wire-message.ts'

/** Time limit for the connection of a call (wire.md §3). */
const CALL_CONNECT_MS = 3_000
/** Time limit for the connection of a segment or a download (wire.md §10). */
const CONNECT_MS = 2_000
/** Time limit of a download (wire.md §12). */
const DOWNLOAD_MS = 4_000

/** A longer refusal text is cut. */
const MAX_REFUSAL = 1_000

/**
 * A gateway's client for orchestrators. Failures are ExchangeErrors: `unreachable`, `header-timeout`, `body-timeout`,
 * `refused` (the peer's own text; `details.status` over HTTP), `bad-answer`, `too-large`.
 */
export class OrchestratorClient implements Service, SubmissionClient, SessionEnder {
  readonly name = 'orchestrator client'
  readonly #names: NameLookup
  readonly #connections: Connections

  constructor(names: NameLookup = {}) {
    this.#names = names
    this.#connections = new Connections({ connectMs: CONNECT_MS, names })
  }

  start(scope: Scope): void {
    scope.defer(() => this.#connections.close())
  }

  /** Requests an orchestrator's info. Each call uses its own connection (wire.md §3). */
  async info(
    url: string,
    request: InfoRequest,
    options: { timeoutMs?: number; reach?: Reach | undefined },
    signal: AbortSignal,
  ): Promise<OrchestratorInfo> {
    let isPublic = false
    const message = await this.#call(url, options, signal, (client, callOptions, peer) => {
      isPublic = (this.#names.isPublic ?? isPublicAddress)(peer)
      return client.getOrchestrator(writeInfoRequest(request), callOptions)
    })
    const info = understood(() => readInfo(message))
    return isPublic ? { ...info, reach: 'public' } : info
  }

  /** Ends a session. Always sends the token, without which peers crash (wire.md §18, 8). */
  async endSession(
    url: string,
    token: AuthToken,
    options: { reach?: Reach | undefined },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#call(url, options, signal, (client, callOptions) =>
      client.endTranscodingSession({ authToken: token }, callOptions),
    )
  }

  /** Requests a signature over a value. */
  async ping(url: string, value: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const answer = await this.#call(url, {}, signal, (client, options) => client.ping({ value }, options))
    return answer.value
  }

  /** Sends a segment, once, and waits for its result. */
  async submit(base: string, submission: Submission, signal: AbortSignal): Promise<TranscodeResult> {
    const url = segmentUrl(base)
    const deadline = new Deadline(signal)
    deadline.limit(submission.totalTimeoutMs, () => timeout('body', submission.totalTimeoutMs))
    const headers = deadline.limit(submission.headerTimeoutMs, () =>
      timeout('header', submission.headerTimeoutMs),
    )
    const exchange = this.#exchange(
      {
        method: 'POST',
        url,
        headers: {
          [SEGMENT_HEADER]: formatSegmentHeader(submission.segment),
          [PAYMENT_HEADER]: formatPaymentHeader(submission.payment),
          'content-type': submission.bodyIsUri ? URI_CONTENT_TYPE : SEGMENT_CONTENT_TYPE,
        },
        body: submission.body,
        reach: submission.reach,
        maxBytes: MAX_MESSAGE_BYTES,
        onStatus: (status) => {
          clearTimeout(headers)
          submission.onStatus?.(status)
        },
      },
      deadline,
    )
    const answer = await exchange.finally(() => deadline.clear())
    if (answer.status !== 200) {
      throw refused(answer, Buffer.from(answer.body).toString('utf8').trim().slice(0, MAX_REFUSAL))
    }
    return understood(() => decodeTranscodeResult(answer.body))
  }

  /**
   * Fetches a rendition (wire.md §12) from the node that got the segment or from a public address, so that no
   * orchestrator can make this node call hosts in its own network. Redirects are not followed.
   */
  async fetchRendition(
    url: string,
    { base, maxBytes, reach }: RenditionOptions,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const isOwn = parseUrl(url).origin === parseUrl(base).origin
    return this.#get(url, { maxBytes, reach: isOwn ? reach : 'public' }, signal)
  }

  /** Fetches a source (wire.md §12) from any address. */
  download(url: string, signal: AbortSignal): Promise<Uint8Array> {
    return this.#get(url, { maxBytes: MAX_SEGMENT_BYTES, reach: 'any' }, signal)
  }

  async #get(
    url: string,
    limits: { readonly maxBytes: number; readonly reach: Reach | undefined },
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const deadline = new Deadline(signal)
    deadline.limit(DOWNLOAD_MS, () => timeout('body', DOWNLOAD_MS))
    const request = { method: 'GET', url: parseUrl(url), headers: {}, body: null, ...limits } as const
    try {
      return await atMostTwice(async () => {
        const { body, status } = await this.#exchange(request, deadline)
        if (status !== 200) throw refused({ status }, `${status} ${STATUS_CODES[status] ?? ''}`.trim())
        if (body.length === 0)
          throw new ExchangeError('bad-answer', `an empty answer from ${request.url.host}`)
        return body
      })
    } finally {
      deadline.clear()
    }
  }

  async #exchange(request: PeerRequest, deadline: Deadline): Promise<PeerResponse> {
    try {
      return await this.#connections.exchange(request, deadline.signal)
    } catch (error) {
      throw deadline.error ?? error
    }
  }

  /** A call may be repeated: none changes anything. */
  #call<Result>(
    address: string,
    { reach, timeoutMs }: CallOptions,
    signal: AbortSignal,
    call: Call<Result>,
  ): Promise<Result> {
    const started = performance.now()
    const left = () =>
      timeoutMs === undefined
        ? {}
        : { timeoutMs: Math.max(1, Math.round(timeoutMs - (performance.now() - started))) }
    return atMostTwice(() => this.#callOnce(address, { reach, ...left() }, signal, call))
  }

  async #callOnce<Result>(
    address: string,
    { reach, timeoutMs }: CallOptions,
    signal: AbortSignal,
    call: Call<Result>,
  ): Promise<Result> {
    const started = performance.now()
    const url = parseUrl(address)
    const socket = await openSocket(url, {
      protocols: ['h2'],
      timeoutMs: Math.min(CALL_CONNECT_MS, timeoutMs ?? CALL_CONNECT_MS),
      signal,
      names: this.#names,
      reach,
    })
    const peer = socket.remoteAddress ?? ''
    if (url.protocol === 'https:' && protocolOf(socket) !== 'h2') {
      socket.destroy()
      throw new ExchangeError('unreachable', `${url.host} does not speak HTTP/2`)
    }
    const session = openSession(url, socket)
    const left =
      timeoutMs === undefined
        ? {}
        : { timeoutMs: Math.max(1, Math.round(timeoutMs - (performance.now() - started))) }
    try {
      return await call(clientOver(Orchestrator, session, url), { signal, ...left }, peer)
    } catch (error) {
      if (signal.aborted) throw abortError(signal)
      throw callFailure(url, error)
    } finally {
      session.destroy()
    }
  }
}

interface CallOptions {
  readonly timeoutMs?: number
  readonly reach?: Reach | undefined
}

type Call<Result> = (
  client: Client<typeof Orchestrator>,
  options: { signal: AbortSignal; timeoutMs?: number },
  peer: string,
) => Promise<Result>

/**
 * Does once more, over another connection, what broke off or reached no node: behind a balancer the next connection
 * reaches another one.
 */
async function atMostTwice<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (!mayReachAnother(error)) throw error
    return await work()
  }
}

function mayReachAnother(error: unknown): boolean {
  if (!(error instanceof ExchangeError)) return false
  const { code, details } = error
  if (code === 'refused') return mayBeOfBalancer(Number(details.status ?? 0))
  return code === 'bad-answer' || (code === 'unreachable' && details.isSlow !== true)
}

/** The error of a failed call; the peer's own text counts as a refusal (wire.md §3, errors). */
function callFailure(url: URL, error: unknown): ExchangeError {
  const { code, rawMessage } = ConnectError.from(error)
  switch (code) {
    case Code.DeadlineExceeded:
      return new ExchangeError('header-timeout', `${url.host} did not answer in time`, { cause: error })
    case Code.Unavailable:
    case Code.Canceled:
    case Code.Aborted:
    case Code.Internal:
      return new ExchangeError('unreachable', `the call to ${url.host} broke off: ${rawMessage}`, {
        cause: error,
      })
    case Code.ResourceExhausted:
      return new ExchangeError('too-large', rawMessage, { cause: error })
    default:
      return new ExchangeError('refused', rawMessage, { cause: error })
  }
}

/** Time limits of one exchange: the first to expire aborts it and becomes its error. */
class Deadline {
  error: ExchangeError | null = null
  readonly #abort = new AbortController()
  readonly #outer: AbortSignal
  readonly #timers: NodeJS.Timeout[] = []
  readonly #onAbort = () => this.#abort.abort(this.#outer.reason)

  constructor(signal: AbortSignal) {
    this.#outer = signal
    if (signal.aborted) this.#onAbort()
    else signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  limit(ms: number, error: () => ExchangeError): NodeJS.Timeout {
    const timer = setTimeout(() => {
      if (this.#outer.aborted) return
      this.error = error()
      this.#abort.abort(this.error)
    }, ms)
    this.#timers.push(timer)
    return timer
  }

  clear(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#outer.removeEventListener('abort', this.#onAbort)
  }
}

/** The URL for segments of an orchestrator. A double slash would be refused (wire.md §18, 5). */
function segmentUrl(base: string): URL {
  const url = parseUrl(base)
  url.pathname = `${url.pathname.replace(/\/$/, '')}/segment`
  return url
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ExchangeError('unreachable', `not an address of an orchestrator: ${text.slice(0, 200)}`)
  }
  return url
}

function refused(answer: Pick<PeerResponse, 'status'>, text: string): ExchangeError {
  return new ExchangeError('refused', text, { details: { status: answer.status } })
}

function timeout(phase: 'header' | 'body', ms: number): ExchangeError {
  return new ExchangeError(`${phase}-timeout`, `${phase} timeout: nothing within ${ms} ms`)
}

function understood<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof NodeError)) throw cause
    throw new ExchangeError('bad-answer', messageOf(cause), { cause })
  }
}
