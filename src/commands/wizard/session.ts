import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Asker } from './asker.ts'
import type { NodeControl } from './control.ts'

/** What the wizard knows of its node. */
export interface NodeFacts {
  readonly isOrchestrator: boolean
  readonly isRedeemer: boolean
  /** A node that calls reward, and is neither of these. The Go node does not tell. */
  readonly isRewardService: boolean
  /** 0 offchain. */
  readonly chainId: bigint
}

/** What items of the menu use. */
export interface Session {
  readonly ask: Asker
  readonly control: NodeControl
  readonly facts: NodeFacts
  /** HOST:PORT and port of the node's control API. */
  readonly name: string
  readonly port: number
  /** Whether what is sent is not confirmed first. */
  readonly yes: boolean
  readonly write: (text: string) => void
  /** Waits for so long, or until the signal. */
  readonly sleep: (ms: number, until: AbortSignal) => Promise<void>
  readonly signal: AbortSignal
}

/** Why an item ends without having sent anything. */
export type ItemFault = 'nothing-to-do' | 'wrong-node'

/** An item that cannot do anything just now; the message says why. */
export class ItemError extends NodeError<ItemFault> {
  override name = 'ItemError'
}

/** Asks until the answer can be read; what `read` throws is the refusal. */
export async function askFor<T>(
  { ask }: Pick<Session, 'ask'>,
  text: string,
  read: (answer: string) => T,
  fallback?: string,
): Promise<T> {
  const check = (answer: string) => {
    try {
      read(answer)
      return null
    } catch (error) {
      if (!(error instanceof NodeError)) throw error
      return messageOf(error)
    }
  }
  return read(await ask.line({ text, check, ...(fallback !== undefined && { fallback }) }))
}

/** Asks for yes or no. */
export async function askYesNo(session: Pick<Session, 'ask'>, text: string): Promise<boolean> {
  const answer = await session.ask.line({
    text: `${text} (y/n)`,
    check: (answer) => (/^(y|yes|n|no)$/i.test(answer) ? null : 'Enter y or n'),
  })
  return /^y/i.test(answer)
}
