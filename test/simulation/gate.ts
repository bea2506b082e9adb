const AsyncGeneratorFunction = async function* () {}.constructor as new () => (
  ...args: unknown[]
) => AsyncGenerator<unknown>

/** A process: everything it asks of the world passes a gate, at which it may die. */
export class Gate {
  isDead = false
  readonly #onAwait: () => boolean
  readonly #onCrash: () => void

  /** `onAwait` is asked at every pass whether the process dies there. */
  constructor(onAwait: () => boolean, onCrash: () => void) {
    this.#onAwait = onAwait
    this.#onCrash = onCrash
  }

  /** The same object for this process: once it has died, nothing is called and nothing answers any more. */
  wrap<T extends object>(target: T, atOnce: readonly string[] = ['subscribe', 'assertBelowMax']): T {
    return new Proxy(target, {
      get: (_, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        if (atOnce.includes(name as string)) return value.bind(target)
        if (value instanceof AsyncGeneratorFunction) {
          return (...args: unknown[]) => this.#passEach(value.apply(target, args))
        }
        return (...args: unknown[]) => this.pass(() => value.apply(target, args))
      },
    })
  }

  /** One call that leaves the process, and its answer. */
  async pass<Answer>(call: () => Answer | Promise<Answer>): Promise<Answer> {
    if (this.#dies()) return never()
    try {
      const result = await call()
      return this.#dies() ? never() : result
    } catch (error) {
      if (this.#dies()) return never()
      throw error
    }
  }

  /** Each portion of an answer leaves the process for itself. */
  async *#passEach(portions: AsyncGenerator<unknown>): AsyncGenerator<unknown> {
    for (;;) {
      const { done, value } = await this.pass(() => portions.next())
      if (done) return
      yield value
    }
  }

  /** The process dies now, wherever it is. */
  kill(): void {
    if (this.isDead) return
    this.isDead = true
    this.#onCrash()
  }

  #dies(): boolean {
    if (!this.isDead && this.#onAwait()) this.kill()
    return this.isDead
  }
}

/** A promise of its own for each who waits in vain, so that what waits can be forgotten. */
function never(): Promise<never> {
  return new Promise(() => {})
}
