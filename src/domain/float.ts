/** A sender's funds and the claimed part of its reserve, as on chain (payments.md §10). All in wei. */
export interface SenderInfo {
  readonly deposit: bigint
  /** The first round in which it may withdraw; 0 if it has not unlocked. */
  readonly withdrawRound: bigint
  /** The rest of the reserve. */
  readonly fundsRemaining: bigint
  /** What all recipients together claimed of the reserve in the current round. */
  readonly claimedInCurrentRound: bigint
}

/**
 * From this ratio of deposit to pending amount on, the deposit alone is expected to cover the pending amount
 * (payments.md §1).
 */
const DEPOSIT_TO_PENDING_RATIO = 3n

/**
 * What one recipient may still claim of a sender's reserve in this round; negative if it claimed more than its current
 * share (payments.md §10).
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
 * The largest face value that a recipient should accept from a sender: the pending amount reduces the share unless the
 * deposit easily covers it (payments.md §10). Can be negative: see `clampFloat`.
 */
export function maxFloat(share: bigint, deposit: bigint, pending: bigint): bigint {
  return pending > 0n && deposit >= DEPOSIT_TO_PENDING_RATIO * pending ? share : share - pending
}

/**
 * The most that a recipient can be paid for a sender's tickets during their two rounds: the deposit, the rest of its
 * share of the reserve, and its whole share in the next round (payments.md §13).
 */
export function payableAtMost(info: SenderInfo, poolSize: bigint, claimed: bigint): bigint {
  return info.deposit + clampFloat(reserveShare(info, poolSize, claimed)) + reserveShare(info, poolSize, 0n)
}

/** Zero for a negative amount, since the wire has no sign and −90 would arrive as 90 (payments.md §15). */
export function clampFloat(amount: bigint): bigint {
  return amount < 0n ? 0n : amount
}
