import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect'
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node'
import type { Notice, Registration } from '../../domain/transcoder-notice.ts'
import type { Dice } from '../../lib/dice.ts'
import { abortError } from '../../lib/errors.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { OrchestratorLink, TaskResult } from '../../services/remote-worker.ts'
import { Connections } from './connections.ts'
import { MAX_MESSAGE_BYTES } from './convert.ts'
import { readNotice, writeRegistration } from './convert-transcoder.ts'
import { ExchangeError } from './exchange.ts'
import { Transcoder } from './gen/lp_rpc_pb.ts'
import { AUTHORIZATION } from './transcoder-endpoint.ts'
import { ERROR_CONTENT_TYPE, encodeResult } from './transcoder-result.ts'

const CONNECT_MS = 3_000
/** The orchestrator's gRPC runs inside its HTTP/2 server, which does not mind pings (wire.md §3): a dead line is noticed. */
const PING_EVERY_MS = 5_000
const PING_TIMEOUT_MS = 5_000
/** A result of hundreds of megabytes over a slow line. */
const DELIVER_MS = 60_000
const MAX_ANSWER_BYTES = 64 * 1024
const BOUNDARY_BYTES = 10

/** A transcoder's view of its orchestrators (wire.md §13). */
export class TranscoderClient implements OrchestratorLink, Service {
  readonly name = 'transcoder client'
  readonly #download: OrchestratorLink['download']
  readonly #dice: Dice
  readonly #connections = new Connections({ connectMs: CONNECT_MS })

  constructor(needs: { /** Fetches a segment. */ download: OrchestratorLink['download']; dice: Dice }) {
    this.#download = needs.download
    this.#dice = needs.dice
  }

  start(scope: Scope): void {
    scope.defer(() => this.#connections.close())
  }

  async *notices(url: string, registration: Registration, signal: AbortSignal): AsyncGenerator<Notice, void> {
    const sessions = new Http2SessionManager(
      url,
      { pingIntervalMs: PING_EVERY_MS, pingTimeoutMs: PING_TIMEOUT_MS },
      // Certificates are self-signed and new at every start (wire.md §2).
      { rejectUnauthorized: false },
    )
    try {
      const client = clientOver(sessions, url)
      for await (const message of client.registerTranscoder(writeRegistration(registration), { signal })) {
        yield readNotice(message)
      }
    } catch (error) {
      if (signal.aborted) throw abortError(signal)
      throw failure(url, error)
    } finally {
      sessions.abort()
    }
  }

  download(url: string, signal: AbortSignal): Promise<Uint8Array> {
    return this.#download(url, signal)
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

function clientOver(sessions: Http2SessionManager, url: string): Client<typeof Transcoder> {
  const transport = createGrpcTransport({
    baseUrl: new URL(url).origin,
    acceptCompression: [],
    readMaxBytes: MAX_MESSAGE_BYTES,
    binaryOptions: { readUnknownFields: false },
    sessionManager: sessions,
  })
  return createClient(Transcoder, transport)
}

/** Status UNKNOWN carries the orchestrator's own words (wire.md §3). */
function failure(url: string, error: unknown): ExchangeError {
  const { code, rawMessage } = ConnectError.from(error)
  if (code === Code.Unknown) return new ExchangeError('refused', rawMessage, { cause: error })
  return new ExchangeError('unreachable', `${new URL(url).host}: ${rawMessage}`, { cause: error })
}
