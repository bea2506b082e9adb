import { type ChainUpdate, isConfirmed } from '../../domain/chain.ts'
import { checkWin } from '../../domain/handed-ticket.ts'
import {
  costLimit,
  decideRedemption,
  isExpired,
  isOver,
  isSurelyLastChance,
  meaningOfRevert,
  type RoundClock,
} from '../../domain/redemption.ts'
import { ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import {
  isFinal,
  NEW_TICKET,
  nextState,
  type OpenReason,
  type Redeemed,
  type RefusalReason,
  refusalAtExpiry,
  type TicketEvent,
  type TicketState,
} from '../../domain/ticket-state.ts'
import { Alarm } from '../../lib/alarm.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { SeenNonces, StoredTicket, TicketRecords } from '../orchestrator/payment-records.ts'
import type { ChainWatch } from '../protocol/rounds.ts'
import { type Proof, RedemptionProofs, type RedemptionReads } from './redemption-proofs.ts'
import { SenderClaims } from './sender-claims.ts'
import { type Task, TicketAgenda } from './ticket-agenda.ts'
import { firstExpiries, mostUrgent, type WaitingTicket } from './waiting-tickets.ts'

/** After the chain could not be asked about a reorganisation, when to ask again. */
const RECHECK_MS = 5_000
/** Redemptions in as many of the newest blocks are looked at again after a reorganisation. */
const REORGANISABLE_BLOCKS = 2_000n
const IDLE_MS = 60_000
/** How often the disk is read again: another process may have died between writing a ticket down and telling of it. */
const RELOAD_MS = 60_000

/** What redeeming a ticket asks of the chain. */
export interface RedemptionChain extends RedemptionReads {
  isTicketUsed(hash: Uint8Array): Promise<boolean>
  /** What redeeming would pay now, or why it would fail; costs nothing. */
  simulate(ticket: WinningTicket): Promise<Simulation>
  /**
   * Sends the ticket and waits for its receipt. Sent once per ticket, also over restarts: called again it goes on
   * where it was, and answers with a redemption of its own that was mined before.
   */
  redeem(ticket: WinningTicket, options: RedeemOptions, signal: AbortSignal): Promise<RedemptionResult>
}

/** How a ticket is redeemed. */
export interface RedeemOptions {
  /** The most that may be paid for its gas, in wei. */
  readonly maxCost: bigint
}

/** What redeeming a ticket would bring now. */
export type Simulation =
  | { readonly kind: 'pays'; readonly amount: bigint; readonly gas: bigint }
  | { readonly kind: 'reverts'; readonly reason: string }

/** What came of redeeming a ticket. */
export type RedemptionResult =
  | {
      readonly kind: 'mined'
      readonly txHash: Hex
      readonly success: boolean
      /** Wei that the recipient was credited, as the contract announced it. */
      readonly paid: bigint
      /** Wei spent on gas. */
      readonly fee: bigint
      readonly block: bigint
    }
  | { readonly kind: 'not-sent'; readonly reason: string }
  | { readonly kind: 'timed-out'; readonly txHash: Hex }

/** What has happened, for whoever counts. Amounts in wei. */
export interface RedeemerEvents {
  ticketWon(event: { sender: Address; faceValue: bigint }): void
  ticketRedeemed(event: { sender: Address; faceValue: bigint; paid: bigint | null; fee: bigint | null }): void
  ticketRefused(event: { sender: Address; faceValue: bigint; reason: RefusalReason }): void
  /** A reorganisation undid a redemption. */
  ticketReopened(event: { sender: Address; faceValue: bigint }): void
  redemptionFailed(event: { sender: Address; reason: string }): void
}

/** What the redeemer works with. */
export interface RedeemerNeeds {
  readonly tickets: TicketRecords
  readonly nonces: Pick<SeenNonces, 'reveal'>
  readonly chain: RedemptionChain
  readonly watch: ChainWatch
  readonly rounds: {
    readonly roundClock: RoundClock
    readonly confirmedClock: RoundClock | null
    onRound(listener: (round: bigint) => void, signal: AbortSignal): void
    onL1Block(listener: (block: bigint) => void, signal: AbortSignal): void
  }
  readonly senders: {
    /** What a sender's tickets can be paid from together, as the chain has it now, in wei. */
    currentFunds(sender: Address): Promise<bigint>
    addPending(sender: Address, amount: bigint): void
  }
  readonly gas: {
    readonly gasPrice: bigint
    /** Throws while the price is above the operator's limit. */
    assertBelowMax(): void
  }
  readonly clock: Clock
  readonly log: Log
  readonly events: RedeemerEvents
}

type OpenTicket = Pick<StoredTicket, 'hash' | 'ticket' | 'state'>

interface Entry extends Task {
  readonly hash: Uint8Array
  readonly ticket: WinningTicket
  state: TicketState
  /** Whether a transaction of ours may exist. */
  wasSubmitted: boolean
  /** The head when a reorganisation made its redemption doubtful; null when nothing did. */
  doubtedAt: bigint | null
}

/**
 * Redeems winning tickets: all that are open, of all senders, each on its own. What it decides is on disk before it
 * acts, so that it can be stopped at any point.
 */
export class Redeemer implements Service {
  readonly name = 'redeemer'
  readonly #needs: RedeemerNeeds
  readonly #agenda = new TicketAgenda<Entry>()
  /** Redeemed in blocks that a reorganisation may still undo. */
  readonly #recent = new Map<Hex, Entry>()
  readonly #claims = new SenderClaims()
  readonly #proofs: RedemptionProofs
  readonly #alarm = new Alarm()
  /** Those that wait for others of their senders. */
  readonly #afterOthers = new Map<Address, Set<Entry>>()
  #reorganisations = 0
  #recheckAtMs = 0
  #chainFailed = false
  /** Ended since the reading of the disk began, which may show them as they were before. */
  readonly #endedMeanwhile = new Set<Hex>()

  constructor(needs: RedeemerNeeds) {
    this.#needs = needs
    this.#proofs = new RedemptionProofs(needs)
  }

  async start(scope: Scope): Promise<void> {
    const { rounds, tickets, watch } = this.#needs
    watch.subscribe((update) => this.#follow(update), scope.signal)
    rounds.onL1Block(() => this.#lookAgain(), scope.signal)
    rounds.onRound(() => this.#retry(() => true), scope.signal)
    for await (const page of tickets.unfinishedTickets((id) => this.#agenda.has(id))) this.#enterAll(page)
    for (const stored of await tickets.redeemedSince(oldestReorganisable(this.#head))) {
      const entry = entryOf(stored)
      // The chain may have been reorganised while this node was down.
      entry.doubtedAt = this.#head
      this.#recent.set(entry.id, entry)
    }
    this.#needs.log.info('winning tickets loaded', { open: this.#agenda.size, recent: this.#recent.size })
    scope.spawn('redeem', (signal) => this.#run(scope, signal))
    scope.spawn('find tickets of other processes', (signal) => this.#keepReloading(signal))
  }

  /** Takes over a winning ticket: it is on disk when this resolves. One that is known already is left alone. */
  async queue(ticket: WinningTicket): Promise<void> {
    this.adopt(await this.#needs.tickets.addTickets([ticket], this.#needs.clock.now()))
  }

  /** Takes over winning tickets that were just put on disk. */
  adopt(tickets: readonly WinningTicket[]): void {
    for (const ticket of tickets) {
      this.#needs.events.ticketWon({ sender: ticket.sender, faceValue: ticket.faceValue })
      this.#enter({ hash: ticketHash(ticket), ticket, state: NEW_TICKET })
    }
    this.#alarm.ring()
  }

  /** Whether it has a ticket already: open, or redeemed lately. */
  knows(hash: Uint8Array): boolean {
    const id = formatHex(hash)
    return this.#agenda.has(id) || this.#recent.has(id)
  }

  /** How many tickets are neither redeemed nor refused. */
  get openTickets(): number {
    return this.#agenda.size
  }

  /** The tickets that are not redeemed yet, the most urgent first; with a bound, only so many of them. */
  waiting(most = Number.POSITIVE_INFINITY): WaitingTicket[] {
    return mostUrgent(this.#agenda.all(), most, this.#needs.rounds.roundClock)
  }

  /** By state and reason, the first L1 block in which a ticket cannot be redeemed any more. */
  firstExpiries(): Map<string, bigint> {
    return firstExpiries(this.#agenda.all(), this.#needs.rounds.roundClock)
  }

  #enterAll(tickets: readonly OpenTicket[]): void {
    for (const stored of tickets) this.#enter(stored)
  }

  #enter(stored: OpenTicket): void {
    const entry = entryOf(stored)
    if (this.#agenda.has(entry.id)) return
    this.#agenda.add(entry)
    this.#noteWaiting(entry)
    if (entry.state.kind === 'submitted') this.#claims.claim(entry)
    this.#needs.senders.addPending(entry.ticket.sender, entry.ticket.faceValue)
  }

  #lookAgain(): void {
    this.#agenda.lookAgain()
    this.#alarm.ring()
  }

  #follow(update: ChainUpdate): void {
    const { head, keptTo = -1n, reorganised } = update
    if (this.#agenda.wake(this.#proofs.follow(update))) this.#alarm.ring()
    if (reorganised) {
      this.#reorganisations++
      for (const entry of this.#recent.values()) {
        if (entry.state.kind === 'redeemed' && entry.state.block > keptTo) entry.doubtedAt = head.number
      }
      this.#recheckAtMs = 0
    }
    if (this.#chainFailed) {
      // A block after a failed call: the chain answers again.
      this.#chainFailed = false
      this.#retry(({ state }) => state.kind === 'submitted' || isUnavailable(state))
    }
    const oldest = oldestReorganisable(head.number)
    for (const [id, { doubtedAt, state }] of this.#recent) {
      if (doubtedAt === null && state.kind === 'redeemed' && state.block < oldest) this.#recent.delete(id)
    }
    if (this.#toRecheck().length > 0) this.#alarm.ring()
    const funded = new Set<Address>()
    for (const event of update.events) {
      if (event.kind === 'deposit-funded' || event.kind === 'reserve-funded') funded.add(event.sender)
    }
    if (funded.size > 0) this.#retry((entry) => funded.has(entry.ticket.sender))
  }

  #retry(which: (entry: Entry) => boolean): void {
    this.#agenda.retry(which)
    this.#alarm.ring()
  }

  async #run(scope: Scope, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#recheck()
      await this.#agenda.prepare(this.#needs.clock.now(), this.#needs.rounds.roundClock)
      this.#startWork(scope)
      await this.#alarm.wait(this.#needs.clock, this.#idleMs(), signal)
    }
  }

  async #keepReloading(signal: AbortSignal): Promise<void> {
    const { clock, log, tickets } = this.#needs
    for (;;) {
      await clock.sleep(RELOAD_MS, signal)
      this.#endedMeanwhile.clear()
      try {
        const isKnown = (id: Hex) => this.#agenda.has(id) || this.#endedMeanwhile.has(id)
        for await (const page of tickets.unfinishedTickets(isKnown)) {
          this.#enterAll(page.filter(({ hash }) => !isKnown(formatHex(hash))))
          this.#alarm.ring()
        }
      } catch (error) {
        log.warn('open tickets cannot be read', { error: messageOf(error) })
      }
    }
  }

  /** How long there is nothing to do unless something happens. */
  #idleMs(): number {
    const now = this.#needs.clock.now()
    const recheck = this.#toRecheck().length > 0 ? this.#recheckAtMs : Number.POSITIVE_INFINITY
    return Math.max(0, Math.min(this.#agenda.nextMs, recheck, now + IDLE_MS) - now)
  }

  #startWork(scope: Scope): void {
    for (;;) {
      const entry = this.#agenda.take()
      if (!entry) return
      scope.spawn('redeem a ticket', (signal) => this.#work(entry, signal))
    }
  }

  async #work(entry: Entry, signal: AbortSignal): Promise<void> {
    try {
      await this.#attempt(entry, signal)
    } catch (error) {
      if (signal.aborted && isAbort(error)) throw error
      this.#chainFailed = true
      this.#needs.log.warn('a winning ticket could not be redeemed, it is tried again', {
        ...this.#describe(entry),
        error: messageOf(error),
      })
      this.#needs.events.redemptionFailed({ sender: entry.ticket.sender, reason: messageOf(error) })
      await this.#postpone(entry, 'chain-unavailable').catch(() => {})
    } finally {
      this.#agenda.done(entry)
      this.#alarm.ring()
    }
  }

  /** One attempt at one ticket: look, decide, write down, act, write down. */
  async #attempt(entry: Entry, signal: AbortSignal): Promise<void> {
    const { chain, gas, rounds } = this.#needs
    const creationRound = creationRoundOf(entry)
    const reorganisations = this.#reorganisations
    const proof = await this.#proofOf(entry)
    if (proof.kind === 'redeemed') {
      await this.#finish(entry, proof.redemption)
      // Whether one that came meanwhile undid it has not been looked at.
      if (this.#reorganisations !== reorganisations) entry.doubtedAt = this.#head
      return
    }
    if (proof.kind === 'unconfirmed') return this.#delay(entry)
    // By a clock that is not confirmed it is still tried: the contract knows better.
    const { confirmedClock } = rounds
    if (confirmedClock && isExpired(creationRound, confirmedClock)) return this.#giveUp(entry)
    try {
      gas.assertBelowMax()
    } catch {
      return this.#postpone(entry, 'gas-too-high')
    }
    const endings = this.#claims.endings(entry.ticket.sender)
    const simulation = await chain.simulate(entry.ticket)
    if (simulation.kind === 'reverts') return this.#explain(entry, simulation.reason)
    const { sender } = entry.ticket
    // Where no others are on their way there is nothing to wait for: none may set out meanwhile.
    const funds = this.#claims.others(entry) === 0n ? 0n : await this.#needs.senders.currentFunds(sender)
    if (this.#claims.endings(entry.ticket.sender) !== endings) return
    const facts = {
      faceValue: entry.ticket.faceValue,
      pays: simulation.amount,
      cost: simulation.gas * gas.gasPrice,
      // A ticket that is paid short is spent: that its time is up must be certain.
      lastChance: isSurelyLastChance(creationRound, rounds.confirmedClock),
      inFlight: entry.state.kind === 'submitted' ? 0n : this.#claims.others(entry),
      funds,
    }
    const decision = decideRedemption(facts)
    if (decision !== 'redeem') return this.#postpone(entry, decision)
    await this.#redeem(entry, costLimit(facts), signal)
  }

  #proofOf({ id, state, ticket }: Entry): Promise<Proof> {
    const txHash = state.kind === 'submitted' || state.kind === 'redeemed' ? state.txHash : null
    return this.#proofs.of(id, ticket, txHash)
  }

  async #redeem(entry: Entry, maxCost: bigint, signal: AbortSignal): Promise<void> {
    const { chain, nonces, rounds } = this.#needs
    const { paramsExpirationBlock, recipientRandHash } = entry.ticket
    this.#claims.claim(entry)
    try {
      const { confirmedClock } = rounds
      if (confirmedClock === null || paramsExpirationBlock > confirmedClock.l1Block) {
        await nonces.reveal(recipientRandHash, paramsExpirationBlock)
      }
      await this.#change(entry, { kind: 'submitting' })
      entry.wasSubmitted = true
      await this.#conclude(entry, await chain.redeem(entry.ticket, { maxCost }, signal))
    } finally {
      if (entry.state.kind !== 'submitted') this.#release(entry)
    }
  }

  async #conclude(entry: Entry, result: RedemptionResult): Promise<void> {
    const { log } = this.#needs
    switch (result.kind) {
      case 'not-sent':
        log.warn('a redemption was not sent', { ...this.#describe(entry), reason: result.reason })
        return this.#reopen(entry, 'chain-refuses')
      case 'timed-out':
        this.#delay(entry)
        return this.#change(entry, { kind: 'sent', txHash: result.txHash })
      case 'mined':
        if (result.success) {
          // It counts as redeemed once its block is confirmed.
          this.#delay(entry)
          return this.#change(entry, { kind: 'sent', txHash: result.txHash })
        }
        log.warn('a redemption was mined and failed', { ...this.#describe(entry), txHash: result.txHash })
        return this.#reopen(entry, 'reverted')
    }
  }

  async #finish(entry: Entry, redemption: Redeemed): Promise<void> {
    await this.#change(entry, { kind: 'redeemed', redemption })
    this.#recent.set(entry.id, entry)
    const { faceValue, sender } = entry.ticket
    const { fee, paid, txHash } = redemption
    this.#needs.events.ticketRedeemed({ sender, faceValue, paid, fee })
    this.#needs.log.info('winning ticket redeemed', { ...this.#describe(entry), paid, fee, txHash })
    if (paid !== null && paid < faceValue) {
      this.#needs.log.warn('a ticket paid less than its face value', { ...this.#describe(entry), paid })
    }
  }

  /** The ticket has expired: it is given up once that is so for some blocks, and no redemption is found. */
  async #giveUp(entry: Entry): Promise<void> {
    if (!isOver(creationRoundOf(entry), this.#needs.rounds.confirmedClock)) return this.#delay(entry)
    if (!(await this.#needs.chain.hasExpired(creationRoundOf(entry)))) return this.#delay(entry)
    if (await this.#isFound(entry)) return this.#delay(entry)
    await this.#refuse(entry, refusalAtExpiry(entry.state))
  }

  /** Whether a redemption that was not seen when it was announced is found now. */
  async #isFound({ id, ticket }: Entry): Promise<boolean> {
    await this.#proofs.search(ticket.recipient)
    return this.#proofs.isAnnounced(id)
  }

  /** Draws the consequence of a simulated redemption that fails. No answer ends a ticket: it expires, or it is faulty. */
  async #explain(entry: Entry, reason: string): Promise<void> {
    const meaning = meaningOfRevert(reason)
    this.#needs.log.debug('redeeming a ticket would fail now', { ...this.#describe(entry), reason })
    if (meaning === 'used' && (await this.#isFound(entry))) return this.#delay(entry)
    if (meaning === 'invalid' && !isWin(entry.ticket)) return this.#refuse(entry, 'invalid')
    // What it waited for until then is why it expires.
    if (meaning === 'expired') return this.#delay(entry)
    await this.#postpone(entry, meaning === 'invalid' || meaning === 'used' ? 'chain-refuses' : meaning)
  }

  async #refuse(entry: Entry, reason: RefusalReason): Promise<void> {
    await this.#change(entry, { kind: 'refused', reason })
    const { faceValue, sender } = entry.ticket
    this.#needs.events.ticketRefused({ sender, faceValue, reason })
    this.#needs.log.error('a winning ticket can never be redeemed', { ...this.#describe(entry), reason })
  }

  /** Leaves the ticket for later. One that was submitted stays so: its transaction may be on its way. */
  async #postpone(entry: Entry, reason: OpenReason): Promise<void> {
    if (entry.state.kind === 'submitted') return this.#delay(entry)
    await this.#reopen(entry, reason)
  }

  async #reopen(entry: Entry, reason: OpenReason): Promise<void> {
    this.#delay(entry)
    await this.#change(entry, { kind: 'waits', reason })
  }

  /** Writes a new state down and only then believes it. */
  async #change(entry: Entry, event: TicketEvent): Promise<void> {
    const { clock, senders, tickets } = this.#needs
    const before = entry.state
    const state = nextState(before, event)
    if (before.kind === 'open' && state.kind === 'open' && before.reason === state.reason) return
    await tickets.saveTicketState(entry.hash, state, clock.now())
    entry.state = state
    this.#noteWaiting(entry)
    if (state.kind !== 'submitted') this.#release(entry)
    if (isFinal(state) && !isFinal(before)) {
      this.#agenda.delete(entry)
      this.#endedMeanwhile.add(entry.id)
      senders.addPending(entry.ticket.sender, -entry.ticket.faceValue)
    }
  }

  #delay(entry: Entry): void {
    this.#agenda.delay(entry, this.#needs.clock.now(), this.#needs.rounds.roundClock)
  }

  /** The ticket is not on its way any more: those that waited for it have their turn. */
  #release(entry: Entry): void {
    if (!this.#claims.release(entry)) return
    for (const waiting of this.#afterOthers.get(entry.ticket.sender) ?? []) this.#agenda.retryNow(waiting)
    this.#alarm.ring()
  }

  /** Notes whether a ticket waits for others of its sender. */
  #noteWaiting(entry: Entry): void {
    const { sender } = entry.ticket
    const waiting = this.#afterOthers.get(sender) ?? new Set()
    if (entry.state.kind === 'open' && entry.state.reason === 'after-others') {
      this.#afterOthers.set(sender, waiting.add(entry))
    } else if (waiting.delete(entry) && waiting.size === 0) this.#afterOthers.delete(sender)
  }

  /** Redemptions that a reorganisation made doubtful, and that can be judged by now. */
  #toRecheck(): Entry[] {
    const head = this.#head
    return [...this.#recent.values()].filter(
      ({ doubtedAt }) => doubtedAt !== null && isConfirmed(doubtedAt, head),
    )
  }

  /** Looks whether what was redeemed before a reorganisation still is. */
  async #recheck(): Promise<void> {
    const { clock, log } = this.#needs
    if (clock.now() < this.#recheckAtMs) return
    try {
      // All of a transaction at the same time, since they share its receipt.
      const byTransaction = Map.groupBy(this.#toRecheck(), ({ state }) => 'txHash' in state && state.txHash)
      for (const entries of byTransaction.values()) {
        await Promise.all(entries.map((entry) => this.#recheckOne(entry)))
      }
    } catch (error) {
      this.#recheckAtMs = clock.now() + RECHECK_MS
      log.warn('redemptions cannot be checked after a reorganisation', { error: messageOf(error) })
    }
  }

  async #recheckOne(entry: Entry): Promise<void> {
    const { doubtedAt } = entry
    const proof = await this.#proofOf(entry)
    let isSettled = true
    if (proof.kind === 'redeemed') await this.#change(entry, proof)
    else if (proof.kind === 'unconfirmed' || (await this.#needs.chain.isTicketUsed(entry.hash))) {
      if (proof.kind === 'none') await this.#isFound(entry)
      // Perhaps in another block by now: it is judged when that is confirmed.
      isSettled = false
    } else await this.#reopenUndone(entry)
    if (entry.doubtedAt === doubtedAt) entry.doubtedAt = isSettled ? null : this.#head
  }

  async #reopenUndone(entry: Entry): Promise<void> {
    const { events, log, senders } = this.#needs
    await this.#change(entry, { kind: 'undone' })
    this.#recent.delete(entry.id)
    entry.retryAtMs = 0
    this.#agenda.add(entry)
    // Its transaction may come back into a later block.
    if (entry.wasSubmitted) this.#claims.claim(entry)
    const { faceValue, sender } = entry.ticket
    senders.addPending(sender, faceValue)
    events.ticketReopened({ sender, faceValue })
    log.warn('a redemption was undone by a reorganisation, it is tried again', this.#describe(entry))
  }

  get #head(): bigint {
    return this.#needs.watch.head?.number ?? 0n
  }

  #describe({ id, ticket }: Entry): Record<string, unknown> {
    return { ticket: id, sender: ticket.sender, faceValue: ticket.faceValue }
  }
}

function entryOf({ hash, ticket, state }: OpenTicket): Entry {
  return {
    id: formatHex(hash),
    hash,
    ticket,
    state,
    wasSubmitted: state.kind === 'submitted' || (state.kind === 'redeemed' && state.txHash !== null),
    failures: 0,
    retryAtMs: 0,
    atWork: false,
    doubtedAt: null,
  }
}

function isUnavailable(state: TicketState): boolean {
  return state.kind === 'open' && state.reason === 'chain-unavailable'
}

function creationRoundOf({ ticket }: Entry): bigint {
  return ticket.expirationParams.creationRound
}

function isWin(ticket: WinningTicket): boolean {
  try {
    checkWin(ticket)
    return true
  } catch {
    return false
  }
}

function oldestReorganisable(head: bigint): bigint {
  return head > REORGANISABLE_BLOCKS ? head - REORGANISABLE_BLOCKS : 0n
}
