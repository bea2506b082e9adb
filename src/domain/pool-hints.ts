import { type Address, ZERO_ADDRESS } from '../lib/crypto.ts'

/** One place of the orchestrators' pool. */
export interface PoolPlace {
  readonly address: Address
  /** All tokens bonded to it. */
  readonly stake: bigint
}

/** The neighbours of an orchestrator in the pool; the zero address if there is none or it is not known. */
export interface PoolHints {
  readonly prev: Address
  readonly next: Address
}

/** Without hints the contract searches for the place, which only costs gas. */
export const NO_HINTS: PoolHints = { prev: ZERO_ADDRESS, next: ZERO_ADDRESS }

/**
 * The neighbours of `member` once its stake has changed: it is placed behind equal stakes (chain.md §12, contracts.md
 * §8.2). An outsider replaces the last member of a full pool, or does not enter.
 */
export function poolHints(pool: readonly PoolPlace[], member: PoolPlace, maxSize: bigint): PoolHints {
  const inOrder = pool.toSorted(byStake)
  const others = inOrder.filter(({ address }) => address !== member.address)
  const joins = others.length === pool.length
  if (joins && BigInt(pool.length) >= maxSize) {
    const last = others.pop()
    if (!last || member.stake <= last.stake) return NO_HINTS
  }
  const behind = others.findIndex(({ stake }) => stake < member.stake)
  const place = behind < 0 ? others.length : behind
  return { prev: others[place - 1]?.address ?? ZERO_ADDRESS, next: others[place]?.address ?? ZERO_ADDRESS }
}

function byStake(a: PoolPlace, b: PoolPlace): number {
  if (a.stake === b.stake) return 0
  return a.stake > b.stake ? -1 : 1
}
