import { larger } from '../lib/bigints.ts'

/** Fixed-point units of the contracts: 9 digits in the Minter, 27 in the treasury's cut (contracts.md §3). */
const PERC_9 = 10n ** 9n
const PERC_27 = 10n ** 27n

/** An orchestrator's reward state on chain, all at one block. */
export interface RewardFacts {
  /** The round of that block, initialised or not. */
  readonly currentRound: bigint
  readonly roundInitialized: boolean
  readonly registered: boolean
  /** In the current round. */
  readonly active: boolean
  readonly activationRound: bigint
  readonly deactivationRound: bigint
  /** The last round in which its reward was called; 0 for none. */
  readonly lastRewardRound: bigint
}

/** The state of an orchestrator's reward in the current round. */
export type RewardStand = 'due' | 'called' | 'round-not-initialized' | 'not-active' | 'not-registered'

/**
 * Whether reward can be called now (contracts.md §8.4, §8.5): by an active orchestrator, once, in an initialised round.
 * A resigned orchestrator stays active until the round ends.
 */
export function rewardStand(facts: RewardFacts): RewardStand {
  if (!facts.active) return facts.registered ? 'not-active' : 'not-registered'
  if (facts.lastRewardRound >= facts.currentRound) return 'called'
  return facts.roundInitialized ? 'due' : 'round-not-initialized'
}

/** The first and last of the rounds from `from` on that ended without a reward; null if there are none. */
export function missedRounds(
  facts: RewardFacts,
  from: bigint,
): { readonly first: bigint; readonly last: bigint } | null {
  const first = [facts.activationRound, facts.lastRewardRound + 1n].reduce(larger, from)
  const ended = facts.currentRound - 1n
  const last = ended < facts.deactivationRound ? ended : facts.deactivationRound - 1n
  return first <= last ? { first, last } : null
}

/** How many calls a balance pays for; null if the cost of one is unknown. All in wei. */
export function callsLeft(balance: bigint, cost: bigint): bigint | null {
  return cost > 0n ? balance / cost : null
}

/**
 * How much an orchestrator's stake grows when reward is called: its share of what is minted in this round, less the
 * treasury's cut, of 10^27 (contracts.md §6, §8.5).
 */
export function expectedReward(mint: {
  readonly mintable: bigint
  /** Its stake at the start of the round. */
  readonly stake: bigint
  /** The stake of all active orchestrators. */
  readonly totalStake: bigint
  readonly treasuryCut: bigint
}): bigint {
  if (mint.totalStake === 0n) return 0n
  const minted = (mint.mintable * ((mint.stake * PERC_9) / mint.totalStake)) / PERC_9
  return minted - (minted * mint.treasuryCut) / PERC_27
}
