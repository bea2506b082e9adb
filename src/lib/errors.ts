/**
 * Base class of every error this project throws on purpose: a code from a closed list for callers to decide by (never
 * the text), a message for people, and details for the log.
 */
export class NodeError<Code extends string = string> extends Error {
  override name = 'NodeError'
  readonly code: Code
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: Code,
    message: string,
    options: { cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
  }
}

/** The text of any thrown value, for logs and for messages that wrap it. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** An AbortError like the platform's own, with the signal's reason as its cause. */
export function abortError(signal?: AbortSignal | null): Error {
  const error = new Error('The operation was aborted', { cause: signal?.reason })
  error.name = 'AbortError'
  return error
}

/** Whether the error results from an aborted signal rather than a failure. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
