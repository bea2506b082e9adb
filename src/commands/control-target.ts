import http from 'node:http'
import https from 'node:https'
import { Readable } from 'node:stream'
import { parsePeer } from '../config/addresses.ts'
import { messageOf } from '../lib/errors.ts'
import { hostAndPort } from '../lib/hosts.ts'
import { plain } from './status/answer.ts'

/** How long a node may take to answer what it has in memory. */
export const ANSWER_TIMEOUT_MS = 4_000
/** How long `fetch` waits for an answer at most. */
const FETCH_LIMIT_MS = 300_000
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const TOKEN = /^[\x21-\x7e]{1,1000}$/

/** Where a node's control API is, and what it is shown. */
export interface ControlTarget {
  readonly url: string
  /** Empty for none. */
  readonly token: string
}

/** The token of the command line or the environment, or in the file that it names; empty for none. Throws a sentence. */
export function tokenOf(
  given: string | undefined,
  {
    readText,
    variables,
  }: {
    readonly variables: Readonly<Record<string, string | undefined>>
    readonly readText: (path: string) => string | null
  },
): string {
  const text = given ?? variables.LP_CLITOKEN ?? ''
  const token = text === '' ? '' : (readText(text)?.trim() ?? text)
  if (token !== '' && !TOKEN.test(token)) {
    throw new Error('--token is one word of letters, digits and signs, which the text or file given is not')
  }
  return token
}

/** The name to show for a control address, and its base URL. Throws SettingsError, or a sentence. */
export function addressOf(text: string): [name: string, url: string] {
  const full = /^\d{1,5}$/.test(text) ? `127.0.0.1:${text}` : text
  const peer = parsePeer('the address', full.includes('://') ? full : `http://${full}`, '127.0.0.1')
  if (peer.portAssumed && !full.includes('://')) {
    throw new Error(
      `the address ${plain(text)} has no port: write HOST:PORT, such as ${hostAndPort(peer.host, 7935)}`,
    )
  }
  const url = peer.portAssumed ? peer.url.replace(/:\d+$/, '') : peer.url
  return [full, url]
}

/** Asks a node's control API, with its token; no answer leads to another address. Rejects as `fetch` does. */
export function fetchFrom(
  { token, url }: ControlTarget,
  path: string,
  {
    body,
    headers = {},
    method,
    signal,
    timeoutMs,
  }: {
    readonly method: 'GET' | 'POST'
    readonly body?: URLSearchParams
    readonly headers?: Readonly<Record<string, string>>
    readonly timeoutMs: number
    readonly signal: AbortSignal
  },
): Promise<Response> {
  const shown = { ...headers, ...(token !== '' && { authorization: `Bearer ${token}` }) }
  const either = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  if (timeoutMs > FETCH_LIMIT_MS) {
    return patiently(`${url}${path}`, { method, headers: shown, body, signal: either })
  }
  return fetch(`${url}${path}`, {
    ...{ method, redirect: 'manual', headers: shown, signal: either },
    ...(body && { body }),
  })
}

/** As `fetch`, which gives up after some minutes without an answer. */
function patiently(
  url: string,
  {
    body,
    headers,
    method,
    signal,
  }: {
    readonly method: string
    readonly headers: Readonly<Record<string, string>>
    readonly body: URLSearchParams | undefined
    readonly signal: AbortSignal
  },
): Promise<Response> {
  const { promise, reject, resolve } = Promise.withResolvers<Response>()
  const type = body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}
  const options = { method, headers: { ...headers, ...type }, agent: false, signal }
  const request = (url.startsWith('https:') ? https : http).request(url, options, (answer) => {
    try {
      const status = answer.statusCode ?? 0
      resolve(new Response(Readable.toWeb(answer) as ReadableStream<Uint8Array>, { status }))
    } catch (error) {
      reject(error)
    }
  })
  request.on('error', reject)
  request.end(body?.toString() ?? '')
  return promise
}

/** Why a node did not answer, as a sentence without control characters: the cause that `fetch` wraps. */
export function silenceOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  return plain(messageOf(cause))
}

/** The text of a node's answer. Throws a sentence for one longer than any status. */
export async function textOf(response: Response): Promise<string> {
  return (await bytesOf(response)).toString('utf8')
}

/** The bytes of a node's answer. Throws a sentence for one longer than any status. */
export async function bytesOf(response: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) throw new Error(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
