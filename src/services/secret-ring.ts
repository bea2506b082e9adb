import type { Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Scope, Service } from '../lib/service.ts'
import type { SecretPurpose, Secrets } from './payment-records.ts'

/** How soon a rotation by another process or command is noticed. */
const REREAD_MS = 30_000

/** The secrets of one purpose, at hand: the first signs, all verify. A rotation is noticed without a restart. */
export class SecretRing implements Service {
  readonly name: string
  readonly #purpose: SecretPurpose
  readonly #store: Secrets
  readonly #clock: Clock
  readonly #log: Log
  #keys: readonly Uint8Array[] = []

  constructor(purpose: SecretPurpose, needs: { secrets: Secrets; clock: Clock; log: Log }) {
    this.name = `${purpose} secret`
    this.#purpose = purpose
    this.#store = needs.secrets
    this.#clock = needs.clock
    this.#log = needs.log
  }

  async start(scope: Scope): Promise<void> {
    await this.reload()
    scope.spawn('notice rotations', async (signal) => {
      for (;;) {
        await this.#clock.sleep(REREAD_MS, signal)
        await this.reload().catch((error) =>
          this.#log.warn('secrets cannot be read, those known stay in use', {
            purpose: this.#purpose,
            error: messageOf(error),
          }),
        )
      }
    })
  }

  /** Those in use, newest first; never none once started. */
  get keys(): readonly Uint8Array[] {
    return this.#keys
  }

  /** Reads the secrets again. */
  async reload(): Promise<void> {
    this.#keys = await this.#store.secrets(this.#purpose)
  }
}
