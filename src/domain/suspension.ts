/**
 * Which orchestrators one pool of a stream leaves aside, counted in refreshes of that pool. A penalty of n lasts
 * until the n-th refresh after it, however old the stream is: the count is taken relative to now, since an absolute
 * one would make small penalties bite never in a stream that has refreshed often (gateway.md §17, edge 7).
 */
export interface Suspensions {
  /** How often the pool was refreshed. */
  readonly refreshes: number
  /** Transcoder URL to the refresh that frees it. */
  readonly until: ReadonlyMap<string, number>
}

/** Nobody is suspended. */
export const NO_SUSPENSIONS: Suspensions = { refreshes: 0, until: new Map() }

/** One refresh later; those whose time is over are forgotten. */
export function afterRefresh(suspensions: Suspensions): Suspensions {
  const refreshes = suspensions.refreshes + 1
  return { refreshes, until: new Map([...suspensions.until].filter(([, until]) => until > refreshes)) }
}

/** With `penalty` more refreshes for one orchestrator. */
export function suspend(suspensions: Suspensions, url: string, penalty: number): Suspensions {
  const from = Math.max(suspensions.until.get(url) ?? 0, suspensions.refreshes)
  return { ...suspensions, until: new Map(suspensions.until).set(url, from + penalty) }
}

/** How many refreshes an orchestrator still sits out; 0 when it is free. */
export function remainingPenalty(suspensions: Suspensions, url: string): number {
  return Math.max(0, (suspensions.until.get(url) ?? 0) - suspensions.refreshes)
}

/** The most trusted sessions that one stream asks for: twice the two-second segments in eight seconds (gateway.md §8). */
const MAX_TRUSTED_SESSIONS = 8

/** How many sessions a pool asks for (gateway.md §8). */
export function requestedSessions(trust: 'trusted' | 'untrusted', poolSize: number): number {
  return trust === 'trusted' ? Math.min(poolSize, MAX_TRUSTED_SESSIONS) : poolSize
}

/** The penalty of one failure: in a large pool an orchestrator is missed less (gateway.md §8). */
export function penaltyOf(poolSize: number, requested: number): number {
  return Math.ceil(Math.max(1, poolSize) / Math.max(1, requested))
}

/** Below how many free sessions a pool looks for more (gateway.md §8). */
export function refreshThreshold(requested: number): number {
  return Math.min(MAX_TRUSTED_SESSIONS, Math.ceil(requested / 2))
}
