import type { ChainUpdate } from '../../domain/chain.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { RedeemerCallError } from '../../domain/redeemer-call.ts'
import { isExpired, isLastChance, isOver } from '../../domain/redemption.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import type { OpenReason } from '../../domain/ticket-state.ts'
import type { Hex } from '../../lib/bytes.ts'
import { settle } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import { TimeLimit } from '../../lib/patience.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { RedeemerConnection } from './redeemer-peers.ts'
import { type BookEntry, describe, TicketBook, type TicketBookNeeds } from './ticket-book.ts'
import type { WaitingTicket } from './waiting-tickets.ts'

/** A redeemer that can store the ticket answers within this time (wire.md §3). */
const QUEUE_TIMEOUT_MS = 8_000
/** Tickets checked before the event loop gets a turn: about a millisecond. */
const LOOKED_AT_ONCE = 2_000

/** What the outbox works with. */
export interface RedeemerOutboxNeeds extends TicketBookNeeds {
  readonly redeemers: {
    readonly answering: readonly RedeemerConnection[]
    report(connection: RedeemerConnection, error: unknown): void
    onReturn(listener: () => void, signal: AbortSignal): void
  }
  readonly events: NodeEvents
}

interface Entry extends BookEntry {
  /** Redeemers that accepted or refused it at its last chance. */
  readonly asked: Set<RedeemerConnection>
}

/**
 * Hands winning tickets to a redeemer. Each stays on disk until a redeemer has it, and is tracked until the chain shows
 * it redeemed. One that is about to expire is handed to every redeemer, since the one that has it may be cut off from
 * the chain.
 */
export class RedeemerOutbox implements Service {
  readonly name = 'redeemer outbox'
  readonly #needs: RedeemerOutboxNeeds
  /** Delivered tickets that are not redeemed yet rest. */
  readonly #book: TicketBook<Entry>
  readonly #uncheckable: PassingFailure
  #checks = false

  constructor(needs: RedeemerOutboxNeeds) {
    this.#needs = needs
    this.#uncheckable = new PassingFailure(
      { message: 'cannot check delivered tickets, retrying', over: 'delivered tickets checked again' },
      needs,
    )
    this.#book = new TicketBook<Entry>(
      {
        task: 'deliver a ticket',
        entry: (base) => ({ ...base, asked: new Set() }),
        waits: () => false,
        rests: ({ kind }) => kind === 'delivered',
        prepare: () => this.#checkDelivered(),
        attempt: (entry, signal) => this.#deliver(entry, signal),
        failed: async (entry, error) => {
          this.#book.delay(entry)
          const facts = { ...describe(entry), error: messageOf(error) }
          needs.log.warn('delivery of a winning ticket failed, retrying', facts)
        },
      },
      needs,
    )
  }

  async start(scope: Scope): Promise<void> {
    const { log, redeemers, rounds, watch } = this.#needs
    watch.subscribe((update) => this.#follow(update), scope.signal)
    this.#book.start(scope.signal)
    rounds.onL1Block(() => this.#checkSoon(), scope.signal)
    redeemers.onReturn(() => {
      this.#book.retry(() => true)
      this.#checkSoon()
    }, scope.signal)
    await this.#book.load()
    const delivered = this.#book.resting.size
    log.info('winning tickets loaded', { toDeliver: this.openTickets - delivered, delivered })
    scope.spawn('deliver', (signal) => this.#book.run(scope, signal))
  }

  /** Takes over winning tickets that were just put on disk. */
  adopt(tickets: readonly WinningTicket[]): void {
    this.#book.adopt(tickets)
  }

  /** The tickets that are not delivered or not redeemed yet, the most urgent first; at most `most`. */
  waiting(most = Number.POSITIVE_INFINITY): WaitingTicket[] {
    return this.#book.waiting(most)
  }

  /** By state and reason, the first L1 block in which a ticket cannot be redeemed any more. */
  firstExpiries(): Map<string, bigint> {
    return this.#book.firstExpiries()
  }

  /** Hands one ticket over at once, again if a redeemer has it. Returns whether it is here and open. */
  retryTicket(id: Hex): boolean {
    return this.#book.retryTicket(id)
  }

  /** How many tickets are neither redeemed nor refused. */
  get openTickets(): number {
    return this.#book.size
  }

  #follow(update: ChainUpdate): void {
    if (this.#book.follow(update)) this.#checkSoon()
  }

  #checkSoon(): void {
    this.#checks = true
    this.#book.wake()
  }

  /**
   * Checks the delivered tickets: settles the redeemed ones, hands over again those about to expire, and gives up the
   * expired.
   */
  async #checkDelivered(): Promise<void> {
    if (!this.#checks) return
    this.#checks = false
    const { rounds } = this.#needs
    const clock = rounds.roundClock
    let looked = 0
    for (const entry of [...this.#book.resting.values()]) {
      if (++looked % LOOKED_AT_ONCE === 0) await settle()
      const { creationRound } = entry.ticket.expirationParams
      try {
        const proof = await this.#book.proofs.of(entry.id, entry.ticket, null)
        this.#uncheckable.passed()
        if (proof.kind === 'redeemed') await this.#book.settle(entry, proof.redemption, null)
        else if (proof.kind === 'unconfirmed') continue
        else if (isOver(creationRound, rounds.confirmedClock)) await this.#book.giveUp(entry)
        else if (isLastChance(creationRound, clock) && this.#toAsk(entry).length > 0) this.#book.takeUp(entry)
      } catch (error) {
        this.#uncheckable.failed({ ...describe(entry), reason: messageOf(error) })
      }
    }
  }

  async #deliver(entry: Entry, signal: AbortSignal): Promise<void> {
    const { events, log, redeemers, rounds } = this.#needs
    const proof = await this.#book.proofs.of(entry.id, entry.ticket, null)
    if (proof.kind === 'redeemed') return this.#book.settle(entry, proof.redemption, null)
    if (proof.kind === 'unconfirmed') return this.#book.delay(entry)
    const { creationRound } = entry.ticket.expirationParams
    const { confirmedClock } = rounds
    if (confirmedClock && isExpired(creationRound, confirmedClock)) {
      this.#book.delay(entry)
      await this.#book.giveUp(entry)
      return
    }
    let reason: OpenReason = 'redeemer-away'
    let says: string | undefined
    const takers: string[] = []
    for (const connection of this.#toAsk(entry)) {
      const error = await this.#hand(entry.ticket, connection, signal)
      redeemers.report(connection, error)
      const isLast = isLastChance(entry.ticket.expirationParams.creationRound, rounds.roundClock)
      if (isLast && (error === null || error.code === 'refused')) entry.asked.add(connection)
      if (error === null) {
        takers.push(connection.name)
        const { faceValue, sender } = entry.ticket
        const facts = { ticket: entry.id, sender, faceValue, redeemer: connection.name }
        events.tell({ kind: 'ticket-delivered', ...facts })
        if (!isLast) break
        continue
      }
      events.tell({ kind: 'ticket-delivery-failed', redeemer: connection.name, reason: error.code })
      says = error.message
      if (error.code === 'refused') {
        reason = 'redeemer-refuses'
        // What concerns all tickets has a cause of its own.
        const level = error.refusal === 'other' ? 'error' : 'debug'
        log[level]('winning ticket refused by a redeemer', { ...describe(entry), error: error.message })
      } else if (error.code === 'unable') {
        if (reason === 'redeemer-away') reason = 'redeemer-unable'
        log.debug('redeemer cannot take a winning ticket now', { ...describe(entry), error: error.message })
      }
    }
    if (takers.length > 0) {
      return this.#book.change(entry, { kind: 'delivered' }, { redeemer: takers.join(', ') })
    }
    // A delivered ticket stays delivered: a redeemer has it.
    if (entry.state.kind === 'delivered') return this.#book.delay(entry)
    await this.#book.reopen(entry, reason, says === undefined ? {} : { says })
  }

  /** The redeemers to hand a ticket to. At its last chance a delivered one goes to those not yet asked. */
  #toAsk({ asked, state }: Entry): readonly RedeemerConnection[] {
    const { answering } = this.#needs.redeemers
    return state.kind === 'delivered' ? answering.filter((connection) => !asked.has(connection)) : answering
  }

  /** Null if the redeemer has the ticket on disk. */
  async #hand(
    ticket: WinningTicket,
    connection: RedeemerConnection,
    signal: AbortSignal,
  ): Promise<RedeemerCallError | null> {
    const { clock } = this.#needs
    using limit = new TimeLimit(clock, QUEUE_TIMEOUT_MS)
    try {
      await connection.queue(ticket, AbortSignal.any([signal, limit.signal]))
      return null
    } catch (error) {
      if (signal.aborted) throw error
      if (error instanceof RedeemerCallError) return error
      if (!limit.signal.aborted) throw error
      return new RedeemerCallError('away', `${connection.name} did not answer within ${QUEUE_TIMEOUT_MS} ms`)
    }
  }
}
