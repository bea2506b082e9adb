import { type Causes, noCauses } from '../../domain/causes.ts'
import type { ChainUpdate, OrchestratorState } from '../../domain/chain.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { RewardView } from './reward-right.ts'
import type { ChainWatch } from './rounds.ts'

/** The chain is read again after this time even without an event; sooner after it could not be read. */
const LOOK_MS = 10 * 60_000
const RETRY_MS = 10_000

/** What the check works with. */
export interface RegistrationNeeds {
  readonly chain: {
    orchestrator(address: Address): Promise<OrchestratorState>
    orchestratorPool(): Promise<readonly { readonly address: Address }[]>
    rewardView(orchestrator: Address): Promise<Pick<RewardView, 'rewardCaller'>>
  }
  readonly watch: Pick<ChainWatch, 'subscribe'>
  /** Whether two service addresses are the same. */
  isSameUri(a: string, b: string): boolean
  readonly causes?: Causes
  readonly clock: Clock
  readonly log: Log
}

/**
 * Compares what an operator has set with what the chain says of the node's own account, where tickets pay that account:
 * whether it is an orchestrator at all, and whether gateways find it at the address that this node advertises.
 */
export class Registration implements Service {
  readonly name = 'registration'
  readonly #account: Address
  readonly #serviceUri: string
  readonly #needs: RegistrationNeeds
  readonly #alarm = new Alarm()
  /** Looked for once: it takes a read of every active orchestrator. */
  #rewardCallerOf: Address | null | undefined

  constructor(
    options: {
      account: Address
      /** Where this node says that gateways reach it; empty where it serves none. */
      serviceUri: string
    },
    needs: RegistrationNeeds,
  ) {
    this.#account = options.account
    this.#serviceUri = options.serviceUri
    this.#needs = needs
  }

  start(scope: Scope): void {
    this.#needs.watch.subscribe((update) => this.#follow(update), scope.signal)
    scope.spawn('compare with the chain', async (signal) => {
      for (;;) {
        const waitMs = await this.#look()
        await this.#alarm.wait(this.#needs.clock, waitMs, signal)
      }
    })
  }

  #follow({ events, reorganised }: ChainUpdate): void {
    const concerns = (event: ChainUpdate['events'][number]) =>
      'orchestrator' in event && event.orchestrator === this.#account && event.kind !== 'reward'
    if (reorganised || events.some(concerns)) this.#alarm.ring()
  }

  /** Returns how long to wait before the next look, in ms. */
  async #look(): Promise<number> {
    const { chain, log } = this.#needs
    try {
      const state = await chain.orchestrator(this.#account)
      await this.#compareAccount(state)
      this.#compareAddress(state)
      return LOOK_MS
    } catch (error) {
      if (isAbort(error)) throw error
      log.debug('could not read the registration', { account: this.#account, error: messageOf(error) })
      return RETRY_MS
    }
  }

  async #compareAccount({ active, registered }: OrchestratorState): Promise<void> {
    const { causes = noCauses } = this.#needs
    if (registered || active) {
      causes.over('account-not-registered')
      return
    }
    if (this.#rewardCallerOf === undefined) this.#rewardCallerOf = await this.#findOrchestrator()
    const facts = { account: this.#account, rewardCallerOf: this.#rewardCallerOf }
    causes.met({ code: 'account-not-registered', facts })
  }

  #compareAddress({ serviceUri: registeredUri }: OrchestratorState): void {
    const { causes = noCauses, isSameUri } = this.#needs
    const serviceUri = this.#serviceUri
    if (serviceUri === '' || registeredUri === '' || isSameUri(serviceUri, registeredUri)) {
      causes.over('service-uri-differs')
    } else {
      const facts = { account: this.#account, serviceUri, registeredUri }
      causes.met({ code: 'service-uri-differs', facts })
    }
  }

  /** The active orchestrator whose reward this account may call; null if there is none. */
  async #findOrchestrator(): Promise<Address | null> {
    const { chain } = this.#needs
    const pool = await chain.orchestratorPool()
    const views = await Promise.all(pool.map(({ address }) => chain.rewardView(address)))
    return pool[views.findIndex(({ rewardCaller }) => rewardCaller === this.#account)]?.address ?? null
  }
}
