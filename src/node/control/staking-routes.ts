import { z } from 'zod'
import { ControlError, type ControlRoute, route } from '../../io/http/control-route.ts'
import { acting, sendingChainOf } from './acting.ts'
import { type ControlledNode, unlessOnChain } from './context.ts'
import { address, integer, lptu, lptuOrAll, weiOrAll } from './parameters.ts'

const DONE = { text: '' }
/** What `/unbond` takes for the whole stake, rewards included, and `/withdrawFees` for all fees. */
const ALL = 'all'
/** What comes before the reason why the account's stake cannot be read. */
const NO_DELEGATOR = 'unable to get delegator: '

/** The routes that move the account's stake and earnings (operations.md §4, chain.md §13). */
export function stakingRoutes(node: ControlledNode): ControlRoute[] {
  const onChain = { changes: true, sends: true, ...unlessOnChain(node) }
  const chain = () => sendingChainOf(node)
  return [
    route('/initializeRound', {
      ...onChain,
      about: 'Initialises the round of the newest block.',
      answer: async (_, { signal }) => {
        const { operator, staking } = chain()
        const round = await acting('could not initialize round: ', () => operator.reads.round())
        if (round.initialized) {
          throw new ControlError('refused', 'could not initialize round: ErrRoundInitialized')
        }
        assertMined(await staking.initializeRound(signal), 'could not initialize round: ')
        return DONE
      },
    }),
    route('/reward', {
      ...onChain,
      about: 'Calls reward for this round: mints the tokens of the orchestrator and those who bonded to it.',
      takesGet: true,
      answer: async (_, { signal }) => {
        const { account, operator, recipient, staking } = chain()
        const words = 'Error calling reward: '
        const orchestrator = await acting(words, async () => {
          if (recipient === account) return account
          const { rewardCaller } = await staking.rewardView(recipient)
          return rewardCaller === account ? recipient : account
        })
        await acting(words, () => operator.calls.checkReward(orchestrator))
        assertMined(await staking.callReward(orchestrator, { takeOver: false }, signal), words)
        return DONE
      },
    }),
    route('/bond', {
      ...onChain,
      about:
        'Bonds LPT of the account to an orchestrator. What is bonded to another one already moves there with it, and costs nothing.',
      params: z.object({
        amount: lptu('How much more to bond'),
        toAddr: address('The orchestrator', 'invalid toAddr: '),
      }),
      answer: async ({ amount, toAddr }, { signal }) => {
        await acting('', () => chain().operator.calls.bond(amount, toAddr, signal))
        return DONE
      },
    }),
    route('/unbond', {
      ...onChain,
      about: 'Unbonds stake, which can be withdrawn some rounds later.',
      params: z.object({
        amount: lptuOrAll('How much of the stake with its rewards'),
      }),
      answer: async ({ amount }, { signal }) => {
        const { account, operator } = chain()
        const { pendingStake } = await acting(NO_DELEGATOR, () => operator.reads.delegator(account))
        const whole = amount === ALL ? pendingStake : amount
        await acting('', () => operator.calls.unbond(whole, signal))
        return DONE
      },
    }),
    route('/rebond', {
      ...onChain,
      about: 'Bonds what a lock holds again.',
      params: z.object({
        unbondingLockId: integer('The number of the lock', 'Cannot convert unbondingLockId: '),
        toAddr: address('The orchestrator, where nothing is bonded', 'invalid toAddr: ').optional(),
      }),
      answer: async ({ toAddr = null, unbondingLockId }, { signal }) => {
        const { account, operator } = chain()
        await acting(NO_DELEGATOR, () => operator.reads.delegator(account))
        await acting('', () => operator.calls.rebond(unbondingLockId, toAddr, signal))
        return DONE
      },
    }),
    route('/withdrawStake', {
      ...onChain,
      about: 'Takes what a lock holds into the account, once its round has come.',
      params: z.object({
        unbondingLockId: integer('The number of the lock', 'Cannot convert unbondingLockId: '),
      }),
      answer: async ({ unbondingLockId }, { signal }) => {
        await acting('', () => chain().operator.calls.withdrawStake(unbondingLockId, signal))
        return DONE
      },
    }),
    route('/withdrawFees', {
      ...onChain,
      refusesFirst: true,
      about: 'Takes earned fees into the account.',
      params: z.object({ amount: weiOrAll('How much', 'invalid amount: ') }),
      answer: async ({ amount }, { signal }) => {
        const { account, operator } = chain()
        await acting('could not execute WithdrawFees: ', async () => {
          const whole = amount === ALL ? (await operator.reads.delegator(account)).pendingFees : amount
          return operator.calls.withdrawFees(whole, signal)
        })
        return DONE
      },
    }),
    route('/claimEarnings', {
      ...onChain,
      about: 'Credits the rewards and fees of all rounds so far.',
      answer: async (_, { signal }) => {
        const { operator } = chain()
        const words = 'Error claiming earnings: '
        const { current, initialized } = await acting(words, () => operator.reads.round())
        if (!initialized) throw new ControlError('refused', `${words}Round not initialized`)
        await acting(words, () => operator.calls.claimEarnings(current, signal))
        return DONE
      },
    }),
  ]
}

type Sent =
  | { readonly kind: 'mined'; readonly txHash: string; readonly success: boolean }
  | { readonly kind: 'timed-out'; readonly txHash: string }
  | { readonly kind: 'not-sent'; readonly reason: string }

/** Throws ControlError unless a call was mined and did what it was to do. */
function assertMined(sent: Sent, words: string): void {
  if (sent.kind === 'mined' && sent.success) return
  if (sent.kind === 'mined') {
    throw new ControlError('refused', `${words}transaction failed txHash=${sent.txHash}`)
  }
  const reason =
    sent.kind === 'timed-out'
      ? `timed out waiting for transaction receipt txHash=${sent.txHash}`
      : sent.reason
  throw new ControlError('refused', `${words}${reason}`)
}
