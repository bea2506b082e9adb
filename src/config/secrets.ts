/** What must never be printed: nothing of it shows in JSON, logs or inspection. */
export class Secrets {
  readonly #ethPassword: string
  readonly #orchSecret: string
  readonly #redeemerSecret: string
  readonly #controlToken: string

  constructor(values: {
    ethPassword: string
    orchSecret: string
    redeemerSecret: string
    controlToken: string
  }) {
    this.#ethPassword = values.ethPassword
    this.#orchSecret = values.orchSecret
    this.#redeemerSecret = values.redeemerSecret
    this.#controlToken = values.controlToken
  }

  /** Password of the account; empty when none was given. */
  get ethPassword(): string {
    return this.#ethPassword
  }

  /** What transcoders show to their orchestrator; empty when none was given. */
  get orchSecret(): string {
    return this.#orchSecret
  }

  /** What orchestrators show to their redeemer; empty when none was given. */
  get redeemerSecret(): string {
    return this.#redeemerSecret
  }

  /** What the control API asks for; empty when it asks for nothing. */
  get controlToken(): string {
    return this.#controlToken
  }
}
