/** Calls back after a time; tests replace it where nothing may depend on the real time. */
export interface Timers {
  /** Calls `run` after `ms`, unless it is stopped before; the returned function stops it. */
  after(ms: number, run: () => void): () => void
}

/** The system's timers. */
export const systemTimers: Timers = {
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}
