import { type Causes, noCauses } from '../../domain/causes.ts'
import { larger, smaller } from '../../lib/bigints.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'

/** How often the balance is read; sooner while it is too small. */
const CHECK_MS = 60_000
const URGENT_CHECK_MS = 10_000
/** The operator is told an amount for this many redemptions at least, and at most. */
const LEAST_CALLS = 10n
const MOST_CALLS = 1_000n

/** What the check works with. */
export interface EtherCheckNeeds {
  /** The balance of the account that redeems, in wei. Throws what the chain throws. */
  balance(): Promise<bigint>
  readonly gas: { /** Wei; 0 while unknown. */ readonly gasPrice: bigint }
  readonly redeemer: { readonly openTickets: number; funded(): void }
  /** Whether it falls to this node to redeem: in a cluster, another may do it. Absent: always. */
  readonly isNeeded?: () => boolean
  readonly causes?: Causes
  readonly clock: Clock
  readonly log: Log
}

/**
 * Tells the operator when the account that redeems winning tickets cannot pay for even one redemption: at the start,
 * before the first ticket has waited for it, and until it can.
 */
export class EtherCheck implements Service {
  readonly name = 'ether check'
  readonly #account: Address
  readonly #redeemGas: bigint
  readonly #needs: EtherCheckNeeds
  #isShort = false

  constructor(options: { account: Address; redeemGas: bigint }, needs: EtherCheckNeeds) {
    this.#account = options.account
    this.#redeemGas = options.redeemGas
    this.#needs = needs
  }

  start(scope: Scope): void {
    scope.spawn('look at the balance', async (signal) => {
      for (;;) {
        await this.#look()
        await this.#needs.clock.sleep(this.#isShort ? URGENT_CHECK_MS : CHECK_MS, signal)
      }
    })
  }

  async #look(): Promise<void> {
    const { causes = noCauses, gas, isNeeded, log, redeemer } = this.#needs
    if (isNeeded?.() === false) return causes.over('no-ether')
    let balanceWei: bigint
    try {
      balanceWei = await this.#needs.balance()
    } catch (error) {
      // The chain has a cause of its own.
      log.debug('could not read the balance', { account: this.#account, error: messageOf(error) })
      return
    }
    const { gasPrice: gasPriceWei } = gas
    const cost = this.#redeemGas * gasPriceWei
    if (balanceWei >= larger(cost, 1n)) {
      causes.over('no-ether')
      if (this.#isShort) redeemer.funded()
      this.#isShort = false
      return
    }
    this.#isShort = true
    const calls = larger(LEAST_CALLS, smaller(BigInt(redeemer.openTickets), MOST_CALLS))
    const facts = { account: this.#account, balanceWei, neededWei: calls * cost, calls, gasPriceWei }
    causes.met({ code: 'no-ether', facts })
  }
}
