import type { NodeEvents } from '../../domain/events.ts'
import { checkAge, checkHandedTicket, HandedTicketError } from '../../domain/handed-ticket.ts'
import type { RoundClock } from '../../domain/redemption.ts'
import { ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { Alarm } from '../../lib/alarm.ts'
import { larger } from '../../lib/bigints.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { RedemptionReads } from './redemption-proofs.ts'
import { DeskError, TicketRoom, type TicketRoomNeeds } from './ticket-room.ts'

/** The most open float streams, in all and of one sender. */
const MAX_STREAMS = 50_000
const MAX_STREAMS_OF_SENDER = 1_000
/** Floats with listeners are recomputed after this time even without an event. */
const REFRESH_MS = 30_000
/** Floats computed at the same time. */
const COMPUTED_AT_ONCE = 16
/** Refusals for the same reason are logged as a warning once in this time; the others are only counted. */
const WARN_EVERY_MS = 60_000

export interface RedeemerDeskNeeds {
  readonly redeemer: {
    /** Resolves once the ticket is on disk. */
    queue(ticket: WinningTicket): Promise<void>
    /** Whether it already has the ticket, open or recently redeemed. */
    knows(hash: Uint8Array): boolean
    readonly openTickets: number
  }
  readonly senders: TicketRoomNeeds['senders'] & {
    maxFloat(sender: Address): Promise<bigint>
    onChange(listener: (sender: Address | null) => void, signal: AbortSignal): void
  }
  readonly chain: Pick<RedemptionReads, 'hasExpired'>
  readonly rounds: {
    readonly confirmedClock: RoundClock | null
    onRound(listener: (round: bigint) => void, signal: AbortSignal): void
  }
  readonly gas: TicketRoomNeeds['gas']
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
}

/** The float of one sender while it has listeners. */
interface Feed {
  readonly sender: Address
  readonly listeners: Set<(value: bigint) => void>
  value: bigint | null
  isStale: boolean
}

/**
 * Where orchestrators hand in winning tickets and follow max floats (wire.md §14): each ticket is checked and on disk
 * before the answer; listeners get a float whenever it changes.
 */
export class RedeemerDesk implements Service {
  readonly name = 'redeemer desk'
  readonly #recipient: Address
  readonly #needs: RedeemerDeskNeeds
  readonly #feeds = new Map<Address, Feed>()
  readonly #alarm = new Alarm()
  readonly #room: TicketRoom
  /** Tickets being written to disk: one handed in twice at the same time is accepted once. */
  readonly #taking = new Map<Hex, Promise<void>>()
  /** When a refusal was last logged as a warning, by reason. */
  readonly #warnedAtMs = new Map<string, number>()
  readonly #uncomputable: PassingFailure
  #streams = 0
  /** Tickets of this and earlier rounds have expired, according to the chain. */
  #expiredTo = -1n

  constructor(
    options: {
      /** The recipient that it redeems for. */ recipient: Address /** Gas of one redemption. */
      redeemGas: bigint
    },
    needs: RedeemerDeskNeeds,
  ) {
    this.#recipient = options.recipient
    this.#needs = needs
    this.#room = new TicketRoom(options, needs)
    this.#uncomputable = new PassingFailure(
      { message: 'cannot compute a max float, keeping the last one', over: 'max floats computed again' },
      needs,
    )
  }

  start(scope: Scope): void {
    const { rounds, senders } = this.#needs
    senders.onChange((sender) => this.#changed(sender), scope.signal)
    rounds.onRound(() => this.#changed(null), scope.signal)
    scope.spawn('tell floats', (signal) => this.#keepTelling(signal))
  }

  /** How many streams of floats are open. */
  get streams(): number {
    return this.#streams
  }

  /** Accepts a winning ticket; resolves once it is on disk. Throws HandedTicketError or DeskError. */
  async queue(ticket: WinningTicket): Promise<void> {
    const { redeemer } = this.#needs
    try {
      checkHandedTicket(ticket, { recipient: this.#recipient })
      await this.#checkAge(ticket)
      // Handed in again because the answer was late or lost: it needs no room.
      const hash = ticketHash(ticket)
      if (redeemer.knows(hash)) return
      const id = formatHex(hash)
      const taking = this.#taking.get(id) ?? this.#take(ticket).finally(() => this.#taking.delete(id))
      this.#taking.set(id, taking)
      await taking
    } catch (error) {
      if (error instanceof NodeError) this.#tellRefusal(ticket, error)
      throw error
    }
  }

  /**
   * Refuses an expired ticket on the same grounds as the redeemer gives one up: the confirmed clock and the chain both
   * say so. While the chain does not answer, the ticket is accepted, since many peers never retry a refused ticket.
   */
  async #checkAge(ticket: WinningTicket): Promise<void> {
    const { chain, rounds } = this.#needs
    const { creationRound } = ticket.expirationParams
    try {
      checkAge(ticket, rounds.confirmedClock)
    } catch (error) {
      if (creationRound > this.#expiredTo) {
        if (!(await chain.hasExpired(creationRound).catch(() => false))) return
        this.#expiredTo = larger(this.#expiredTo, creationRound)
      }
      throw error
    }
  }

  async #take(ticket: WinningTicket): Promise<void> {
    const leave = await this.#room.take(ticket)
    try {
      await this.#needs.redeemer.queue(ticket)
    } finally {
      leave()
    }
    const { faceValue, sender } = ticket
    const id = formatHex(ticketHash(ticket))
    this.#needs.events.tell({ kind: 'ticket-handed-in', ticket: id, sender, faceValue })
  }

  #tellRefusal(ticket: WinningTicket, error: NodeError): void {
    const { clock, events, log } = this.#needs
    const { code } = error
    events.tell({ kind: 'handed-ticket-refused', reason: code })
    const facts = { reason: messageOf(error), ...described(ticket, error) }
    const warnedAtMs = this.#warnedAtMs.get(code) ?? Number.NEGATIVE_INFINITY
    if (clock.now() - warnedAtMs < WARN_EVERY_MS) {
      log.debug('handed-in ticket refused', facts)
      return
    }
    this.#warnedAtMs.set(code, clock.now())
    log.warn('handed-in ticket refused', facts)
  }

  /** The largest face value that tickets of this sender should have now, in wei; never below 0. */
  async maxFloat(sender: Address): Promise<bigint> {
    return this.#needs.senders.maxFloat(sender)
  }

  /**
   * Calls `tell` with the sender's float, now and whenever it changes, until the returned function is called. Throws
   * DeskError if there are too many listeners.
   */
  listen(sender: Address, tell: (value: bigint) => void): () => void {
    const feed = this.#feeds.get(sender) ?? { sender, listeners: new Set(), value: null, isStale: true }
    if (this.#streams >= MAX_STREAMS || feed.listeners.size >= MAX_STREAMS_OF_SENDER) {
      throw new DeskError('no-room', `${this.#streams} float streams are open, which is the limit`)
    }
    // The same function may listen twice.
    const listener = (value: bigint) => tell(value)
    this.#feeds.set(sender, feed)
    feed.listeners.add(listener)
    this.#streams++
    if (feed.value !== null) tell(feed.value)
    if (feed.isStale) this.#alarm.ring()
    return () => {
      if (!feed.listeners.delete(listener)) return
      if (feed.listeners.size === 0) this.#feeds.delete(sender)
      this.#streams--
    }
  }

  #changed(sender: Address | null): void {
    const feeds = sender === null ? this.#feeds.values() : [this.#feeds.get(sender)]
    let any = false
    for (const feed of feeds) {
      if (!feed) continue
      feed.isStale = true
      any = true
    }
    if (any) this.#alarm.ring()
  }

  async #keepTelling(signal: AbortSignal): Promise<void> {
    const { clock } = this.#needs
    let refreshedAtMs = clock.now()
    for (;;) {
      if (clock.now() - refreshedAtMs >= REFRESH_MS) {
        refreshedAtMs = clock.now()
        this.#changed(null)
      }
      const stale = [...this.#feeds.values()].filter(({ isStale }) => isStale)
      for (let i = 0; i < stale.length; i += COMPUTED_AT_ONCE) {
        await Promise.all(stale.slice(i, i + COMPUTED_AT_ONCE).map((feed) => this.#compute(feed)))
      }
      await this.#alarm.wait(clock, Math.max(0, refreshedAtMs + REFRESH_MS - clock.now()), signal)
    }
  }

  async #compute(feed: Feed): Promise<void> {
    feed.isStale = false
    try {
      const value = await this.#needs.senders.maxFloat(feed.sender)
      this.#uncomputable.passed()
      if (value === feed.value) return
      feed.value = value
      for (const tell of feed.listeners) tell(value)
    } catch (error) {
      // Retried at the next refresh; until then the last value is kept.
      this.#uncomputable.failed({ sender: feed.sender, reason: messageOf(error) })
    }
  }
}

/** What the log says of a refused ticket; a malformed one has no hash. */
function described(ticket: WinningTicket, error: unknown): Record<string, unknown> {
  const { recipient, sender } = ticket
  const isMalformed = error instanceof HandedTicketError && error.code === 'malformed-ticket'
  const isForAnother = error instanceof HandedTicketError && error.code === 'wrong-recipient'
  return {
    sender,
    recipient,
    ...(isMalformed || isForAnother ? {} : { ticket: formatHex(ticketHash(ticket)) }),
  }
}
