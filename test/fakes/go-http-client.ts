import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'

/** How often Go's client sends a request that was not processed, with pauses that double from the second time on. */
const MAX_TRIES = 7
const FIRST_PAUSE_MS = 1_000
/** What Go's client assumes before it has a server's settings. */
const STREAMS_AT_FIRST = 100
const LIMIT_MS = 8_000

/** A request of a Go client. */
export interface GoRequest {
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

/** Its answer. */
export interface GoAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly trailers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

/** The server has not processed the request: it may be sent again. */
class Unprocessed extends Error {}

/**
 * An HTTP client with the habits of Go's: one HTTP/2 connection to an address for all requests, a further one when that
 * takes no more; a request above the last stream of a GOAWAY, or on a stream refused, is sent again on a new connection,
 * up to six times; any other failure, such as a cut or a refused connection, is final.
 */
export class GoHttpClient implements AsyncDisposable {
  readonly #origin: string
  readonly #open = new Set<ClientHttp2Session>()
  /** Takes new requests; null until the next one opens it. */
  #current: Promise<ClientHttp2Session> | null = null
  /** Connections opened so far. */
  connections = 0
  /** Requests sent again so far. */
  repeated = 0

  /** For an `https://host:port`; certificates are not verified. */
  constructor(origin: string) {
    this.#origin = origin
  }

  /** Sends a request. Rejects where Go's client gives up. */
  async send(request: GoRequest, limitMs = LIMIT_MS): Promise<GoAnswer> {
    for (let tries = 1; ; tries++) {
      const session = await this.#connection()
      try {
        return await exchange(session, request, limitMs)
      } catch (error) {
        if (!(error instanceof Unprocessed) || tries === MAX_TRIES) throw error
        this.repeated++
        if (tries > 1) await sleep(FIRST_PAUSE_MS * 2 ** (tries - 2))
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#open) session.destroy()
  }

  async #connection(): Promise<ClientHttp2Session> {
    // Requests that come while it is being opened wait for it together.
    for (;;) {
      this.#current ??= this.#connect()
      const opened = this.#current
      const session = await opened.catch((error) => {
        if (this.#current === opened) this.#current = null
        throw error
      })
      if (takesMore(session)) return session
      if (this.#current === opened) this.#current = null
    }
  }

  async #connect(): Promise<ClientHttp2Session> {
    this.connections++
    const session = connect(this.#origin, { rejectUnauthorized: false, settings: { enablePush: false } })
    this.#open.add(session)
    session.on('error', () => {})
    session.on('close', () => this.#open.delete(session))
    await new Promise((resolve, reject) => {
      session.once('connect', resolve)
      session.once('error', reject)
      session.once('close', () => reject(new Error('closed before it was connected')))
    })
    return session
  }
}

const streams = new WeakMap<ClientHttp2Session, number>()

function takesMore(session: ClientHttp2Session): boolean {
  const { maxConcurrentStreams = STREAMS_AT_FIRST } = session.remoteSettings ?? {}
  return !session.closed && !session.destroyed && (streams.get(session) ?? 0) < maxConcurrentStreams
}

function exchange(session: ClientHttp2Session, request: GoRequest, limitMs: number): Promise<GoAnswer> {
  const { body, headers, method = body ? 'POST' : 'GET', path } = request
  return new Promise((resolve, reject) => {
    let stream: ClientHttp2Stream
    try {
      stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: !body })
    } catch {
      // It has been told to go, or was closed, since it was chosen.
      return reject(new Unprocessed())
    }
    streams.set(session, (streams.get(session) ?? 0) + 1)
    stream.setTimeout(limitMs, () => {
      reject(new Error(`${path}: no answer within ${limitMs} ms`))
      stream.close(constants.NGHTTP2_CANCEL)
    })
    let head: { status: number; headers: GoAnswer['headers'] } | null = null
    let trailers: GoAnswer['trailers'] = {}
    const chunks: Buffer[] = []
    stream.on('response', ({ ':status': status, ...fields }) => {
      head = { status: Number(status), headers: { ...fields } }
    })
    stream.on('trailers', (fields) => {
      trailers = { ...fields }
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', () => {})
    stream.on('end', () => {
      if (head && stream.rstCode === constants.NGHTTP2_NO_ERROR)
        resolve({ ...head, trailers, body: Buffer.concat(chunks) })
    })
    stream.on('close', () => {
      // Go reads an answer to its end when its connection is closed right after it; Node may end the stream first.
      const body = Buffer.concat(chunks)
      if (head && String(body.length) === head.headers['content-length']) resolve({ ...head, trailers, body })
      streams.set(session, (streams.get(session) ?? 1) - 1)
      if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) reject(new Unprocessed())
      reject(new Error(`${path}: cut off (${stream.rstCode})`))
    })
    if (body) stream.end(body)
  })
}
