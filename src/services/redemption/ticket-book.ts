import type { ChainUpdate } from '../../domain/chain.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { isOver, type RoundClock } from '../../domain/redemption.ts'
import { type Ticket, ticketHash, type WinningTicket } from '../../domain/ticket.ts'
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
import { isAbort } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope } from '../../lib/service.ts'
import type { StoredTicket, TicketRecords, TicketRemark } from '../orchestrator/payment-records.ts'
import type { ChainWatch } from '../protocol/rounds.ts'
import { RedemptionProofs, type RedemptionReads } from './redemption-proofs.ts'
import { type Task, TicketAgenda } from './ticket-agenda.ts'
import { firstExpiries, mostUrgent, type WaitingTicket } from './waiting-tickets.ts'

/** The loop looks for work at least this often, even if nothing wakes it. */
const IDLE_MS = 60_000

/** What a ticket book works with. */
export interface TicketBookNeeds {
  readonly tickets: TicketRecords
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
  readonly events: NodeEvents
}

/** A ticket as stored on disk. */
export type OpenTicket = Pick<StoredTicket, 'hash' | 'ticket' | 'state' | 'receivedAtMs'>

/** A winning ticket in the book. */
export interface BookEntry extends Task {
  readonly hash: Uint8Array
  readonly ticket: WinningTicket
  readonly receivedAtMs: number
  /** As stored on disk. */
  state: TicketState
}

/** What the owner of a ticket book does with its tickets. */
export interface TicketWork<Entry extends BookEntry> {
  /** Names the task in which one ticket is worked on. */
  readonly task: string
  /** Makes the entry of a ticket. */
  entry(base: BookEntry): Entry
  /** Whether a ticket must wait; absent: it waits while its params are still accepted. */
  readonly waits?: (
    ticket: Pick<Ticket, 'expirationParams' | 'paramsExpirationBlock'>,
    clock: RoundClock,
  ) => boolean
  /** Until when another process is to work on a ticket, in ms; null when this one may. Absent: this one may. */
  readonly leftUntilMs?: (entry: Entry, nowMs: number, clock: RoundClock) => number | null
  /** Whether a ticket in this state rests, that is, waits for `takeUp`. Absent: none does. */
  rests?(state: TicketState): boolean
  /** Called when a ticket has been entered (`before` is null) and after each change of its state. */
  noted?(entry: Entry, before: TicketState | null): void
  /** Runs before each round of work. Must not throw. */
  prepare(): Promise<void>
  /** When to run `prepare` again if nothing else triggers it, in ms of the clock. */
  nextMs?(): number
  /** One attempt at one ticket. */
  attempt(entry: Entry, signal: AbortSignal): Promise<void>
  /** Handles an attempt that threw. */
  failed(entry: Entry, error: unknown): Promise<void>
}

/**
 * The open winning tickets of a node: their order, their retries and their states. Each change of state is on disk
 * before it takes effect, so that the node can be stopped at any point.
 */
export class TicketBook<Entry extends BookEntry> {
  /** Whether tickets have been redeemed. */
  readonly proofs: RedemptionProofs
  readonly #work: TicketWork<Entry>
  readonly #needs: TicketBookNeeds
  readonly #agenda: TicketAgenda<Entry>
  readonly #resting = new Map<Hex, Entry>()
  readonly #alarm = new Alarm()
  /**
   * Tickets that end while the disk is being read, since the read may return their earlier state; null at other times.
   */
  #endedMeanwhile: Set<Hex> | null = null

  constructor(work: TicketWork<Entry>, needs: TicketBookNeeds) {
    this.#work = work
    this.#needs = needs
    this.#agenda = new TicketAgenda(work)
    this.proofs = new RedemptionProofs(needs)
  }

  /** Follows the L1 blocks, by which tickets become ready, until the signal is aborted. */
  start(signal: AbortSignal): void {
    this.#needs.rounds.onL1Block(() => {
      this.#agenda.lookAgain()
      this.wake()
    }, signal)
  }

  /** Enters open tickets from disk that are not in the book yet. */
  async load(): Promise<void> {
    const ended = new Set<Hex>()
    this.#endedMeanwhile = ended
    try {
      const isKnown = (id: Hex) => this.has(id) || ended.has(id)
      for await (const page of this.#needs.tickets.unfinishedTickets(isKnown)) {
        for (const stored of page) if (!isKnown(formatHex(stored.hash))) this.#enter(stored)
        this.wake()
      }
    } finally {
      this.#endedMeanwhile = null
    }
  }

  /** Enters winning tickets just written to disk. */
  adopt(tickets: readonly WinningTicket[]): void {
    for (const ticket of tickets) {
      const hash = ticketHash(ticket)
      const { faceValue, sender } = ticket
      this.#needs.events.tell({ kind: 'ticket-won', ticket: formatHex(hash), sender, faceValue })
      this.#enter({ hash, ticket, state: NEW_TICKET, receivedAtMs: this.#needs.clock.now() })
    }
    this.wake()
  }

  has(id: Hex): boolean {
    return this.#agenda.has(id) || this.#resting.has(id)
  }

  /** How many tickets are neither redeemed nor refused. */
  get size(): number {
    return this.#agenda.size + this.#resting.size
  }

  /** The tickets that rest. */
  get resting(): ReadonlyMap<Hex, Entry> {
    return this.#resting
  }

  /** The `most` most urgent open tickets, the first to expire first. */
  waiting(most: number): WaitingTicket[] {
    return mostUrgent(this.#all(), most, this.#needs.rounds.roundClock)
  }

  /** By state and reason, the first L1 block in which a ticket cannot be redeemed any more. */
  firstExpiries(): Map<string, bigint> {
    return firstExpiries(this.#all(), this.#needs.rounds.roundClock)
  }

  *#all(): Iterable<Entry> {
    yield* this.#agenda.all()
    yield* this.#resting.values()
  }

  entryOf({ hash, ticket, state, receivedAtMs }: OpenTicket): Entry {
    const timing = { failures: 0, retryAtMs: 0, atWork: false }
    return this.#work.entry({ id: formatHex(hash), hash, ticket, state, receivedAtMs, ...timing })
  }

  #enter(stored: OpenTicket): void {
    const entry = this.entryOf(stored)
    if (this.has(entry.id)) return
    this.#place(entry)
    this.#work.noted?.(entry, null)
    this.#needs.senders.addPending(entry.ticket.sender, entry.ticket.faceValue)
  }

  #place(entry: Entry): void {
    if (this.#work.rests?.(entry.state)) {
      this.#agenda.delete(entry)
      this.#resting.set(entry.id, entry)
    } else if (!this.#agenda.has(entry.id)) this.takeUp(entry)
  }

  /** Puts a ticket that rests on the agenda. */
  takeUp(entry: Entry): void {
    this.#resting.delete(entry.id)
    this.#agenda.add(entry)
  }

  /** Processes a chain update; returns whether it makes a ticket's redemption provable. */
  follow(update: ChainUpdate): boolean {
    const provable = this.proofs.follow(update)
    if (this.#agenda.wake(provable)) this.wake()
    return provable.length > 0
  }

  /** Retries at once the tickets whose condition has been met. */
  retry(which: (entry: Entry) => boolean): void {
    this.#agenda.retry(which)
    this.wake()
  }

  /** Retries these tickets at once. */
  retryNow(entries: Iterable<Entry>): void {
    for (const entry of entries) this.#agenda.retryNow(entry)
    this.wake()
  }

  /** Retries one ticket at once, whatever it waits for; one that rests is worked on again. Returns whether it is here. */
  retryTicket(id: Hex): boolean {
    const resting = this.#resting.get(id)
    if (resting) this.takeUp(resting)
    const isHere = this.#agenda.wake([id])
    if (isHere) this.wake()
    return isHere
  }

  /** Wakes the loop. */
  wake(): void {
    this.#alarm.ring()
  }

  /** Works on the tickets as they become due, until the signal is aborted. */
  async run(scope: Scope, signal: AbortSignal): Promise<void> {
    const { clock, rounds } = this.#needs
    for (;;) {
      await this.#work.prepare()
      await this.#agenda.prepare(clock.now(), rounds.roundClock)
      for (;;) {
        const entry = this.#agenda.take()
        if (!entry) break
        scope.spawn(this.#work.task, (stop) => this.#attempt(entry, stop))
      }
      const now = clock.now()
      const nextMs = this.#work.nextMs?.() ?? Number.POSITIVE_INFINITY
      const idleMs = Math.min(this.#agenda.nextMs, nextMs, now + IDLE_MS) - now
      await this.#alarm.wait(clock, Math.max(0, idleMs), signal)
    }
  }

  async #attempt(entry: Entry, signal: AbortSignal): Promise<void> {
    try {
      await this.#work.attempt(entry, signal)
    } catch (error) {
      if (signal.aborted && isAbort(error)) throw error
      await this.#work.failed(entry, error)
    } finally {
      this.#agenda.done(entry)
      this.wake()
    }
  }

  /**
   * Stores a new state with a remark for the ticket's story, then applies it. If the store throws, this throws too and nothing
   * has changed.
   */
  async change(entry: Entry, event: TicketEvent, remark: TicketRemark = {}): Promise<void> {
    const { clock, senders, tickets } = this.#needs
    const before = entry.state
    const state = nextState(before, event)
    if (before.kind === 'open' && state.kind === 'open' && before.reason === state.reason) return
    await tickets.saveTicketState(entry.hash, state, clock.now(), remark)
    entry.state = state
    this.#work.noted?.(entry, before)
    const { faceValue, sender } = entry.ticket
    if (!isFinal(state)) {
      if (isFinal(before)) entry.retryAtMs = 0
      this.#place(entry)
      if (isFinal(before)) senders.addPending(sender, faceValue)
    } else if (!isFinal(before)) {
      this.#agenda.delete(entry)
      this.#resting.delete(entry.id)
      this.#endedMeanwhile?.add(entry.id)
      senders.addPending(sender, -faceValue)
    }
  }

  /** Delays a ticket, longer each time, without changing its state. */
  delay(entry: Entry): void {
    this.#agenda.delay(entry, this.#needs.clock.now(), this.#needs.rounds.roundClock)
  }

  /** Delays a ticket and stores what it waits for. */
  async reopen(entry: Entry, reason: OpenReason, remark: TicketRemark = {}): Promise<void> {
    this.delay(entry)
    await this.change(entry, { kind: 'waits', reason }, remark)
  }

  /** Ends a ticket that the chain shows as redeemed. `fee`: what this node paid for its gas, in wei, or null. */
  async settle(entry: Entry, redemption: Redeemed, fee: bigint | null): Promise<void> {
    await this.change(entry, { kind: 'redeemed', redemption })
    const { faceValue, sender } = entry.ticket
    const { paid, txHash } = redemption
    const facts = { ticket: entry.id, sender, faceValue, paid, fee, txHash }
    this.#needs.events.tell({ kind: 'ticket-redeemed', ...facts })
  }

  /** Ends a ticket that can never be redeemed. */
  async refuse(entry: Entry, reason: RefusalReason): Promise<void> {
    const { events, log } = this.#needs
    const was = entry.state.kind
    await this.change(entry, { kind: 'refused', reason })
    const { faceValue, sender } = entry.ticket
    events.tell({ kind: 'ticket-refused', sender, faceValue, reason })
    log.error('winning ticket refused', { ...describe(entry), was, reason })
  }

  /**
   * Ends an expired ticket if its expiry is confirmed, the chain agrees and no redemption is found. Returns whether the
   * ticket ended. Throws what the chain throws.
   */
  async giveUp(entry: Entry): Promise<boolean> {
    const { chain, rounds } = this.#needs
    const { creationRound } = entry.ticket.expirationParams
    if (!isOver(creationRound, rounds.confirmedClock)) return false
    if (!(await chain.hasExpired(creationRound)) || (await this.isFound(entry))) return false
    await this.refuse(entry, refusalAtExpiry(entry.state))
    return true
  }

  /** Searches the chain for a redemption whose event was missed. Throws what the chain throws. */
  async isFound({ id, ticket }: Entry): Promise<boolean> {
    await this.proofs.search(ticket.recipient)
    return this.proofs.isAnnounced(id)
  }
}

/** A ticket's fields in log lines. */
export function describe({ id, ticket }: BookEntry): Record<string, unknown> {
  return { ticket: id, sender: ticket.sender, faceValueWei: ticket.faceValue }
}
