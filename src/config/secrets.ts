import type { AlertTarget } from '../domain/alert-target.ts'

/** Values that must never be printed. They do not appear in JSON, logs or `util.inspect`. */
export class Secrets {
  readonly #ethPassword: string
  readonly #orchSecret: string
  readonly #redeemerSecret: string
  readonly #controlToken: string
  readonly #storeUrl: string
  readonly #storeSessionUrl: string
  readonly #metadataUrl: string
  readonly #kafkaPassword: string
  readonly #alertTargets: readonly AlertTarget[]

  constructor(values: {
    ethPassword: string
    orchSecret: string
    redeemerSecret: string
    controlToken: string
    storeUrl: string
    storeSessionUrl: string
    metadataUrl: string
    kafkaPassword: string
    alertTargets: readonly AlertTarget[]
  }) {
    this.#ethPassword = values.ethPassword
    this.#orchSecret = values.orchSecret
    this.#redeemerSecret = values.redeemerSecret
    this.#controlToken = values.controlToken
    this.#storeUrl = values.storeUrl
    this.#storeSessionUrl = values.storeSessionUrl
    this.#metadataUrl = values.metadataUrl
    this.#kafkaPassword = values.kafkaPassword
    this.#alertTargets = values.alertTargets
  }

  /** Password of the account; empty when not given. */
  get ethPassword(): string {
    return this.#ethPassword
  }

  /** Secret that transcoders send to their orchestrator; empty when not given. */
  get orchSecret(): string {
    return this.#orchSecret
  }

  /** Secret that orchestrators send to their redeemer; empty when not given. */
  get redeemerSecret(): string {
    return this.#redeemerSecret
  }

  /** Token of the control API; empty when none is required. */
  get controlToken(): string {
    return this.#controlToken
  }

  /** URL of the cluster's database; empty where the node keeps a file of its own. */
  get storeUrl(): string {
    return this.#storeUrl
  }

  /** URL of the same database for connections that keep a session; that of the store where no other is given. */
  get storeSessionUrl(): string {
    return this.#storeSessionUrl
  }

  /** URL of the AMQP broker that gets events; empty for none. */
  get metadataUrl(): string {
    return this.#metadataUrl
  }

  /** Password at the Kafka brokers that get events; empty for none. */
  get kafkaPassword(): string {
    return this.#kafkaPassword
  }

  /** Where alerts are sent: the URLs of webhooks are secrets. */
  get alertTargets(): readonly AlertTarget[] {
    return this.#alertTargets
  }
}
