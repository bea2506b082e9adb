/** Work of one key that is not done: how many pieces, and how long their video lasts. */
export interface Backlog {
  readonly count: number
  readonly durationMs: number
}

const EMPTY: Backlog = { count: 0, durationMs: 0 }

/** Runs work one piece at a time for each key, in the order in which it comes; keys do not wait for one another. */
export class Turns {
  readonly #queues = new Map<string, Backlog & { readonly tail: Promise<void> }>()

  /** Work of a key that runs or waits. */
  of(key: string): Backlog {
    const { count, durationMs } = this.#queues.get(key) ?? EMPTY
    return { count, durationMs }
  }

  /** Runs work once the work of its key before it has ended, however that ended. `durationMs`: of its video, if any. */
  async take<Result>(key: string, work: () => Promise<Result>, durationMs = 0): Promise<Result> {
    const before = this.#queues.get(key)
    const done = Promise.withResolvers<void>()
    this.#change(key, { count: 1, durationMs }, done.promise)
    try {
      await before?.tail
      return await work()
    } finally {
      this.#change(key, { count: -1, durationMs: -durationMs })
      done.resolve()
    }
  }

  #change(key: string, by: Backlog, tail?: Promise<void>): void {
    const known = this.#queues.get(key)
    const count = (known?.count ?? 0) + by.count
    if (count === 0) this.#queues.delete(key)
    else {
      const durationMs = (known?.durationMs ?? 0) + by.durationMs
      this.#queues.set(key, { count, durationMs, tail: tail ?? known!.tail })
    }
  }
}
