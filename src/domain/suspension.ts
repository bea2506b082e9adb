/** How long an orchestrator is left out for each penalty that it gets. */
export const SUSPENSION_MS = 30_000

/**
 * The suspended orchestrators of one pool of a stream: transcoder URL to the time at which the suspension ends. They
 * decay by time; counted in searches, small penalties would have no effect in a stream that searches often (gateway.md
 * §17, edge 7).
 */
export type Suspensions = ReadonlyMap<string, number>

/** No suspensions. */
export const NO_SUSPENSIONS: Suspensions = new Map()

/** The suspensions without those that have ended. */
export function lasting(suspensions: Suspensions, nowMs: number): Suspensions {
  return new Map([...suspensions].filter(([, untilMs]) => untilMs > nowMs))
}

/** Adds `penalty` times the length of a suspension to an orchestrator's. */
export function suspend(
  suspensions: Suspensions,
  url: string,
  { nowMs, penalty }: { readonly penalty: number; readonly nowMs: number },
): Suspensions {
  const fromMs = Math.max(suspensions.get(url) ?? 0, nowMs)
  return new Map(suspensions).set(url, fromMs + penalty * SUSPENSION_MS)
}

/** How long an orchestrator is still suspended, in ms; 0 if it is not. */
export function remainingMs(suspensions: Suspensions, url: string, nowMs: number): number {
  return Math.max(0, (suspensions.get(url) ?? 0) - nowMs)
}

/**
 * The most trusted sessions that a stream asks for: twice the number of two-second segments in eight seconds
 * (gateway.md §8).
 */
const MAX_TRUSTED_SESSIONS = 8

/** How many sessions a pool asks for (gateway.md §8). */
export function requestedSessions(trust: 'trusted' | 'untrusted', poolSize: number): number {
  return trust === 'trusted' ? Math.min(poolSize, MAX_TRUSTED_SESSIONS) : poolSize
}

/** The penalty for a failure: a large pool can do without an orchestrator for longer (gateway.md §8). */
export function penaltyOf(poolSize: number, requested: number): number {
  return Math.ceil(Math.max(1, poolSize) / Math.max(1, requested))
}

/** A pool with fewer free sessions than this looks for more (gateway.md §8). */
export function refreshThreshold(requested: number): number {
  return Math.min(MAX_TRUSTED_SESSIONS, Math.ceil(requested / 2))
}
