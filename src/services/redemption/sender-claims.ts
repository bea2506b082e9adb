import type { Address } from '../../lib/crypto.ts'

/** Senders whose endings are counted; beyond this number all counts restart, which only costs another simulation. */
const MAX_SENDERS = 10_000

/** One winning ticket's claim on its sender's funds. */
export interface Claim {
  readonly ticket: { readonly sender: Address; readonly faceValue: bigint }
}

/** Tickets being redeemed, by sender: together they may exceed the sender's funds. */
export class SenderClaims {
  readonly #claims = new Map<Address, Set<Claim>>()
  readonly #endings = new Map<Address, number>()

  /** Claims for a ticket that is being redeemed, or may be. */
  claim(claim: Claim): void {
    const { sender } = claim.ticket
    const claims = this.#claims.get(sender) ?? new Set()
    this.#claims.set(sender, claims.add(claim))
  }

  /** Ends a ticket's claim; returns whether it had one. */
  release(claim: Claim): boolean {
    const { sender } = claim.ticket
    const claims = this.#claims.get(sender)
    if (!claims?.delete(claim)) return false
    if (claims.size === 0) this.#claims.delete(sender)
    if (this.#endings.size >= MAX_SENDERS) this.#endings.clear()
    this.#endings.set(sender, this.endings(sender) + 1)
    return true
  }

  /** Total face value of the sender's other tickets being redeemed, in wei. */
  others(claim: Claim): bigint {
    let sum = 0n
    for (const other of this.#claims.get(claim.ticket.sender) ?? []) {
      if (other !== claim) sum += other.ticket.faceValue
    }
    return sum
  }

  /** How many of the sender's claims have ended: funds read before the latest end are out of date. */
  endings(sender: Address): number {
    return this.#endings.get(sender) ?? 0
  }
}
