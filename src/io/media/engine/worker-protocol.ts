import type { WorkKind } from './worker-answers.ts'

/** What both ends of a worker's pipe know, without what only the engine needs to check answers. */

/** The pipe on which requests and answers go, as the worker numbers it. */
export const WORKER_PIPE = 3

/** The longest reason for a failed request. */
export const MAX_REASON_CHARS = 10_000

/** What is asked of a worker process. */
export interface WorkerRequest {
  readonly id: number
  /** Null cancels the request of that id. */
  readonly task: { readonly kind: WorkKind; readonly payload: unknown } | null
}
