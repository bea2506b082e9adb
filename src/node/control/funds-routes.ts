import { z } from 'zod'
import { MAX_UINT256 } from '../../domain/chain-amounts.ts'
import { ControlError, type ControlRoute, route } from '../../io/http/control-route.ts'
import { acting, sendingChainOf } from './acting.ts'
import { type ControlledNode, unlessOnChain } from './context.ts'
import { address, lptu, wei } from './parameters.ts'

const SECONDS_PER_MINUTE = 60n

/** The routes that move the account's ether and LPT, apart from its stake (operations.md §4). */
export function fundsRoutes(node: ControlledNode): ControlRoute[] {
  const onChain = { changes: true, sends: true, ...unlessOnChain(node) }
  const moving = (path: string, functionName: 'unlock' | 'cancelUnlock' | 'withdraw', about: string) =>
    route(path, {
      ...onChain,
      about,
      answer: async (_, { signal }) => {
        const { operator } = sendingChainOf(node)
        await acting(`could not execute ${functionName}: `, () =>
          operator.calls.moveFunds(functionName, signal),
        )
        return { text: `${functionName} success` }
      },
    })
  return [
    route('/fundDeposit', {
      ...onChain,
      about: 'Adds ether of the account to its deposit as a sender of tickets.',
      params: z.object({ amount: wei('How much', 'invalid amount: ') }),
      answer: async ({ amount }, { signal }) => {
        const { operator } = sendingChainOf(node)
        await acting('could not execute fundDeposit: ', () => operator.calls.fundDeposit(amount, signal))
        return { text: 'fundDeposit success' }
      },
    }),
    route('/fundDepositAndReserve', {
      ...onChain,
      about: 'Adds ether of the account to its deposit and its reserve as a sender of tickets.',
      params: z.object({
        depositAmount: wei('How much to the deposit', 'invalid depositAmount: '),
        reserveAmount: wei('How much to the reserve', 'invalid reserveAmount: '),
      }),
      answer: async ({ depositAmount, reserveAmount }, { signal }) => {
        if (depositAmount + reserveAmount > MAX_UINT256) {
          throw new ControlError('bad-parameter', 'deposit and reserve together are more than there is ether')
        }
        const { operator } = sendingChainOf(node)
        await acting('could not execute fundDepositAndReserve: ', () =>
          operator.calls.fundDepositAndReserve(depositAmount, reserveAmount, signal),
        )
        return { text: 'fundDepositAndReserve success' }
      },
    }),
    moving('/unlock', 'unlock', 'Unlocks deposit and reserve: some rounds later they can be withdrawn.'),
    moving('/cancelUnlock', 'cancelUnlock', 'Locks deposit and reserve again.'),
    moving('/withdraw', 'withdraw', 'Takes unlocked deposit and reserve into the account.'),
    route('/transferTokens', {
      ...onChain,
      about: 'Sends LPT of the account.',
      params: z.object({ to: address('To whom', 'invalid to: '), amount: lptu('How much') }),
      answer: async ({ amount, to }, { signal }) => {
        const { operator } = sendingChainOf(node)
        await acting('', () => operator.calls.transfer(to, amount, signal))
        return { text: '' }
      },
    }),
    route('/requestTokens', {
      ...onChain,
      about: 'Asks the faucet of a test network for LPT.',
      answer: async (_, { signal }) => {
        const { account, operator, watch } = sendingChainOf(node)
        const words = 'Unable to get the time for the next valid request from faucet: '
        const next = await acting(words, () => operator.reads.nextFaucetRequest(account))
        if (next === null) throw new ControlError('refused', `${words}no contract code at given address`)
        const waitS = next - (watch.head?.timestamp ?? 0n)
        if (waitS > 0n) {
          const minutes = (waitS + SECONDS_PER_MINUTE - 1n) / SECONDS_PER_MINUTE
          throw new ControlError(
            'refused',
            `Error requesting tokens from faucet: can only request tokens once every hour, please wait ${minutes} more minutes`,
          )
        }
        await acting('Error requesting tokens from faucet: ', () => operator.calls.requestTokens(signal))
        return { text: '' }
      },
    }),
  ]
}
