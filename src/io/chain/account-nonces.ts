import type { Address } from '../../lib/crypto.ts'
import type { Rpc } from './rpc.ts'

/** A gap is believed after this many checks in a row: endpoints lag behind each other. */
const GAP_LOOKS = 10
/** A wider gap was not left by this node. */
const MAX_GAP = 16

/** The nonces of an account: as the chain counts them, corrected by what this process knows. */
export class AccountNonces {
  readonly #rpc: Rpc
  readonly #account: Address
  /** Nonces below this one are used, whatever a lagging endpoint says. */
  #usedBelow = 0
  #gapLooks = 0

  constructor(needs: { rpc: Rpc; account: Address }) {
    this.#rpc = needs.rpc
    this.#account = needs.account
  }

  /** How many nonces the chain counts as used: the next one to be mined. */
  async used(signal: AbortSignal): Promise<number> {
    return this.#count('latest', signal)
  }

  /** The lowest nonce that no transaction of ours or of the pool has: gaps are filled before anything is added. */
  async next(
    after: 'pending' | 'latest',
    isOpen: (nonce: number) => boolean,
    signal: AbortSignal,
  ): Promise<number> {
    let nonce = Math.max(await this.#count(after, signal), this.#usedBelow)
    while (isOpen(nonce)) nonce++
    return nonce
  }

  /** How many transactions of other processes wait before this nonce. */
  async foreignBelow(
    nonce: number,
    isOpen: (nonce: number) => boolean,
    signal: AbortSignal,
  ): Promise<number> {
    let foreign = 0
    const used = Math.max(await this.used(signal), this.#usedBelow)
    for (let at = used; at < nonce; at++) if (!isOpen(at)) foreign++
    return foreign
  }

  /** A transaction with this nonce was mined. */
  noteUsed(nonce: number): void {
    this.#usedBelow = Math.max(this.#usedBelow, nonce + 1)
  }

  /** A transaction with this nonce is no longer mined. */
  noteUnused(nonce: number): void {
    this.#usedBelow = Math.min(this.#usedBelow, nonce)
  }

  /**
   * The nonces without a transaction, between what the chain counts as used and the lowest open one: later ones cannot be
   * mined. Empty until that has been seen often enough. `used`: the present result of `used()`.
   */
  async gap(used: number, lowestOpen: number, signal: AbortSignal): Promise<number[]> {
    if (used >= lowestOpen) {
      this.#gapLooks = 0
      return []
    }
    if (++this.#gapLooks < GAP_LOOKS) return []
    // A receipt or an answer said it was used: that was wrong.
    this.#usedBelow = Math.min(this.#usedBelow, used)
    const pending = await this.#count('pending', signal)
    if (pending > used || lowestOpen - used > MAX_GAP) return []
    this.#gapLooks = 0
    return Array.from({ length: lowestOpen - used }, (_, i) => used + i)
  }

  async #count(at: 'pending' | 'latest', signal: AbortSignal): Promise<number> {
    return Number(await this.#rpc.quantity('eth_getTransactionCount', [this.#account, at], signal))
  }
}
