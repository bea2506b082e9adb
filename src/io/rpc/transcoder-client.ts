import type { ClientHttp2Session } from 'node:http2'
import { Code, ConnectError } from '@connectrpc/connect'
import type { Notice, Registration } from '../../domain/transcoder-notice.ts'
import type { Dice } from '../../lib/dice.ts'
import { abortError } from '../../lib/errors.ts'
import type { HostRule } from '../../lib/host-rule.ts'
import { ByteBudget } from '../../lib/request-body.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type {
  OrchestratorLine,
  OrchestratorLink,
  TaskResult,
} from '../../services/transcoding/standalone-transcoder.ts'
import { clientOver } from './client-over.ts'
import { Connections } from './connections.ts'
import { readNotice, writeRegistration } from './convert-transcoder.ts'
import { Transcoder } from './gen/lp_rpc_pb.ts'
import type { OwnCerts } from './own-certs.ts'
import { ExchangeError, openSession, openSocket, protocolOf } from './peer-exchange.ts'
import { fetchSource } from './source-fetch.ts'
import { AUTHORIZATION } from './transcoder-endpoint.ts'
import { ERROR_CONTENT_TYPE, encodeResult } from './transcoder-result.ts'

const CONNECT_MS = 3_000
/**
 * The orchestrator's gRPC runs inside its HTTP/2 server, which accepts pings (wire.md §3), so a dead connection is
 * detected.
 */
const PING_EVERY_MS = 3_000
/** Enough for a result of hundreds of megabytes over a slow connection. */
const DELIVER_MS = 60_000
const MAX_ANSWER_BYTES = 64 * 1024
const BOUNDARY_BYTES = 10

/** A transcoder's client for its orchestrators (wire.md §13). */
export class TranscoderClient implements OrchestratorLink, Service {
  readonly name = 'transcoder client'
  readonly #download: (url: string, signal: AbortSignal) => Promise<Uint8Array>
  readonly #sources: HostRule
  /** The addresses that connections to orchestrators lead to, by URL. */
  readonly #peers = new Map<string, { readonly address: string; readonly port: number }>()
  readonly #dice: Dice
  readonly #own: OwnCerts | null
  readonly #connections: Connections

  constructor(needs: {
    /** Fetches a source from its orchestrator. */
    download: (url: string, signal: AbortSignal) => Promise<Uint8Array>
    /** Where else sources may be fetched from; absent: public addresses. */
    sources?: HostRule
    dice: Dice
    /** The certificates by which orchestrator and transcoder authenticate each other; null for no verification. */
    own: OwnCerts | null
  }) {
    this.#download = needs.download
    this.#sources = needs.sources ?? { public: true, hosts: [] }
    this.#dice = needs.dice
    this.#own = needs.own
    this.#connections = new Connections({ connectMs: CONNECT_MS, own: needs.own })
  }

  start(scope: Scope): void {
    scope.defer(() => this.#connections.close())
  }

  line(url: string): OrchestratorLine {
    return new Line(new URL(url), this.#own, (peer) => this.#peers.set(url, peer))
  }

  /**
   * Fetches a source from the orchestrator's origin or the address that the connection to it leads to, under any name;
   * otherwise only from allowed sources, so that no orchestrator can make this node call hosts in its own network.
   */
  async download(
    url: string,
    { maxBytes, orchestrator }: { readonly orchestrator: string; readonly maxBytes: number },
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    if (URL.canParse(url) && new URL(url).origin === new URL(orchestrator).origin) {
      const source = await this.#download(url, signal)
      if (source.length > maxBytes) throw new ExchangeError('too-large', 'input bigger than max buffer size')
      return source
    }
    const rule = { ...this.#sources, peer: this.#peers.get(orchestrator) ?? null }
    return fetchSource(url, { rule, limits: { maxBytes, room: new ByteBudget(maxBytes) } }, signal)
  }

  async deliver(url: string, result: TaskResult, signal: AbortSignal): Promise<void> {
    const { outcome, secret, taskId } = result
    const isError = 'error' in outcome
    const boundary = Buffer.from(this.#dice.bytes(BOUNDARY_BYTES)).toString('hex')
    const answer = await this.#connections.exchange(
      {
        method: 'POST',
        url: new URL('/transcodeResults', url),
        headers: {
          authorization: AUTHORIZATION,
          credentials: secret,
          'content-type': isError ? ERROR_CONTENT_TYPE : `multipart/mixed; boundary=${boundary}`,
          taskid: String(taskId),
          pixels: isError ? '0' : String(outcome.decodedPixels),
        },
        body: isError ? Buffer.from(outcome.error) : encodeResult(outcome.renditions, result.isMp4, boundary),
        maxBytes: MAX_ANSWER_BYTES,
      },
      AbortSignal.any([signal, AbortSignal.timeout(DELIVER_MS)]),
    )
    if (answer.status !== 200) {
      throw new ExchangeError('refused', Buffer.from(answer.body).toString('utf8').trim())
    }
  }
}

/** One connection with one registration. */
class Line implements OrchestratorLine {
  readonly #url: URL
  readonly #own: OwnCerts | null
  readonly #onPeer: (peer: { readonly address: string; readonly port: number }) => void
  #session: ClientHttp2Session | null = null

  constructor(
    url: URL,
    own: OwnCerts | null,
    onPeer: (peer: { readonly address: string; readonly port: number }) => void,
  ) {
    this.#onPeer = onPeer
    this.#url = url
    this.#own = own
  }

  async *notices(registration: Registration, signal: AbortSignal): AsyncGenerator<Notice, void> {
    try {
      const session = await this.#connect(signal)
      const client = clientOver(Transcoder, session, this.#url)
      // No time limit: the headers arrive with the first notice (wire.md §18, 13).
      for await (const message of client.registerTranscoder(writeRegistration(registration), { signal })) {
        yield readNotice(message)
      }
    } catch (error) {
      if (signal.aborted) throw abortError(signal)
      throw failure(this.#url, error)
    }
  }

  close(): void {
    this.#session?.destroy()
  }

  async #connect(signal: AbortSignal): Promise<ClientHttp2Session> {
    const options = { protocols: ['h2'], timeoutMs: CONNECT_MS, signal, own: this.#own }
    const socket = await openSocket(this.#url, options)
    if (this.#url.protocol === 'https:' && protocolOf(socket) !== 'h2') {
      socket.destroy()
      throw new ExchangeError('unreachable', `${this.#url.host} does not speak HTTP/2`)
    }
    const { remoteAddress, remotePort } = socket
    if (remoteAddress && remotePort) this.#onPeer({ address: remoteAddress, port: remotePort })
    const session = openSession(this.#url, socket)
    this.#session = session
    let isAnswered = true
    const pulse = setInterval(() => {
      if (session.destroyed) return
      if (!isAnswered) {
        session.destroy(new Error(`no answer to a ping within ${PING_EVERY_MS / 1000} s`))
        return
      }
      isAnswered = false
      session.ping(() => {
        isAnswered = true
      })
    }, PING_EVERY_MS)
    session.once('close', () => clearInterval(pulse))
    return session
  }
}

/** Status UNKNOWN has the orchestrator's own text (wire.md §3). */
function failure(url: URL, error: unknown): ExchangeError {
  if (error instanceof ExchangeError) return error
  const { code, rawMessage } = ConnectError.from(error)
  if (code === Code.Unknown) return new ExchangeError('refused', rawMessage, { cause: error })
  return new ExchangeError('unreachable', `${url.host}: ${rawMessage}`, { cause: error })
}
