import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { NodeError } from './errors.ts'

/** Why a body was not taken. */
export type BodyFault = 'body-too-large' | 'body-stalled' | 'body-broken-off' | 'no-room' | 'unwanted'

/** A body that was not taken. */
export class BodyError extends NodeError<BodyFault> {
  override name = 'BodyError'
}

/** Room for bytes in memory. */
export interface Room {
  /** Takes room for bytes, or says that there is none. */
  take(bytes: number): boolean
  /** Gives room back. */
  give(bytes: number): void
}

/** Counts bytes that are held in memory at one time, over all requests. */
export class ByteBudget implements Room {
  readonly #max: number
  #held = 0

  constructor(max: number) {
    this.#max = max
  }

  /** How many bytes are held now. */
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

/** Bounds of one body. */
export interface BodyLimits {
  readonly maxBytes: number
  /** A sender that is silent for this long is given up. */
  readonly stallMs: number
  /** The whole body must have come within this time; absent: whoever serves the request sees to that. */
  readonly totalMs?: number
  /** At least this much has to come in each span of time until the body's end; absent: any rate will do. */
  readonly slowest?: { readonly bytes: number; readonly perMs: number }
  /** From which its bytes are taken; whoever gets the body gives them back. */
  readonly budget: Room
  /** Aborted when nobody wants the body any more. */
  readonly signal?: AbortSignal
}

/**
 * Reads a body whole, over either version of HTTP. Throws BodyError as soon as it is too large, stalls, breaks off, or
 * finds no room; what was taken of the budget is then given back, and the rest of the request is not read.
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
 * As `readBody`, but hands the body on as it comes, and says how long it was. What `take` throws ends the reading too.
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
  // What came while this process was busy with other things is read first.
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
    // HTTP/2 also ends the stream of a peer that has gone: only what is complete counts.
    if (request.aborted) return onClose()
    settle()
    resolve(length)
  }
  const onClose = () => fail('body-broken-off', 'the connection broke off')
  const onUnwanted = () => fail('unwanted', 'nobody wants it any more')
  // The words in which peers are told so (gateway.md §3).
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
  // A sender that breaks off is no failure of ours; 'close' follows.
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
