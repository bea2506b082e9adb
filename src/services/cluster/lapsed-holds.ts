import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { LEASE_MS } from './members.ts'

/** The fees that the nodes of a cluster have set aside. */
export interface LapsedHoldRecords {
  /** Frees those of processes whose lease ran out this long ago or earlier; gives their number. */
  freeLapsed(graceMs: number): Promise<number>
}

/** What freeing needs. */
export interface LapsedHoldsNeeds {
  readonly holds: LapsedHoldRecords
  readonly members: { readonly isIn: boolean }
  readonly clock: Clock
  readonly log: Log
}

/**
 * Frees what nodes set aside for segments that they do not finish any more: each node of the cluster does it for those whose
 * lease has run out. After an outage of the database it waits until the others have had time to renew their leases.
 */
export class LapsedHolds implements Service {
  readonly name = 'lapsed holds'
  readonly #needs: LapsedHoldsNeeds

  constructor(needs: LapsedHoldsNeeds) {
    this.#needs = needs
  }

  start(scope: Scope): void {
    const { clock, holds, log, members } = this.#needs
    scope.spawn('free what lapsed nodes set aside', async (signal) => {
      for (let turnsIn = 0; ; ) {
        await clock.sleep(LEASE_MS, signal)
        turnsIn = members.isIn ? turnsIn + 1 : 0
        if (turnsIn < 2) continue
        try {
          const segments = await holds.freeLapsed(LEASE_MS)
          if (segments > 0) log.info('fees freed that a lapsed node had set aside', { segments })
        } catch (error) {
          log.debug('fees of lapsed nodes not freed', { error })
        }
      }
    })
  }
}
