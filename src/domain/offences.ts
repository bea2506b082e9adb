/** The error text of a job whose worker died. It is not among the texts after which peers do not retry. */
export const WORKER_DIED = 'Media worker died'

/** How often a stream's or sender's work crashed a worker, and when its next work is accepted. */
export interface Offence {
  readonly count: number
  /** When the last one happened; older ones are forgotten after a while. */
  readonly lastMs: number
}

/** How many offences are tolerated. */
export interface Patience {
  /** Consecutive crashes, less than `memoryMs` apart, after which work is refused. */
  readonly offences: number
  readonly memoryMs: number
  /** How long work is refused. */
  readonly refusalMs: number
}

/** Adds a crashed worker. */
export function withOffence(offence: Offence | undefined, nowMs: number, patience: Patience): Offence {
  const isRemembered = offence !== undefined && nowMs - offence.lastMs < patience.memoryMs
  return { count: (isRemembered ? offence.count : 0) + 1, lastMs: nowMs }
}

/** For how many milliseconds work is refused from now on; 0 if it is accepted. */
export function refusedForMs(offence: Offence | undefined, nowMs: number, patience: Patience): number {
  if (offence === undefined || offence.count < patience.offences) return 0
  return Math.max(0, offence.lastMs + patience.refusalMs - nowMs)
}
