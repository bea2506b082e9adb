import type { Fence, LeaseHolder, LeaseWish } from '../../src/domain/lease.ts'
import type { WinningTicket } from '../../src/domain/ticket.ts'
import { ticketHash } from '../../src/domain/ticket.ts'
import { NEW_TICKET, reasonOf, type TicketState } from '../../src/domain/ticket-state.ts'
import { StoreError } from '../../src/io/store/database.ts'
import type { Answer, Item, PaymentItem } from '../../src/io/store/settle-items.ts'
import { ticketOfRow } from '../../src/io/store/ticket-row.ts'
import { formatHex, type Hex } from '../../src/lib/bytes.ts'
import { Rational } from '../../src/lib/rational.ts'
import type { LeaseRecords } from '../../src/services/cluster/leadership.ts'
import type { StoredTicket, TicketCount } from '../../src/services/orchestrator/payment-records.ts'

/** A session's account. */
interface Session {
  amount: Rational
  price: string | null
}

/** A fee that is set aside. */
interface ModelHold {
  readonly session: string
  readonly segment: string
  fee: Rational
  readonly endsMs: number
}

type Row = Parameters<typeof ticketOfRow>[0]

/**
 * The database of a cluster in memory, as far as its nodes ask it: what `settle_segments_3` does, tickets, leases and the
 * leader's transactions. It judges leases by a clock of its own, and notes what would be a loss of money.
 */
export class StoreModel implements LeaseRecords {
  readonly tickets = new Map<Hex, { ticket: WinningTicket; state: TicketState; receivedAtMs: number }>()
  /** By hash of the secret number. */
  readonly nonces = new Map<string, Set<number>>()
  readonly revealed = new Set<string>()
  /** By sender and session. */
  readonly sessions = new Map<string, Session>()
  /** By sender: wei credited and charged. */
  readonly credited = new Map<string, Rational>()
  readonly charged = new Map<string, Rational>()
  /** Which ticket each nonce of the redeemers' account is for. */
  readonly transactions = new Map<number, Hex>()
  /** What must never happen. */
  readonly violations: string[] = []
  /** Writes of leaders of earlier terms that were refused. */
  fenced = 0
  readonly #now: () => number
  readonly #holds = new Map<string, ModelHold>()
  readonly #ended = new Set<string>()
  readonly #writers = new Map<string, { seq: number; answer: string }>()
  #counted: TicketCount[] | null = null
  readonly #leases = new Map<string, LeaseHolder & { endMs: number }>()

  constructor(clock: { now(): number }) {
    this.#now = () => clock.now()
  }

  /** One statement of `SharedAccounts`. */
  call([writer, seq, , json]: readonly unknown[]): readonly Record<string, unknown>[] {
    const known = this.#writers.get(String(writer))
    if (known && known.seq === Number(seq)) return [{ answer: known.answer }]
    if (known && known.seq > Number(seq)) {
      throw Object.assign(new Error(`batch ${seq} came after batch ${known.seq}`), { code: '25000' })
    }
    const answers = (JSON.parse(String(json)) as Item[]).map((item) => this.#settle(item))
    const answer = JSON.stringify(answers)
    this.#writers.set(String(writer), { seq: Number(seq), answer })
    return [{ answer }]
  }

  #settle({ end, hold, payment, sender, session: id }: Item): Answer {
    const key = `${sender}/${id}`
    if (end) {
      this.#holds.delete(end.holder)
      if (end.fee === null) return { amount: null }
      if (this.#ended.has(end.holder)) this.violations.push(`${end.holder} is charged twice`)
      this.#ended.add(end.holder)
      const session = this.#session(key)
      session.amount = session.amount.sub(Rational.parse(end.fee))
      add(this.charged, sender, Rational.parse(end.fee))
      return { amount: session.amount.toString() }
    }
    let winners: string[] = []
    if (payment) {
      const recorded = this.#record(payment, sender, key)
      if (!recorded) return { winners: null }
      winners = recorded
    }
    if (!hold) return { winners }
    const { price, amount } = this.#session(key)
    const used = price ?? String(hold.price)
    const fee = Rational.parse(used).mul(Rational.of(BigInt(hold.pixels)))
    const live = [...this.#holds.values()].filter((each) => each.session === key && each.endsMs > this.#now())
    const held = live.reduce((sum, each) => sum.add(each.fee), Rational.zero)
    const same = live.filter(({ segment }) => segment === hold.segment)
    const usable = same.reduce((sum, each) => sum.add(each.fee), Rational.zero)
    const missing = fee.sub(amount.sub(held))
    if (missing.sign > 0) {
      if (missing.cmp(usable) > 0) return { winners, hold: missing.cmp(held) > 0 ? null : 'busy' }
      for (const each of same) each.fee = Rational.zero
    }
    const endsMs = this.#now() + Number(hold.life)
    this.#holds.set(hold.holder, { session: key, segment: hold.segment, fee, endsMs })
    return { winners, hold: { price: used, overrun: '0' } }
  }

  #record(payment: PaymentItem, sender: string, key: string): string[] | null {
    const used = this.nonces.get(payment.hash) ?? new Set()
    if (this.revealed.has(payment.hash) || payment.nonces.some((nonce) => used.has(nonce))) return null
    for (const nonce of payment.nonces) used.add(nonce)
    this.nonces.set(payment.hash, used)
    const winners = payment.winners.flatMap((row) => {
      const { ticket } = ticketOfRow(row as unknown as Row)
      return this.addTickets([ticket], Number(payment.now)).map((each) => formatHex(ticketHash(each)))
    })
    const session = this.#session(key)
    session.amount = session.amount.add(Rational.parse(payment.credit))
    session.price ??= payment.price === null ? null : String(payment.price)
    add(this.credited, sender, Rational.parse(payment.credit))
    return winners
  }

  #session(key: string): Session {
    const known = this.sessions.get(key)
    if (known) return known
    const made = { amount: Rational.zero, price: null }
    this.sessions.set(key, made)
    return made
  }

  noncesOf(hash: Uint8Array): { used: ReadonlySet<number>; revealed: boolean } {
    const key = formatHex(hash)
    return { used: new Set(this.nonces.get(key)), revealed: this.revealed.has(key) }
  }

  price(sender: string, session: string): Rational | null {
    const price = this.sessions.get(`${sender}/${session}`)?.price
    return price == null ? null : Rational.parse(price)
  }

  addTickets(tickets: readonly WinningTicket[], nowMs: number): WinningTicket[] {
    return tickets.filter((ticket) => {
      const id = formatHex(ticketHash(ticket))
      if (this.tickets.has(id)) return false
      this.tickets.set(id, { ticket, state: NEW_TICKET, receivedAtMs: nowMs })
      this.#counted = null
      return true
    })
  }

  get unfinished(): StoredTicket[] {
    return this.#stored(({ kind }) => kind !== 'redeemed' && kind !== 'refused')
  }

  redeemedSince(block: bigint): StoredTicket[] {
    return this.#stored((state) => state.kind === 'redeemed' && state.block >= block)
  }

  #stored(wanted: (state: TicketState) => boolean): StoredTicket[] {
    return [...this.tickets.values()].flatMap(({ receivedAtMs, state, ticket }) =>
      wanted(state) ? [{ hash: ticketHash(ticket), ticket, state, receivedAtMs }] : [],
    )
  }

  countTickets(): readonly TicketCount[] {
    this.#counted ??= this.#count()
    return this.#counted
  }

  #count(): TicketCount[] {
    const counts = new Map<string, TicketCount>()
    for (const { state, ticket } of this.tickets.values()) {
      const reason = reasonOf(state)
      const key = `${state.kind} ${reason}`
      const { count, faceValue } = counts.get(key) ?? { count: 0, faceValue: 0n }
      const sum = { count: count + 1, faceValue: faceValue + ticket.faceValue, paid: 0n }
      counts.set(key, { state: state.kind, reason, ...sum })
    }
    return [...counts.values()]
  }

  saveTicketState(hash: Uint8Array, state: TicketState, fence: Fence): void {
    this.checkFence(fence)
    this.tickets.get(formatHex(hash))!.state = state
    this.#counted = null
  }

  reveal(hash: Uint8Array, fence: Fence): void {
    this.checkFence(fence)
    this.revealed.add(formatHex(hash))
  }

  /** Stores what a nonce of the account is spent on. */
  saveTransaction(nonce: number, hash: Hex, fence: Fence): void {
    this.checkFence(fence)
    const before = this.transactions.get(nonce) ?? hash
    if (before !== hash) this.violations.push(`nonce ${nonce} is spent on ${before} and ${hash}`)
    this.transactions.set(nonce, hash)
  }

  async take({ lease, ...wish }: LeaseWish, ms: number): Promise<LeaseHolder | null> {
    const row = this.#leases.get(lease)
    const nowMs = this.#now()
    if (row && row.instance !== wish.instance && row.endMs > nowMs && row.rank >= wish.rank) return row
    const epoch = row ? row.epoch + (row.instance === wish.instance ? 0n : 1n) : 1n
    const taken = { ...wish, epoch, endMs: nowMs + ms }
    this.#leases.set(lease, taken)
    return taken
  }

  async release(lease: string, instance: string): Promise<void> {
    const row = this.#leases.get(lease)
    if (row?.instance === instance) row.endMs = 0
  }

  /** The terms that a lease had. */
  termsOf(lease: string): bigint {
    return this.#leases.get(lease)?.epoch ?? 0n
  }

  /** Throws StoreError `lease-lost` as the real one does. */
  checkFence({ epoch, instance, lease }: Fence): void {
    const holder = this.#leases.get(lease)
    if (holder?.epoch === epoch && holder.instance === instance) return
    this.fenced++
    throw new StoreError('lease-lost', `another node leads ${lease} now: nothing was written`)
  }
}

function add(sums: Map<string, Rational>, key: string, amount: Rational): void {
  sums.set(key, (sums.get(key) ?? Rational.zero).add(amount))
}
