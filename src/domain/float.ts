/** A sender's funds and what of its reserve was claimed, as the chain has it (payments.md §10). All in wei. */
export interface SenderInfo {
  readonly deposit: bigint
  /** The round from which on it may withdraw; 0 while it has not asked to. */
  readonly withdrawRound: bigint
  /** What is left of the reserve. */
  readonly fundsRemaining: bigint
  /** What all recipients together claimed of the reserve in the current round. */
  readonly claimedInCurrentRound: bigint
}

/** From this ratio of deposit to pending on, the deposit alone is trusted to pay what is pending (payments.md §1). */
const DEPOSIT_TO_PENDING_RATIO = 3n

/**
 * What of a sender's reserve one recipient may still claim in this round; below zero when it claimed more than its
 * present share (payments.md §10).
 */
export function reserveShare(
  info: Pick<SenderInfo, 'fundsRemaining' | 'claimedInCurrentRound'>,
  poolSize: bigint,
  claimed: bigint,
): bigint {
  if (poolSize <= 0n) return 0n
  return (info.fundsRemaining + info.claimedInCurrentRound) / poolSize - claimed
}

/**
 * The largest face value that a recipient should let a sender's ticket have: what is in flight counts against the
 * share unless the deposit covers it easily (payments.md §10). Can be below zero: see `clampFloat`.
 */
export function maxFloat(share: bigint, deposit: bigint, pending: bigint): bigint {
  return pending > 0n && deposit >= DEPOSIT_TO_PENDING_RATIO * pending ? share : share - pending
}

/**
 * The most that a recipient can be paid for a sender's tickets while they live, which is two rounds: the deposit, what is
 * left of its share of the reserve, and its whole share in the next round (payments.md §13).
 */
export function payableAtMost(info: SenderInfo, poolSize: bigint, claimed: bigint): bigint {
  return info.deposit + clampFloat(reserveShare(info, poolSize, claimed)) + reserveShare(info, poolSize, 0n)
}

/** Zero for what is below: amounts lose their sign on the wire, so that −90 would arrive as 90 (payments.md §15). */
export function clampFloat(amount: bigint): bigint {
  return amount < 0n ? 0n : amount
}
