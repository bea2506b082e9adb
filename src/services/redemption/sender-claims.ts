import type { Address } from '../../lib/crypto.ts'

/** Senders whose endings are counted; beyond that all counts restart, which only costs another simulation. */
const MAX_SENDERS = 10_000

/** What is claimed: one winning ticket. */
export interface Claim {
  readonly ticket: { readonly sender: Address; readonly faceValue: bigint }
}

/** Tickets on their way to the chain, by sender: together they may want more than the sender has. */
export class SenderClaims {
  readonly #claims = new Map<Address, Set<Claim>>()
  readonly #endings = new Map<Address, number>()

  /** A ticket is on its way, or may be. */
  claim(claim: Claim): void {
    const { sender } = claim.ticket
    const claims = this.#claims.get(sender) ?? new Set()
    this.#claims.set(sender, claims.add(claim))
  }

  /** A ticket is not on its way any more; tells whether it was. */
  release(claim: Claim): boolean {
    const { sender } = claim.ticket
    const claims = this.#claims.get(sender)
    if (!claims?.delete(claim)) return false
    if (claims.size === 0) this.#claims.delete(sender)
    if (this.#endings.size >= MAX_SENDERS) this.#endings.clear()
    this.#endings.set(sender, this.endings(sender) + 1)
    return true
  }

  /** Face values of the sender's other tickets on their way, in wei. */
  others(claim: Claim): bigint {
    let sum = 0n
    for (const other of this.#claims.get(claim.ticket.sender) ?? []) {
      if (other !== claim) sum += other.ticket.faceValue
    }
    return sum
  }

  /** Counts the sender's claims that ended: what was read of its funds before the latest does not hold any more. */
  endings(sender: Address): number {
    return this.#endings.get(sender) ?? 0
  }
}
