import type { IncomingMessage } from 'node:http'
import { NodeError } from '../../lib/errors.ts'

/** The largest segment that is taken (gateway.md §1). */
export const MAX_BODY_BYTES = 300_000_000

/** How many bytes of bodies are held at once, over all requests, unless told otherwise. */
export const DEFAULT_MAX_BYTES_AT_ONCE = 1_500_000_000

/** A sender that sends nothing for so long is given up. */
export const DEFAULT_SILENCE_MS = 30_000

/** Why a body was not taken. */
export type BodyFault = 'body-too-big' | 'body-too-slow' | 'body-broken' | 'too-many-bytes'

/** A body that was not taken. */
export class BodyError extends NodeError<BodyFault> {
  override name = 'BodyError'
}

/** How many bytes of bodies are held now, and may be. */
export class BodyBudget {
  readonly #max: number
  #held = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Takes bytes on, or says that there is no room. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#max) return false
    this.#held += bytes
    return true
  }

  give(bytes: number): void {
    this.#held -= bytes
  }

  get held(): number {
    return this.#held
  }
}

/** A body and its place in the budget, which is given back with it. */
export interface Body extends Disposable {
  readonly bytes: Uint8Array
}

/**
 * Reads a whole request body. Throws BodyError as soon as it is too big, stalls, breaks off, or finds the budget
 * exhausted; the rest of the request is then not read.
 */
export async function readBody(
  request: IncomingMessage,
  limits: { maxBytes: number; silenceMs: number; budget: BodyBudget },
): Promise<Body> {
  const { maxBytes, silenceMs, budget } = limits
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooBig()
  const chunks: Buffer[] = []
  let size = 0
  const finished = Promise.withResolvers<void>()
  const onData = (chunk: Buffer) => {
    if (size + chunk.length > maxBytes) {
      finished.reject(tooBig())
    } else if (!budget.take(chunk.length)) {
      finished.reject(new BodyError('too-many-bytes', 'too many bytes are being received at once'))
    } else {
      size += chunk.length
      chunks.push(chunk)
    }
  }
  const onBroken = () => finished.reject(new BodyError('body-broken', 'the connection broke off'))
  const onSilence = () =>
    finished.reject(new BodyError('body-too-slow', `nothing came for ${silenceMs / 1000} s`))
  request.on('data', onData).on('end', finished.resolve).on('error', onBroken).on('close', onBroken)
  request.setTimeout(silenceMs, onSilence)
  try {
    await finished.promise
    const bytes = Buffer.concat(chunks, size)
    return { bytes, [Symbol.dispose]: () => budget.give(size) }
  } catch (error) {
    budget.give(size)
    throw error
  } finally {
    request.setTimeout(0)
    request.off('data', onData).off('end', finished.resolve).off('close', onBroken).off('timeout', onSilence)
  }
}

function tooBig(): BodyError {
  return new BodyError('body-too-big', 'input bigger than max buffer size')
}
