import * as z from 'zod'
import { ether, livepeerTokens } from '../../lib/amounts.ts'
import { list, text, whole } from './figures.ts'
import type { Chart } from './ledger.ts'

const round = z.object({
  ...{ round: whole, rewardLptu: whole.nullable(), feeWei: whole.nullable(), txHash: text.nullable() },
  atMs: z.number(),
})

/** `/rewards`: what became of the rewards of the last rounds, the newest first. */
export const REWARDS = z.object({ rounds: list(round) })
export type Rewards = z.output<typeof REWARDS>

/** A round as a row. */
export interface RewardRow {
  readonly round: string
  readonly reward: string
  readonly wasCalled: boolean
  readonly gas: string
  readonly txHash: string
}

/** The rounds, the newest first; those of which nothing is known are left out. */
export function rewardRows({ rounds }: Rewards): RewardRow[] {
  return rounds.map(({ feeWei, rewardLptu, round, txHash }) => ({
    ...{ round: String(round), wasCalled: rewardLptu !== null, txHash: txHash ?? '' },
    reward: rewardLptu === null ? 'not called' : livepeerTokens(rewardLptu),
    gas: feeWei === null ? '' : ether(feeWei),
  }))
}

/** The rewards by round, the earliest first; a round that ended without is 0. */
export function rewardsByRound({ rounds }: Rewards): Chart {
  const inOrder = rounds.toReversed()
  return {
    places: inOrder.map(({ round }) => Number(round)),
    lines: [{ label: 'reward', values: inOrder.map(({ rewardLptu }) => Number(rewardLptu ?? 0n) / 1e18) }],
  }
}
