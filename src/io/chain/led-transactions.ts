import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort } from '../../lib/errors.ts'
import { Listeners } from '../../lib/listeners.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { type Leads, whileLeading } from '../../lib/terms.ts'
import { ChainError } from './chain-error.ts'
import type { MinedTransaction, TransactionRequest } from './transaction-request.ts'
import type { Transactions } from './transactions.ts'

/** Sends transactions of an account. */
export type TransactionSender = Pick<Transactions, 'submit' | 'join' | 'allow' | 'open' | 'gasLimit'>

/** What a sender in a cluster needs. */
export interface LedTransactionsNeeds {
  /** Whether this process is the one that sends with the account. */
  readonly leads: Leads
  /** Makes the transactions of one term, which take up what earlier leaders left open. */
  readonly ofTerm: (epoch: bigint) => Transactions
  /** `-gasLimit`. */
  readonly gasLimit: bigint
  readonly clock: Clock
  readonly log: Log
}

interface Term {
  readonly epoch: bigint
  readonly transactions: Transactions
  readonly signal: AbortSignal
}

/**
 * The transactions of an account that several processes have: only the leader sends. Each term begins with what is in the
 * store. It leads itself from when those are known, for whatever depends on them.
 */
export class LedTransactions implements Service, TransactionSender, Leads {
  readonly name = 'transactions'
  readonly #needs: LedTransactionsNeeds
  readonly #changes = new Listeners<void>()
  #term: Term | null = null

  constructor(needs: LedTransactionsNeeds) {
    this.#needs = needs
  }

  start(scope: Scope): void {
    scope.spawn('send while leading', (signal) =>
      whileLeading(
        this.#needs.leads,
        async (epoch, supervisor, term) => {
          const transactions = this.#needs.ofTerm(epoch)
          await supervisor.start(transactions)
          if (term.aborted) return
          this.#enter({ epoch, transactions, signal: term })
          term.addEventListener('abort', () => this.#enter(null), { once: true })
        },
        this.#needs,
        signal,
      ),
    )
  }

  /** The epoch in which this process sends; null while it does not. */
  get epoch(): bigint | null {
    const epoch = this.#term?.epoch ?? null
    return epoch === this.#needs.leads.epoch ? epoch : null
  }

  onChange(listener: () => void, signal: AbortSignal): void {
    this.#changes.add(listener, signal)
    this.#needs.leads.onChange(listener, signal)
  }

  get gasLimit(): bigint {
    return this.#needs.gasLimit
  }

  /** Those of the present term; none while another process sends. */
  get open(): readonly StoredTransaction[] {
    return this.#term?.transactions.open ?? []
  }

  /** As `Transactions.submit`. Throws ChainError `not-leading` when another process sends, also while it waits. */
  async submit(request: TransactionRequest, signal: AbortSignal): Promise<MinedTransaction> {
    const term = this.#term
    if (term === null || this.epoch === null) throw notLeading()
    return this.#within(term.signal, signal, (either) => term.transactions.submit(request, either))
  }

  /** As `Transactions.join`; null while another process sends. */
  join(has: (purpose: string) => boolean, signal: AbortSignal): Promise<MinedTransaction> | null {
    const term = this.#term
    if (term === null) return null
    const ends = new AbortController()
    const joined = term.transactions.join(has, ends.signal)
    return (
      joined &&
      this.#within(term.signal, signal, (either) => {
        either.addEventListener('abort', () => ends.abort(), { once: true })
        if (either.aborted) ends.abort()
        return joined
      })
    )
  }

  /** As `Transactions.allow`. */
  allow(has: (purpose: string) => boolean, maxCost: (purpose: string) => bigint): void {
    this.#term?.transactions.allow(has, maxCost)
  }

  #enter(term: Term | null): void {
    this.#term = term
    this.#changes.tell()
  }

  async #within<T>(
    term: AbortSignal,
    signal: AbortSignal,
    wait: (either: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const either = new AbortController()
    const stop = () => either.abort()
    for (const one of [term, signal]) one.addEventListener('abort', stop, { once: true })
    if (term.aborted || signal.aborted) stop()
    try {
      return await wait(either.signal)
    } catch (error) {
      if (isAbort(error) && term.aborted && !signal.aborted) throw notLeading()
      throw error
    } finally {
      for (const one of [term, signal]) one.removeEventListener('abort', stop)
    }
  }
}

/** The refusal of a process that does not send with the account now. */
export function notLeading(): ChainError {
  return new ChainError('not-leading', 'another node with this account and store sends its transactions now')
}
