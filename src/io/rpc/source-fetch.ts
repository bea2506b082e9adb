import { type ClientRequest, request as httpRequest, type IncomingMessage, STATUS_CODES } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { abortError, messageOf } from '../../lib/errors.ts'
import { allowedAddresses, type HostRule, portOfUrl } from '../../lib/host-rule.ts'
import { checkHost, lookupWhere, type Resolve } from '../../lib/public-address.ts'
import type { Room } from '../../lib/request-body.ts'
import { readBody } from '../../lib/request-body.ts'
import { ExchangeError } from './peer-exchange.ts'

/** Time limit for fetching a source (wire.md §12). */
const FETCH_MS = 4_000

/** Size limits of a source. */
export interface SourceLimits {
  readonly maxBytes: number
  /** The budget for its bytes; the receiver of the source gives them back. */
  readonly room: Room
}

/** How names are resolved and which addresses are public; tests replace both. */
export interface SourceNames {
  readonly resolve?: Resolve
  readonly isPublic?: (ip: string) => boolean
}

/**
 * Fetches a source that a peer names (wire.md §12), over its own connection to an address that the rule allows, checked
 * after resolving names. Redirects are not followed. Throws ExchangeError, or BodyError for its bytes.
 */
export async function fetchSource(
  text: string,
  { limits, names = {}, rule }: { rule: HostRule; limits: SourceLimits; names?: SourceNames },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const url = URL.canParse(text) ? new URL(text) : null
  const port = url && portOfUrl(url)
  if (!url || !port) throw new ExchangeError('bad-answer', 'the source is not an http(s) URL')
  const over = AbortSignal.any([signal, AbortSignal.timeout(FETCH_MS)])
  const allows = allowedAddresses(url, port, rule, names.isPublic)
  let response: IncomingMessage | null = null
  try {
    checkHost(url.hostname, allows)
    response = await answerOf(url, { lookup: lookupWhere(allows, names.resolve), signal: over })
    const { statusCode = 0 } = response
    if (statusCode !== 200) {
      const status = `${statusCode} ${STATUS_CODES[statusCode] ?? ''}`.trim()
      throw new ExchangeError('refused', status, { details: { status: statusCode } })
    }
    const { maxBytes, room } = limits
    return await readBody(response, { maxBytes, budget: room, stallMs: FETCH_MS, signal: over })
  } catch (error) {
    if (signal.aborted) throw abortError(signal)
    if (over.aborted) {
      throw new ExchangeError('body-timeout', `${url.host} did not send the source within ${FETCH_MS} ms`)
    }
    throw error
  } finally {
    response?.destroy()
  }
}

/** Sends a request and resolves with the head of its answer. The connection is not reused. */
function answerOf(
  url: URL,
  options: { lookup: ReturnType<typeof lookupWhere>; signal: AbortSignal },
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const common = { ...options, agent: false as const, headers: { connection: 'close' } }
  const request: ClientRequest =
    url.protocol === 'https:'
      ? // Peers' certificates are self-signed (wire.md §2); the hash shows whether the source is right.
        httpsRequest(url, {
          ...common,
          rejectUnauthorized: false,
          ...(isIP(host) === 0 && { servername: host }),
        })
      : httpRequest(url, common)
  request.on('response', resolve)
  request.on('error', (error) =>
    reject(
      new ExchangeError('unreachable', `cannot fetch from ${url.host}: ${messageOf(error)}`, {
        cause: error,
      }),
    ),
  )
  request.end()
  return promise
}
