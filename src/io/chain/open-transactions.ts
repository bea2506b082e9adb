import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { MinedTransaction, TransactionStore } from './transaction-request.ts'

/** A transaction that is not mined yet. */
export interface OpenTransaction {
  /** As the disk has it. */
  stored: StoredTransaction
  /** The most that may be offered for a unit of gas, in wei; 0 for no limit. */
  limit: bigint
  readonly outcome: PromiseWithResolvers<MinedTransaction>
  /** Since when it is the account's next one, in ms: only then can it be late. Null while others are before it. */
  nextSinceMs: number | null
  broadcastAtMs: number
  replacements: number
  maxReplacements: number
  takenLooks: number
  /** The head when its nonce was first seen used by another one. */
  takenSince: bigint
  unknownRefusals: number
  toldOfMax: boolean
}

/** How far back transactions are checked again after a restart, and how many at most. */
const MINED_LATELY_MS = 60 * 60_000
const MAX_MINED_LATELY = 16

/** How a transaction ended; `fee` in wei. */
export type TransactionEnd =
  | { readonly state: 'mined' | 'reverted'; readonly fee: bigint }
  | { readonly state: 'abandoned' }

/** The open transactions of one account, by nonce: each change is on disk before it counts here. */
export class OpenTransactions {
  readonly #account: Address
  readonly #store: TransactionStore
  readonly #clock: Clock
  readonly #maxReplacements: number
  /** What a transaction may offer where the disk does not tell. */
  readonly #ceiling: () => bigint
  readonly #open = new Map<number, OpenTransaction>()

  constructor(
    options: { account: Address; maxReplacements: number },
    needs: { store: TransactionStore; clock: Clock; ceiling: () => bigint },
  ) {
    this.#account = options.account
    this.#maxReplacements = options.maxReplacements
    this.#store = needs.store
    this.#clock = needs.clock
    this.#ceiling = needs.ceiling
  }

  /** Takes up what an earlier process left open. */
  async load(): Promise<void> {
    for (const stored of await this.#store.openTransactions(this.#account)) {
      if (stored.state === 'open') this.#track(stored, 0)
    }
  }

  /** Those that an earlier process saw mined lately, the newest first. */
  async minedLately(): Promise<StoredTransaction[]> {
    const sinceMs = this.#clock.now() - MINED_LATELY_MS
    return (await this.#store.minedTransactions?.(this.#account, sinceMs, MAX_MINED_LATELY)) ?? []
  }

  get size(): number {
    return this.#open.size
  }

  /** The lowest nonce first. */
  get all(): OpenTransaction[] {
    return [...this.#open.values()].sort((a, b) => a.stored.nonce - b.stored.nonce)
  }

  has(nonce: number): boolean {
    return this.#open.has(nonce)
  }

  /** The first that was opened for such a purpose, or null. */
  find(has: (purpose: string) => boolean): OpenTransaction | null {
    return [...this.#open.values()].find(({ stored }) => has(stored.purpose)) ?? null
  }

  /** Writes a new transaction down. `broadcastAtMs`: when it was last sent, ms of the clock. */
  async add(stored: StoredTransaction, broadcastAtMs: number): Promise<OpenTransaction> {
    await this.#save(stored)
    return this.#track(stored, broadcastAtMs)
  }

  /** Writes another attempt down. */
  async replace(transaction: OpenTransaction, stored: StoredTransaction): Promise<void> {
    await this.#save(stored)
    transaction.stored = stored
  }

  /** Writes the end of a transaction down; `fee`: what was paid for its gas, in wei, if it is mined. */
  async close(transaction: OpenTransaction, end: TransactionEnd): Promise<void> {
    const stored = { ...transaction.stored, ...end }
    await this.#save(stored)
    transaction.stored = stored
    this.#open.delete(stored.nonce)
  }

  /** Writes another end of a mined transaction down: a reorganisation moved it to another block. */
  async correct(mined: StoredTransaction, end: TransactionEnd): Promise<StoredTransaction> {
    const stored = { ...mined, ...end }
    await this.#save(stored)
    return stored
  }

  #save(stored: StoredTransaction): Promise<void> {
    return this.#store.saveTransaction(stored, this.#clock.now())
  }

  #track(stored: StoredTransaction, broadcastAtMs: number): OpenTransaction {
    const outcome = Promise.withResolvers<MinedTransaction>()
    // After a restart nothing may be waiting for it.
    outcome.promise.catch(() => {})
    const transaction: OpenTransaction = {
      stored,
      limit: stored.attempts.at(-1)!.limit ?? this.#ceiling(),
      outcome,
      nextSinceMs: null,
      broadcastAtMs,
      replacements: stored.attempts.length - 1,
      maxReplacements: this.#maxReplacements,
      takenLooks: 0,
      takenSince: 0n,
      unknownRefusals: 0,
      toldOfMax: false,
    }
    this.#open.set(stored.nonce, transaction)
    return transaction
  }
}

/** The hash of the newest attempt. */
export function newestHash(stored: StoredTransaction): Hex {
  return stored.attempts.at(-1)!.hash
}
