import type { ChainUpdate } from '../../domain/chain.ts'
import { RedeemerCallError } from '../../domain/redeemer-call.ts'
import { isExpired, isLastChance, isOver, type RoundClock } from '../../domain/redemption.ts'
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
import { type Clock, settle } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { StoredTicket, TicketRecords } from '../orchestrator/payment-records.ts'
import type { ChainWatch } from '../protocol/rounds.ts'
import type { RedeemerConnection } from './redeemer-peers.ts'
import { RedemptionProofs, type RedemptionReads } from './redemption-proofs.ts'
import { type Task, TicketAgenda } from './ticket-agenda.ts'
import { firstExpiries, mostUrgent, type WaitingTicket } from './waiting-tickets.ts'

/** A redeemer that has the ticket on disk answers within this time (wire.md §3). */
const QUEUE_TIMEOUT_MS = 8_000
const IDLE_MS = 60_000
/** Tickets looked at without giving others their turn: about a millisecond. */
const LOOKED_AT_ONCE = 2_000

/** What has happened, for whoever counts. Amounts in wei. */
export interface OutboxEvents {
  ticketWon(event: { sender: Address; faceValue: bigint }): void
  ticketDelivered(event: { sender: Address; faceValue: bigint; redeemer: string }): void
  deliveryFailed(event: { redeemer: string; reason: string }): void
  /** Somebody redeemed it: the chain says so. */
  ticketRedeemed(event: { sender: Address; faceValue: bigint; paid: bigint | null; fee: null }): void
  ticketRefused(event: { sender: Address; faceValue: bigint; reason: RefusalReason }): void
}

export interface RedeemerOutboxNeeds {
  readonly tickets: TicketRecords
  readonly redeemers: {
    readonly answering: readonly RedeemerConnection[]
    report(connection: RedeemerConnection, error: unknown): void
    onReturn(listener: () => void, signal: AbortSignal): void
  }
  readonly chain: RedemptionReads
  readonly watch: ChainWatch
  readonly rounds: {
    readonly roundClock: RoundClock
    readonly confirmedClock: RoundClock | null
    onL1Block(listener: (block: bigint) => void, signal: AbortSignal): void
  }
  readonly senders: { addPending(sender: Address, amount: bigint): void }
  readonly clock: Clock
  readonly log: Log
  readonly events: OutboxEvents
}

interface Entry extends Task {
  readonly hash: Uint8Array
  readonly ticket: WinningTicket
  state: TicketState
  /** Redeemers that took or refused it at its last chance. */
  readonly asked: Set<RedeemerConnection>
}

/**
 * Hands winning tickets to a redeemer: each stays on disk until one has it, and is followed until the chain shows that
 * it was redeemed. One that is about to expire unredeemed is handed over once more, to every redeemer: the one that has it
 * may be cut off from the chain.
 */
export class RedeemerOutbox implements Service {
  readonly name = 'redeemer outbox'
  readonly #needs: RedeemerOutboxNeeds
  /** To be handed over. */
  readonly #agenda = new TicketAgenda<Entry>({ waits: () => false })
  /** With a redeemer, and not seen redeemed yet. */
  readonly #delivered = new Map<Hex, Entry>()
  readonly #proofs: RedemptionProofs
  readonly #alarm = new Alarm()
  #checks = false

  constructor(needs: RedeemerOutboxNeeds) {
    this.#needs = needs
    this.#proofs = new RedemptionProofs(needs)
  }

  async start(scope: Scope): Promise<void> {
    const { redeemers, rounds, tickets, watch } = this.#needs
    watch.subscribe((update) => this.#follow(update), scope.signal)
    rounds.onL1Block(() => this.#lookAgain(), scope.signal)
    redeemers.onReturn(() => {
      this.#agenda.retry(() => true)
      this.#checks = true
      this.#alarm.ring()
    }, scope.signal)
    for await (const page of tickets.unfinishedTickets((id) => this.#isKnown(id))) {
      for (const stored of page) this.#enter(stored)
    }
    this.#needs.log.info('winning tickets loaded', {
      toDeliver: this.#agenda.size,
      delivered: this.#delivered.size,
    })
    scope.spawn('deliver', (signal) => this.#run(scope, signal))
  }

  /** Takes over winning tickets that were just put on disk. */
  adopt(tickets: readonly WinningTicket[]): void {
    for (const ticket of tickets) {
      this.#needs.events.ticketWon({ sender: ticket.sender, faceValue: ticket.faceValue })
      this.#enter({ hash: ticketHash(ticket), ticket, state: NEW_TICKET })
    }
    this.#alarm.ring()
  }

  /**
   * The tickets that no redeemer has yet, and those not seen redeemed yet, the most urgent first; with a bound, only so
   * many of them.
   */
  waiting(most = Number.POSITIVE_INFINITY): WaitingTicket[] {
    return mostUrgent(this.#unfinished(), most, this.#needs.rounds.roundClock)
  }

  /** By state and reason, the first L1 block in which a ticket cannot be redeemed any more. */
  firstExpiries(): Map<string, bigint> {
    return firstExpiries(this.#unfinished(), this.#needs.rounds.roundClock)
  }

  get openTickets(): number {
    return this.#agenda.size + this.#delivered.size
  }

  *#unfinished(): Iterable<Entry> {
    yield* this.#agenda.all()
    yield* this.#delivered.values()
  }

  #isKnown(id: Hex): boolean {
    return this.#agenda.has(id) || this.#delivered.has(id)
  }

  #enter({ hash, ticket, state }: Pick<StoredTicket, 'hash' | 'ticket' | 'state'>): void {
    const id = formatHex(hash)
    if (this.#isKnown(id)) return
    const timing = { failures: 0, retryAtMs: 0, atWork: false }
    const entry: Entry = { id, hash, ticket, state, asked: new Set(), ...timing }
    if (state.kind === 'delivered') this.#delivered.set(id, entry)
    else this.#agenda.add(entry)
    this.#needs.senders.addPending(ticket.sender, ticket.faceValue)
  }

  #lookAgain(): void {
    this.#checks = true
    this.#agenda.lookAgain()
    this.#alarm.ring()
  }

  #follow(update: ChainUpdate): void {
    const provable = this.#proofs.follow(update)
    this.#agenda.wake(provable)
    if (provable.length === 0) return
    this.#checks = true
    this.#alarm.ring()
  }

  async #run(scope: Scope, signal: AbortSignal): Promise<void> {
    const { clock, rounds } = this.#needs
    for (;;) {
      if (this.#checks) {
        this.#checks = false
        await this.#lookAfterDelivered()
      }
      await this.#agenda.prepare(clock.now(), rounds.roundClock)
      for (;;) {
        const entry = this.#agenda.take()
        if (!entry) break
        scope.spawn('deliver a ticket', (stop) => this.#work(entry, stop))
      }
      const idle = Math.min(this.#agenda.nextMs - clock.now(), IDLE_MS)
      await this.#alarm.wait(clock, Math.max(0, idle), signal)
    }
  }

  /** Those that were redeemed are done; those about to expire are handed over once more; the expired are looked up. */
  async #lookAfterDelivered(): Promise<void> {
    const { log, rounds } = this.#needs
    const clock = rounds.roundClock
    let looked = 0
    for (const entry of [...this.#delivered.values()]) {
      if (++looked % LOOKED_AT_ONCE === 0) await settle()
      const { creationRound } = entry.ticket.expirationParams
      try {
        const proof = await this.#proofs.of(entry.id, entry.ticket, null)
        if (proof.kind === 'redeemed') await this.#settle(entry, proof.redemption)
        else if (proof.kind === 'unconfirmed') continue
        else if (isOver(creationRound, rounds.confirmedClock)) await this.#giveUp(entry)
        else if (isLastChance(creationRound, clock) && this.#toAsk(entry).length > 0) {
          this.#delivered.delete(entry.id)
          this.#agenda.add(entry)
        }
      } catch (error) {
        log.warn('a delivered ticket could not be looked after', {
          ...describe(entry),
          error: messageOf(error),
        })
      }
    }
  }

  async #work(entry: Entry, signal: AbortSignal): Promise<void> {
    try {
      await this.#deliver(entry, signal)
    } catch (error) {
      if (signal.aborted && isAbort(error)) throw error
      this.#delay(entry)
      this.#needs.log.warn('a winning ticket could not be handed over, it is tried again', {
        ...describe(entry),
        error: messageOf(error),
      })
    } finally {
      this.#agenda.done(entry)
      this.#alarm.ring()
    }
  }

  async #deliver(entry: Entry, signal: AbortSignal): Promise<void> {
    const { events, log, redeemers, rounds } = this.#needs
    const proof = await this.#proofs.of(entry.id, entry.ticket, null)
    if (proof.kind === 'redeemed') return this.#settle(entry, proof.redemption)
    if (proof.kind === 'unconfirmed') return this.#delay(entry)
    const { creationRound } = entry.ticket.expirationParams
    const { confirmedClock } = rounds
    if (confirmedClock && isExpired(creationRound, confirmedClock)) {
      this.#delay(entry)
      return isOver(creationRound, confirmedClock) ? this.#giveUp(entry) : undefined
    }
    let reason: OpenReason = 'redeemer-away'
    let isTaken = false
    for (const connection of this.#toAsk(entry)) {
      const error = await this.#hand(entry.ticket, connection, signal)
      redeemers.report(connection, error)
      const isLast = isLastChance(entry.ticket.expirationParams.creationRound, rounds.roundClock)
      if (isLast && (error === null || error.code === 'refused')) entry.asked.add(connection)
      if (error === null) {
        isTaken = true
        const { faceValue, sender } = entry.ticket
        events.ticketDelivered({ sender, faceValue, redeemer: connection.name })
        log.debug('winning ticket delivered', { ...describe(entry), redeemer: connection.name })
        if (!isLast) break
        continue
      }
      events.deliveryFailed({ redeemer: connection.name, reason: error.code })
      if (error.code === 'refused') {
        reason = 'redeemer-refuses'
        log.error('a redeemer refuses a winning ticket', { ...describe(entry), error: error.message })
      } else if (error.code === 'unable') {
        if (reason === 'redeemer-away') reason = 'redeemer-unable'
        log.debug('a redeemer cannot take a winning ticket now', { ...describe(entry), error: error.message })
      }
    }
    if (isTaken) return this.#change(entry, { kind: 'delivered' })
    // One that was delivered before stays so: a redeemer has it.
    if (entry.state.kind === 'delivered') return this.#delay(entry)
    this.#delay(entry)
    await this.#change(entry, { kind: 'waits', reason })
  }

  /** To whom to hand a ticket: one that a redeemer has goes to those that were not asked at its last chance. */
  #toAsk({ asked, state }: Entry): readonly RedeemerConnection[] {
    const { answering } = this.#needs.redeemers
    return state.kind === 'delivered' ? answering.filter((connection) => !asked.has(connection)) : answering
  }

  /** Null when the redeemer has the ticket on disk. */
  async #hand(
    ticket: WinningTicket,
    connection: RedeemerConnection,
    signal: AbortSignal,
  ): Promise<RedeemerCallError | null> {
    const { clock } = this.#needs
    const limit = new AbortController()
    const stop = () => limit.abort()
    signal.addEventListener('abort', stop, { once: true })
    const late = clock.sleep(QUEUE_TIMEOUT_MS, limit.signal).then(stop, () => {})
    try {
      await connection.queue(ticket, limit.signal)
      return null
    } catch (error) {
      if (signal.aborted) throw error
      if (error instanceof RedeemerCallError) return error
      if (!limit.signal.aborted) throw error
      return new RedeemerCallError('away', `${connection.name} did not answer within ${QUEUE_TIMEOUT_MS} ms`)
    } finally {
      stop()
      await late
      signal.removeEventListener('abort', stop)
    }
  }

  /** Its time is over: unless a redemption is found that was not seen when it was announced, that is its end. */
  async #giveUp(entry: Entry): Promise<void> {
    if (!(await this.#needs.chain.hasExpired(entry.ticket.expirationParams.creationRound))) return
    await this.#proofs.search(entry.ticket.recipient)
    if (!this.#proofs.isAnnounced(entry.id)) await this.#refuse(entry)
  }

  /** The chain shows the ticket as redeemed. */
  async #settle(entry: Entry, redemption: Redeemed): Promise<void> {
    const { events, log } = this.#needs
    await this.#change(entry, { kind: 'redeemed', redemption })
    const { faceValue, sender } = entry.ticket
    events.ticketRedeemed({ sender, faceValue, paid: redemption.paid, fee: null })
    log.info('winning ticket redeemed', {
      ...describe(entry),
      paid: redemption.paid,
      txHash: redemption.txHash,
    })
  }

  async #refuse(entry: Entry): Promise<void> {
    const reason = refusalAtExpiry(entry.state)
    const was = entry.state
    await this.#change(entry, { kind: 'refused', reason })
    const { faceValue, sender } = entry.ticket
    this.#needs.events.ticketRefused({ sender, faceValue, reason })
    this.#needs.log.error('a winning ticket expired unredeemed', {
      ...describe(entry),
      was: was.kind,
      reason,
    })
  }

  /** Writes a new state down and only then believes it. */
  async #change(entry: Entry, event: TicketEvent): Promise<void> {
    const { clock, senders, tickets } = this.#needs
    const before = entry.state
    const state = nextState(before, event)
    const isSame = before.kind === 'open' && state.kind === 'open' && before.reason === state.reason
    if (!isSame) await tickets.saveTicketState(entry.hash, state, clock.now())
    entry.state = state
    if (state.kind === 'open') return
    this.#agenda.delete(entry)
    if (state.kind === 'delivered') this.#delivered.set(entry.id, entry)
    else this.#delivered.delete(entry.id)
    if (isFinal(state)) senders.addPending(entry.ticket.sender, -entry.ticket.faceValue)
  }

  #delay(entry: Entry): void {
    this.#agenda.delay(entry, this.#needs.clock.now(), this.#needs.rounds.roundClock)
  }
}

function describe({ id, ticket }: Entry): Record<string, unknown> {
  return { ticket: id, sender: ticket.sender, faceValue: ticket.faceValue }
}
