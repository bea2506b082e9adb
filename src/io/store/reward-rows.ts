import type { Kysely } from 'kysely'
import type { Hex } from '../../lib/bytes.ts'
import type { Tables } from './tables.ts'

/** Missed rounds that are kept of one report: a node that was away for longer has more, which chain explorers know. */
const MAX_MISSED = 100n

/** What became of the reward of a round. */
export interface RewardRecord {
  readonly round: bigint
  /** In LPT's smallest unit; null where the round ended without it. */
  readonly reward: bigint | null
  /** Wei spent on gas, and the transaction; null where there is none. */
  readonly fee: bigint | null
  readonly txHash: Hex | null
  readonly atMs: number
}

/** Keeps that the reward of a round was called. */
export async function addReward(
  tx: Kysely<Tables>,
  { atMs, fee, reward, round, txHash }: RewardRecord & { readonly reward: bigint },
): Promise<void> {
  const facts = { reward: reward.toString(), fee: fee?.toString() ?? null, tx_hash: txHash, at: atMs }
  await tx
    .insertInto('rewards')
    .values({ round, ...facts })
    .onConflict((c) => c.column('round').doUpdateSet(facts))
    .execute()
}

/** Keeps that rounds, from first to last, ended without their reward; what is known of one of them stays. */
export async function addMissedRewards(
  tx: Kysely<Tables>,
  rounds: { readonly first: bigint; readonly last: bigint; readonly atMs: number },
): Promise<void> {
  const { atMs, last } = rounds
  const first = last - rounds.first >= MAX_MISSED ? last - MAX_MISSED + 1n : rounds.first
  const rows = []
  for (let round = first; round <= last; round++) {
    rows.push({ round, reward: null, fee: null, tx_hash: null, at: atMs })
  }
  if (rows.length === 0) return
  await tx
    .insertInto('rewards')
    .values(rows)
    .onConflict((c) => c.column('round').doNothing())
    .execute()
}

/** The last rounds of which anything is known, the newest first. */
export async function lastRewards(db: Kysely<Tables>, most: number): Promise<RewardRecord[]> {
  const rows = await db.selectFrom('rewards').selectAll().orderBy('round', 'desc').limit(most).execute()
  return rows.map(({ at, fee, reward, round, tx_hash }) => ({
    ...{ round: BigInt(round), txHash: tx_hash as Hex | null, atMs: Number(at) },
    ...{ reward: reward === null ? null : BigInt(reward), fee: fee === null ? null : BigInt(fee) },
  }))
}
