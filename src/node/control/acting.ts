import { ChainError, revertReason } from '../../io/chain/chain-error.ts'
import { ControlError } from '../../io/http/control-route.ts'
import { messageOf } from '../../lib/errors.ts'
import { type ControlledNode, chainOf, partsOf } from './context.ts'
import type { SendingChain } from './sending.ts'

/** The chain of a node that can send. Throws ControlError for one that cannot. */
export function sendingChainOf(node: ControlledNode): SendingChain {
  const chain = chainOf(node)
  const view = node.sending?.of(chain) ?? chain
  // What another account is to send is only simulated here.
  if (view.account === chain.account && partsOf(node).settings.keepsNothing) {
    throw new ControlError(
      'refused',
      'this node runs without its data folder, so it sends nothing: make -dataDir usable and start it again',
    )
  }
  return view
}

/** Does something on chain; a refusal is told in the chain's words, after these. Throws ControlError. */
export async function acting<T>(words: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    throw refusalOf(error, (reason) => `${words}${reason}`)
  }
}

/** As `acting`, in the form in which peers quote the chain. */
export async function actingQuoted<T>(words: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    throw refusalOf(error, (reason) => `${words} err=${JSON.stringify(reason)}`)
  }
}

function refusalOf(error: unknown, wordsFor: (reason: string) => string): unknown {
  if (!(error instanceof ChainError)) return error
  const reverted = revertReason(error)
  const reason = reverted === null ? messageOf(error) : `execution reverted: ${reverted}`
  return new ControlError('refused', wordsFor(reason), undefined, { cause: error })
}
