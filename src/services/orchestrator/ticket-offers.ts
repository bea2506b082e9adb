import type { NodeEvents } from '../../domain/events.ts'
import { autoAdjustedPrice, priceInfoOf, pricePerPixel } from '../../domain/price.ts'
import {
  type Payment,
  type PriceInfo,
  type PricePerPixel,
  recipientRandHash,
  type TicketParams,
} from '../../domain/ticket.ts'
import {
  faceValueAndWinProb,
  PARAMS_LIFETIME_BLOCKS,
  recipientRandOf,
  SEED_BYTES,
  ticketParamsFor,
  txCostMultiplier,
} from '../../domain/ticket-params.ts'
import { larger } from '../../lib/bigints.ts'
import { bytesToInt, equalBytes } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import type { RoundsView } from '../protocol/rounds.ts'
import type { SessionPrices } from './payment-records.ts'

/** An unknown secret is looked for in the store at most this often. */
const RELOAD_MS = 1_000
const WORTH_NOTHING = { faceValue: 0n, winProb: 0n }

/** Settings of what is offered. */
export interface TicketOffersOptions {
  /** The address that tickets pay: the orchestrator on chain. */
  readonly recipient: Address
  /** The expected value of one ticket, in wei. */
  readonly ticketEv: bigint
  /** Gas that redeeming a ticket takes. */
  readonly redeemGas: bigint
  /** Wei; 0 for no limit. */
  readonly maxFaceValue: bigint
  /** Whether the cost of redeeming is added to the price. */
  readonly autoAdjustPrice: boolean
}

/** What offers of params are made with. */
export interface TicketOffersNeeds {
  /** The secrets behind the random commitments: the first makes new ones, all are recognised. */
  readonly secret: { readonly keys: readonly Uint8Array[]; reload(): Promise<void> }
  readonly prices: Pick<SessionPrices, 'price'>
  readonly senders: { maxFloat(sender: Address): Promise<bigint> }
  readonly rounds: Pick<RoundsView, 'expirationParams' | 'l1Block'>
  readonly gas: { /** Wei; 0 when not known. */ readonly gasPrice: bigint }
  readonly priceBook: {
    basePrice(sender: Address): PricePerPixel
    /** Told what a sender is offered for a new session. */
    noteOffer?(sender: Address, price: PricePerPixel): void
  }
  readonly clock: Clock
  readonly dice: Dice
  readonly events: NodeEvents
}

/** Params for tickets and the price that goes with them. */
export interface TicketOffer {
  readonly ticketParams: TicketParams
  readonly priceInfo: PriceInfo
}

/** Makes the ticket params and prices that senders are offered, and recognises them in payments. */
export class TicketOffers {
  readonly #options: TicketOffersOptions
  readonly #needs: TicketOffersNeeds
  #maxFaceValue: bigint
  /** The limit before the present one: what was offered under it is good until this L1 block. */
  #replacedLimit = { maxFaceValue: 0n, untilL1Block: 0n }
  #reloadedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: TicketOffersOptions, needs: TicketOffersNeeds) {
    this.#options = options
    this.#needs = needs
    this.#maxFaceValue = options.maxFaceValue
  }

  /** The largest face value offered, in wei; 0 for no limit. */
  get maxFaceValue(): bigint {
    return this.#maxFaceValue
  }

  set maxFaceValue(value: bigint) {
    const untilL1Block = this.#needs.rounds.l1Block + PARAMS_LIFETIME_BLOCKS
    this.#replacedLimit = { maxFaceValue: this.#maxFaceValue, untilL1Block }
    this.#maxFaceValue = value
  }

  /** The largest face value in any offer that is still good; 0 for no limit. */
  get acceptedFaceValue(): bigint {
    const { maxFaceValue, untilL1Block } = this.#replacedLimit
    if (this.#maxFaceValue === 0n || this.#needs.rounds.l1Block >= untilL1Block) return this.#maxFaceValue
    return maxFaceValue === 0n ? 0n : larger(maxFaceValue, this.#maxFaceValue)
  }

  /** Offers a sender params at its session's price, or at the price of a new session. */
  async quote(sender: Address, sessionId: string | null): Promise<TicketOffer> {
    const { dice, priceBook, prices, rounds, secret } = this.#needs
    const fixed = sessionId === null ? null : await prices.price(sender, sessionId)
    const base = fixed ?? priceBook.basePrice(sender)
    const worth = base.sign > 0 ? await this.#worth(sender) : WORTH_NOTHING
    const offered = fixed ?? this.#advertised(base, worth.faceValue)
    if (!fixed) priceBook.noteOffer?.(sender, offered)
    const priceInfo = priceInfoOf(offered)
    const ticketParams = ticketParamsFor(secret.keys[0]!, {
      ...worth,
      recipient: this.#options.recipient,
      sender,
      seed: bytesToInt(dice.bytes(SEED_BYTES)),
      expirationBlock: rounds.l1Block + PARAMS_LIFETIME_BLOCKS,
      price: pricePerPixel(priceInfo),
      expirationParams: rounds.expirationParams,
    })
    return { ticketParams, priceInfo }
  }

  /** The secret number behind a payment, from the secret that made its offer; null when none did. */
  async randOf(payment: Payment, price: PricePerPixel): Promise<bigint | null> {
    const found = this.#matchingRand(payment, price)
    if (found !== null) return found
    const { clock, secret } = this.#needs
    if (clock.now() - this.#reloadedAtMs < RELOAD_MS) return null
    this.#reloadedAtMs = clock.now()
    await secret.reload()
    return this.#matchingRand(payment, price)
  }

  #matchingRand(payment: Payment, price: PricePerPixel): bigint | null {
    for (const key of this.#needs.secret.keys) {
      try {
        const rand = recipientRandOf(key, payment, price)
        if (rand !== null && equalBytes(recipientRandHash(rand), payment.ticketParams!.recipientRandHash)) {
          return rand
        }
      } catch {
        // Numbers that cannot be encoded were never offered.
        return null
      }
    }
    return null
  }

  async #worth(sender: Address): Promise<{ faceValue: bigint; winProb: bigint }> {
    const maxFloat = await this.#needs.senders.maxFloat(sender)
    const worth = faceValueAndWinProb({
      expectedValue: this.#options.ticketEv,
      redeemGas: this.#options.redeemGas,
      gasPrice: this.#needs.gas.gasPrice,
      maxFloat,
      maxFaceValue: this.#maxFaceValue,
    })
    const { faceValue } = worth
    this.#needs.events.tell({ kind: 'ticket-params-offered', sender, faceValue, maxFloat })
    return worth
  }

  #advertised(base: PricePerPixel, faceValue: bigint): PricePerPixel {
    if (!this.#options.autoAdjustPrice) return base
    const txCost = this.#options.redeemGas * this.#needs.gas.gasPrice
    return autoAdjustedPrice(base, txCostMultiplier(faceValue, txCost))
  }
}
