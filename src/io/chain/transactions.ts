import { isConfirmed } from '../../domain/chain.ts'
import type { Fees, StoredTransaction } from '../../domain/transaction.ts'
import { larger, smaller } from '../../lib/bigints.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { AccountNonces } from './account-nonces.ts'
import { ChainError } from './chain-error.ts'
import { type FeeMarket, offerFor, readFeeMarket, replacementFor } from './fees.ts'
import { LateTransactions } from './late-transactions.ts'
import { MinedTransactions } from './mined-transactions.ts'
import { newestHash, type OpenTransaction, OpenTransactions } from './open-transactions.ts'
import { type RawReceipt, receiptSchema } from './raw-log.ts'
import type { Rpc } from './rpc.ts'
import { TransactionAttempts } from './transaction-attempts.ts'
import type {
  MinedTransaction,
  TransactionRequest,
  TransactionSigner,
  TransactionStore,
} from './transaction-request.ts'

/** Settings of `Transactions`. */
export interface TransactionOptions {
  /** `-transactionTimeout`: how long a receipt may take before the transaction is replaced. */
  readonly timeoutMs: number
  /** `-maxTransactionReplacements`. */
  readonly maxReplacements: number
  /** `-gasLimit`; 0: estimated. */
  readonly gasLimit: bigint
  /** How often receipts are looked for (chain.md §6: 1 s). */
  readonly pollMs?: number
}

/** The limits of the gas price. */
export interface GasLimits {
  /** `-maxGasPrice` in wei; 0 for no limit. */
  readonly max: bigint
  /** What a transaction that earns nothing may offer for a unit of gas: `-maxGasPrice`, or what stands for it. */
  readonly ceiling: bigint
  assertBelowMax(): void
}

/** Announces reorganisations, which may undo mined transactions. */
export interface ReorganisationWatch {
  subscribe(
    listener: (update: {
      readonly head: { readonly number: bigint }
      readonly reorganised: boolean
      readonly keptTo?: bigint
    }) => void,
    signal: AbortSignal,
  ): void
}

const DEFAULT_POLL_MS = 1_000
/** How often to retry with the next nonce when another process took one. */
const MAX_NONCE_RETRIES = 3
/** A used nonce without a receipt of ours is believed after this many checks: endpoints lag behind each other. */
const NONCE_TAKEN_LOOKS = 10

/**
 * The one owner of an account's nonces: sends one transaction after the other, remembers each before it is sent, looks
 * for the receipts of all its attempts, replaces the late, sends the lost again, and goes on after a restart.
 */
export class Transactions implements Service {
  readonly name = 'transactions'
  readonly #options: Required<TransactionOptions>
  readonly #rpc: Rpc
  readonly #account: Address
  readonly #gas: GasLimits
  readonly #clock: Clock
  readonly #log: Log
  readonly #uncheckable: PassingFailure
  readonly #open: OpenTransactions
  readonly #attempts: TransactionAttempts
  readonly #late: LateTransactions
  readonly #mined = new MinedTransactions()
  readonly #nonces: AccountNonces
  readonly #watch: ReorganisationWatch | null
  #head = 0n
  #queue: Promise<unknown> = Promise.resolve()

  constructor(
    options: TransactionOptions,
    needs: {
      rpc: Rpc
      signer: TransactionSigner
      store: TransactionStore
      gasPrices: GasLimits
      /** Absent: mined transactions are final. */
      watch?: ReorganisationWatch
      clock: Clock
      log: Log
    },
  ) {
    const account = needs.signer.address
    this.#watch = needs.watch ?? null
    this.#options = { pollMs: DEFAULT_POLL_MS, ...options }
    this.#rpc = needs.rpc
    this.#account = account
    this.#nonces = new AccountNonces({ rpc: needs.rpc, account })
    this.#gas = needs.gasPrices
    this.#clock = needs.clock
    this.#log = needs.log
    this.#uncheckable = new PassingFailure(
      { message: 'could not check the open transactions, retrying', over: 'open transactions checked again' },
      needs,
    )
    const { maxReplacements, pollMs } = this.#options
    const ceiling = () => this.#gas.ceiling
    this.#open = new OpenTransactions({ account, maxReplacements }, { ...needs, ceiling })
    const used = (signal: AbortSignal) => this.#nonces.used(signal)
    this.#attempts = new TransactionAttempts({ ...needs, pollMs, used })
    this.#late = new LateTransactions(options, { ...needs, open: this.#open, attempts: this.#attempts })
  }

  async start(scope: Scope): Promise<void> {
    this.#attempts.stopWith(scope.signal)
    await this.#open.load()
    this.#mined.restore(await this.#open.minedLately())
    if (this.#open.size > 0) this.#log.info('open transactions loaded', { count: this.#open.size })
    this.#watch?.subscribe(({ head, keptTo = -1n, reorganised }) => {
      this.#head = head.number
      this.#mined.follow({ head: head.number, reorganised, keptTo })
    }, scope.signal)
    scope.spawn('receipts', async (signal) => {
      for (;;) {
        if (this.#open.size > 0 || this.#mined.areDoubtful) await this.#look(signal)
        await this.#clock.sleep(this.#options.pollMs, signal)
      }
    })
  }

  /** `-gasLimit`; 0: gas is estimated. */
  get gasLimit(): bigint {
    return this.#options.gasLimit
  }

  /** Open transactions, oldest nonce first. */
  get open(): readonly StoredTransaction[] {
    return this.#open.all.map(({ stored }) => stored)
  }

  /**
   * Sends a transaction and waits until it is mined; joins the open one if there is one of the same purpose. Throws
   * ChainError: `reverted`, `gas-price-too-high`, `insufficient-funds`, … when nothing was sent, `transaction-timed-out`
   * when it was and is still watched, `nonce-taken` when it can no longer be mined. Aborting ends the waiting only.
   */
  async submit(request: TransactionRequest, signal: AbortSignal): Promise<MinedTransaction> {
    signal.throwIfAborted()
    const tracked = await this.#inTurn(() => this.#openOne(request, signal))
    return this.#outcomeOf(tracked, signal)
  }

  /** Waits for an open transaction with such a purpose, as `submit` does; null when there is none. */
  join(has: (purpose: string) => boolean, signal: AbortSignal): Promise<MinedTransaction> | null {
    const open = this.#open.find(has)
    return open && this.#outcomeOf(open, signal)
  }

  /** Raises what open transactions with such a purpose may cost, in wei: their last chance may have come. */
  allow(has: (purpose: string) => boolean, maxCost: (purpose: string) => bigint): void {
    for (const open of this.#open.all) {
      const { gas, purpose } = open.stored
      if (has(purpose)) open.limit = larger(open.limit, maxCost(purpose) / gas)
    }
  }

  async #openOne(request: TransactionRequest, signal: AbortSignal): Promise<OpenTransaction> {
    const open = this.#open.find((purpose) => purpose === request.purpose)
    if (open) {
      open.maxReplacements = request.maxReplacements ?? this.#options.maxReplacements
      return open
    }
    signal.throwIfAborted()
    this.#gas.assertBelowMax()
    const market = await readFeeMarket(this.#rpc, {}, signal)
    let gas = request.gas ?? this.#options.gasLimit
    for (let retry = 0; ; retry++) {
      const after = request.takeOver ? 'latest' : 'pending'
      const nonce = await this.#nonces.next(after, (at) => this.#open.has(at), signal)
      if (request.confirm) {
        const foreign = await this.#nonces.foreignBelow(nonce, (at) => this.#open.has(at), signal)
        await request.confirm(foreign, signal)
      }
      gas ||= await this.#attempts.estimate(request, signal)
      const sent = await this.#sendAt(nonce, { ...request, gas }, market, signal)
      if (sent !== 'taken') return sent
      if (retry >= MAX_NONCE_RETRIES) throw nonceTaken(this.#account, nonce)
    }
  }

  /** Writes a transaction down under this nonce and sends it; `taken` when another one has used the nonce. */
  async #sendAt(
    nonce: number,
    request: TransactionRequest & { readonly gas: bigint },
    market: FeeMarket,
    signal: AbortSignal,
  ): Promise<OpenTransaction | 'taken'> {
    const { data, gas, purpose, to, value = 0n } = request
    const account = this.#account
    const draft = { account, nonce, purpose, to, data, value, gas, attempts: [], state: 'open' } as const
    const limit = this.#limitOf(request)
    const { stored, raw } = await this.#attempts.add(draft, this.#offer(request, market, limit), limit)
    const tracked = await this.#open.add(stored, this.#clock.now())
    tracked.maxReplacements = request.maxReplacements ?? this.#options.maxReplacements
    const facts = { purpose, nonce, hash: newestHash(stored) }
    try {
      await this.#attempts.send(raw)
    } catch (error) {
      switch (await this.#attempts.deliveryOf(stored, error, signal)) {
        case 'sent':
          break
        case 'unknown':
          this.#log.info('transaction may not have arrived, looking for it', {
            ...facts,
            reason: messageOf(error),
          })
          tracked.broadcastAtMs = 0
          return tracked
        case 'taken':
          await this.#open.close(tracked, { state: 'abandoned' })
          this.#nonces.noteUsed(nonce)
          return 'taken'
        case 'rejected':
          await this.#open.close(tracked, { state: 'abandoned' })
          throw error
      }
    }
    this.#log.info('transaction sent', facts)
    return tracked
  }

  /** Waits for the outcome, the signal, or the time that all attempts together may take. */
  async #outcomeOf(tracked: OpenTransaction, signal: AbortSignal): Promise<MinedTransaction> {
    const patience = new AbortController()
    const limitMs = this.#options.timeoutMs * (this.#options.maxReplacements + 1)
    const tooLong = this.#clock.sleep(limitMs, AbortSignal.any([signal, patience.signal])).then(() => {
      const hash = newestHash(tracked.stored)
      throw new ChainError(
        'transaction-timed-out',
        `timed out waiting for transaction receipt txHash=${hash}`,
        {
          details: { hash, nonce: tracked.stored.nonce },
        },
      )
    })
    try {
      return await Promise.race([tracked.outcome.promise, tooLong])
    } finally {
      patience.abort()
      tooLong.catch(() => {})
    }
  }

  #offer({ maxCost, takeOver }: TransactionRequest, market: FeeMarket, limit: bigint): Fees {
    const source = maxCost !== undefined ? 'earnings' : this.#gas.max === 0n ? 'default' : 'flag'
    const fees = offerFor(market, limit, source)
    return (takeOver && replacementFor(fees, market, limit)) || fees
  }

  #limitOf({ gas, maxCost }: { readonly gas: bigint; readonly maxCost?: bigint }): bigint {
    if (maxCost === undefined) return this.#gas.ceiling
    const affordable = larger(maxCost / gas, 1n)
    return this.#gas.max === 0n ? affordable : smaller(affordable, this.#gas.max)
  }

  /** Checks all open transactions. What fails is retried at the next check. */
  async #look(signal: AbortSignal): Promise<void> {
    try {
      const used = await this.#nonces.used(signal)
      if (this.#mined.areDoubtful) await this.#inTurn(() => this.#reopenUnmined(used, signal))
      for (const tracked of this.#open.all) {
        // In turn with sending, so that an attempt is never added to a transaction that is being closed.
        await this.#inTurn(() => this.#lookAt(tracked, used, signal))
      }
      await this.#inTurn(() => this.#fillGap(used, signal))
      this.#uncheckable.passed()
    } catch (error) {
      if (isAbort(error)) throw error
      signal.throwIfAborted()
      this.#uncheckable.failed({ reason: messageOf(error) })
    }
  }

  async #lookAt(tracked: OpenTransaction, used: number, signal: AbortSignal): Promise<void> {
    if (tracked.stored.state !== 'open') return
    const receipt = await this.#receiptOf(tracked.stored, signal)
    if (receipt) return this.#finish(tracked, receipt)
    const { nonce } = tracked.stored
    if (used > nonce) return this.#noteTaken(tracked)
    tracked.takenLooks = 0
    await this.#late.lookAfter(tracked, used, signal)
  }

  /** The receipt of the attempt that was mined: not always the newest. */
  async #receiptOf(stored: StoredTransaction, signal: AbortSignal): Promise<RawReceipt | null> {
    for (const { hash } of stored.attempts.toReversed()) {
      const raw = await this.#rpc.request('eth_getTransactionReceipt', [hash], signal)
      if (raw === null) continue
      const parsed = receiptSchema.safeParse(raw)
      if (!parsed.success) throw new ChainError('bad-answer', `the RPC's receipt of ${hash} is malformed`)
      return parsed.data
    }
    return null
  }

  async #finish(tracked: OpenTransaction, receipt: RawReceipt): Promise<void> {
    const end = endOf(receipt)
    await this.#open.close(tracked, end)
    this.#nonces.noteUsed(tracked.stored.nonce)
    this.#mined.add(tracked.stored, receipt.blockNumber)
    const mined: MinedTransaction = {
      hash: receipt.transactionHash,
      nonce: tracked.stored.nonce,
      success: receipt.status,
      block: receipt.blockNumber,
      fee: end.fee,
      logs: receipt.logs,
    }
    const { purpose } = tracked.stored
    this.#log.info('transaction mined', {
      purpose,
      hash: mined.hash,
      success: mined.success,
      feeWei: mined.fee,
    })
    tracked.outcome.resolve(mined)
  }

  /** Reopens transactions that a reorganisation undid, under their nonces. */
  async #reopenUnmined(used: number, signal: AbortSignal): Promise<void> {
    const receiptOf = (mined: StoredTransaction) => this.#receiptOf(mined, signal)
    const confirmed = (mined: StoredTransaction, receipt: RawReceipt) => this.#correct(mined, receipt)
    for (const undone of await this.#mined.undone(used, receiptOf, confirmed)) {
      const { fee: _, ...stored } = undone
      this.#nonces.noteUnused(stored.nonce)
      if (this.#open.has(stored.nonce)) continue
      await this.#open.add({ ...stored, state: 'open' }, 0)
      this.#log.info('mined transaction reopened: the chain was reorganised', {
        purpose: stored.purpose,
        nonce: stored.nonce,
      })
    }
  }

  /** Corrects the record of a transaction that is mined in another block now, for another fee. */
  async #correct(mined: StoredTransaction, receipt: RawReceipt): Promise<StoredTransaction> {
    const end = endOf(receipt)
    const isRight = mined.state === end.state && mined.fee === end.fee
    return isRight ? mined : this.#open.correct(mined, end)
  }

  async #noteTaken(tracked: OpenTransaction): Promise<void> {
    if (tracked.takenLooks++ === 0) tracked.takenSince = this.#head
    if (tracked.takenLooks < NONCE_TAKEN_LOOKS) return
    if (this.#watch && !isConfirmed(tracked.takenSince, this.#head)) return
    const { nonce, purpose } = tracked.stored
    await this.#open.close(tracked, { state: 'abandoned' })
    this.#log.error('nonce used by another process: each account must be used by one sending node only', {
      account: this.#account,
      nonce,
      purpose,
    })
    tracked.outcome.reject(nonceTaken(this.#account, nonce, newestHash(tracked.stored)))
  }

  /** Fills nonces that have no transaction: later ones would never be mined. */
  async #fillGap(used: number, signal: AbortSignal): Promise<void> {
    if (this.#open.size === 0) return
    const account = this.#account
    for (const nonce of await this.#nonces.gap(used, this.#open.all[0]!.stored.nonce, signal)) {
      const request = { purpose: `fill nonce ${nonce}`, to: account, data: '0x' } as const
      const market = await readFeeMarket(this.#rpc, {}, signal)
      const gas = await this.#attempts.estimate(request, signal)
      this.#log.warn('filling a gap in the nonces', {
        nonce,
      })
      await this.#sendAt(nonce, { ...request, gas }, market, signal)
    }
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#queue.then(work, work)
    this.#queue = turn.catch(() => {})
    return turn
  }
}

/** The end of a transaction in its receipt. */
function endOf(receipt: RawReceipt): { readonly state: 'mined' | 'reverted'; readonly fee: bigint } {
  return {
    state: receipt.status ? 'mined' : 'reverted',
    fee: receipt.gasUsed * receipt.effectiveGasPrice,
  }
}

function nonceTaken(account: string, nonce: number, hash?: Hex): ChainError {
  return new ChainError('nonce-taken', `another transaction of ${account} used nonce ${nonce}`, {
    details: hash ? { hash } : {},
  })
}
