import type { RoundClock } from '../../domain/redemption.ts'
import { type Ticket, ticketHash } from '../../domain/ticket.ts'
import { NEW_TICKET, type TicketState } from '../../domain/ticket-state.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { messageOf } from '../../lib/errors.ts'
import { Listeners } from '../../lib/listeners.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { TicketRecords } from '../orchestrator/payment-records.ts'
import { firstExpiries, mostUrgent, type WaitingTicket } from './waiting-tickets.ts'

/** How often the store is asked whether a ticket was won or ended. */
const LOOK_MS = 1_000
/** All open tickets are read again after this time, even if nothing seems to have changed. */
const READ_AGAIN_MS = 60_000
/** Reading takes at most one part in this many of the time. */
const READING_PART = 10
/** Tickets that ended lately are remembered, since they may be handed in once more. */
const MAX_ENDED = 10_000

/** What is needed to know of an open ticket that another node may work on. */
export interface OpenTicketFacts {
  readonly id: Hex
  readonly ticket: Pick<Ticket, 'sender' | 'faceValue'> & {
    readonly expirationParams: Pick<Ticket['expirationParams'], 'creationRound'>
  }
  readonly state: TicketState
}

/** The open tickets of all nodes with the same store. */
export interface OpenTicketRecords extends Pick<TicketRecords, 'countTickets'> {
  /** All that are neither redeemed nor refused, some at a time. One that changes its state meanwhile may be left out. */
  openTickets(): AsyncIterable<readonly OpenTicketFacts[]>
  /** Those of these tickets that are neither redeemed nor refused. */
  stillOpen(ids: readonly Hex[]): Promise<ReadonlySet<Hex>>
}

/** What the view of the open tickets needs. */
export interface OpenTicketsNeeds {
  readonly tickets: OpenTicketRecords
  readonly senders: { addPending(sender: Address, amount: bigint): void }
  readonly rounds: { readonly roundClock: RoundClock }
  readonly clock: Clock
  readonly log: Log
}

/**
 * The open winning tickets of a cluster, whichever node won them or works on them: each node counts all of them against the
 * funds of their senders.
 */
export class OpenTickets implements Service {
  readonly name = 'open tickets'
  readonly #needs: OpenTicketsNeeds
  readonly #open = new Map<Hex, OpenTicketFacts>()
  readonly #ended = new Set<Hex>()
  readonly #onNew = new Listeners<void>()
  readonly #unreadable: PassingFailure
  #totals = ''
  #readAtMs = Number.NEGATIVE_INFINITY
  #tookMs = 0

  constructor(needs: OpenTicketsNeeds) {
    this.#needs = needs
    this.#unreadable = new PassingFailure(
      {
        message: 'could not read the open tickets of the cluster, retrying',
        over: 'open tickets read again',
      },
      needs,
    )
  }

  async start(scope: Scope): Promise<void> {
    await this.#look()
    scope.spawn('follow the open tickets', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(Math.max(LOOK_MS, this.#tookMs * READING_PART), signal)
        try {
          await this.#look()
          this.#unreadable.passed()
        } catch (error) {
          this.#unreadable.failed({ reason: messageOf(error) })
        }
      }
    })
  }

  /** How many tickets are neither redeemed nor refused. */
  get size(): number {
    return this.#open.size
  }

  /** Whether a ticket is open, or ended lately. */
  knows(id: Hex): boolean {
    return this.#open.has(id) || this.#ended.has(id)
  }

  /** Counts winning tickets that this node has just written. */
  adopt(tickets: readonly Ticket[]): void {
    for (const ticket of tickets)
      this.#enter({ id: formatHex(ticketHash(ticket)), ticket, state: NEW_TICKET })
  }

  /** The `most` most urgent open tickets, the first to expire first. */
  waiting(most: number): WaitingTicket[] {
    return mostUrgent(this.#open.values(), most, this.#needs.rounds.roundClock)
  }

  /** By state and reason, the first L1 block in which a ticket cannot be redeemed any more. */
  firstExpiries(): Map<string, bigint> {
    return firstExpiries(this.#open.values(), this.#needs.rounds.roundClock)
  }

  /** Calls the listener when tickets were found that other nodes have written. */
  onNew(listener: () => void, signal: AbortSignal): void {
    this.#onNew.add(listener, signal)
  }

  /** Reads the open tickets if any ticket changed: the totals, which are few rows, change with each of them. */
  async #look(): Promise<void> {
    const { clock, tickets } = this.#needs
    const totals = described(await tickets.countTickets())
    const now = clock.now()
    if (totals === this.#totals && now - this.#readAtMs < READ_AGAIN_MS) return
    await this.#read()
    this.#totals = totals
    this.#readAtMs = now
    this.#tookMs = clock.now() - now
  }

  async #read(): Promise<void> {
    const { senders, tickets } = this.#needs
    const before = new Set(this.#open.keys())
    let isNew = false
    try {
      for await (const page of tickets.openTickets()) {
        for (const ticket of page) {
          if (!before.delete(ticket.id) && !this.#open.has(ticket.id)) isNew = true
          this.#enter(ticket)
        }
      }
    } finally {
      // What was found is not new when the rest is read again.
      if (isNew) this.#onNew.tell()
    }
    const stillOpen = before.size > 0 ? await tickets.stillOpen([...before]) : before
    for (const id of before) {
      if (stillOpen.has(id)) continue
      const { ticket } = this.#open.get(id)!
      this.#open.delete(id)
      this.#ended.add(id)
      if (this.#ended.size > MAX_ENDED) this.#ended.delete(this.#ended.values().next().value!)
      senders.addPending(ticket.sender, -ticket.faceValue)
    }
  }

  #enter(ticket: OpenTicketFacts): void {
    const isNew = !this.#open.has(ticket.id)
    this.#open.set(ticket.id, ticket)
    this.#ended.delete(ticket.id)
    if (isNew) this.#needs.senders.addPending(ticket.ticket.sender, ticket.ticket.faceValue)
  }
}

function described(totals: Awaited<ReturnType<OpenTicketRecords['countTickets']>>): string {
  return totals
    .map(({ count, faceValue, paid, reason, state }) => `${state} ${reason} ${count} ${faceValue} ${paid}`)
    .sort()
    .join('\n')
}
