import type { Fence } from '../../domain/lease.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import type { TicketState } from '../../domain/ticket-state.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type {
  SeenNonces,
  StoredTicket,
  TicketCount,
  TicketRecords,
  TicketRemark,
} from '../../services/orchestrator/payment-records.ts'
import { StoreError } from './database.ts'
import type { Store } from './store.ts'

/**
 * The store as a leader uses it: each of its writes is refused with StoreError `lease-lost`, and nothing is written, once
 * another process leads.
 */
export class LeaderRecords implements TicketRecords, Pick<SeenNonces, 'reveal'> {
  readonly #store: Store
  readonly #fence: Fence
  readonly #lost: (epoch: bigint) => void

  /** `lost` is told the epoch when a write was refused. */
  constructor(needs: { store: Store; fence: Fence; lost: (epoch: bigint) => void }) {
    this.#store = needs.store
    this.#fence = needs.fence
    this.#lost = needs.lost
  }

  openTransactions(account: Address): Promise<StoredTransaction[]> {
    return this.#store.openTransactions(account)
  }

  minedTransactions(account: Address, sinceMs: number, most: number): Promise<StoredTransaction[]> {
    return this.#store.minedTransactions(account, sinceMs, most)
  }

  saveTransaction(transaction: StoredTransaction, nowMs: number): Promise<void> {
    return this.#fenced(this.#store.saveTransaction(transaction, nowMs, this.#fence))
  }

  /** Winning tickets are taken by any node. */
  addTickets(
    tickets: readonly WinningTicket[],
    nowMs: number,
    source?: 'unpaid' | 'handedIn',
  ): Promise<WinningTicket[]> {
    return this.#store.addTickets(tickets, nowMs, source)
  }

  unfinishedTickets(isKnown?: (hash: Hex) => boolean): AsyncIterable<readonly StoredTicket[]> {
    return this.#store.unfinishedTickets(isKnown)
  }

  redeemedSince(block: bigint): Promise<StoredTicket[]> {
    return this.#store.redeemedSince(block)
  }

  saveTicketState(
    hash: Uint8Array,
    state: TicketState,
    nowMs: number,
    remark: TicketRemark = {},
  ): Promise<void> {
    return this.#fenced(this.#store.saveTicketState(hash, state, nowMs, { ...remark, fence: this.#fence }))
  }

  reveal(recipientRandHash: Uint8Array, expirationBlock: bigint): Promise<void> {
    return this.#fenced(this.#store.reveal(recipientRandHash, expirationBlock, this.#fence))
  }

  countTickets(): Promise<TicketCount[]> {
    return this.#store.countTickets()
  }

  async #fenced<T>(write: Promise<T>): Promise<T> {
    try {
      return await write
    } catch (error) {
      if (error instanceof StoreError && error.code === 'lease-lost') this.#lost(this.#fence.epoch)
      throw error
    }
  }
}
