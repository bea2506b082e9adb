/** The text of a job whose worker ended under it. Not among the texts that forbid another try. */
export const WORKER_DIED = 'Media worker died'

/** How often somebody's work ended a worker, and how long nothing more of it is taken. */
export interface Offence {
  readonly count: number
  /** When the last was; older ones are forgotten after a while. */
  readonly lastMs: number
}

/** What is borne. */
export interface Patience {
  /** Workers ended in a row, with less than `memoryMs` between them, after which nothing more is taken. */
  readonly offences: number
  readonly memoryMs: number
  /** How long nothing is taken. */
  readonly refusalMs: number
}

/** One more ended worker. */
export function withOffence(offence: Offence | undefined, nowMs: number, patience: Patience): Offence {
  const isRemembered = offence !== undefined && nowMs - offence.lastMs < patience.memoryMs
  return { count: (isRemembered ? offence.count : 0) + 1, lastMs: nowMs }
}

/** How many milliseconds nothing is taken from now on; 0 when it is. */
export function refusedForMs(offence: Offence | undefined, nowMs: number, patience: Patience): number {
  if (offence === undefined || offence.count < patience.offences) return 0
  return Math.max(0, offence.lastMs + patience.refusalMs - nowMs)
}
