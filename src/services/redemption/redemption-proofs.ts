import { type ChainUpdate, CONFIRMATIONS, isConfirmed } from '../../domain/chain.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import type { Redeemed } from '../../domain/ticket-state.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { ChainWatch } from '../protocol/rounds.ts'
import { RedemptionLog } from './redemption-log.ts'

/** How far back redemptions are searched for: some hours at four blocks a second. */
const SEARCHED_BLOCKS = 200_000n
/** The whole range is searched again at most this often: an endpoint may have omitted something. */
const SEARCH_EVERY_MS = 10 * 60_000
/** How deep a redemption must be if only one of several endpoints confirms it, the others being down. */
const LONE_WITNESS_BLOCKS = 2n * CONFIRMATIONS

/** A redemption in the receipt of its transaction. */
export interface FoundRedemption {
  readonly txHash: Hex
  /** Wei paid to the recipient. */
  readonly paid: bigint
  /** Wei spent on gas for this ticket; null where another account sent it. */
  readonly fee: bigint | null
  readonly block: bigint
  /** Whether only one of several endpoints could be reached to confirm it. */
  readonly isLone: boolean
}

/** The chain reads that show whether a ticket was redeemed. */
export interface RedemptionReads {
  /**
   * The redemption of a ticket in a transaction of the current chain, confirmed by two endpoints if there are several;
   * null if they see none. Throws while they disagree or none answers.
   */
  redemptionIn(txHash: Hex, ticket: WinningTicket): Promise<FoundRedemption | null>
  /** Whether tickets of a round have expired, confirmed by two endpoints if there are several. Throws if none answers. */
  hasExpired(creationRound: bigint): Promise<boolean>
  /** The events of redemptions that pay this recipient, from a block on, in chain order. */
  announcedRedemptions(recipient: Address, from: bigint): Promise<ChainUpdate['events']>
}

/** What is known of a ticket's redemption. */
export type Proof =
  | { readonly kind: 'redeemed'; readonly redemption: Redeemed }
  /** An event or a receipt shows it, in a block that is not confirmed yet. */
  | { readonly kind: 'unconfirmed' }
  | { readonly kind: 'none' }

/**
 * Decides whether a ticket has been redeemed. The only proof is the contract's event in a confirmed block, read again
 * once the block is confirmed. An endpoint that reports a ticket as used, or shows a receipt, only triggers a check.
 */
export class RedemptionProofs {
  readonly #log = new RedemptionLog()
  readonly #chain: RedemptionReads
  readonly #watch: ChainWatch
  readonly #clock: Clock
  #searching: Promise<void> | null = null
  #searched: { readonly to: bigint; readonly allAtMs: number } | null = null

  /** All tickets pay one recipient, that of the node. */
  constructor(needs: { chain: RedemptionReads; watch: ChainWatch; clock: Clock }) {
    this.#chain = needs.chain
    this.#watch = needs.watch
    this.#clock = needs.clock
  }

  /** Processes an update; returns the tickets whose redemption can be proved now. */
  follow(update: ChainUpdate): Hex[] {
    if (update.reorganised && update.keptTo === undefined) this.#searched = null
    return this.#log.follow(update)
  }

  /** What is known of a ticket's redemption; `txHash`: a transaction that may hold it. Throws what the chain throws. */
  async of(id: Hex, ticket: WinningTicket, txHash: Hex | null): Promise<Proof> {
    const announced = this.#log.find(id)
    if (announced && !isConfirmed(announced.block, this.#head)) return { kind: 'unconfirmed' }
    const hash = announced?.txHash ?? txHash
    if (hash === null) return { kind: 'none' }
    const found = await this.#chain.redemptionIn(hash, ticket)
    if (found === null) {
      if (this.#log.find(id) === announced) this.#log.forget(id)
      return { kind: 'none' }
    }
    const { block, fee, isLone, paid } = found
    const isEnough = isLone ? this.#head >= block + LONE_WITNESS_BLOCKS : isConfirmed(block, this.#head)
    if (!isEnough) return { kind: 'unconfirmed' }
    return { kind: 'redeemed', redemption: { kind: 'redeemed', txHash: found.txHash, paid, fee, block } }
  }

  /** Whether a ticket's redemption was announced. */
  isAnnounced(id: Hex): boolean {
    return this.#log.find(id) !== null
  }

  /** Searches for redemptions whose events were missed. Throws what the chain throws. */
  search(recipient: Address): Promise<void> {
    this.#searching ??= this.#search(recipient).finally(() => {
      this.#searching = null
    })
    return this.#searching
  }

  async #search(recipient: Address): Promise<void> {
    const now = this.#clock.now()
    const head = this.#head
    const last = this.#searched
    const isDue = last === null || now - last.allAtMs >= SEARCH_EVERY_MS
    const from = (isDue ? head - SEARCHED_BLOCKS : last.to - CONFIRMATIONS) + 1n
    this.#log.add(await this.#chain.announcedRedemptions(recipient, from > 0n ? from : 0n))
    this.#searched = { to: head, allAtMs: isDue ? now : last.allAtMs }
  }

  get #head(): bigint {
    return this.#watch.head?.number ?? 0n
  }
}
