import type { ChainHead, ChainUpdate, OrchestratorState, RoundState } from '../../src/domain/chain.ts'
import type { SenderInfo } from '../../src/domain/float.ts'
import { isRoundOver } from '../../src/domain/redemption.ts'
import { ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { formatHex, type Hex } from '../../src/lib/bytes.ts'
import { type Address, keccak256 } from '../../src/lib/crypto.ts'
import { abortError, NodeError } from '../../src/lib/errors.ts'
import type {
  RedeemOptions,
  RedemptionResult,
  Simulation,
} from '../../src/services/redemption/redemption-chain.ts'
import type { FoundRedemption } from '../../src/services/redemption/redemption-proofs.ts'

const GENESIS_L1 = 1_000n
const REDEEM_GAS = 350_000n

type FakeEvent = ChainUpdate['events'][number] extends infer E
  ? E extends unknown
    ? Omit<E, 'block' | 'txHash' | 'logIndex'> & { readonly txHash?: Hex }
    : never
  : never

interface FakeBlock {
  readonly head: ChainHead
  readonly events: FakeEvent[]
  /** Functions that undo the block, to be called in reverse. */
  readonly undo: (() => void)[]
  readonly included: FakeTransaction[]
}

interface FakeTransaction {
  /** Identifies the sender and the ticket. */
  readonly id: string
  readonly ticket: WinningTicket
  readonly txHash: Hex
  /** Null while it is not in a block. */
  result: Extract<RedemptionResult, { kind: 'mined' }> | null
  readonly waiters: Set<() => void>
}

/**
 * A chain of one protocol in memory: blocks, rounds, senders' funds and the redemption rules of contracts.md §7 and
 * §10, with outages and reorganisations on request. Answers at once and remembers what was sent to it, as an account's
 * transactions are stored on disk.
 */
export class FakeChain {
  readonly roundLength: bigint
  gasPrice = 1_000_000_000n
  maxGasPrice = 0n
  /** While set, nothing can be read or sent, and nothing is announced. */
  isDown = false
  /** While set, transactions wait. */
  includesNothing = false
  poolMembers = 1n
  /** How far the reported L1 block is ahead of the one that the protocol uses. */
  l1Ahead = 0n
  isRegistered = true
  /** How often a sender's funds were read, or were to be read while it was down. */
  senderReads = 0
  /** What was paid for each ticket in the current chain. */
  readonly redemptions = new Map<Hex, bigint[]>()
  /** Tickets paid less than their face value, and when, in any chain. */
  readonly shortPayments: { readonly ticket: WinningTicket; readonly l1Block: bigint }[] = []
  /** Why mined transactions failed, in any chain. */
  readonly reverts: string[] = []
  readonly #senders = new Map<Address, SenderInfo>()
  readonly #claimed = new Map<Address, bigint>()
  readonly #roundHashes = new Map<bigint, Uint8Array>()
  #lastInitialized = 0n
  readonly #sent = new Map<string, FakeTransaction>()
  #mempool: FakeTransaction[] = []
  readonly #blocks: FakeBlock[] = []
  #events: FakeEvent[] = []
  #undo: (() => void)[] = []
  readonly #listeners = new Set<(update: ChainUpdate) => void>()
  #unannounced: ChainUpdate[] = []
  readonly #madeUp: FakeEvent[] = []
  #lastWatched: ChainHead | null = null
  #salt = 0
  readonly #initialisedAfter: bigint

  /** `initialisedAfter`: the blocks of a round that pass before it is initialised. */
  constructor(options: { roundLength?: bigint; initialisedAfter?: bigint } = {}) {
    this.roundLength = options.roundLength ?? 50n
    this.#initialisedAfter = options.initialisedAfter ?? 0n
    this.mine()
  }

  // What the node's services ask.

  /** The newest announced block. */
  get head(): ChainHead {
    return this.#told(this.#lastWatched ?? this.#top)
  }

  subscribe(listener: (update: ChainUpdate) => void, signal: AbortSignal): void {
    this.#listeners.add(listener)
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true })
  }

  assertBelowMax(): void {
    if (this.maxGasPrice > 0n && this.gasPrice > this.maxGasPrice) {
      throw new NodeError('gas-too-high', 'current gas price exceeds maximum gas price')
    }
  }

  async roundState(): Promise<RoundState> {
    this.#assertUp()
    const { current, start } = this.#round()
    return {
      lastInitialized: this.#lastInitialized,
      blockHash: this.#roundHashes.get(this.#lastInitialized) ?? new Uint8Array(32),
      previousBlockHash: this.#roundHashes.get(this.#lastInitialized - 1n) ?? new Uint8Array(32),
      current,
      currentInitialized: this.#lastInitialized === current,
      startL1Block: start,
      length: this.roundLength,
    }
  }

  async poolSize(): Promise<bigint> {
    this.#assertUp()
    return this.poolMembers
  }

  async orchestrator(): Promise<OrchestratorState> {
    this.#assertUp()
    return {
      registered: this.isRegistered,
      active: this.isRegistered,
      activationRound: 0n,
      deactivationRound: this.isRegistered ? 2n ** 256n - 1n : 0n,
      lastRewardRound: 0n,
      serviceUri: '',
      stake: 1n,
    }
  }

  async senderInfo(sender: Address): Promise<SenderInfo> {
    this.senderReads++
    this.#assertUp()
    return this.#info(sender)
  }

  async claimedReserve(holder: Address): Promise<bigint> {
    this.#assertUp()
    return this.#claimed.get(holder) ?? 0n
  }

  async isTicketUsed(hash: Uint8Array): Promise<boolean> {
    this.#assertUp()
    return this.#isUsed(formatHex(hash))
  }

  async simulate(ticket: WinningTicket): Promise<Simulation> {
    this.#assertUp()
    const reason = this.#refusal(ticket)
    if (reason) return { kind: 'reverts', reason }
    return { kind: 'pays', amount: this.#payout(ticket).pays, gas: REDEEM_GAS }
  }

  async redemptionIn(_txHash: Hex, ticket: WinningTicket, account = ''): Promise<FoundRedemption | null> {
    this.#assertUp()
    const hash = formatHex(ticketHash(ticket))
    for (let i = this.#blocks.length - 1; i >= 0; i--) {
      const { included } = this.#blocks[i]!
      const found = included.find(({ id, result }) => id.endsWith(hash) && result?.success)
      if (!found?.result) continue
      const { block, fee, paid, txHash } = found.result
      return { txHash, paid, block, fee: found.id === `${account}${hash}` ? fee : null, isLone: false }
    }
    return null
  }

  async hasExpired(creationRound: bigint): Promise<boolean> {
    this.#assertUp()
    return isRoundOver(creationRound, this.#round().current)
  }

  async announcedRedemptions(_recipient: Address, from: bigint): Promise<ChainUpdate['events']> {
    this.#assertUp()
    const blocks = this.#blocks.filter(({ head }) => head.number >= from)
    return blocks.flatMap((block) => this.#placed(block))
  }

  /** Sends once per account, which remembers it; by default the same account. */
  async redeem(
    ticket: WinningTicket,
    _options: RedeemOptions,
    signal: AbortSignal,
    account = '',
  ): Promise<RedemptionResult> {
    this.#assertUp()
    const id = `${account}${formatHex(ticketHash(ticket))}`
    let sent = this.#sent.get(id)
    if (sent?.result && !sent.result.success) sent = undefined
    if (!sent) {
      const reason = this.#refusal(ticket)
      if (reason) return { kind: 'not-sent', why: 'refused', reason }
      sent = {
        id,
        ticket,
        txHash: formatHex(keccak256(ticketHash(ticket), Uint8Array.of(this.#salt++ % 256))),
        result: null,
        waiters: new Set(),
      }
      this.#sent.set(id, sent)
      this.#mempool.push(sent)
    }
    while (!sent.result) await this.#nextInclusion(sent, signal)
    return sent.result
  }

  // What a test makes happen.

  /** Mines a block with all waiting transactions, initialises a new round, and announces it. */
  mine(): void {
    this.#mineQuietly()
    const block = this.#blocks.at(-1)!
    const events = this.#placed({ ...block, events: [...block.events, ...this.#madeUp.splice(0)] })
    this.#announce({ head: this.#top, events, reorganised: false })
  }

  /** Removes the last blocks and mines one more instead; their contents are included again if `kept`. */
  reorganise(depth: number, kept: (ticket: WinningTicket) => boolean): void {
    const events: ChainUpdate['events'][number][] = []
    for (let i = 0; i < depth && this.#blocks.length > 1; i++) {
      const block = this.#blocks.pop()!
      for (const undo of block.undo.reverse()) undo()
      for (const transaction of block.included) {
        transaction.result = null
        if (kept(transaction.ticket)) this.#mempool.push(transaction)
        else this.#sent.delete(transaction.id)
      }
    }
    const keptTo = this.#top.number
    for (let i = 0; i <= depth; i++) {
      this.#mineQuietly()
      events.push(...this.#placed(this.#blocks.at(-1)!))
    }
    this.#announce({ head: this.#top, events, reorganised: true, keptTo })
  }

  /** From now on blocks are mined and transactions answered, but nothing is announced. */
  stopWatching(): void {
    this.#lastWatched = this.#top
  }

  /** Announces the changes since `stopWatching`; blocks that came and went are not announced. */
  watchAgain(): void {
    const { hash, number } = this.#lastWatched!
    this.#lastWatched = null
    const reorganised = !this.#blocks.some(({ head }) => head.hash === hash)
    const later = this.#blocks.filter(({ head }) => reorganised || head.number > number)
    this.#announce({ head: this.#top, events: later.flatMap((block) => this.#placed(block)), reorganised })
  }

  /** Announces events that are not on the chain, in the next block. */
  tell(events: readonly FakeEvent[]): void {
    this.#madeUp.push(...events)
  }

  /** Makes the chain reachable again and announces what was missed. */
  recover(): void {
    this.isDown = false
    const missed = this.#unannounced
    this.#unannounced = []
    for (const update of missed) this.#tell(update)
  }

  /** Adds to a sender's deposit and reserve; reorganisations do not undo it. */
  fund(sender: Address, deposit: bigint, reserve = 0n): void {
    const before = this.#info(sender)
    this.#senders.set(sender, {
      ...before,
      deposit: before.deposit + deposit,
      fundsRemaining: before.fundsRemaining + reserve,
    })
    this.#events.push({ kind: 'deposit-funded', sender, amount: deposit })
  }

  /** A sender's funds. */
  fundsOf(sender: Address): SenderInfo {
    return this.#info(sender)
  }

  /** Changes a sender's funds without an event. */
  setSender(sender: Address, info: Partial<SenderInfo>): void {
    this.#senders.set(sender, { ...this.#info(sender), ...info })
  }

  /** Whether a round has this block hash; a reorganisation at its start changes it. */
  knowsRound(round: bigint, hash: Uint8Array): boolean {
    const known = this.#roundHashes.get(round)
    return known !== undefined && formatHex(known) === formatHex(hash)
  }

  /** Redeems a ticket from another account, in the next block. */
  redeemFromElsewhere(ticket: WinningTicket): void {
    const id = `elsewhere ${formatHex(ticketHash(ticket))}`
    this.#mempool.push({ id, ticket, txHash: '0xee', result: null, waiters: new Set() })
  }

  #mineQuietly(): void {
    const parent = this.#blocks.at(-1)?.head
    const number = (parent?.number ?? -1n) + 1n
    const l1Block = GENESIS_L1 + number
    const hash = formatHex(keccak256(new TextEncoder().encode(`${number}/${this.#salt++}`)))
    const head: ChainHead = {
      number,
      hash,
      parentHash: parent?.hash ?? '0x',
      l1Block,
      timestamp: 1_700_000_000n + number,
    }
    const block: FakeBlock = { head, events: this.#events, undo: this.#undo, included: [] }
    this.#events = block.events
    this.#undo = block.undo
    this.#blocks.push(block)
    this.#initializeRound()
    if (!this.includesNothing)
      for (const transaction of this.#mempool.splice(0)) this.#include(transaction, block)
    this.#events = []
    this.#undo = []
  }

  #initializeRound(): void {
    const { current, start } = this.#round()
    if (this.#lastInitialized >= current) return
    // The first round is initialised at once: nothing works before.
    if (this.#blocks.length > 1 && this.#top.l1Block < start + this.#initialisedAfter) return
    const before = this.#lastInitialized
    const blockHash = keccak256(new TextEncoder().encode(`round ${current} ${this.#salt}`))
    this.#lastInitialized = current
    this.#roundHashes.set(current, blockHash)
    const claims = [...this.#senders].map(([sender, info]) => [sender, info.claimedInCurrentRound] as const)
    const claimed = [...this.#claimed]
    for (const [sender] of claims)
      this.#senders.set(sender, { ...this.#info(sender), claimedInCurrentRound: 0n })
    this.#claimed.clear()
    this.#undo.push(() => {
      this.#lastInitialized = before
      this.#roundHashes.delete(current)
      for (const [sender, amount] of claims) {
        this.#senders.set(sender, { ...this.#info(sender), claimedInCurrentRound: amount })
      }
      for (const [sender, amount] of claimed) this.#claimed.set(sender, amount)
    })
    this.#events.push({ kind: 'new-round', round: current, blockHash })
  }

  #include(transaction: FakeTransaction, block: FakeBlock): void {
    const { ticket, txHash } = transaction
    const fee = REDEEM_GAS * this.gasPrice
    const mined = { kind: 'mined', txHash, fee, block: block.head.number } as const
    const reason = this.#refusal(ticket)
    if (reason) {
      this.reverts.push(reason)
      transaction.result = { ...mined, success: false, paid: 0n }
    } else {
      transaction.result = { ...mined, success: true, paid: this.#pay(ticket, txHash) }
    }
    block.included.push(transaction)
    for (const wake of transaction.waiters) wake()
    transaction.waiters.clear()
  }

  #pay(ticket: WinningTicket, txHash: Hex): bigint {
    const id = formatHex(ticketHash(ticket))
    const { sender, recipient } = ticket
    const { pays, claim } = this.#payout(ticket)
    this.#take(sender, pays - claim, claim)
    this.redemptions.set(id, [...(this.redemptions.get(id) ?? []), pays])
    if (pays < ticket.faceValue) this.shortPayments.push({ ticket, l1Block: this.#top.l1Block })
    this.#undo.push(() => {
      this.#take(sender, claim - pays, -claim)
      this.redemptions.set(id, this.redemptions.get(id)!.slice(0, -1))
    })
    if (pays > 0n)
      this.#events.push({ kind: 'winning-ticket-transfer', sender, recipient, amount: pays, txHash })
    this.#events.push({
      kind: 'winning-ticket-redeemed',
      sender,
      recipient,
      senderNonce: BigInt(ticket.senderNonce),
      recipientRand: ticket.recipientRand,
      ticketFaceValue: ticket.faceValue,
      ticketHash: id,
      txHash,
    })
    return pays
  }

  #take(sender: Address, deposit: bigint, claim: bigint): void {
    const before = this.#info(sender)
    this.#senders.set(sender, {
      ...before,
      deposit: before.deposit - deposit,
      fundsRemaining: before.fundsRemaining - claim,
      claimedInCurrentRound: before.claimedInCurrentRound + claim,
    })
    this.#claimed.set(sender, (this.#claimed.get(sender) ?? 0n) + claim)
  }

  #payout({ faceValue, sender }: WinningTicket): { pays: bigint; claim: bigint } {
    const info = this.#info(sender)
    if (faceValue <= info.deposit) return { pays: faceValue, claim: 0n }
    const share =
      (info.fundsRemaining + info.claimedInCurrentRound) / this.poolMembers -
      (this.#claimed.get(sender) ?? 0n)
    const wanted = faceValue - info.deposit
    const claim = wanted < share ? wanted : share < 0n ? 0n : share
    return { pays: info.deposit + claim, claim }
  }

  #refusal(ticket: WinningTicket): string | null {
    const { current } = this.#round()
    const { creationRound, creationRoundBlockHash } = ticket.expirationParams
    if (this.#lastInitialized !== current) return 'current round is not initialized'
    const hash = this.#roundHashes.get(creationRound)
    if (!hash) return 'ticket creationRound does not have a block hash'
    if (formatHex(hash) !== formatHex(creationRoundBlockHash)) {
      return 'ticket creationRoundBlockHash invalid for creationRound'
    }
    if (creationRound + 2n <= current) return 'ticket is expired'
    if (this.#isUsed(formatHex(ticketHash(ticket)))) return 'ticket is used'
    const info = this.#info(ticket.sender)
    if (info.withdrawRound !== 0n && current >= info.withdrawRound) return 'sender is unlocked'
    if (info.deposit === 0n && info.fundsRemaining === 0n) return 'sender deposit and reserve are zero'
    return null
  }

  #isUsed(id: Hex): boolean {
    return (this.redemptions.get(id)?.length ?? 0) > 0
  }

  #round(): { current: bigint; start: bigint } {
    const rounds = (this.#top.l1Block - GENESIS_L1) / this.roundLength
    return { current: rounds + 10n, start: GENESIS_L1 + rounds * this.roundLength }
  }

  #info(sender: Address): SenderInfo {
    return this.#senders.get(sender) ?? NO_FUNDS
  }

  #placed({ events, head }: FakeBlock): ChainUpdate['events'][number][] {
    return events.map((event, logIndex) => ({
      ...(event as ChainUpdate['events'][number]),
      block: head.number,
      txHash: event.txHash ?? head.hash,
      logIndex,
    }))
  }

  get #top(): ChainHead {
    return this.#blocks.at(-1)!.head
  }

  #announce(update: ChainUpdate): void {
    if (this.#lastWatched) return
    if (this.isDown) this.#unannounced.push(update)
    else this.#tell(update)
  }

  #tell(update: ChainUpdate): void {
    const told = { ...update, head: this.#told(update.head) }
    for (const listener of [...this.#listeners]) listener(told)
  }

  #told(head: ChainHead): ChainHead {
    return this.l1Ahead === 0n ? head : { ...head, l1Block: head.l1Block + this.l1Ahead }
  }

  #nextInclusion(transaction: FakeTransaction, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = () => reject(abortError(signal))
      if (signal.aborted) return stop()
      signal.addEventListener('abort', stop, { once: true })
      transaction.waiters.add(resolve)
    })
  }

  #assertUp(): void {
    if (this.isDown) throw new NodeError('chain-unreachable', 'no answer from the chain')
  }
}

const NO_FUNDS: SenderInfo = { deposit: 0n, withdrawRound: 0n, fundsRemaining: 0n, claimedInCurrentRound: 0n }
