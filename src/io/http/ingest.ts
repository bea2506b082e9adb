import type { IncomingMessage, ServerResponse } from 'node:http'
import { finished } from 'node:stream/promises'
import { type Cause, sentenceOf } from '../../domain/causes.ts'
import type { NodeEventOf, NodeEvents } from '../../domain/events.ts'
import { extensionOf, mimeTypeOf } from '../../domain/rendition.ts'
import { isMisleading, parseStreamPath, pathExtension, sequenceOf } from '../../domain/stream-name.ts'
import { formatHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { BodyError, type ByteBudget, readBody } from '../../lib/request-body.ts'
import type { GatewayFault } from '../../services/gateway/gateway-error.ts'
import type { PushedSegment, Rendition, StreamConfig } from '../../services/gateway/pushed-segment.ts'
import type { StreamGrant } from '../../services/gateway/stream-authority.ts'
import { departureOf, isUnheard, pendingReads } from './half-open-server.ts'
import { multipartBody, renditionPart } from './multipart.ts'
import { urlOf } from './request-url.ts'
import { sendBytes, sendPieces, sendText, sendTextEarly } from './response.ts'
import { parseStreamConfig } from './stream-config.ts'

/** Duration of a segment whose pusher declares none (gateway.md §3). */
const DEFAULT_DURATION_MS = 2000
/** Of segments, as they are written (gateway.md §3). */
const EXTENSIONS: ReadonlySet<string> = new Set(['.ts', '.mp4'])
const LARGEST_UINT64 = 2n ** 64n - 1n

/** The handler of pushed segments. */
export interface PushedSegments {
  /** What is granted to a stream, before a segment of it is read; undefined where there is nothing to ask. */
  admit(externalId: string, url: string): Promise<StreamGrant | null | undefined>
  serve(segment: PushedSegment, signal: AbortSignal): Promise<readonly Rendition[]>
  /** The name under which its stream is played. */
  nameOf(segment: PushedSegment): string
}

/** What ingest depends on. */
export interface IngestNeeds {
  readonly segments: PushedSegments
  readonly budget: ByteBudget
  readonly limits: { readonly maxBytes: number; readonly stallMs: number }
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly events: NodeEvents
  /** How long a refused client may continue to send. */
  patience(): Promise<void>
}

/** A refusal with the text for the pusher. */
class Refusal extends NodeError<'refusal'> {
  readonly status: number

  constructor(status: number, message: string) {
    super('refusal', message)
    this.status = status
  }
}

/** Status and prefix of the text for each fault of the gateway (gateway.md §3). */
const answers: Readonly<Record<GatewayFault, readonly [status: number, prefix: (path: string) => string]>> = {
  'unknown-codec': [422, () => 'Unknown input stream codec='],
  'stream-denied': [403, (path) => `Could not create stream ID: url=${path} err=`],
  'stream-refused': [500, (path) => `Could not create stream ID: url=${path} err=`],
  'unusable-input': [500, (path) => `http push error url=${path} err=`],
  'segment-refused': [422, (path) => `http push error processing segment url=${path} err=`],
  'segment-failed': [500, (path) => `http push error processing segment url=${path} err=`],
  'no-sessions': [503, () => ''],
}

/**
 * Receives one pushed segment and answers with its renditions, with the checks in the order of gateway.md §3. A
 * complete segment is processed whether or not the publisher waits for the answer.
 */
export async function ingest(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  needs: IngestNeeds,
): Promise<void> {
  const gone = departureOf(request, response)
  let pushed: { readonly segment: PushedSegment; readonly sinceMs: number } | null = null
  try {
    if (request.method !== 'PUT' && request.method !== 'POST') {
      throw new Refusal(405, `http push request wrong method=${request.method}`)
    }
    const config = configOf(request)
    if (isMisleading(path)) throw new Refusal(400, `Bad URL url=${path}`)
    const grant = await admission(request, path, needs)
    using body = await bodyOf(request, needs)
    const described = describeSegment(request, path, body.bytes, config)
    const segment = grant === undefined ? described : { ...described, grant }
    pushed = { segment, sinceMs: needs.clock.now() }
    // Whatever the answer, it may end the connection of a publisher that has sent more and left.
    const renditions = await needs.segments.serve(segment, gone).finally(pendingReads)
    const left = gone.aborted ? 'result' : 'end-of-answer'
    const isSent = await answer(request, response, segment, renditions, needs.dice)
    if (renditions.length > 0) tellOutcome(pushed, isSent && left !== 'result' ? null : left, needs)
  } catch (error) {
    if (pushed && gone.aborted) tellOutcome(pushed, 'result', needs)
    const [status, text] = refusalOf(error, path)
    const causes = error instanceof NodeError && 'causes' in error ? (error.causes as readonly Cause[]) : []
    if (status === 500 && !(error instanceof NodeError)) {
      needs.log.error('serving a pushed segment failed', { path, error })
    }
    if (request.complete) sendText(response, status, text, causes.map(sentenceOf))
    else await sendTextEarly(request, response, status, text, needs.patience())
  }
}

/** What the publisher saw of its segment; `left` is null where it has all of the answer. */
function tellOutcome(
  { segment, sinceMs }: { readonly segment: PushedSegment; readonly sinceMs: number },
  left: NodeEventOf<'publisher-left'>['before'] | null,
  { clock, events, segments }: IngestNeeds,
): void {
  const { clientIp = null, durationMs } = segment
  const manifestId = segments.nameOf(segment)
  if (left) {
    events.tell({ kind: 'publisher-left', before: left, manifestId, clientIp })
  } else {
    const tookMs = clock.now() - sinceMs
    events.tell({ kind: 'publisher-answered', manifestId, durationMs, tookMs, clientIp })
  }
}

function refusalOf(error: unknown, path: string): readonly [status: number, text: string] {
  if (error instanceof Refusal) return [error.status, error.message]
  if (error instanceof NodeError && Object.hasOwn(answers, error.code)) {
    const [status, prefix] = answers[error.code as GatewayFault]
    return [status, `${prefix(path)}${error.message}`]
  }
  return [500, `http push error processing segment url=${path} err=${messageOf(error)}`]
}

function configOf(request: IncomingMessage): StreamConfig | null {
  const header = headerOf(request, 'livepeer-transcode-configuration')
  if (header === '') return null
  try {
    return parseStreamConfig(header)
  } catch (error) {
    throw new Refusal(400, `failed to parse transcode config header: ${messageOf(error)}`)
  }
}

/** Whoever may not publish a stream takes up no memory for its bytes. What is refused anyway is not asked about. */
async function admission(
  request: IncomingMessage,
  path: string,
  { segments }: IngestNeeds,
): Promise<StreamGrant | null | undefined> {
  const { manifestId } = parseStreamPath(path)
  if (manifestId === '' || !EXTENSIONS.has(pathExtension(path))) return undefined
  return segments.admit(manifestId, urlOf(request))
}

/** The body and its share of the budget, which is released with it. */
async function bodyOf(
  request: IncomingMessage,
  needs: IngestNeeds,
): Promise<Disposable & { bytes: Uint8Array }> {
  const { budget, limits } = needs
  try {
    const bytes = await readBody(request, { ...limits, budget })
    return { bytes, [Symbol.dispose]: () => budget.give(bytes.length) }
  } catch (error) {
    const status = error instanceof BodyError && error.code === 'no-room' ? 503 : 500
    throw new Refusal(status, `Error reading http request body: ${messageOf(error)}`)
  }
}

function describeSegment(
  request: IncomingMessage,
  path: string,
  bytes: Uint8Array,
  config: StreamConfig | null,
): PushedSegment {
  const extension = pathExtension(path)
  if (!EXTENSIONS.has(extension)) {
    throw new Refusal(400, `ignoring file extension: ${extension}`)
  }
  const fromMs = unsigned(headerOf(request, 'content-slice-from'))
  const toMs = unsigned(headerOf(request, 'content-slice-to'))
  if (fromMs > 0n && toMs > 0n && fromMs > toMs) {
    throw new Refusal(400, `Invalid slice config from=${fromMs}ms to=${toMs}ms`)
  }
  const { manifestId } = parseStreamPath(path)
  if (manifestId === '') throw new Refusal(400, `Bad URL url=${path}`)
  return {
    externalId: manifestId,
    sequence: sequenceOf(path),
    format: extension === '.mp4' ? 'mp4' : 'mpegts',
    bytes,
    ...durationOf(headerOf(request, 'content-duration')),
    resolution: resolutionOf(headerOf(request, 'content-resolution')),
    clip: fromMs > 0n || toMs > 0n ? { fromMs, toMs } : null,
    config,
    clientIp: request.socket.remoteAddress ?? null,
    url: urlOf(request),
  }
}

/** Sends the answer; false when the client disconnected before its end. The segment is processed all the same. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  segment: PushedSegment,
  renditions: readonly Rendition[],
  dice: Dice,
): Promise<boolean> {
  if (headerOf(request, 'accept') !== 'multipart/mixed' || renditions.length === 0) {
    sendBytes(response, 200, {}, '')
    return await isDelivered(response, finished(response))
  }
  const boundary = formatHex(dice.bytes(10)).slice(2)
  const parts = renditions.map(({ name, format, bytes, url }) =>
    renditionPart({
      name,
      sequence: segment.sequence,
      extension: extensionOf(format),
      mimeType: mimeTypeOf(format),
      bytes,
      url: url ?? null,
    }),
  )
  const headers = { 'Content-Type': `multipart/mixed; boundary=${boundary}` }
  return await isDelivered(response, sendPieces(response, headers, multipartBody(parts, boundary)))
}

function isDelivered(response: ServerResponse, sending: Promise<void>): Promise<boolean> {
  return sending.then(
    () => !isUnheard(response),
    () => false,
  )
}

/** The first line of a header, as peers read it; empty if absent. */
function headerOf(request: IncomingMessage, name: string): string {
  return request.headersDistinct[name]?.[0] ?? ''
}

/** In whole milliseconds; 2 s if missing or unreadable (gateway.md §3). */
function durationOf(header: string): Pick<PushedSegment, 'durationMs' | 'isDurationGuessed'> {
  if (/^[+-]?\d{1,15}$/.test(header)) return { durationMs: Number(header) }
  return { durationMs: DEFAULT_DURATION_MS, isDurationGuessed: true }
}

/** `WxH` or `0x0`, for playlists. */
function resolutionOf(header: string): string {
  return /^\d{1,5}x\d{1,5}$/.test(header) ? header : '0x0'
}

function unsigned(header: string): bigint {
  if (!/^\d{1,20}$/.test(header)) return 0n
  const value = BigInt(header)
  return value <= LARGEST_UINT64 ? value : 0n
}
