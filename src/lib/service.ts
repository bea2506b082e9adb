import { isAbort, NodeError } from './errors.ts'

/** Why a service fails while it runs. */
export type ServiceFault = 'background-work-failed'

/** What a running service gets: a signal to stop by, and two ways to have its work cleaned up. */
export interface Scope {
  /** Aborted when the service must stop. Pass it to every wait, fetch and listener. */
  readonly signal: AbortSignal
  /** Runs work in the background. A failure stops the node, unless it results from the aborted signal. */
  spawn(name: string, work: (signal: AbortSignal) => Promise<void>): void
  /** Registers clean-up, run last-in first-out after the background work has ended. */
  defer(cleanup: () => void | Promise<void>): void
}

/** A long-lived part of the node. Constructing it does nothing; `start` resolves once it can serve. */
export interface Service {
  readonly name: string
  start(scope: Scope): Promise<void> | void
}

interface Running {
  readonly service: Service
  readonly stop: () => Promise<void>
}

/**
 * Starts services in order and stops them in reverse: aborts each one's signal, awaits its background work, then runs
 * its deferred clean-up. When background work fails, `failed` rejects and the owner stops the rest.
 */
export class Supervisor implements AsyncDisposable {
  readonly #running: Running[] = []
  readonly #failure = Promise.withResolvers<never>()

  constructor() {
    this.#failure.promise.catch(() => {})
  }

  /**
   * Starts one service. If its start fails, what it took is released before the error is thrown. `stop` does not wait for
   * a start: it releases what has been taken so far, and the start releases the rest when it ends.
   */
  async start(service: Service): Promise<void> {
    const abort = new AbortController()
    const tasks = new Set<Promise<void>>()
    const cleanups: (() => void | Promise<void>)[] = []
    const stop = async () => {
      abort.abort()
      while (tasks.size > 0) await Promise.allSettled(tasks)
      for (const cleanup of cleanups.splice(0).reverse()) {
        try {
          await cleanup()
        } catch (error) {
          this.#failure.reject(error)
        }
      }
    }
    const scope: Scope = {
      signal: abort.signal,
      spawn: (name, work) => {
        const task = work(abort.signal)
          .catch((error) => {
            if (abort.signal.aborted && isAbort(error)) return
            this.#failure.reject(failureOf(service.name, name, error))
          })
          .finally(() => tasks.delete(task))
        tasks.add(task)
      },
      defer: (cleanup) => void cleanups.push(cleanup),
    }
    const running = { service, stop }
    this.#running.push(running)
    try {
      await service.start(scope)
    } catch (error) {
      this.#forget(running)
      await stop()
      throw error
    }
    if (abort.signal.aborted) await stop()
  }

  #forget(running: Running): void {
    const at = this.#running.indexOf(running)
    if (at >= 0) this.#running.splice(at, 1)
  }

  /** Rejects when background work of any service fails; never resolves. */
  get failed(): Promise<never> {
    return this.#failure.promise
  }

  /** Waits until the signal is aborted. Throws the first failure of background work. */
  async untilStopped(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const aborted = Promise.withResolvers<void>()
    const onAbort = () => aborted.resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([aborted.promise, this.#failure.promise])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Stops everything, last started first. */
  async stop(): Promise<void> {
    for (let running = this.#running.pop(); running; running = this.#running.pop()) await running.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** A NodeError explains itself; any other error gets the name of the work it came from. */
function failureOf(service: string, work: string, error: unknown): NodeError {
  if (error instanceof NodeError) return error
  return new NodeError<ServiceFault>(
    'background-work-failed',
    `${service}: ${work} failed: ${String(error)}`,
    {
      cause: error,
    },
  )
}
