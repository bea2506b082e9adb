import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { abortError, messageOf, NodeError } from '../../lib/errors.ts'
import { BodyError, ByteBudget, readBody } from '../../lib/request-body.ts'

/** Requests of one call, with those that redirects lead to (gateway.md §4). */
const MAX_REQUESTS = 10
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** Redirects that repeat the request; the others ask again by GET, without a body. */
const REPEATING: ReadonlySet<number> = new Set([307, 308])

/** Why a webhook gave no answer, or none that can be used. */
export type WebhookFault =
  | 'unreachable'
  | 'cut-short'
  | 'too-slow'
  | 'too-large'
  | 'bad-redirect'
  | 'unusable'

/** A webhook that gave no answer, or none that can be used. The message is a reason without what is secret in its URL. */
export class WebhookError extends NodeError<WebhookFault> {
  override name = 'WebhookError'
}

/** A question to a webhook, and its limits. */
export interface WebhookCall {
  readonly url: string
  /** JSON, sent by POST; null asks by GET. */
  readonly body: string | null
  readonly maxBytes: number
  /** How much of a refusal is read; absent: nothing. */
  readonly maxRefusalBytes?: number
  /** For the whole call, redirects included. */
  readonly limitMs: number
}

/** A webhook's answer. */
export interface WebhookAnswer {
  readonly status: number
  /** Empty unless the status is 2xx, or refusals are asked for: one may hold anything. */
  readonly body: string
}

/**
 * Calls a webhook of the operator over a connection of its own. Redirects are followed as peers do, never from HTTPS to
 * clear text. Throws WebhookError, or the AbortError of the signal.
 */
export async function callWebhook(call: WebhookCall, signal: AbortSignal): Promise<WebhookAnswer> {
  const timeout = AbortSignal.timeout(call.limitMs)
  const over = AbortSignal.any([signal, timeout])
  let url = new URL(call.url)
  let { body } = call
  try {
    for (let requests = 1; ; requests++) {
      const { location, ...answer } = await exchange(url, { ...call, body }, over)
      if (!REDIRECTS.has(answer.status) || location === null) return answer
      if (requests >= MAX_REQUESTS) {
        throw new WebhookError('bad-redirect', `it still redirects after ${MAX_REQUESTS} requests`)
      }
      url = redirected(url, location)
      if (!REPEATING.has(answer.status)) body = null
    }
  } catch (error) {
    if (signal.aborted) throw abortError(signal)
    if (timeout.aborted) throw new WebhookError('too-slow', `no answer within ${call.limitMs / 1000} s`)
    throw error
  }
}

/** The JSON at a URL of the operator, asked for by GET. Throws WebhookError, or the AbortError of the signal. */
export async function fetchJson(call: Omit<WebhookCall, 'body'>, signal: AbortSignal): Promise<unknown> {
  const { body, status } = await callWebhook({ ...call, body: null }, signal)
  if (status < 200 || status > 299) throw new WebhookError('unusable', `it answers ${status}`)
  try {
    return JSON.parse(body)
  } catch {
    // JSON.parse quotes what it cannot read.
    throw new WebhookError('unusable', 'its answer is not JSON')
  }
}

function redirected(from: URL, location: string): URL {
  const to = URL.parse(location, from.href)
  if (to === null || (to.protocol !== 'https:' && to.protocol !== 'http:')) {
    throw new WebhookError('bad-redirect', 'it redirects to what is not an http or https URL')
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw new WebhookError('bad-redirect', 'it redirects from https to http')
  }
  return to
}

async function exchange(
  url: URL,
  { body, maxBytes, maxRefusalBytes = 0 }: Omit<WebhookCall, 'url' | 'limitMs'>,
  signal: AbortSignal,
): Promise<WebhookAnswer & { readonly location: string | null }> {
  const response = await headOf(url, body, signal)
  const status = response.statusCode ?? 0
  const location = response.headers.location ?? null
  if (status < 200 || status > 299) {
    const text =
      status >= 400 && maxRefusalBytes > 0 ? await refusalOf(response, maxRefusalBytes, signal) : ''
    response.destroy()
    return { status, location, body: text }
  }
  try {
    // The signal ends a body that stalls.
    const limits = { maxBytes, stallMs: 2 ** 31 - 1, budget: new ByteBudget(maxBytes), signal }
    return { status, location, body: Buffer.from(await readBody(response, limits)).toString('utf8') }
  } catch (error) {
    if (!(error instanceof BodyError)) throw error
    if (error.code === 'body-too-large') {
      throw new WebhookError('too-large', `its answer is longer than ${maxBytes} bytes`)
    }
    throw new WebhookError('cut-short', 'its answer broke off', { cause: error })
  } finally {
    response.destroy()
  }
}

/** What a refusal says; nothing where that is too long or breaks off. */
async function refusalOf(response: IncomingMessage, maxBytes: number, signal: AbortSignal): Promise<string> {
  try {
    const limits = { maxBytes, stallMs: 2 ** 31 - 1, budget: new ByteBudget(maxBytes), signal }
    return Buffer.from(await readBody(response, limits)).toString('utf8')
  } catch {
    return ''
  }
}

/** Sends the request and resolves with the head of its answer. */
function headOf(url: URL, body: string | null, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const isSecure = url.protocol === 'https:'
  const request = (isSecure ? httpsRequest : httpRequest)(url, {
    ...{ method: body === null ? 'GET' : 'POST', agent: false, signal },
    headers: body === null ? {} : { 'content-type': 'application/json' },
  })
  let isConnected = false
  request.on('socket', (socket) =>
    socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      isConnected = true
    }),
  )
  request.on('response', resolve)
  request.on('error', (error: NodeJS.ErrnoException) => {
    // An error over several addresses has a code and no message of its own.
    const reason = messageOf(error) || (error.code ?? 'no connection')
    reject(new WebhookError(isConnected ? 'cut-short' : 'unreachable', reason, { cause: error }))
  })
  request.end(body ?? undefined)
  return promise
}
