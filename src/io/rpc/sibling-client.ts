import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { SeenMember } from '../../domain/member.ts'
import { SiblingError } from '../../domain/sibling-call.ts'
import { abortError, messageOf } from '../../lib/errors.ts'
import { withoutUnprintable } from '../../lib/printable.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { SiblingCalls } from '../../services/cluster/siblings.ts'
import type { LeftResult, SuccessionCalls } from '../../services/cluster/successors.ts'
import { SiblingConnections } from './sibling-connections.ts'
import { makeSiblingToken, SIBLING_HEADER } from './sibling-token.ts'

/** What a sibling is asked for, by path. */
export const SIBLING_PATHS = {
  segment: '/sibling/segment',
  end: '/sibling/end',
  look: '/sibling/look',
  hello: '/sibling/hello',
  /** Before the path of a result. */
  results: '/sibling/stream/',
  /** Before the path of a result that is to be kept for the caller, which leaves. */
  keep: '/sibling/keep/',
  /** Who keeps the results of the caller. */
  successor: '/sibling/successor',
  /** Before the id of a node that has left, and the path of its result. */
  kept: '/sibling/kept/',
} as const

/** The session that a call ends. */
export const SIBLING_SESSION_HEADER = 'livepeer-sibling-session'

/** The node that keeps the caller's results. */
export const SIBLING_SUCCESSOR_HEADER = 'livepeer-sibling-successor'

const HELLO_MS = 4_000
/** Of an answer in words. */
const MAX_ANSWER = 500

/** Who calls, and what shows it. */
export interface SiblingCaller {
  /** This node's id, and the database's time. */
  readonly self: { readonly node: string; readonly nowMs: number }
  /** The cluster's secrets, newest first. */
  readonly secrets: { readonly keys: readonly Uint8Array[] }
}

/** A request to a sibling. */
export interface SiblingRequest {
  readonly method: 'GET' | 'POST'
  /** As sent, percent-encoded. */
  readonly path: string
  readonly headers?: OutgoingHttpHeaders
}

interface Answer {
  readonly status: number
  readonly text: string
}

/**
 * Calls of a node to the other nodes of its cluster. All reject with SiblingError, or with an AbortError when the signal is
 * aborted.
 */
export class SiblingClient implements Service, SiblingCalls, SuccessionCalls {
  readonly name = 'sibling client'
  readonly #caller: SiblingCaller
  readonly #connections = new SiblingConnections()

  constructor(caller: SiblingCaller) {
    this.#caller = caller
  }

  start(scope: Scope): void {
    scope.defer(() => this.#connections.close())
  }

  async end(sibling: SeenMember, sessionId: string, signal: AbortSignal): Promise<void> {
    const headers = { [SIBLING_SESSION_HEADER]: sessionId }
    await this.#ask(sibling, { method: 'POST', path: SIBLING_PATHS.end, headers }, signal)
  }

  async askToLook(sibling: SeenMember, signal: AbortSignal): Promise<string | null> {
    const text = await this.#ask(sibling, { method: 'POST', path: SIBLING_PATHS.look }, signal)
    return text === '' ? null : text
  }

  async keep(sibling: SeenMember, { bytes, path }: LeftResult, signal: AbortSignal): Promise<void> {
    const encoded = path.split('/').map(encodeURIComponent).join('/')
    await this.#ask(sibling, { method: 'POST', path: `${SIBLING_PATHS.keep}${encoded}` }, signal, bytes)
  }

  async succeeded(sibling: SeenMember, successor: string, signal: AbortSignal): Promise<void> {
    const headers = { [SIBLING_SUCCESSOR_HEADER]: successor }
    await this.#ask(sibling, { method: 'POST', path: SIBLING_PATHS.successor, headers }, signal)
  }

  /** Calls a node over a connection of its own; gives why it does not answer, or null. */
  async hello(sibling: SeenMember, signal: AbortSignal): Promise<string | null> {
    let session: ClientHttp2Session | null = null
    try {
      const opened = await this.#connections.connect(sibling)
      session = opened
      const request = this.#signed(sibling, { method: 'GET', path: SIBLING_PATHS.hello })
      const begin = async () => opened.request(request, { endStream: true })
      const text = await answerOf(sibling, begin, AbortSignal.any([signal, AbortSignal.timeout(HELLO_MS)]))
      return text === sibling.node ? null : 'another node answers there'
    } catch (error) {
      if (signal.aborted) throw error
      return error instanceof SiblingError ? error.message : `no answer within ${HELLO_MS / 1000} s`
    } finally {
      session?.destroy()
    }
  }

  /** Begins a request whose body and answer are streamed. */
  stream(sibling: SeenMember, request: SiblingRequest): Promise<ClientHttp2Stream> {
    return this.#connections.request(sibling, this.#signed(sibling, request), request.method === 'GET')
  }

  #ask(
    sibling: SeenMember,
    request: SiblingRequest,
    signal: AbortSignal,
    body: Uint8Array | null = null,
  ): Promise<string> {
    const begin = async () => {
      const signed = this.#signed(sibling, request)
      const stream = await this.#connections.request(sibling, signed, body === null)
      if (body) stream.end(body)
      return stream
    }
    return answerOf(sibling, begin, signal)
  }

  #signed({ address, node: to }: SeenMember, { headers, method, path }: SiblingRequest): OutgoingHttpHeaders {
    const { secrets, self } = this.#caller
    const token = makeSiblingToken(secrets.keys[0]!, { from: self.node, to, method, path }, self.nowMs)
    return {
      ...{ ':authority': address, ':method': method, ':path': path },
      ...{ ...headers, [SIBLING_HEADER]: token },
    }
  }
}

/** The text of an answer that must be good. */
async function answerOf(
  sibling: SeenMember,
  begin: () => Promise<ClientHttp2Stream>,
  signal: AbortSignal,
): Promise<string> {
  if (signal.aborted) throw abortError(signal)
  const stream = await begin()
  const onAbort = () => stream.close(constants.NGHTTP2_CANCEL)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const { status, text } = await readAnswer(stream)
    if (status === 200) return text
    throw new SiblingError('sibling-rubbish', `${sibling.address} answered ${status}: ${text}`)
  } catch (error) {
    if (signal.aborted) throw abortError(signal)
    if (error instanceof SiblingError) throw error
    throw new SiblingError('sibling-lost', `the call to ${sibling.address} broke off: ${messageOf(error)}`)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function readAnswer(stream: ClientHttp2Stream): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  let status = 0
  let text = ''
  stream.on('response', (headers: IncomingHttpHeaders & { ':status'?: number }) => {
    status = Number(headers[':status'])
  })
  stream.on('data', (chunk: Buffer) => {
    if (text.length < MAX_ANSWER) text += chunk.toString('utf8')
  })
  stream.on('error', reject)
  stream.on('end', () => {
    if (stream.rstCode === constants.NGHTTP2_NO_ERROR && status !== 0) {
      resolve({ status, text: withoutUnprintable(text).slice(0, MAX_ANSWER).trim() })
    }
  })
  stream.on('close', () => reject(new Error(`the stream was reset (${stream.rstCode})`)))
  return promise
}
