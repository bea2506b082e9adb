/**
 * The suspended orchestrators of one pool of a stream, counted in refreshes of that pool. A penalty of n lasts until
 * the n-th refresh from now. An absolute count would make small penalties ineffective in a stream that has refreshed
 * often (gateway.md §17, edge 7).
 */
export interface Suspensions {
  /** Number of refreshes so far. */
  readonly refreshes: number
  /** Transcoder URL to the refresh at which its suspension ends. */
  readonly until: ReadonlyMap<string, number>
}

/** No suspensions. */
export const NO_SUSPENSIONS: Suspensions = { refreshes: 0, until: new Map() }

/** The suspensions after one more refresh, without those that ended. */
export function afterRefresh(suspensions: Suspensions): Suspensions {
  const refreshes = suspensions.refreshes + 1
  return { refreshes, until: new Map([...suspensions.until].filter(([, until]) => until > refreshes)) }
}

/** Adds `penalty` refreshes to an orchestrator's suspension. */
export function suspend(suspensions: Suspensions, url: string, penalty: number): Suspensions {
  const from = Math.max(suspensions.until.get(url) ?? 0, suspensions.refreshes)
  return { ...suspensions, until: new Map(suspensions.until).set(url, from + penalty) }
}

/** How many refreshes an orchestrator is still suspended for; 0 if it is not. */
export function remainingPenalty(suspensions: Suspensions, url: string): number {
  return Math.max(0, (suspensions.until.get(url) ?? 0) - suspensions.refreshes)
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
