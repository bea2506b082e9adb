import { setTimeout as sleep } from 'node:timers/promises'
import type { SourceSegment } from '../src/io/media/engine/pattern.ts'

/** The response to a pushed segment. */
export interface Pushed {
  readonly seq: number
  readonly status: number
  /** Renditions with content. */
  readonly renditions: readonly Uint8Array[]
  readonly tookMs: number
  /** Body of a response other than 200. */
  readonly text: string
}

const PUSH_TIMEOUT_MS = 60_000

/** Pushes one segment to a gateway and parses the renditions (gateway.md §3). */
export async function pushSegment(
  gateway: string,
  stream: string,
  segment: SourceSegment,
  signal?: AbortSignal,
): Promise<Pushed> {
  const started = performance.now()
  const response = await fetch(`${gateway}/live/${stream}/${segment.seq}.ts`, {
    method: 'PUT',
    headers: { accept: 'multipart/mixed', 'content-duration': String(segment.durationMs) },
    body: segment.bytes as Uint8Array<ArrayBuffer>,
    signal: AbortSignal.any([AbortSignal.timeout(PUSH_TIMEOUT_MS), ...(signal ? [signal] : [])]),
  })
  const body = new Uint8Array(await response.arrayBuffer())
  const renditions = response.ok ? partsOf(response.headers.get('content-type') ?? '', body) : []
  const text = response.ok ? '' : new TextDecoder().decode(body).trim()
  return { seq: segment.seq, status: response.status, renditions, tookMs: performance.now() - started, text }
}

/** The parts of a multipart/mixed body in which every part has its length. */
export function partsOf(contentType: string, body: Uint8Array): Uint8Array[] {
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1]
  if (!boundary) return []
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const parts: Uint8Array[] = []
  let at = buffer.indexOf(`--${boundary}\r\n`)
  while (at >= 0) {
    const headersEnd = buffer.indexOf('\r\n\r\n', at)
    if (headersEnd < 0) break
    const length = Number(/content-length: *(\d+)/i.exec(buffer.toString('latin1', at, headersEnd))?.[1])
    if (!Number.isSafeInteger(length)) break
    const start = headersEnd + 4
    parts.push(new Uint8Array(buffer.subarray(start, start + length)))
    at = buffer.indexOf(`--${boundary}\r\n`, start + length)
  }
  return parts
}

/** Pushes a live source until aborted, segment by segment; failures are reported and do not stop it. */
export async function publish(
  options: {
    gateway: string
    stream: string
    source: AsyncIterable<SourceSegment>
    onPushed: (pushed: Pushed) => void
  },
  signal: AbortSignal,
): Promise<void> {
  for await (const segment of options.source) {
    if (signal.aborted) return
    try {
      options.onPushed(await pushSegment(options.gateway, options.stream, segment, signal))
    } catch (error) {
      if (signal.aborted) return
      options.onPushed({ seq: segment.seq, status: 0, renditions: [], tookMs: 0, text: String(error) })
      await sleep(500)
    }
  }
}
