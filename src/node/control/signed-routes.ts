import { z } from 'zod'
import { wordsOfCall } from '../../domain/call-words.ts'
import { calledContracts, decodeCall } from '../../io/chain/known-calls.ts'
import { readSigned, type SignedTransaction, SignedTransactions } from '../../io/chain/signed-transactions.ts'
import { ControlError, type ControlRoute, route } from '../../io/http/control-route.ts'
import type { Hex } from '../../lib/bytes.ts'
import { messageOf } from '../../lib/errors.ts'
import { acting } from './acting.ts'
import { type ControlledNode, chainOf, unlessOnChain } from './context.ts'
import { words } from './parameters.ts'

const transaction = words('The signed transaction: 0x and its bytes in hexadecimal').regex(
  /^0x([0-9a-f]{2}){1,6000}$/,
  'transaction is not 0x and at most 6000 bytes in lower-case hexadecimal',
)

/** The routes for transactions that were signed on another machine: the node sends them, and never has their key. */
export function signedRoutes(node: ControlledNode): ControlRoute[] {
  const sender = () => new SignedTransactions({ rpc: chainOf(node).access.rpc })
  return [
    route('/sendSigned', {
      ...{ changes: true, ...unlessOnChain(node) },
      about:
        'Sends a transaction that was signed elsewhere: a call of one of the protocol’s contracts, not with the node’s own account. Sending it again does no harm.',
      params: z.object({ transaction }),
      answer: async ({ transaction: raw }, { signal }) => {
        const signed = await checked(node, raw)
        await acting('could not send the transaction: ', () => sender().send(raw as Hex, signal))
        return { json: { hash: signed.hash } }
      },
    }),
    route('/signedState', {
      ...{ changes: false, ...unlessOnChain(node) },
      about:
        'What became of a transaction that was signed elsewhere: unknown, pending, mined, failed or overtaken.',
      params: z.object({ transaction }),
      answer: async ({ transaction: raw }, { signal }) => {
        const signed = await checked(node, raw)
        return { json: await acting('', () => sender().look(signed, signal)) }
      },
    }),
  ]
}

/** Throws ControlError unless it is a call of a known contract on this chain, with another account than the node's. */
async function checked(node: ControlledNode, raw: string): Promise<SignedTransaction> {
  const { access, account } = chainOf(node)
  try {
    const signed = await readSigned(raw as Hex)
    if (signed.chainId !== access.chainId) {
      throw new Error(`it is for chain ${signed.chainId}, and this node is on chain ${access.chainId}`)
    }
    if (signed.from === account)
      throw new Error(`${account} is this node’s account, whose nonces it keeps itself`)
    const known = calledContracts(access.addresses)
    const contracts = known.has(signed.to) ? known : new Map([...known, [signed.to, 'Poll' as const]])
    wordsOfCall(decodeCall(signed, contracts), contracts)
    return signed
  } catch (error) {
    throw new ControlError('bad-parameter', `invalid transaction: ${messageOf(error)}`, undefined, {
      cause: error,
    })
  }
}
