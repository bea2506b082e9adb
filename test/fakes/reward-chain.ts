import type { ChainUpdate } from '../../src/domain/chain.ts'
import type { InFlight } from '../../src/domain/chain-call.ts'
import { rewardStand } from '../../src/domain/reward.ts'
import { larger } from '../../src/lib/bigints.ts'
import type { Hex } from '../../src/lib/bytes.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'
import type { Dice } from '../../src/lib/dice.ts'
import { NodeError } from '../../src/lib/errors.ts'
import type { RewardView } from '../../src/services/protocol/reward-right.ts'
import type { RewardChain, RewardResult } from '../../src/services/protocol/reward-service.ts'

const FIRST_ROUND = 100n
const GAS = 400_000n
const GWEI = 10n ** 9n
const POLL_MS = 1_000
/** Like the real one: a late transaction is replaced, and after two such times no longer waited for. */
const LATE_MS = 60_000
const LATENCY_MS = 200
const REORGANISABLE_BLOCKS = 10

/** One nonce of an account, with its last transaction. */
interface Sent {
  readonly account: Address
  readonly nonce: number
  readonly orchestrator: Address
  readonly hash: Hex
  readonly fee: bigint
}

/** The result of a mined transaction. */
interface Receipt {
  readonly success: boolean
  readonly round: bigint
  readonly fee: bigint
}

/** A transaction that a process sent and watches, as stored on its disk. */
interface Open {
  sent: Sent
  attempts: number
  readonly sentAtMs: number
  lateSinceMs: number
}

/** What survives a process. */
export class RewardDisk {
  open: Open | null = null
}

/**
 * The rewards of one orchestrator on a chain in memory: rounds, nonces, a pool, rising gas, reward callers (LIP-118),
 * outages. Nothing happens by itself: `mine` makes a block.
 */
export class FakeRewardChain {
  readonly roundLength: number
  /** Blocks of each round before it is initialised. */
  initializedAfter = 0
  registered = true
  activationRound = 0n
  deactivationRound = 2n ** 256n - 1n
  rewardCaller: Address | null = null
  lastRewardRound: bigint
  gasPrice = GWEI
  /** While set, nothing can be read or sent. */
  isDown = false
  /** While set, what is sent stays in the pool. */
  includesNothing = false
  readonly orchestrator: Address
  readonly balances = new Map<Address, bigint>()
  readonly receipts = new Map<Hex, Receipt>()
  readonly trace: string[] = []
  readonly listeners = new Set<(update: ChainUpdate) => void>()
  readonly roundListeners = new Set<(round: bigint) => void>()
  readonly #nonces = new Map<Address, number>()
  readonly #pool = new Map<string, Sent>()
  #block = 0
  /** How to undo each block. */
  readonly #undo: (() => void)[] = []
  #toldRound = FIRST_ROUND
  #hashes = 0

  constructor(orchestrator: Address, options: { roundLength?: number } = {}) {
    this.orchestrator = orchestrator
    this.roundLength = options.roundLength ?? 10
    this.lastRewardRound = FIRST_ROUND - 1n
  }

  get round(): bigint {
    return FIRST_ROUND + BigInt(Math.floor(this.#block / this.roundLength))
  }

  get isInitialized(): boolean {
    return this.#block % this.roundLength >= this.initializedAfter
  }

  get isActive(): boolean {
    return this.activationRound <= this.round && this.round < this.deactivationRound
  }

  /** Pending transactions that would call reward. */
  get inPool(): number {
    return this.#pool.size
  }

  /** Makes a block and announces a new round, unless the chain is down. */
  mine(): void {
    this.#mineQuietly()
    if (this.isDown) return
    if (this.isInitialized && this.#toldRound !== this.round) {
      this.#toldRound = this.round
      for (const tell of [...this.roundListeners]) tell(this.round)
    }
    this.announce(false)
  }

  /** Removes the last blocks and mines one more instead; their transactions return to the pool if `kept`. */
  reorganise(depth: number, kept: boolean): void {
    const taken = Math.min(depth, this.#undo.length)
    for (let i = 0; i < taken; i++) {
      this.#block--
      this.#undo.pop()!()
    }
    if (!kept) this.dropPool()
    for (let i = 0; i <= taken; i++) this.#mineQuietly()
    if (!this.isDown) this.announce(true)
  }

  announce(reorganised: boolean): void {
    for (const tell of [...this.listeners]) tell({ events: [], reorganised } as unknown as ChainUpdate)
  }

  view(): RewardView {
    this.assertUp()
    return {
      currentRound: this.round,
      roundInitialized: this.isInitialized,
      registered: this.registered,
      active: this.isActive,
      activationRound: this.activationRound,
      deactivationRound: this.deactivationRound,
      lastRewardRound: this.lastRewardRound,
      rewardCaller: this.rewardCaller,
    }
  }

  usedNonces(account: Address): number {
    this.assertUp()
    return this.#nonces.get(account) ?? 0
  }

  pendingNonce(account: Address): number {
    let nonce = this.usedNonces(account)
    while (this.#pool.has(`${account} ${nonce}`)) nonce++
    return nonce
  }

  /** The contract's current refusal; null if it would accept the call. */
  refusal(account: Address): string | null {
    this.assertUp()
    if (account !== this.orchestrator && account !== this.rewardCaller)
      return 'caller must be the reward caller'
    const stand = rewardStand(this.view())
    if (stand === 'due') return null
    return stand === 'called' ? 'caller has already called reward for the current round' : stand
  }

  newHash(): Hex {
    return `0x${(++this.#hashes).toString(16).padStart(64, '0')}`
  }

  /** Adds a transaction to the pool, or returns the node's error code. */
  broadcast(sent: Sent): 'nonce-too-low' | 'replacement-underpriced' | 'insufficient-funds' | null {
    if (sent.nonce < this.usedNonces(sent.account)) return 'nonce-too-low'
    if ((this.balances.get(sent.account) ?? 0n) < GAS * sent.fee) return 'insufficient-funds'
    const key = `${sent.account} ${sent.nonce}`
    const there = this.#pool.get(key)
    if (there && there.hash !== sent.hash && sent.fee * 100n < there.fee * 110n)
      return 'replacement-underpriced'
    this.#pool.set(key, sent)
    return null
  }

  isKnown({ account, nonce, hash }: Sent): boolean {
    this.assertUp()
    return this.receipts.has(hash) || this.#pool.get(`${account} ${nonce}`)?.hash === hash
  }

  /** Drops the pool, as nodes may. */
  dropPool(): void {
    this.#pool.clear()
  }

  assertUp(): void {
    if (this.isDown) throw new NodeError('chain-unreachable', 'no answer from the chain')
  }

  #mineQuietly(): void {
    this.#block++
    const { lastRewardRound } = this
    const undo = this.includesNothing ? [] : this.#include()
    this.#undo.push(() => {
      for (const each of undo) each()
      this.lastRewardRound = lastRewardRound
    })
    if (this.#undo.length > REORGANISABLE_BLOCKS) this.#undo.shift()
  }

  /** Returns how to undo it. */
  #include(): (() => void)[] {
    const undo: (() => void)[] = []
    for (const [key, sent] of [...this.#pool]) {
      const used = this.#nonces.get(sent.account) ?? 0
      if (sent.nonce < used) this.#pool.delete(key)
      if (sent.nonce !== used || sent.fee < this.gasPrice) continue
      this.#pool.delete(key)
      this.#nonces.set(sent.account, used + 1)
      const may = sent.account === this.orchestrator || sent.account === this.rewardCaller
      const success = may && this.isInitialized && this.isActive && this.lastRewardRound < this.round
      const fee = GAS * this.gasPrice
      this.balances.set(sent.account, (this.balances.get(sent.account) ?? 0n) - fee)
      undo.push(() => {
        this.receipts.delete(sent.hash)
        this.#nonces.set(sent.account, used)
        this.balances.set(sent.account, this.balances.get(sent.account)! + fee)
        this.#pool.set(key, sent)
      })
      if (success) this.lastRewardRound = this.round
      this.receipts.set(sent.hash, { success, round: this.round, fee })
      this.trace.push(`${this.#block} round ${this.round} ${sent.account} ${sent.nonce} ${success}`)
    }
    return undo
  }
}

/** The chain as one process of an account sees it, with its transactions handled like `Transactions` does. */
export class RewardProcess implements RewardChain {
  readonly #chain: FakeRewardChain
  readonly #account: Address
  readonly #disk: RewardDisk
  readonly #clock: Clock
  readonly #dice: Dice
  /** Once set, it does nothing more and gets no answers. */
  isDead = false
  /** While set, only this process cannot reach the chain. */
  isCutOff = false
  maxGasPrice = 0n

  constructor(
    chain: FakeRewardChain,
    needs: { account: Address; disk: RewardDisk; clock: Clock; dice: Dice },
  ) {
    this.#chain = chain
    this.#account = needs.account
    this.#disk = needs.disk
    this.#clock = needs.clock
    this.#dice = needs.dice
  }

  rewardView(orchestrator: Address): Promise<RewardView> {
    return this.#ask(() => {
      const view = this.#chain.view()
      if (orchestrator === this.#chain.orchestrator) return view
      return { ...view, registered: false, active: false, lastRewardRound: 0n, rewardCaller: null }
    })
  }

  balance(): Promise<bigint> {
    return this.#ask(() => {
      this.#chain.assertUp()
      return this.#chain.balances.get(this.#account) ?? 0n
    })
  }

  rewardInFlight(): InFlight | null {
    const { open } = this.#disk
    return open && { txHash: open.sent.hash, sentAtMs: open.sentAtMs, attempts: open.attempts }
  }

  async callReward(
    orchestrator: Address,
    options: { takeOver: boolean },
    signal: AbortSignal,
  ): Promise<RewardResult> {
    try {
      const unsent = this.#disk.open ? null : await this.#send(orchestrator, options.takeOver)
      return unsent ?? (await this.#receipt(signal))
    } catch (error) {
      if (!(error instanceof NodeError)) throw error
      return { kind: 'not-sent', why: 'chain-unavailable', reason: error.message }
    }
  }

  async #send(orchestrator: Address, takeOver: boolean): Promise<RewardResult | null> {
    const chain = this.#chain
    const fee = await this.#ask(() => {
      chain.assertUp()
      return takeOver ? (chain.gasPrice * 111n) / 100n : chain.gasPrice
    })
    const max = this.maxGasPrice
    if (max > 0n && fee > max)
      return { kind: 'not-sent', why: 'gas-too-high', reason: 'gas above the maximum' }
    const used = await this.#ask(() => chain.usedNonces(this.#account))
    const nonce = takeOver ? used : await this.#ask(() => chain.pendingNonce(this.#account))
    if (nonce > used) return { kind: 'not-sent', why: 'sent-elsewhere', reason: 'in the pool' }
    const refusal = await this.#ask(() => chain.refusal(this.#account))
    if (refusal) return { kind: 'not-sent', why: 'refused', reason: refusal }
    const sent = { account: this.#account, nonce, orchestrator, hash: chain.newHash(), fee }
    const now = this.#clock.now()
    this.#disk.open = { sent, attempts: 1, sentAtMs: now, lateSinceMs: now }
    const fault = await this.#broadcast(sent)
    if (!fault) return null
    this.#disk.open = null
    const why = fault === 'insufficient-funds' ? 'no-money' : 'sent-elsewhere'
    return { kind: 'not-sent', why, reason: fault }
  }

  /** Null also without an answer: then it stays open and is sent again. */
  async #broadcast(sent: Sent): Promise<string | null> {
    try {
      return await this.#ask(() => this.#chain.broadcast(sent))
    } catch {
      return null
    }
  }

  async #receipt(signal: AbortSignal): Promise<RewardResult> {
    const since = this.#clock.now()
    const open = this.#disk.open!
    const hashes = [open.sent.hash]
    for (;;) {
      await this.#clock.sleep(POLL_MS, signal)
      const done = await this.#lookFor(open, hashes).catch(() => null)
      if (done) {
        this.#disk.open = null
        return done
      }
      if (this.#clock.now() - since >= 2 * LATE_MS) return { kind: 'timed-out', txHash: open.sent.hash }
    }
  }

  async #lookFor(open: Open, hashes: Hex[]): Promise<RewardResult | null> {
    const chain = this.#chain
    const used = await this.#ask(() => chain.usedNonces(this.#account))
    const hash = hashes.find((each) => chain.receipts.has(each))
    const receipt = hash && chain.receipts.get(hash)
    if (receipt) return { kind: 'mined', txHash: hash, reward: 1n, ...receipt }
    if (used > open.sent.nonce) return { kind: 'not-sent', why: 'sent-elsewhere', reason: 'nonce taken' }
    const fee = larger(chain.gasPrice, (open.sent.fee * 111n) / 100n + 1n)
    const may = this.maxGasPrice === 0n || fee <= this.maxGasPrice
    if (this.#clock.now() - open.lateSinceMs >= LATE_MS && may) {
      open.sent = { ...open.sent, fee, hash: chain.newHash() }
      open.attempts++
      open.lateSinceMs = this.#clock.now()
      hashes.push(open.sent.hash)
      await this.#broadcast(open.sent)
    } else if (!(await this.#ask(() => chain.isKnown(open.sent)))) {
      await this.#broadcast(open.sent)
    }
    return null
  }

  /** A request and its answer take time, and a dead process gets nothing. */
  async #ask<Answer>(answer: () => Answer): Promise<Answer> {
    if (this.isDead) return never()
    await this.#clock.sleep(this.#dice.fraction() * LATENCY_MS)
    if (this.isDead) return never()
    this.#assertUp()
    const told = answer()
    await this.#clock.sleep(this.#dice.fraction() * LATENCY_MS)
    if (this.isDead) return never()
    this.#assertUp()
    return told
  }

  #assertUp(): void {
    if (this.isCutOff) throw new NodeError('chain-unreachable', 'no answer from the chain')
  }
}

/** A separate promise for each caller that waits in vain, so that it can be collected. */
function never(): Promise<never> {
  return new Promise(() => {})
}
