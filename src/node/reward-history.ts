import type { NodeEvent } from '../domain/events.ts'
import type { NodeRecords } from '../io/store/node-records.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'

/**
 * Keeps what became of the reward of each round, to be shown. A row that cannot be written is left out: the chain knows what
 * was called, and nothing is decided by these.
 */
export class RewardHistory {
  readonly #records: Pick<NodeRecords, 'addReward' | 'addMissedRewards'>
  readonly #clock: Clock
  readonly #log: Log

  constructor(needs: {
    readonly records: Pick<NodeRecords, 'addReward' | 'addMissedRewards'>
    readonly clock: Clock
    readonly log: Log
  }) {
    this.#records = needs.records
    this.#clock = needs.clock
    this.#log = needs.log
  }

  /** Notes the events that concern rewards. */
  hear(event: NodeEvent): void {
    const atMs = this.#clock.now()
    switch (event.kind) {
      case 'reward-called': {
        const { fee, reward, round, txHash } = event
        this.#keep(() => this.#records.addReward({ round, reward, fee, txHash, atMs }))
        break
      }
      case 'rewards-missed': {
        const { first, last } = event
        this.#keep(() => this.#records.addMissedRewards({ first, last, atMs }))
        break
      }
    }
  }

  #keep(write: () => Promise<void>): void {
    write().catch((error) => this.#log.debug('reward not kept for the history', { error }))
  }
}
