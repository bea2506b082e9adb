import { isConfirmed } from '../../domain/chain.ts'
import type { Fees, StoredTransaction } from '../../domain/transaction.ts'
import { larger, smaller } from '../../lib/bigints.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { AccountNonces } from './account-nonces.ts'
import { ChainError } from './chain-error.ts'
import { type Delivery, deliveryOf, isKnown } from './delivery.ts'
import { type FeeMarket, offerFor, readFeeMarket, replacementFor } from './fees.ts'
import { MinedTransactions } from './mined-transactions.ts'
import { toQuantity } from './raw-header.ts'
import { type RawReceipt, receiptSchema } from './raw-log.ts'
import type { Rpc } from './rpc.ts'
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

/** What `Transactions` asks of the gas price. */
export interface GasLimits {
  /** `-maxGasPrice` in wei; 0 is no limit. */
  readonly max: bigint
  /** What a transaction that earns nothing may offer for a unit of gas: `-maxGasPrice`, or what stands for it. */
  readonly ceiling: bigint
  assertBelowMax(): void
}

/** Tells when blocks that were seen are gone, and the transactions in them perhaps too. */
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
/** A state that moves between estimate and mining must not run a redemption out of gas. */
const GAS_MARGIN_PERCENT = 20n
/** More than any call of the protocol takes. */
const MAX_GAS = 30_000_000n
/** How often a transaction that no receipt is found for is looked for in the pool, and sent again if lost. */
const REBROADCAST_MS = 15_000
/** A nonce that another process took is tried again with the next one, this often. */
const MAX_NONCE_RETRIES = 3
/** Endpoints lag behind each other: a used nonce without a receipt of ours is believed after this many looks. */
const NONCE_TAKEN_LOOKS = 10
/** A transaction that is refused so often in words that say nothing about it, and is in no pool, is given up. */
const MAX_UNKNOWN_REFUSALS = 10

interface Tracked {
  stored: StoredTransaction
  /** What may be offered for a unit of gas, in wei; 0 is no limit. */
  limit: bigint
  readonly outcome: PromiseWithResolvers<MinedTransaction>
  /** Since when it is the account's next one: only then can it be called late. */
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

/**
 * The one owner of an account's nonces: sends one transaction after the other, remembers each before it is sent, looks
 * for the receipts of all its attempts, replaces the late, sends the lost again, and goes on after a restart.
 */
export class Transactions implements Service {
  readonly name = 'transactions'
  readonly #options: Required<TransactionOptions>
  readonly #rpc: Rpc
  readonly #signer: TransactionSigner
  readonly #store: TransactionStore
  readonly #gas: GasLimits
  readonly #clock: Clock
  readonly #log: Log
  readonly #open = new Map<number, Tracked>()
  readonly #mined = new MinedTransactions()
  readonly #nonces: AccountNonces
  readonly #watch: ReorganisationWatch | null
  #head = 0n
  /** Ends what is being sent when the node stops: what is on disk is sent again at the next start. */
  #running: AbortSignal | null = null
  #queue: Promise<unknown> = Promise.resolve()

  constructor(
    options: TransactionOptions,
    needs: {
      rpc: Rpc
      signer: TransactionSigner
      store: TransactionStore
      gasPrices: GasLimits
      /** Absent: a mined transaction is taken for final. */
      watch?: ReorganisationWatch
      clock: Clock
      log: Log
    },
  ) {
    this.#watch = needs.watch ?? null
    this.#options = { pollMs: DEFAULT_POLL_MS, ...options }
    this.#rpc = needs.rpc
    this.#signer = needs.signer
    this.#nonces = new AccountNonces({ rpc: needs.rpc, account: needs.signer.address })
    this.#store = needs.store
    this.#gas = needs.gasPrices
    this.#clock = needs.clock
    this.#log = needs.log
  }

  async start(scope: Scope): Promise<void> {
    this.#running = scope.signal
    for (const stored of await this.#store.openTransactions(this.#signer.address)) {
      if (stored.state === 'open') this.#track(stored, 0)
    }
    if (this.#open.size > 0) this.#log.info('open transactions taken up again', { count: this.#open.size })
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
    return [...this.#open.values()].map(({ stored }) => stored).sort((a, b) => a.nonce - b.nonce)
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

  /** Waits for an open transaction of such a purpose as `submit` does; null when there is none. */
  join(has: (purpose: string) => boolean, signal: AbortSignal): Promise<MinedTransaction> | null {
    const tracked = [...this.#open.values()].find(({ stored }) => has(stored.purpose))
    return tracked ? this.#outcomeOf(tracked, signal) : null
  }

  /** An open transaction of such a purpose may cost so much by now, in wei: it may have become its last chance. */
  allow(has: (purpose: string) => boolean, maxCost: (purpose: string) => bigint): void {
    for (const tracked of this.#open.values()) {
      const { gas, purpose } = tracked.stored
      if (has(purpose)) tracked.limit = larger(tracked.limit, maxCost(purpose) / gas)
    }
  }

  async #openOne(request: TransactionRequest, signal: AbortSignal): Promise<Tracked> {
    for (const tracked of this.#open.values()) {
      if (tracked.stored.purpose !== request.purpose) continue
      tracked.maxReplacements = request.maxReplacements ?? this.#options.maxReplacements
      return tracked
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
      gas ||= await this.#estimate(request, signal)
      const sent = await this.#sendAt(nonce, { ...request, gas }, market, signal)
      if (sent !== 'taken') return sent
      if (retry >= MAX_NONCE_RETRIES) throw nonceTaken(this.#signer.address, nonce)
    }
  }

  /** Writes a transaction down under this nonce and sends it; `taken` when another one has used the nonce. */
  async #sendAt(
    nonce: number,
    request: TransactionRequest & { readonly gas: bigint },
    market: FeeMarket,
    signal: AbortSignal,
  ): Promise<Tracked | 'taken'> {
    const { data, gas, purpose, to, value = 0n } = request
    const account = this.#signer.address
    const draft = { account, nonce, purpose, to, data, value, gas, attempts: [], state: 'open' } as const
    const limit = this.#limitOf(request)
    const { stored, raw } = await this.#withAttempt(draft, this.#offer(request, market, limit), limit)
    await this.#store.saveTransaction(stored)
    const tracked = this.#track(stored, this.#clock.now())
    tracked.maxReplacements = request.maxReplacements ?? this.#options.maxReplacements
    const facts = { purpose, nonce, hash: newestHash(stored) }
    try {
      await this.#broadcast(raw)
    } catch (error) {
      switch (await this.#deliveryOf(stored, error, signal)) {
        case 'sent':
          break
        case 'unknown':
          this.#log.warn('transaction may not have arrived, looking for it', {
            ...facts,
            reason: messageOf(error),
          })
          tracked.broadcastAtMs = 0
          return tracked
        case 'taken':
          await this.#close(tracked, 'abandoned')
          this.#nonces.noteUsed(nonce)
          return 'taken'
        case 'rejected':
          await this.#close(tracked, 'abandoned')
          throw error
      }
    }
    this.#log.info('transaction sent', facts)
    return tracked
  }

  #deliveryOf(stored: StoredTransaction, error: unknown, signal: AbortSignal): Promise<Delivery> {
    const used = (stop: AbortSignal) => this.#nonces.used(stop)
    const needs = { rpc: this.#rpc, clock: this.#clock, pollMs: this.#options.pollMs, used }
    return deliveryOf(stored, error, needs, signal)
  }

  /** Waits for the outcome, the signal, or the time that all attempts together may take. */
  async #outcomeOf(tracked: Tracked, signal: AbortSignal): Promise<MinedTransaction> {
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

  async #estimate(request: TransactionRequest, signal: AbortSignal): Promise<bigint> {
    const call = {
      from: this.#signer.address,
      to: request.to,
      data: request.data,
      value: toQuantity(request.value ?? 0n),
    }
    // Some endpoints reckon with the pool, where the one to be replaced is.
    const at = request.takeOver ? 'latest' : request.at && toQuantity(await request.at())
    const params = at ? [call, at] : [call]
    const gas = checkedGas(await this.#rpc.quantity('eth_estimateGas', params, signal))
    return gas + (gas * (request.gasMarginPercent ?? GAS_MARGIN_PERCENT)) / 100n
  }

  async #withAttempt(
    draft: StoredTransaction,
    fees: Fees,
    limit: bigint,
  ): Promise<{ stored: StoredTransaction; raw: Hex }> {
    const { raw, hash } = await this.#sign(draft, fees)
    const attempt = { hash, ...fees, sentAtMs: this.#clock.now(), limit }
    return { stored: { ...draft, attempts: [...draft.attempts, attempt] }, raw }
  }

  async #sign(stored: StoredTransaction, fees: Fees): Promise<{ raw: Hex; hash: Hex }> {
    return this.#signer.signTransaction({
      type: 'eip1559',
      chainId: await this.#rpc.chainId(),
      nonce: stored.nonce,
      to: stored.to,
      data: stored.data,
      value: stored.value,
      gas: stored.gas,
      maxFeePerGas: fees.maxFeePerGas,
      maxPriorityFeePerGas: fees.maxPriorityFeePerGas,
    })
  }

  async #broadcast(raw: Hex): Promise<void> {
    try {
      await this.#rpc.request('eth_sendRawTransaction', [raw], this.#running ?? undefined)
    } catch (error) {
      if (!(error instanceof ChainError) || error.code !== 'already-known') throw error
    }
  }

  #track(stored: StoredTransaction, broadcastAtMs: number): Tracked {
    const outcome = Promise.withResolvers<MinedTransaction>()
    // Nobody may be waiting, as after a restart.
    outcome.promise.catch(() => {})
    const tracked: Tracked = {
      stored,
      limit: stored.attempts.at(-1)!.limit ?? this.#gas.ceiling,
      outcome,
      nextSinceMs: null,
      broadcastAtMs,
      replacements: stored.attempts.length - 1,
      maxReplacements: this.#options.maxReplacements,
      takenLooks: 0,
      takenSince: 0n,
      unknownRefusals: 0,
      toldOfMax: false,
    }
    this.#open.set(stored.nonce, tracked)
    return tracked
  }

  /** One look at all open transactions. What fails is tried again at the next look. */
  async #look(signal: AbortSignal): Promise<void> {
    try {
      const used = await this.#nonces.used(signal)
      if (this.#mined.areDoubtful) await this.#inTurn(() => this.#reopenUnmined(used, signal))
      const byNonce = [...this.#open.values()].sort((a, b) => a.stored.nonce - b.stored.nonce)
      for (const tracked of byNonce) {
        // In turn with sending, so that an attempt is never added to a transaction that is being closed.
        await this.#inTurn(() => this.#lookAt(tracked, used, signal))
      }
      await this.#inTurn(() => this.#fillGap(used, signal))
    } catch (error) {
      if (isAbort(error)) throw error
      signal.throwIfAborted()
      this.#log.warn('open transactions could not be looked at', { reason: messageOf(error) })
    }
  }

  async #lookAt(tracked: Tracked, used: number, signal: AbortSignal): Promise<void> {
    if (tracked.stored.state !== 'open') return
    const receipt = await this.#receiptOf(tracked.stored, signal)
    if (receipt) return this.#finish(tracked, receipt)
    const { nonce } = tracked.stored
    if (used > nonce) return this.#noteTaken(tracked)
    tracked.takenLooks = 0
    const now = this.#clock.now()
    tracked.nextSinceMs = used === nonce ? (tracked.nextSinceMs ?? now) : null
    const newest = tracked.stored.attempts.at(-1)!
    const lateSince = Math.max(tracked.nextSinceMs ?? now, newest.sentAtMs)
    if (now - lateSince >= this.#options.timeoutMs && tracked.replacements < tracked.maxReplacements) {
      await this.#replace(tracked, signal)
    } else if (now - tracked.broadcastAtMs >= REBROADCAST_MS) {
      await this.#sendAgainIfLost(tracked, signal)
    }
  }

  /** The receipt of whichever attempt was mined; the first may be, after it was replaced. */
  async #receiptOf(stored: StoredTransaction, signal: AbortSignal): Promise<RawReceipt | null> {
    for (const { hash } of stored.attempts.toReversed()) {
      const raw = await this.#rpc.request('eth_getTransactionReceipt', [hash], signal)
      if (raw === null) continue
      const parsed = receiptSchema.safeParse(raw)
      if (!parsed.success) throw new ChainError('bad-answer', `the RPC's receipt of ${hash} is none`)
      return parsed.data
    }
    return null
  }

  async #finish(tracked: Tracked, receipt: RawReceipt): Promise<void> {
    await this.#close(tracked, receipt.status ? 'mined' : 'reverted')
    this.#nonces.noteUsed(tracked.stored.nonce)
    this.#mined.add(tracked.stored, receipt.blockNumber)
    const mined: MinedTransaction = {
      hash: receipt.transactionHash,
      nonce: tracked.stored.nonce,
      success: receipt.status,
      block: receipt.blockNumber,
      fee: receipt.gasUsed * receipt.effectiveGasPrice,
      logs: receipt.logs,
    }
    const { purpose } = tracked.stored
    this.#log.info('transaction mined', { purpose, hash: mined.hash, success: mined.success, fee: mined.fee })
    tracked.outcome.resolve(mined)
  }

  /** After a reorganisation: what is not mined any more is open again under its nonce. */
  async #reopenUnmined(used: number, signal: AbortSignal): Promise<void> {
    for (const stored of await this.#mined.undone(used, (mined) => this.#receiptOf(mined, signal))) {
      this.#nonces.noteUnused(stored.nonce)
      if (this.#open.has(stored.nonce)) continue
      const reopened: StoredTransaction = { ...stored, state: 'open' }
      await this.#store.saveTransaction(reopened)
      this.#track(reopened, 0)
      this.#log.warn('a mined transaction is open again: the chain was reorganised', {
        purpose: stored.purpose,
        nonce: stored.nonce,
      })
    }
  }

  async #noteTaken(tracked: Tracked): Promise<void> {
    if (tracked.takenLooks++ === 0) tracked.takenSince = this.#head
    if (tracked.takenLooks < NONCE_TAKEN_LOOKS) return
    if (this.#watch && !isConfirmed(tracked.takenSince, this.#head)) return
    const { nonce, purpose } = tracked.stored
    await this.#close(tracked, 'abandoned')
    this.#log.error('a nonce was used by another process: one account must have one node that sends', {
      account: this.#signer.address,
      nonce,
      purpose,
    })
    tracked.outcome.reject(nonceTaken(this.#signer.address, nonce, newestHash(tracked.stored)))
  }

  /** Fills nonces that no transaction has: those behind them would never be mined. */
  async #fillGap(used: number, signal: AbortSignal): Promise<void> {
    if (this.#open.size === 0) return
    const account = this.#signer.address
    for (const nonce of await this.#nonces.gap(used, Math.min(...this.#open.keys()), signal)) {
      const request = { purpose: `fill nonce ${nonce}`, to: account, data: '0x' } as const
      const market = await readFeeMarket(this.#rpc, {}, signal)
      const gas = await this.#estimate(request, signal)
      this.#log.warn('filling a gap in the nonces', {
        nonce,
      })
      await this.#sendAt(nonce, { ...request, gas }, market, signal)
    }
  }

  async #replace(tracked: Tracked, signal: AbortSignal): Promise<void> {
    const previous = tracked.stored.attempts.at(-1)!
    const limit =
      this.#gas.max === 0n ? tracked.limit : smaller(tracked.limit || this.#gas.max, this.#gas.max)
    const fees = replacementFor(previous, await readFeeMarket(this.#rpc, { isLate: true }, signal), limit)
    if (fees === null) {
      if (!tracked.toldOfMax) {
        this.#log.warn('a late transaction is not replaced: the maximum gas price does not allow it', {
          hash: previous.hash,
          max: limit,
        })
      }
      tracked.toldOfMax = true
      if (this.#clock.now() - tracked.broadcastAtMs >= REBROADCAST_MS)
        await this.#sendAgainIfLost(tracked, signal)
      return
    }
    const { stored, raw } = await this.#withAttempt(tracked.stored, fees, tracked.limit)
    await this.#store.saveTransaction(stored)
    tracked.stored = stored
    tracked.replacements++
    tracked.broadcastAtMs = this.#clock.now()
    this.#log.warn('late transaction replaced', {
      purpose: stored.purpose,
      hash: newestHash(stored),
      ...fees,
    })
    await this.#broadcast(raw).catch((error) => this.#noteUnsent(tracked, error, signal))
  }

  async #sendAgainIfLost(tracked: Tracked, signal: AbortSignal): Promise<void> {
    tracked.broadcastAtMs = this.#clock.now()
    if (await isKnown(tracked.stored, this.#rpc, signal)) return
    const newest = tracked.stored.attempts.at(-1)!
    this.#log.warn('transaction sent again: the pool does not know it', { hash: newest.hash })
    const { raw } = await this.#sign(tracked.stored, newest)
    await this.#broadcast(raw).catch((error) => this.#noteUnsent(tracked, error, signal))
  }

  /** What was sent again, or replaced, got an error for an answer. */
  async #noteUnsent(tracked: Tracked, error: unknown, signal: AbortSignal): Promise<void> {
    // A nonce too low means that an earlier attempt was mined: the next look finds its receipt.
    if (error instanceof ChainError && error.code === 'nonce-too-low') return
    const delivery = await this.#deliveryOf(tracked.stored, error, signal)
    if (delivery === 'sent') return
    const facts = {
      purpose: tracked.stored.purpose,
      hash: newestHash(tracked.stored),
      reason: messageOf(error),
    }
    this.#log.warn('resent transaction may not have arrived', facts)
    if (delivery === 'unknown') tracked.broadcastAtMs = 0
    if (!(error instanceof ChainError) || error.code !== 'rpc-refused') return
    if (++tracked.unknownRefusals < MAX_UNKNOWN_REFUSALS) return
    await this.#close(tracked, 'abandoned')
    this.#log.error('transaction given up: refused each time and in no pool', facts)
    tracked.outcome.reject(error)
  }

  async #close(tracked: Tracked, state: 'mined' | 'reverted' | 'abandoned'): Promise<void> {
    const stored = { ...tracked.stored, state }
    await this.#store.saveTransaction(stored)
    tracked.stored = stored
    this.#open.delete(stored.nonce)
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#queue.then(work, work)
    this.#queue = turn.catch(() => {})
    return turn
  }
}

/** The gas of an estimate. Throws ChainError `bad-answer` for more than any of the protocol's calls takes. */
export function checkedGas(gas: bigint): bigint {
  if (gas <= MAX_GAS) return gas
  throw new ChainError('bad-answer', `the RPC estimates ${gas} gas, more than the ${MAX_GAS} of any call`)
}

function nonceTaken(account: string, nonce: number, hash?: Hex): ChainError {
  return new ChainError('nonce-taken', `another transaction of ${account} used nonce ${nonce}`, {
    details: hash ? { hash } : {},
  })
}

function newestHash(stored: StoredTransaction): Hex {
  return stored.attempts.at(-1)!.hash
}
