import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { NodeEvents } from '../../domain/events.ts'
import { MAX_SEGMENT_BYTES } from '../../domain/segment.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { isAbort } from '../../lib/errors.ts'
import { listen } from '../../lib/listen.ts'
import type { Log } from '../../lib/log.ts'
import { isDoneWithin } from '../../lib/patience.ts'
import { ByteBudget } from '../../lib/request-body.ts'
import { requestTarget } from '../../lib/request-target.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { ZippedTexts } from './entity.ts'
import { createHalfOpenServer } from './half-open-server.ts'
import { ingest, type PushedSegments } from './ingest.ts'
import { type Playable, play } from './playback.ts'
import { playRecording, type RecordedStreams } from './recordings.ts'
import { urlOf } from './request-url.ts'
import { sendBytes, sendText, sendTextEarly } from './response.ts'
import { type PageFault, pageFault } from './web-pages.ts'

const MAX_HEADER_BYTES = 65_536
const MAX_HEADERS_MS = 10_000
/** A segment may be uploaded while it is recorded, for at most five minutes. */
const MAX_UPLOAD_MS = 360_000
const MAX_CONNECTIONS = 4_000
/** A publisher that keeps its connection sends the next segment when it is complete, after at most five minutes. */
const KEEP_ALIVE_MS = 310_000
/** Bytes of segments held at once by all requests. */
const MAX_BYTES_AT_ONCE = 1_500_000_000
/** A publisher that sends nothing for this long is disconnected. */
const SILENCE_MS = 30_000
/** How long running requests may take when the node stops. */
const DRAIN_MS = 500
/** How long the rest of a refused body is read and discarded, so that the client reads the refusal. */
const HANG_UP_MS = 1_000

/** The refusals of requests that a web page may have sent, which would spend the operator's money. */
const refusals: Readonly<Record<PageFault, string>> = {
  'unknown-host':
    'this gateway listens on the loopback and is not known under that host: if a proxy forwards to it, name the public host with -gatewayHost',
  'foreign-page':
    'pages of another site may not publish here: if this one may, name its host with -gatewayHost',
}

/** Settings of the gateway's HTTP port. Tests lower the limits. */
export interface GatewayHttpOptions {
  readonly host: string
  readonly port: number
  /** Whether segments may be pushed; otherwise `/live/` is not found (gateway.md §1). */
  readonly httpIngest: boolean
  /** Whether `/stream/current.m3u8` is served for the newest stream. */
  readonly currentManifest: boolean
  /**
   * The public host name of a proxy on this machine that forwards to the port; empty or absent for none
   * (`-gatewayHost`).
   */
  readonly publicHost?: string
  readonly maxBodyBytes?: number
  readonly maxBytesAtOnce?: number
  readonly silenceMs?: number
  readonly maxConnections?: number
}

/** What the port depends on. */
export interface GatewayHttpNeeds {
  readonly gateway: PushedSegments & Playable
  /** Absent where `/recordings/` is not found. */
  readonly recordings?: RecordedStreams
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly events: NodeEvents
}

/** The gateway's port for publishers and players, plain HTTP/1.1. */
export class GatewayHttp implements Service {
  readonly name = 'gateway HTTP'
  readonly #options: GatewayHttpOptions
  readonly #needs: GatewayHttpNeeds
  readonly #budget: ByteBudget
  readonly #zipped = new ZippedTexts()
  #port = 0

  constructor(options: GatewayHttpOptions, needs: GatewayHttpNeeds) {
    this.#options = options
    this.#needs = needs
    this.#budget = new ByteBudget(options.maxBytesAtOnce ?? MAX_BYTES_AT_ONCE)
  }

  /** The port, once started. */
  get port(): number {
    return this.#port
  }

  /** Bytes of pushed segments held now. */
  get bytesHeld(): number {
    return this.#budget.held
  }

  async start(scope: Scope): Promise<void> {
    const server = createHalfOpenServer(
      {
        requestTimeout: MAX_UPLOAD_MS,
        headersTimeout: MAX_HEADERS_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
        maxHeaderSize: MAX_HEADER_BYTES,
        noDelay: true,
      },
      (request, response) => {
        this.#route(request, response, scope.signal).catch((error) => {
          this.#needs.log.error('an HTTP request failed', {
            path: (request.url ?? '').split('?', 1)[0],
            error,
          })
          response.destroy()
        })
      },
    )
    server.maxConnections = this.#options.maxConnections ?? MAX_CONNECTIONS
    // Idle connections are closed to make room for the next client.
    server.on('drop', () => server.closeIdleConnections())
    this.#port = await listen(server, this.#options, { who: 'the gateway', flag: '-httpAddr' })
    scope.defer(() => this.#close(server))
  }

  async #route(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    response.on('error', () => {
      // The client disconnected; 'close' handlers take care of it.
    })
    const path = pathOf(request.url ?? '/')
    if (path === null) {
      request.resume()
      return sendText(response, 400, 'the path is not percent-encoded UTF-8')
    }
    if (path.startsWith('/live/') && this.#options.httpIngest) {
      const fault = pageFault(request, this.#options)
      if (fault) return sendTextEarly(request, response, 403, refusals[fault], this.#patience(signal))
      const { clock, dice, events, gateway, log } = this.#needs
      return ingest(request, response, path, {
        segments: gateway,
        budget: this.#budget,
        limits: {
          maxBytes: this.#options.maxBodyBytes ?? MAX_SEGMENT_BYTES,
          stallMs: this.#options.silenceMs ?? SILENCE_MS,
        },
        ...{ clock, dice, events, log },
        patience: () => this.#patience(signal),
      })
    }
    if (path.startsWith('/stream/')) {
      const { currentManifest } = this.#options
      return play(request, response, path, this.#needs.gateway, { currentManifest, zipped: this.#zipped })
    }
    const { log, recordings } = this.#needs
    if (path.startsWith('/recordings/') && recordings) {
      const url = urlOf(request, { withQuery: true })
      return playRecording(request, response, { path, url }, { log, recordings, stopping: signal })
    }
    request.resume()
    if (path === '/healthz') return sendBytes(response, 200, {}, '')
    sendText(response, 404, '404 page not found')
  }

  async #patience(signal: AbortSignal): Promise<void> {
    try {
      await this.#needs.clock.sleep(HANG_UP_MS, signal)
    } catch (error) {
      if (!isAbort(error)) throw error
    }
  }

  async #close(server: Server): Promise<void> {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    await isDoneWithin(this.#needs.clock, DRAIN_MS, closed)
    server.closeAllConnections()
    await closed
  }
}

/**
 * The decoded path of a request without its query, or null if it cannot be decoded. Double slashes, which publishers
 * send for a base URL that ends in a slash, count as one.
 */
function pathOf(url: string): string | null {
  try {
    return decodeURIComponent(requestTarget(url).path.replace(/\/{2,}/g, '/'))
  } catch {
    return null
  }
}
