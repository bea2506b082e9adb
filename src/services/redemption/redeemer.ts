import { type ChainUpdate, isConfirmed } from '../../domain/chain.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { checkWin } from '../../domain/handed-ticket.ts'
import {
  costLimit,
  decideRedemption,
  isExpired,
  isOfRound,
  isSurelyLastChance,
  leftToAnotherUntil,
  meaningOfRevert,
} from '../../domain/redemption.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import type { OpenReason, Redeemed, TicketState } from '../../domain/ticket-state.ts'
import { Alarm } from '../../lib/alarm.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import { messageOf } from '../../lib/errors.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { SeenNonces, TicketRemark } from '../orchestrator/payment-records.ts'
import type { RedemptionChain, RedemptionResult } from './redemption-chain.ts'
import type { Proof } from './redemption-proofs.ts'
import { SenderClaims } from './sender-claims.ts'
import { type BookEntry, describe, TicketBook, type TicketBookNeeds } from './ticket-book.ts'
import type { WaitingTicket } from './waiting-tickets.ts'

/** When to read the chain again if it could not be read after a reorganisation. */
const RECHECK_MS = 5_000
/** Redemptions in this many of the newest blocks are checked again after a reorganisation. */
const REORGANISABLE_BLOCKS = 2_000n
/** How often tickets are reloaded from disk, even if nothing says that another process has written any. */
const RELOAD_MS = 60_000
/** How soon they are read again where the store did not answer. */
const READ_AGAIN_MS = 1_000

/** What the redeemer works with. */
export interface RedeemerNeeds extends TicketBookNeeds {
  readonly nonces: Pick<SeenNonces, 'reveal'>
  readonly chain: RedemptionChain
  readonly rounds: TicketBookNeeds['rounds'] & {
    onRound(listener: (round: bigint) => void, signal: AbortSignal): void
  }
  readonly senders: {
    /** The funds that a sender's tickets share, in wei, read from the chain now. */
    currentFunds(sender: Address): Promise<bigint>
    addPending(sender: Address, amount: bigint): void
  }
  readonly gas: {
    readonly gasPrice: bigint
    /** Throws while the price is above the operator's limit. */
    assertBelowMax(): void
  }
  readonly events: NodeEvents
}

interface Entry extends BookEntry {
  /** Whether a transaction of this node may exist. */
  wasSubmitted: boolean
  /** The head when a reorganisation made its redemption doubtful; null if none did. */
  doubtedAt: bigint | null
}

/**
 * Redeems all open winning tickets of all senders, each independently. Each decision is on disk before it is acted on,
 * so that the redeemer can be stopped at any point.
 */
export class Redeemer implements Service {
  readonly name = 'redeemer'
  readonly #needs: RedeemerNeeds
  readonly #book: TicketBook<Entry>
  /** Tickets redeemed in blocks that a reorganisation may still undo. */
  readonly #recent = new Map<Hex, Entry>()
  readonly #claims = new SenderClaims()
  /** Tickets that wait for other tickets of the same sender. */
  readonly #afterOthers = new Map<Address, Set<Entry>>()
  readonly #reload = new Alarm()
  #reorganisations = 0
  #recheckAtMs = 0
  #chainFailed = false
  readonly #unattemptable: PassingFailure
  readonly #unreadable: PassingFailure

  /** `afterMs`: how long it leaves a ticket to another redeemer, 0 or absent for not at all. */
  constructor(needs: RedeemerNeeds, { afterMs = 0 }: { readonly afterMs?: number } = {}) {
    this.#needs = needs
    this.#unattemptable = new PassingFailure(
      { message: 'redemptions fail, retrying', over: 'redemptions work again' },
      needs,
    )
    this.#unreadable = new PassingFailure(
      { message: 'cannot read the open tickets, retrying', over: 'open tickets read again' },
      needs,
    )
    this.#book = new TicketBook<Entry>(
      {
        task: 'redeem a ticket',
        leftUntilMs: ({ id, receivedAtMs, ticket }, nowMs, clock) => {
          if (afterMs === 0 || this.#book.proofs.isAnnounced(id)) return null
          const { creationRound } = ticket.expirationParams
          return leftToAnotherUntil({ receivedAtMs, creationRound }, afterMs, { clock, nowMs })
        },
        entry: (base) => ({ ...base, wasSubmitted: mayBeSent(base.state), doubtedAt: null }),
        noted: (entry, before) => this.#noted(entry, before),
        prepare: () => this.#recheck(),
        nextMs: () => (this.#toRecheck().length > 0 ? this.#recheckAtMs : Number.POSITIVE_INFINITY),
        attempt: (entry, signal) => this.#attempt(entry, signal),
        failed: (entry, error) => this.#failed(entry, error),
      },
      needs,
    )
  }

  async start(scope: Scope): Promise<void> {
    const { log, rounds, tickets, watch } = this.#needs
    watch.subscribe((update) => this.#follow(update), scope.signal)
    this.#book.start(scope.signal)
    rounds.onRound(() => this.#book.retry(() => true), scope.signal)
    await this.#book.load()
    for (const stored of await tickets.redeemedSince(oldestReorganisable(this.#head))) {
      const entry = this.#book.entryOf(stored)
      // The chain may have been reorganised while this node was down.
      entry.doubtedAt = this.#head
      this.#recent.set(entry.id, entry)
    }
    log.info('winning tickets loaded', { open: this.openTickets, recent: this.#recent.size })
    scope.spawn('redeem', (signal) => this.#book.run(scope, signal))
    scope.spawn('find tickets of other processes', (signal) => this.#keepReloading(signal))
  }

  /** Takes over a winning ticket of another node and resolves once it is on disk. A known ticket stays as it is. */
  async queue(ticket: WinningTicket): Promise<void> {
    this.adopt(await this.#needs.tickets.addTickets([ticket], this.#needs.clock.now(), 'handedIn'))
  }

  /** Takes over winning tickets just written to disk. */
  adopt(tickets: readonly WinningTicket[]): void {
    this.#book.adopt(tickets)
  }

  /** Whether the redeemer already has a ticket, open or recently redeemed. */
  knows(hash: Uint8Array): boolean {
    const id = formatHex(hash)
    return this.#book.has(id) || this.#recent.has(id)
  }

  /** The account has ether again: retries at once what waits for it. */
  funded(): void {
    this.#book.retry(({ state }) => state.kind === 'open' && state.reason === 'no-ether')
  }

  /** Retries one ticket at once, whatever it waits for. Returns whether it is here and open. */
  retryTicket(id: Hex): boolean {
    return this.#book.retryTicket(id)
  }

  /** How many tickets are neither redeemed nor refused. */
  get openTickets(): number {
    return this.#book.size
  }

  /** The tickets not redeemed yet, the most urgent first; at most `most`. */
  waiting(most = Number.POSITIVE_INFINITY): WaitingTicket[] {
    return this.#book.waiting(most)
  }

  /** By state and reason, the first L1 block in which a ticket cannot be redeemed any more. */
  firstExpiries(): Map<string, bigint> {
    return this.#book.firstExpiries()
  }

  #follow(update: ChainUpdate): void {
    const { head, keptTo = -1n, reorganised } = update
    this.#book.follow(update)
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
      this.#book.retry(({ state }) => state.kind === 'submitted' || isUnavailable(state))
    }
    const oldest = oldestReorganisable(head.number)
    for (const [id, { doubtedAt, state }] of this.#recent) {
      if (doubtedAt === null && state.kind === 'redeemed' && state.block < oldest) this.#recent.delete(id)
    }
    if (this.#toRecheck().length > 0) this.#book.wake()
    const funded = new Set<Address>()
    for (const event of update.events) {
      if (event.kind === 'deposit-funded' || event.kind === 'reserve-funded') funded.add(event.sender)
    }
    if (funded.size > 0) this.#book.retry((entry) => funded.has(entry.ticket.sender))
  }

  /** Another process may have written tickets: looks for them soon. */
  lookForTickets(): void {
    this.#reload.ring()
  }

  async #keepReloading(signal: AbortSignal): Promise<void> {
    const { clock } = this.#needs
    for (let waitMs = RELOAD_MS; ; ) {
      await this.#reload.wait(clock, waitMs, signal)
      try {
        await this.#book.load()
        waitMs = RELOAD_MS
        this.#unreadable.passed()
      } catch (error) {
        // What rang is not found otherwise, and its last chance may be near.
        waitMs = READ_AGAIN_MS
        this.#unreadable.failed({ reason: messageOf(error) })
      }
    }
  }

  async #failed(entry: Entry, error: unknown): Promise<void> {
    this.#chainFailed = true
    const says = messageOf(error)
    this.#unattemptable.failed({ ...describe(entry), reason: says })
    this.#needs.events.tell({ kind: 'redemption-failed', sender: entry.ticket.sender, reason: says })
    await this.#postpone(entry, 'chain-unavailable', { says }).catch(() => {})
  }

  /** One attempt at one ticket: read, decide, store, act, store. */
  async #attempt(entry: Entry, signal: AbortSignal): Promise<void> {
    const { chain, gas, rounds } = this.#needs
    const creationRound = creationRoundOf(entry)
    const reorganisations = this.#reorganisations
    const proof = await this.#proofOf(entry)
    this.#unattemptable.passed()
    if (proof.kind === 'redeemed') {
      await this.#finish(entry, proof.redemption)
      // A reorganisation that came meanwhile may have undone it.
      if (this.#reorganisations !== reorganisations) entry.doubtedAt = this.#head
      return
    }
    if (proof.kind === 'unconfirmed') return this.#book.delay(entry)
    // A ticket that has expired only by the unconfirmed clock is still tried: the contract decides.
    const { confirmedClock } = rounds
    if (confirmedClock && isExpired(creationRound, confirmedClock)) {
      if (!(await this.#book.giveUp(entry))) this.#book.delay(entry)
      return
    }
    try {
      gas.assertBelowMax()
    } catch {
      return this.#postpone(entry, 'gas-too-high')
    }
    const endings = this.#claims.endings(entry.ticket.sender)
    const simulation = await chain.simulate(entry.ticket)
    if (simulation.kind === 'reverts') return this.#explain(entry, simulation.reason)
    const { sender } = entry.ticket
    // Funds matter only while other tickets of the sender are being redeemed.
    const funds = this.#claims.others(entry) === 0n ? 0n : await this.#needs.senders.currentFunds(sender)
    if (this.#claims.endings(entry.ticket.sender) !== endings) return
    const facts = {
      faceValue: entry.ticket.faceValue,
      pays: simulation.amount,
      cost: simulation.gas * gas.gasPrice,
      // A ticket that is paid less than its face value is spent, so this must certainly be its last chance.
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
    return this.#book.proofs.of(id, ticket, txHash)
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
      await this.#book.change(entry, { kind: 'submitting' })
      entry.wasSubmitted = true
      await this.#conclude(entry, await chain.redeem(entry.ticket, { maxCost }, signal))
    } finally {
      if (entry.state.kind !== 'submitted') this.#release(entry)
    }
  }

  async #conclude(entry: Entry, result: RedemptionResult): Promise<void> {
    const { log } = this.#needs
    switch (result.kind) {
      case 'not-sent': {
        // The check of the account's ether tells the operator, once for all tickets.
        const isBroke = result.why === 'no-ether'
        // A new round may begin between the simulation and the estimate of the transaction.
        const isNormal = isBroke || isOfRound(result.reason)
        log[isNormal ? 'debug' : 'warn']('redemption not sent', { ...describe(entry), reason: result.reason })
        return this.#book.reopen(entry, isBroke ? 'no-ether' : 'chain-refuses', { says: result.reason })
      }
      case 'timed-out':
        this.#book.delay(entry)
        return this.#book.change(entry, { kind: 'sent', txHash: result.txHash })
      case 'mined':
        if (result.success) {
          // It counts as redeemed once its block is confirmed.
          this.#book.delay(entry)
          return this.#book.change(entry, { kind: 'sent', txHash: result.txHash })
        }
        log.info('redemption mined and failed, retrying', { ...describe(entry), txHash: result.txHash })
        return this.#book.reopen(entry, 'reverted', { txHash: result.txHash })
    }
  }

  async #finish(entry: Entry, redemption: Redeemed): Promise<void> {
    await this.#book.settle(entry, redemption, redemption.fee)
    const { paid } = redemption
    if (paid !== null && paid < entry.ticket.faceValue) {
      this.#needs.log.warn('winning ticket paid less than its face value', {
        ...describe(entry),
        paidWei: paid,
      })
    }
  }

  /** Handles a redemption that fails in simulation. No endpoint's answer ends a ticket: it must expire or be invalid. */
  async #explain(entry: Entry, reason: string): Promise<void> {
    const meaning = meaningOfRevert(reason)
    this.#needs.log.debug('redemption would fail now', { ...describe(entry), reason })
    if (meaning === 'used' && (await this.#book.isFound(entry))) return this.#book.delay(entry)
    if (meaning === 'invalid' && !isWin(entry.ticket)) return this.#book.refuse(entry, 'invalid')
    // The reason is kept: it says why the ticket was not redeemed in time.
    if (meaning === 'expired') return this.#book.delay(entry)
    const isOther = meaning === 'invalid' || meaning === 'used'
    await this.#postpone(entry, isOther ? 'chain-refuses' : meaning, { says: reason })
  }

  /** Leaves the ticket for later. A submitted one stays submitted: its transaction may still be mined. */
  async #postpone(entry: Entry, reason: OpenReason, remark: TicketRemark = {}): Promise<void> {
    if (entry.state.kind === 'submitted') return this.#book.delay(entry)
    await this.#book.reopen(entry, reason, remark)
  }

  /** Updates everything derived from a ticket's state. */
  #noted(entry: Entry, before: TicketState | null): void {
    const { state } = entry
    const { sender } = entry.ticket
    const waiting = this.#afterOthers.get(sender) ?? new Set()
    if (state.kind === 'open' && state.reason === 'after-others') {
      this.#afterOthers.set(sender, waiting.add(entry))
    } else if (waiting.delete(entry) && waiting.size === 0) this.#afterOthers.delete(sender)
    const isUndone = before?.kind === 'redeemed' && state.kind === 'open'
    // After a reorganisation its transaction may be mined again in a later block.
    if (state.kind === 'submitted' || (isUndone && entry.wasSubmitted)) this.#claims.claim(entry)
    else this.#release(entry)
    if (state.kind === 'redeemed') this.#recent.set(entry.id, entry)
    else if (isUndone) this.#recent.delete(entry.id)
  }

  /** The ticket is no longer being redeemed: retries the tickets that waited for it. */
  #release(entry: Entry): void {
    if (!this.#claims.release(entry)) return
    const waiting = this.#afterOthers.get(entry.ticket.sender)
    if (waiting) this.#book.retryNow(waiting)
  }

  /** Redemptions made doubtful by a reorganisation, once enough blocks have followed to decide. */
  #toRecheck(): Entry[] {
    const head = this.#head
    return [...this.#recent.values()].filter(
      ({ doubtedAt }) => doubtedAt !== null && isConfirmed(doubtedAt, head),
    )
  }

  /** Checks whether tickets that were redeemed before a reorganisation still are. */
  async #recheck(): Promise<void> {
    const { clock, log } = this.#needs
    if (clock.now() < this.#recheckAtMs) return
    try {
      // Tickets of the same transaction together, since they share its receipt.
      const byTransaction = Map.groupBy(this.#toRecheck(), ({ state }) => 'txHash' in state && state.txHash)
      for (const entries of byTransaction.values()) {
        await Promise.all(entries.map((entry) => this.#recheckOne(entry)))
      }
    } catch (error) {
      this.#recheckAtMs = clock.now() + RECHECK_MS
      log.warn('cannot check redemptions after a reorganisation, retrying', { error: messageOf(error) })
    }
  }

  async #recheckOne(entry: Entry): Promise<void> {
    const { doubtedAt } = entry
    const proof = await this.#proofOf(entry)
    let isSettled = true
    if (proof.kind === 'redeemed') await this.#book.change(entry, proof)
    else if (proof.kind === 'unconfirmed' || (await this.#needs.chain.isTicketUsed(entry.hash))) {
      if (proof.kind === 'none') await this.#book.isFound(entry)
      // It may be in another block by now, which must be confirmed first.
      isSettled = false
    } else await this.#reopenUndone(entry)
    if (entry.doubtedAt === doubtedAt) entry.doubtedAt = isSettled ? null : this.#head
  }

  async #reopenUndone(entry: Entry): Promise<void> {
    const { events, log } = this.#needs
    const { fee, paid } = entry.state as Redeemed
    await this.#book.change(entry, { kind: 'undone' })
    const { faceValue, sender } = entry.ticket
    events.tell({ kind: 'ticket-reopened', ticket: entry.id, sender, faceValue, paid, fee })
    log.info('redemption undone by a reorganisation, retrying', describe(entry))
  }

  get #head(): bigint {
    return this.#needs.watch.head?.number ?? 0n
  }
}

/** Whether a transaction of this node may exist for a ticket loaded in this state. */
function mayBeSent(state: TicketState): boolean {
  return state.kind === 'submitted' || (state.kind === 'redeemed' && state.txHash !== null)
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
