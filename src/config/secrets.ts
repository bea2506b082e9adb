/** What must never be printed: nothing of it shows in JSON, logs or inspection. */
export class Secrets {
  readonly #ethPassword: string
  readonly #orchSecret: string

  constructor(values: { ethPassword: string; orchSecret: string }) {
    this.#ethPassword = values.ethPassword
    this.#orchSecret = values.orchSecret
  }

  /** Password of the account; empty when none was given. */
  get ethPassword(): string {
    return this.#ethPassword
  }

  /** What transcoders show to their orchestrator; empty when none was given. */
  get orchSecret(): string {
    return this.#orchSecret
  }
}
