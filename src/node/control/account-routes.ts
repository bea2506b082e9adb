import { z } from 'zod'
import type { ControlRoute } from '../../io/http/control-route.ts'
import { route } from '../../io/http/control-route.ts'
import { acting } from './acting.ts'
import { type ControlledNode, chainOf, unlessOnChain } from './context.ts'
import { address } from './parameters.ts'

/** The route that tells of any account, such as one whose key is kept offline. */
export function accountRoutes(node: ControlledNode): ControlRoute[] {
  return [
    route('/accountInfo', {
      ...{ changes: false, ...unlessOnChain(node) },
      about: 'Balances, stake, earnings and locks of an account, in wei and LPT’s smallest unit.',
      params: z.object({
        address: address('The account; the node’s own if it is not given', 'invalid address: ').optional(),
      }),
      answer: async ({ address: given }) => {
        const { account: own, client, operator } = chainOf(node)
        const account = given ?? own
        return acting('', async () => {
          const { reads } = operator
          const [round, delegator, locks, lptu, wei] = await Promise.all([
            reads.round(),
            reads.delegator(account),
            reads.locks(account),
            reads.tokenBalance(account),
            client.ethBalance(account),
          ])
          const { bondedAmount, delegateAddress, pendingFees, pendingStake, status } = delegator
          return {
            json: {
              ...{ address: account, round: round.current, lptu, wei, status },
              bondedTo: bondedAmount === 0n ? null : delegateAddress,
              ...{ stakeLptu: pendingStake, feesWei: pendingFees },
              locks: locks.map(({ amount, id, withdrawRound }) => ({ id, lptu: amount, withdrawRound })),
            },
          }
        })
      },
    }),
  ]
}
