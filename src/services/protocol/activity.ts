import type { ChainUpdate, OrchestratorState } from '../../domain/chain.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { CachedRead } from './cached-read.ts'
import type { ChainWatch } from './rounds.ts'

/** The state is read again after this time even without an event. */
const REFRESH_MS = 10 * 60_000
/** The last known state is used while the chain cannot be read: tickets keep their value meanwhile. */
const MAX_AGE_MS = Number.POSITIVE_INFINITY

/** Chain reads about the recipient. */
export interface ActivityReads {
  orchestrator(address: Address): Promise<OrchestratorState>
}

/** Knows whether the recipient of tickets is in the active set. */
export class Activity implements Service {
  readonly name = 'activity'
  readonly #recipient: Address
  readonly #watch: ChainWatch
  readonly #rounds: { readonly lastInitializedRound: bigint }
  readonly #state: CachedRead<OrchestratorState>

  constructor(
    options: { recipient: Address },
    needs: {
      chain: ActivityReads
      watch: ChainWatch
      rounds: { readonly lastInitializedRound: bigint }
      clock: Clock
    },
  ) {
    this.#recipient = options.recipient
    this.#watch = needs.watch
    this.#rounds = needs.rounds
    this.#state = new CachedRead(
      { refreshMs: REFRESH_MS, maxAgeMs: MAX_AGE_MS },
      { read: () => needs.chain.orchestrator(options.recipient), clock: needs.clock },
    )
  }

  start(scope: Scope): void {
    this.#watch.subscribe((update) => this.#follow(update), scope.signal)
  }

  /** Whether it may receive payments in the last initialised round (payments.md §5.2). Throws what the chain throws. */
  async isActive(): Promise<boolean> {
    const { activationRound, deactivationRound } = await this.#state.get()
    const round = this.#rounds.lastInitializedRound
    return activationRound <= round && round < deactivationRound
  }

  #follow(update: ChainUpdate): void {
    const concerns = (event: ChainUpdate['events'][number]) =>
      'orchestrator' in event && event.orchestrator === this.#recipient && event.kind !== 'reward'
    if (update.reorganised || update.events.some(concerns)) this.#state.invalidate()
  }
}
