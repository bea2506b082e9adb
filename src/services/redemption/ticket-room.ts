import type { WinningTicket } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'

/** The most open tickets: far more than a healthy redeemer ever has. */
const MAX_OPEN = 500_000
/** The most open tickets of one sender, whatever its funds: far more than a gateway's deposit covers. */
const MAX_OPEN_OF_SENDER = 20_000
/**
 * Each open ticket counts for at least the present cost of redeeming one divided by this: a ticket below that is not
 * worth redeeming at any gas price or batch size.
 */
const LEAST_PART_OF_COST = 10n
/** Concurrent reads of unknown senders' funds: the most load that made-up senders can cause on the endpoint. */
const MAX_FIRST_READS = 16
/** Tickets that may wait for such a read; more are refused. */
const MAX_WAITING = 1_000
/**
 * While a sender's funds cannot be read, its tickets are accepted if fewer than this are open, both in all and of that
 * sender: a Go orchestrator never retries a refused ticket.
 */
const MAX_OPEN_UNREAD = 1_000
const MAX_OPEN_UNREAD_OF_SENDER = 100

/** Why a redeemer cannot serve a request now; a later try may succeed. */
export type DeskFault = 'no-room' | 'beyond-funds' | 'funds-unknown'

/** A refusal that is not the ticket's fault. */
export class DeskError extends NodeError<DeskFault> {
  override name = 'DeskError'
}

export interface TicketRoomNeeds {
  readonly redeemer: { readonly openTickets: number }
  readonly senders: {
    /** The most that a sender's tickets can be paid before they expire, in wei. Throws what the chain throws. */
    payable(sender: Address): Promise<bigint>
    /** Total face value of its open tickets, in wei, and their number. */
    pending(sender: Address): bigint
    pendingTickets(sender: Address): number
    /** Null while nothing is known of the sender. */
    ageMs(sender: Address): number | null
  }
  readonly gas: { readonly gasPrice: bigint }
}

/** Tickets being written to disk. */
interface Arriving {
  count: number
  faceValue: bigint
}

/**
 * Limits the tickets handed in: their number in all, and each sender's to what its funds cover. Anyone can sign winning
 * tickets; only funds on chain make them worth keeping.
 */
export class TicketRoom {
  readonly #redeemGas: bigint
  readonly #needs: TicketRoomNeeds
  readonly #arriving = new Map<Address, Arriving>()
  #allArriving = 0
  #firstReads = 0
  readonly #waiting: (() => void)[] = []

  constructor(options: { /** Gas of one redemption. */ redeemGas: bigint }, needs: TicketRoomNeeds) {
    this.#redeemGas = options.redeemGas
    this.#needs = needs
  }

  /**
   * Reserves room for a ticket until the returned function is called, when the ticket is open or was refused. Throws
   * DeskError.
   */
  async take({ faceValue, sender }: WinningTicket): Promise<() => void> {
    const funds = await this.#payable(sender)
    // No await from here on: tickets that arrive together must not be given the same room.
    if (typeof funds === 'bigint') this.#check(sender, faceValue, funds)
    else this.#checkUnread(sender, funds.error)
    const arriving = this.#arriving.get(sender) ?? { count: 0, faceValue: 0n }
    this.#arriving.set(sender, arriving)
    this.#add(sender, arriving, { count: 1, faceValue })
    return () => this.#add(sender, arriving, { count: -1, faceValue: -faceValue })
  }

  #add(sender: Address, arriving: Arriving, change: Arriving): void {
    arriving.count += change.count
    arriving.faceValue += change.faceValue
    this.#allArriving += change.count
    if (arriving.count === 0) this.#arriving.delete(sender)
  }

  #check(sender: Address, faceValue: bigint, funds: bigint): void {
    const { gas, senders } = this.#needs
    const { all, count } = this.#open(sender)
    if (all >= MAX_OPEN)
      throw new DeskError('no-room', `there are ${all} open tickets already: try again later`)
    const worth = senders.pending(sender) + (this.#arriving.get(sender)?.faceValue ?? 0n)
    const least = (BigInt(count + 1) * this.#redeemGas * gas.gasPrice) / LEAST_PART_OF_COST
    if (count < MAX_OPEN_OF_SENDER && worth + faceValue <= funds && least <= funds) return
    throw new DeskError(
      'beyond-funds',
      `sender ${sender} has ${count} open tickets of ${worth} wei already, and funds for ${funds} wei: try again later`,
    )
  }

  #checkUnread(sender: Address, cause: unknown): void {
    const { all, count } = this.#open(sender)
    if (all < MAX_OPEN_UNREAD && count < MAX_OPEN_UNREAD_OF_SENDER) return
    throw new DeskError(
      'funds-unknown',
      `the funds of sender ${sender} cannot be read from the chain now: try again later`,
      { cause },
    )
  }

  /** How many tickets are open, in all and of one sender. */
  #open(sender: Address): { all: number; count: number } {
    const { redeemer, senders } = this.#needs
    const arriving = this.#arriving.get(sender)?.count ?? 0
    return { all: redeemer.openTickets + this.#allArriving, count: senders.pendingTickets(sender) + arriving }
  }

  async #payable(sender: Address): Promise<bigint | { error: unknown }> {
    const { senders } = this.#needs
    const isFirst = senders.ageMs(sender) === null
    if (isFirst) await this.#enter()
    try {
      return await senders.payable(sender)
    } catch (error) {
      return { error }
    } finally {
      if (isFirst) this.#leave()
    }
  }

  async #enter(): Promise<void> {
    if (this.#firstReads < MAX_FIRST_READS) {
      this.#firstReads++
      return
    }
    if (this.#waiting.length >= MAX_WAITING) {
      throw new DeskError('no-room', 'the funds of too many new senders are being read: try again later')
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #leave(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#firstReads--
  }
}
