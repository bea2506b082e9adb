import { type ConnectionLoad, connectionsToMove } from '../../domain/load-shares.ts'
import type { Member, MemberWork } from '../../domain/member.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'

const LOOK_MS = 2_000
/** After a move, until siblings' rows and this node's sessions show what it has done. */
const SETTLE_MS = 10_000

/** A port whose connections can be counted and moved. */
export interface LoadedPort {
  /** The connections over which segments came lately. */
  readonly loads: readonly ConnectionLoad[]
  /** Lets the peers of these connections open new ones; what runs is finished. */
  move(ids: readonly number[]): void
}

/** What evening out needs. */
export interface LoadEveningNeeds {
  readonly work: () => MemberWork
  readonly members: { readonly siblings: readonly Pick<Member, 'work'>[] }
  /** Whether any node goes on with any session: not while one cannot use the store. */
  readonly mayMove: () => boolean
  /** Null while it is not open. */
  readonly port: () => LoadedPort | null
  readonly clock: Clock
  readonly log: Log
}

/** Moves connections away while this node carries clearly more than its share of the cluster's sessions. */
export class LoadEvening implements Service {
  readonly name = 'load evening'
  readonly #needs: LoadEveningNeeds
  #movedMs = Number.NEGATIVE_INFINITY

  constructor(needs: LoadEveningNeeds) {
    this.#needs = needs
  }

  start(scope: Scope): void {
    scope.spawn('even out the load', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(LOOK_MS, signal)
        this.#look()
      }
    })
  }

  #look(): void {
    const { clock, log, mayMove, members, port, work } = this.#needs
    const own = work()
    // A node that drains moves everything anyway.
    if (!own.takesSegments || !mayMove() || clock.now() - this.#movedMs < SETTLE_MS) return
    const open = port()
    const ids = open ? connectionsToMove({ work: own }, members.siblings, open.loads) : []
    if (ids.length === 0) return
    this.#movedMs = clock.now()
    log.info('moving connections to less busy nodes', { connections: ids.length, sessions: own.sessions })
    open?.move(ids)
  }
}
