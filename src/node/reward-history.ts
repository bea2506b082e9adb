import type { NodeEvent } from '../domain/events.ts'
import type { Store } from '../io/store/store.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'

/**
 * Keeps what became of the reward of each round, to be shown. A row that cannot be written is left out: the chain knows what
 * was called, and nothing is decided by these.
 */
export class RewardHistory {
  readonly #store: Pick<Store, 'addReward' | 'addMissedRewards'>
  readonly #clock: Clock
  readonly #log: Log

  constructor(needs: {
    readonly store: Pick<Store, 'addReward' | 'addMissedRewards'>
    readonly clock: Clock
    readonly log: Log
  }) {
    this.#store = needs.store
    this.#clock = needs.clock
    this.#log = needs.log
  }

  /** Notes the events that concern rewards. */
  hear(event: NodeEvent): void {
    const atMs = this.#clock.now()
    switch (event.kind) {
      case 'reward-called': {
        const { fee, reward, round, txHash } = event
        this.#keep(() => this.#store.addReward({ round, reward, fee, txHash, atMs }))
        break
      }
      case 'rewards-missed': {
        const { first, last } = event
        this.#keep(() => this.#store.addMissedRewards({ first, last, atMs }))
        break
      }
    }
  }

  #keep(write: () => Promise<void>): void {
    write().catch((error) => this.#log.debug('reward not kept for the history', { error }))
  }
}
