import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { SecretPurpose, Secrets } from './payment-records.ts'

/** A rotation by another process or command is noticed within this time. */
const REREAD_MS = 30_000
/** A replaced secret still verifies for this long: longer than any token or params live. */
const OVERLAP_MS = 60 * 60_000

/** The secrets of one purpose, in memory: the first signs, all verify. A rotation is noticed without a restart. */
export class SecretRing implements Service {
  readonly name: string
  readonly #purpose: SecretPurpose
  readonly #store: Secrets
  readonly #clock: Clock
  readonly #log: Log
  readonly #rotates: boolean
  #keys: readonly Uint8Array[] = []

  /** `rotate`: starts with a new secret, unless the newest is less than an hour old. */
  constructor(
    purpose: SecretPurpose,
    needs: { secrets: Secrets; clock: Clock; log: Log },
    options: { rotate?: boolean } = {},
  ) {
    this.name = `${purpose} secret`
    this.#purpose = purpose
    this.#store = needs.secrets
    this.#clock = needs.clock
    this.#log = needs.log
    this.#rotates = options.rotate ?? false
  }

  async start(scope: Scope): Promise<void> {
    if (this.#rotates) {
      const now = this.#clock.now()
      await this.#store.rotateSecret(this.#purpose, now - OVERLAP_MS, now)
    }
    await this.reload()
    scope.spawn('notice rotations', async (signal) => {
      for (;;) {
        await this.#clock.sleep(REREAD_MS, signal)
        await this.#retire().catch((error) =>
          this.#log.warn('could not read secrets, keeping the known ones', {
            purpose: this.#purpose,
            error: messageOf(error),
          }),
        )
      }
    })
  }

  async #retire(): Promise<void> {
    await this.reload()
    if (this.#keys.length < 2) return
    const now = this.#clock.now()
    await this.#store.retireSecrets(this.#purpose, now - OVERLAP_MS, now)
    await this.reload()
  }

  /** The secrets in use, newest first; at least one once started. */
  get keys(): readonly Uint8Array[] {
    return this.#keys
  }

  /** Reads the secrets again. */
  async reload(): Promise<void> {
    this.#keys = await this.#store.secrets(this.#purpose)
  }
}
