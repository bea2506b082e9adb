const AsyncGeneratorFunction = async function* () {}.constructor as new () => (
  ...args: unknown[]
) => AsyncGenerator<unknown>

/** A simulated process: every call to the outside passes this gate, where the process may die. */
export class Gate {
  isDead = false
  readonly #onAwait: () => boolean
  readonly #onCrash: () => void
  readonly #held: () => Promise<void> | null

  /**
   * `onAwait` is called at every pass and decides whether the process dies there; `held` gives what it waits for while the
   * process is paused.
   */
  constructor(onAwait: () => boolean, onCrash: () => void, held: () => Promise<void> | null = () => null) {
    this.#onAwait = onAwait
    this.#onCrash = onCrash
    this.#held = held
  }

  /** A proxy of the object for this process: once the process has died, nothing is called and nothing answers. */
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

  /** Passes one call and its answer. */
  async pass<Answer>(call: () => Answer | Promise<Answer>): Promise<Answer> {
    await this.#thawed()
    if (this.#dies()) return never()
    try {
      const result = await call()
      await this.#thawed()
      return this.#dies() ? never() : result
    } catch (error) {
      await this.#thawed()
      if (this.#dies()) return never()
      throw error
    }
  }

  /** A process may be paused again as soon as it goes on. */
  async #thawed(): Promise<void> {
    for (let held = this.#held(); held; held = this.#held()) await held
  }

  /** Each part of an answer passes separately. */
  async *#passEach(portions: AsyncGenerator<unknown>): AsyncGenerator<unknown> {
    for (;;) {
      const { done, value } = await this.pass(() => portions.next())
      if (done) return
      yield value
    }
  }

  /** Kills the process now. */
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

/** A separate promise for each caller that waits in vain, so that it can be collected. */
function never(): Promise<never> {
  return new Promise(() => {})
}
