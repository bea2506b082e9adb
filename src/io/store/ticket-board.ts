import type { LedgerRow } from '../../domain/ledger.ts'
import type { Money } from '../../domain/money.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Database } from './database.ts'
import { readLedger } from './ledger-rows.ts'
import { readMoneyByDay } from './money-rows.ts'
import {
  type KnownTicket,
  listTickets,
  storyOf,
  type TicketFilter,
  type TicketPlace,
  type TicketStory,
} from './ticket-story.ts'
import { spentSince } from './transaction-row.ts'

/** The book of some days: what each gateway's tickets came to, and all that was earned and spent. */
export interface Book {
  /** In the order of their days. */
  readonly rows: readonly LedgerRow[]
  readonly byDay: ReadonlyMap<number, Money>
}

/** What the store has of winning tickets and their money, for operators: reads alone, each of them bounded by its caller. */
export class TicketBoard {
  readonly #store: { readonly database: Database }

  /** The store may open later. */
  constructor(store: { readonly database: Database }) {
    this.#store = store
  }

  /** The newest tickets that fit, after a place in the list. Throws StoreError. */
  list(
    filter: TicketFilter,
    page: { readonly after: TicketPlace | null; readonly most: number },
  ): Promise<KnownTicket[]> {
    return this.#explained(({ db }) => listTickets(db, filter, page))
  }

  /** All that is known of one ticket; null for one that is not known. Throws StoreError. */
  story(id: Hex): Promise<TicketStory | null> {
    return this.#explained(({ db }) => storyOf(db, id))
  }

  /** The book from one day to another, all of it as of one moment. Throws StoreError. */
  book(from: number, to: number): Promise<Book> {
    return this.#explained(({ db, shared }) => {
      const transaction = db.transaction()
      // SQLite has one writer and no levels.
      return (shared ? transaction.setIsolationLevel('repeatable read') : transaction).execute(
        async (tx) => ({
          rows: await readLedger(tx, from, to),
          byDay: await readMoneyByDay(tx, from, to),
        }),
      )
    })
  }

  /** What an account spent on gas from a day on, in wei. Throws StoreError. */
  spentSince(account: Address, day: number): Promise<bigint> {
    return this.#explained(({ db }) => spentSince(db, account, day))
  }

  async #explained<T>(read: (database: Database) => Promise<T>): Promise<T> {
    const { database } = this.#store
    try {
      return await read(database)
    } catch (error) {
      throw database.explain(error)
    }
  }
}
