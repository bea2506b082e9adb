import type { RewardFacts } from '../../domain/reward.ts'
import type { Address } from '../../lib/crypto.ts'

/** An orchestrator's reward state on chain, and the account that may call reward for it (LIP-118). */
export interface RewardView extends RewardFacts {
  /** Null if none is set, and on contracts without reward callers. */
  readonly rewardCaller: Address | null
}

/** The right of an account to call reward for an orchestrator, and that orchestrator's state. */
export interface RewardRight {
  readonly orchestrator: Address
  readonly view: RewardView
}

/** Why an account may not call reward, what would change that, and the round in which it was read. */
export interface NoRewardRight {
  readonly why: string
  readonly advice: string
  readonly round: bigint
}

/**
 * The orchestrator for which `account` may call reward now: `orchestrator`, if it is the account itself or has set the
 * account as its reward caller; otherwise the account, if it is registered. Throws what the chain throws.
 */
export async function findRewardRight(
  chain: { rewardView(orchestrator: Address): Promise<RewardView> },
  { account, orchestrator }: { readonly account: Address; readonly orchestrator: Address },
): Promise<RewardRight | NoRewardRight> {
  const view = await chain.rewardView(orchestrator)
  if (orchestrator === account || view.rewardCaller === account) {
    if (view.registered || view.active) return { orchestrator, view }
    return {
      why: `${orchestrator} is not a registered orchestrator`,
      advice: 'register it',
      round: view.currentRound,
    }
  }
  const own = await chain.rewardView(account)
  if (own.registered || own.active) return { orchestrator: account, view: own }
  const instead = view.rewardCaller ? `, which is ${view.rewardCaller}` : ''
  return {
    why: `${account} is neither a registered orchestrator nor the reward caller of ${orchestrator}${instead}`,
    advice: `let ${orchestrator} make it its reward caller, or use the key of ${orchestrator}`,
    round: view.currentRound,
  }
}
