import { LedTransactions } from '../../io/chain/led-transactions.ts'
import type { TransactionStore } from '../../io/chain/transaction-request.ts'
import type { Transactions } from '../../io/chain/transactions.ts'
import { LeaderRecords } from '../../io/store/leader-records.ts'
import { LeaseRows } from '../../io/store/lease-rows.ts'
import type { Store } from '../../io/store/store.ts'
import { StoreSession } from '../../io/store/store-session.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Log } from '../../lib/log.ts'
import type { Service } from '../../lib/service.ts'
import { Leadership } from '../../services/cluster/leadership.ts'

/** How one process of a cluster takes part in the election of leaders. */
export interface LeaderOptions {
  readonly account: Address
  /** `-storeSessionUrl`. */
  readonly sessionUrl: string
  /** The node's id. */
  readonly node: string
  /** One run of this process. */
  readonly instance: string
  /** How much this process does with its account now; null for nothing. The one that does most leads. */
  readonly rank: () => number | null
  /** `-gasLimit`. */
  readonly gasLimit: bigint
}

/** What the election of leaders works with. */
export interface LeaderNeeds {
  readonly store: Store
  /** Makes the transactions of one term, on this store. */
  readonly transactionsOn: (store: TransactionStore) => Transactions
  readonly clock: Clock
  readonly log: Log
}

/**
 * The leadership of one process in its cluster. Of the processes with one account, the leader sends its transactions; other
 * duties are led by a process that does.
 */
export class LeaderParts {
  /** The transactions of the account, while this process sends them. */
  readonly transactions: LedTransactions
  /** Who sends with the account. */
  readonly sending: Leadership
  /** In the order of starting. */
  readonly services: readonly Service[]
  readonly #options: LeaderOptions
  readonly #needs: LeaderNeeds
  readonly #leases: LeaseRows
  readonly #session: StoreSession

  constructor(options: LeaderOptions, needs: LeaderNeeds) {
    const { store } = needs
    this.#options = options
    this.#needs = needs
    this.#leases = new LeaseRows(store)
    this.#session = new StoreSession({ url: options.sessionUrl, instance: options.instance }, needs)
    this.sending = this.#leadership(`send/${options.account}`, options.rank)
    this.transactions = new LedTransactions({
      ...needs,
      leads: this.sending,
      ofTerm: (epoch) => needs.transactionsOn(this.recordsOf(this.sending, epoch)),
      gasLimit: options.gasLimit,
    })
    this.services = [store, this.#session, this.sending, this.transactions]
  }

  /** The leadership of a duty that takes transactions, for which a process must be the one that sends with its account. */
  leadershipOf(duty: string, rank: () => number | null): Leadership {
    const leadership = this.#leadership(duty, () => (this.transactions.epoch === null ? null : rank()))
    this.transactions.onChange(() => leadership.look(), new AbortController().signal)
    return leadership
  }

  /** The store as the leader of a term uses it. */
  recordsOf(leadership: Leadership, epoch: bigint): LeaderRecords {
    const fence = { lease: leadership.lease, epoch, instance: this.#options.instance }
    return new LeaderRecords({ store: this.#needs.store, fence, lost: (of) => leadership.lost(of) })
  }

  #leadership(lease: string, rank: () => number | null): Leadership {
    const { instance, node } = this.#options
    const options = { lease, instance, node, rank }
    return new Leadership(options, { ...this.#needs, leases: this.#leases, session: this.#session })
  }
}
