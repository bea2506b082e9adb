import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { NodeError } from './errors.ts'

/** Why a body was refused. */
export type BodyFault = 'body-too-large' | 'body-stalled' | 'body-broken-off' | 'no-room' | 'unwanted'

/** A refused body. */
export class BodyError extends NodeError<BodyFault> {
  override name = 'BodyError'
}

/** A budget of bytes in memory. */
export interface Room {
  /** Reserves bytes; false when there is no room. */
  take(bytes: number): boolean
  /** Releases bytes. */
  give(bytes: number): void
}

/** Limits the bytes held in memory by all requests together. */
export class ByteBudget implements Room {
  readonly #max: number
  #held = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Bytes held now. */
  get held(): number {
    return this.#held
  }

  take(bytes: number): boolean {
    if (this.#held + bytes > this.#max) return false
    this.#held += bytes
    return true
  }

  give(bytes: number): void {
    this.#held -= bytes
  }
}

/** Limits for one body. */
export interface BodyLimits {
  readonly maxBytes: number
  /** A peer that sends nothing for this long is dropped. */
  readonly stallMs: number
  /** The time limit for the whole body; absent: the caller enforces one. */
  readonly totalMs?: number
  /** The least that must arrive in each interval until the body ends; absent: any rate is accepted. */
  readonly slowest?: { readonly bytes: number; readonly perMs: number }
  /** The budget the bytes are taken from. The receiver of the body gives them back. */
  readonly budget: Room
  /** Aborted when the body is no longer needed. */
  readonly signal?: AbortSignal
}

/**
 * Reads a whole body, over either version of HTTP. Throws BodyError as soon as it is too large, stalls, breaks off, or
 * finds no room; then the bytes taken are given back and the rest of the request is not read.
 */
export async function readBody(
  request: IncomingMessage | Http2ServerRequest,
  limits: BodyLimits,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  const length = await receiveBody(request, limits, (chunk) => void chunks.push(chunk))
  return Buffer.concat(chunks, length)
}

/**
 * Like `readBody`, but passes each chunk to `take` and returns the length. An error thrown by `take` ends the reading
 * too.
 */
export function receiveBody(
  request: IncomingMessage | Http2ServerRequest,
  limits: BodyLimits,
  take: (chunk: Uint8Array) => void,
): Promise<number> {
  const { maxBytes, stallMs, totalMs, slowest, budget, signal } = limits
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  let length = 0
  const onStall = () => fail('body-stalled', `nothing came for ${stallMs / 1000} s`)
  const stall = setTimeout(onStall, stallMs)
  const total =
    totalMs === undefined
      ? undefined
      : setTimeout(() => fail('body-stalled', 'the body comes too slowly'), totalMs)
  let lengthBefore = 0
  const checkRate = () => {
    if (isSettled || !slowest) return
    if (length - lengthBefore < slowest.bytes) fail('body-stalled', 'the body comes too slowly')
    lengthBefore = length
  }
  // Data that arrived while the event loop was busy is read before the rate is checked.
  const rate = slowest && setInterval(() => setImmediate(checkRate), slowest.perMs)
  let isSettled = false
  const onData = (chunk: Uint8Array) => {
    stall.refresh()
    if (length + chunk.length > maxBytes) return onTooLarge()
    if (!budget.take(chunk.length)) return fail('no-room', 'too many bytes are being received at once')
    length += chunk.length
    try {
      take(chunk)
    } catch (error) {
      failWith(error)
    }
  }
  const onEnd = () => {
    // HTTP/2 also emits `end` for an aborted stream: only a complete body counts.
    if (request.aborted) return onClose()
    settle()
    resolve(length)
  }
  const onClose = () => fail('body-broken-off', 'the connection broke off')
  const onUnwanted = () => fail('unwanted', 'the request was cancelled')
  // The text that peers know (gateway.md §3).
  const onTooLarge = () => fail('body-too-large', 'input bigger than max buffer size')
  const fail = (code: BodyFault, message: string) => failWith(new BodyError(code, message))
  const failWith = (error: unknown) => {
    settle()
    budget.give(length)
    request.pause()
    reject(error)
  }
  const settle = () => {
    isSettled = true
    clearTimeout(stall)
    clearTimeout(total)
    clearInterval(rate)
    signal?.removeEventListener('abort', onUnwanted)
    request.off('data', onData).off('end', onEnd).off('aborted', onClose).off('close', onClose)
  }
  // A peer that disconnects is not an error here; 'close' follows.
  request.on('error', () => {})
  if (request.destroyed || request.aborted) onClose()
  else if (signal?.aborted) onUnwanted()
  else if (Number(request.headers['content-length'] ?? 0) > maxBytes) onTooLarge()
  else {
    signal?.addEventListener('abort', onUnwanted, { once: true })
    request.on('data', onData).on('end', onEnd).on('aborted', onClose).on('close', onClose)
  }
  return promise
}
