import type { Fees, StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { ChainError } from './chain-error.ts'
import { offerFor, readFeeMarket, replacementFor } from './fees.ts'
import { type RawReceipt, receiptSchema } from './raw-log.ts'
import { type Rpc, toQuantity } from './rpc.ts'
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
  /** Wei; 0 is no limit. */
  readonly max: bigint
  assertBelowMax(): void
}

/** Tells when blocks that were seen are gone, and the transactions in them perhaps too. */
export interface ReorganisationWatch {
  subscribe(
    listener: (update: { readonly head: { readonly number: bigint }; readonly reorganised: boolean }) => void,
    signal: AbortSignal,
  ): void
}

const DEFAULT_POLL_MS = 1_000
/** Mined transactions that a reorganisation may bring back; a chain is reorganised for a few blocks at most. */
const MAX_REMEMBERED_MINED = 64
/** A state that moves between estimate and mining must not run a redemption out of gas. */
const GAS_MARGIN_PERCENT = 20n
/** How often a transaction that no receipt is found for is looked for in the pool, and sent again if lost. */
const REBROADCAST_MS = 15_000
/** A nonce that another process took is tried again with the next one, this often. */
const MAX_NONCE_RETRIES = 3
/** Endpoints lag behind each other: a used nonce without a receipt of ours is believed after this many looks. */
const NONCE_TAKEN_LOOKS = 10

/** Errors after which it is not known whether the transaction arrived: it stays open and is sent again. */
const UNCERTAIN = new Set(['rpc-unreachable', 'rpc-timeout', 'bad-answer', 'wrong-chain'])

interface Tracked {
  stored: StoredTransaction
  readonly outcome: PromiseWithResolvers<MinedTransaction>
  /** Since when it is the account's next one: only then can it be called late. */
  nextSinceMs: number | null
  broadcastAtMs: number
  replacements: number
  maxReplacements: number
  takenLooks: number
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
  /** Mined lately, oldest first. */
  readonly #mined: StoredTransaction[] = []
  /** The newest block with one of them, until the chain has been followed there: what went before that, nobody would tell. */
  #unfollowed: bigint | null = null
  readonly #watch: ReorganisationWatch | null
  #mayBeUnmined = false
  /** Ends what is being sent when the node stops: what is on disk is sent again at the next start. */
  #running: AbortSignal | null = null
  /** Nonces below this one are used, whatever a lagging endpoint says. */
  #usedBelow = 0
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
    this.#watch?.subscribe(({ head, reorganised }) => {
      const isFollowed = this.#unfollowed !== null && this.#unfollowed <= head.number
      if (isFollowed) this.#unfollowed = null
      if (!reorganised && !isFollowed) return
      this.#usedBelow = 0
      this.#mayBeUnmined = true
    }, scope.signal)
    scope.spawn('receipts', async (signal) => {
      for (;;) {
        if (this.#open.size > 0 || this.#mayBeUnmined) await this.#look(signal)
        await this.#clock.sleep(this.#options.pollMs, signal)
      }
    })
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

  async #openOne(request: TransactionRequest, signal: AbortSignal): Promise<Tracked> {
    for (const tracked of this.#open.values()) {
      if (tracked.stored.purpose !== request.purpose) continue
      tracked.maxReplacements = request.maxReplacements ?? this.#options.maxReplacements
      return tracked
    }
    signal.throwIfAborted()
    this.#gas.assertBelowMax()
    const fees = await this.#offer(request, signal)
    let gas = request.gas ?? this.#options.gasLimit
    for (let retry = 0; ; retry++) {
      const nonce = await this.#nextNonce(request.takeOver ? 'latest' : 'pending', signal)
      if (request.confirm) await request.confirm(await this.#foreignBelow(nonce, signal), signal)
      gas ||= await this.#estimate(request, signal)
      const draft: StoredTransaction = {
        account: this.#signer.address,
        nonce,
        purpose: request.purpose,
        to: request.to,
        data: request.data,
        value: request.value ?? 0n,
        gas,
        attempts: [],
        state: 'open',
      }
      const { stored, raw } = await this.#withAttempt(draft, fees)
      await this.#store.saveTransaction(stored)
      const tracked = this.#track(stored, this.#clock.now())
      tracked.maxReplacements = request.maxReplacements ?? this.#options.maxReplacements
      try {
        await this.#broadcast(raw)
        this.#log.info('transaction sent', { purpose: stored.purpose, nonce, hash: newestHash(stored) })
        return tracked
      } catch (error) {
        if (isUncertain(error)) {
          this.#log.warn('transaction may not have been sent, it is tried again', {
            purpose: stored.purpose,
            nonce,
            reason: messageOf(error),
          })
          tracked.broadcastAtMs = 0
          return tracked
        }
        await this.#close(tracked, 'abandoned')
        const taken = error instanceof ChainError && error.code === 'nonce-too-low'
        if (!taken || retry >= MAX_NONCE_RETRIES) throw error
        this.#usedBelow = Math.max(this.#usedBelow, nonce + 1)
      }
    }
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

  async #offer({ takeOver }: TransactionRequest, signal: AbortSignal): Promise<Fees> {
    const market = await readFeeMarket(this.#rpc, signal)
    const fees = offerFor(market, this.#gas.max)
    return (takeOver && replacementFor(fees, market, this.#gas.max)) || fees
  }

  /** The lowest nonce that no transaction of ours or of the pool has: gaps are filled before anything is added. */
  async #nextNonce(after: 'pending' | 'latest', signal: AbortSignal): Promise<number> {
    const params = [this.#signer.address, after]
    const taken = Number(await this.#rpc.quantity('eth_getTransactionCount', params, signal))
    let nonce = Math.max(taken, this.#usedBelow)
    while (this.#open.has(nonce)) nonce++
    return nonce
  }

  /** How many transactions wait before this nonce that are none of ours. */
  async #foreignBelow(nonce: number, signal: AbortSignal): Promise<number> {
    const params = [this.#signer.address, 'latest']
    const used = Number(await this.#rpc.quantity('eth_getTransactionCount', params, signal))
    let foreign = 0
    for (let at = Math.max(used, this.#usedBelow); at < nonce; at++) if (!this.#open.has(at)) foreign++
    return foreign
  }

  async #estimate(request: TransactionRequest, signal: AbortSignal): Promise<bigint> {
    const call = {
      from: this.#signer.address,
      to: request.to,
      data: request.data,
      value: toQuantity(request.value ?? 0n),
    }
    // Some endpoints reckon with the pool, where the one to be replaced is.
    const params = request.takeOver ? [call, 'latest'] : [call]
    const gas = await this.#rpc.quantity('eth_estimateGas', params, signal)
    return gas + (gas * (request.gasMarginPercent ?? GAS_MARGIN_PERCENT)) / 100n
  }

  async #withAttempt(draft: StoredTransaction, fees: Fees): Promise<{ stored: StoredTransaction; raw: Hex }> {
    const { raw, hash } = await this.#sign(draft, fees)
    const attempt = { hash, ...fees, sentAtMs: this.#clock.now() }
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
      outcome,
      nextSinceMs: null,
      broadcastAtMs,
      replacements: stored.attempts.length - 1,
      maxReplacements: this.#options.maxReplacements,
      takenLooks: 0,
      toldOfMax: false,
    }
    this.#open.set(stored.nonce, tracked)
    return tracked
  }

  /** One look at all open transactions. What fails is tried again at the next look. */
  async #look(signal: AbortSignal): Promise<void> {
    try {
      if (this.#mayBeUnmined) await this.#inTurn(() => this.#reopenUnmined(signal))
      const params = [this.#signer.address, 'latest']
      const used = Number(await this.#rpc.quantity('eth_getTransactionCount', params, signal))
      const byNonce = [...this.#open.values()].sort((a, b) => a.stored.nonce - b.stored.nonce)
      for (const tracked of byNonce) {
        // In turn with sending, so that an attempt is never added to a transaction that is being closed.
        await this.#inTurn(() => this.#lookAt(tracked, used, signal))
      }
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
    this.#usedBelow = Math.max(this.#usedBelow, tracked.stored.nonce + 1)
    this.#mined.push(tracked.stored)
    const { blockNumber } = receipt
    if (this.#unfollowed === null || this.#unfollowed < blockNumber) this.#unfollowed = blockNumber
    if (this.#mined.length > MAX_REMEMBERED_MINED) this.#mined.shift()
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
  async #reopenUnmined(signal: AbortSignal): Promise<void> {
    for (const stored of [...this.#mined]) {
      if (await this.#receiptOf(stored, signal)) continue
      if (!this.#open.has(stored.nonce)) {
        const reopened: StoredTransaction = { ...stored, state: 'open' }
        await this.#store.saveTransaction(reopened)
        this.#track(reopened, 0)
        this.#log.warn('a mined transaction is open again: the chain was reorganised', {
          purpose: stored.purpose,
          nonce: stored.nonce,
        })
      }
      this.#mined.splice(this.#mined.indexOf(stored), 1)
    }
    this.#mayBeUnmined = false
  }

  async #noteTaken(tracked: Tracked): Promise<void> {
    tracked.takenLooks++
    if (tracked.takenLooks < NONCE_TAKEN_LOOKS) return
    const { nonce, purpose } = tracked.stored
    await this.#close(tracked, 'abandoned')
    this.#log.error('a nonce was used by another process: one account must have one node that sends', {
      account: this.#signer.address,
      nonce,
      purpose,
    })
    tracked.outcome.reject(
      new ChainError('nonce-taken', `another transaction of ${this.#signer.address} used nonce ${nonce}`),
    )
  }

  async #replace(tracked: Tracked, signal: AbortSignal): Promise<void> {
    const previous = tracked.stored.attempts.at(-1)!
    const fees = replacementFor(previous, await readFeeMarket(this.#rpc, signal), this.#gas.max)
    if (fees === null) {
      if (!tracked.toldOfMax) {
        this.#log.warn('a late transaction is not replaced: the maximum gas price does not allow it', {
          hash: previous.hash,
          max: this.#gas.max,
        })
      }
      tracked.toldOfMax = true
      if (this.#clock.now() - tracked.broadcastAtMs >= REBROADCAST_MS)
        await this.#sendAgainIfLost(tracked, signal)
      return
    }
    const { stored, raw } = await this.#withAttempt(tracked.stored, fees)
    await this.#store.saveTransaction(stored)
    tracked.stored = stored
    tracked.replacements++
    tracked.broadcastAtMs = this.#clock.now()
    this.#log.warn('late transaction replaced', {
      purpose: stored.purpose,
      hash: newestHash(stored),
      ...fees,
    })
    await this.#broadcast(raw).catch((error) => this.#noteUnsent(tracked, error))
  }

  async #sendAgainIfLost(tracked: Tracked, signal: AbortSignal): Promise<void> {
    tracked.broadcastAtMs = this.#clock.now()
    const newest = tracked.stored.attempts.at(-1)!
    const known = await this.#rpc.request('eth_getTransactionByHash', [newest.hash], signal)
    if (known !== null) return
    this.#log.warn('transaction sent again: the pool does not know it', { hash: newest.hash })
    const { raw } = await this.#sign(tracked.stored, newest)
    await this.#broadcast(raw).catch((error) => this.#noteUnsent(tracked, error))
  }

  #noteUnsent(tracked: Tracked, error: unknown): void {
    // A nonce too low means that an earlier attempt was mined: the next look finds its receipt.
    if (error instanceof ChainError && error.code === 'nonce-too-low') return
    if (isUncertain(error)) tracked.broadcastAtMs = 0
    this.#log.warn('transaction could not be sent', {
      purpose: tracked.stored.purpose,
      hash: newestHash(tracked.stored),
      reason: messageOf(error),
    })
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

function isUncertain(error: unknown): boolean {
  return isAbort(error) || (error instanceof ChainError && UNCERTAIN.has(error.code))
}

function newestHash(stored: StoredTransaction): Hex {
  return stored.attempts.at(-1)!.hash
}
