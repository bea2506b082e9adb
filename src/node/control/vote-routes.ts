import { z } from 'zod'
import { ControlError, type ControlRoute, route } from '../../io/http/control-route.ts'
import { type Hex, parseHex } from '../../lib/bytes.ts'
import { messageOf } from '../../lib/errors.ts'
import { parsedJson } from '../../lib/parsed-json.ts'
import { actingQuoted, sendingChainOf } from './acting.ts'
import { type ControlledNode, chainOf, unlessOnChain } from './context.ts'
import { address, choice, integer, words } from './parameters.ts'

/** The longest reason that is written to the chain, where each character costs gas. */
const MAX_REASON_CHARS = 1_000
/** Messages of peers have this length (wire.md §8): what looks like one is not signed. */
const HASH_BYTES = 32

/** The routes that speak with the account's key: votes and signatures (operations.md §4). */
export function voteRoutes(node: ControlledNode): ControlRoute[] {
  const onChain = { changes: true, sends: true, ...unlessOnChain(node) }
  return [
    route('/vote', {
      ...onChain,
      about: 'Votes in a poll. Answers the hash of the transaction, 32 bytes.',
      params: z.object({
        poll: address('The contract of the poll', 'invalid poll contract address: '),
        choiceID: choice('0 for yes, 1 for no', 'choiceID', 1),
      }),
      answer: async ({ choiceID, poll }, { signal }) => {
        const { operator } = sendingChainOf(node)
        const { hash } = await actingQuoted('unable to submit vote transaction', () =>
          operator.calls.vote(poll, BigInt(choiceID), signal),
        )
        return { bytes: parseHex(hash) }
      },
    }),
    route('/voteOnProposal', {
      ...onChain,
      about: 'Votes on a proposal about the treasury. Answers the hash of the transaction, 32 bytes.',
      params: z.object({
        proposalID: integer('The number of the proposal', 'proposalID is not a valid integer value: '),
        support: choice('0 against, 1 for, 2 abstain', 'support', 2),
        reason: words('Why, for everybody to read')
          .max(MAX_REASON_CHARS, `a reason has at most ${MAX_REASON_CHARS} characters`)
          .optional(),
      }),
      answer: async ({ proposalID, reason = '', support }, { signal }) => {
        const { operator } = sendingChainOf(node)
        const { hash } = await actingQuoted('unable to submit proposal vote transaction', () =>
          operator.calls.voteOnProposal(proposalID, { support, reason }, signal),
        )
        return { bytes: parseHex(hash) }
      },
    }),
    route('/signMessage', {
      ...onChain,
      sends: false,
      about:
        'Signs a text with the account’s key (EIP-191), or typed data where the header SigFormat is data/typed (EIP-712). Answers 65 bytes.',
      params: z.object({ message: words('The text, or the typed data as JSON') }),
      answer: async ({ message }, { headers }) => {
        const { wallet } = chainOf(node).access
        if (headers.sigformat === 'data/typed') return { bytes: parseHex(await signedTyped(wallet, message)) }
        assertNoHash(message)
        return { bytes: await wallet.signText(message) }
      },
    }),
  ]
}

interface TypedSigner {
  signTypedJson(data: unknown): Promise<Hex>
}

async function signedTyped(wallet: TypedSigner, message: string): Promise<Hex> {
  const data = parsedJson(message)
  if (data === null) {
    throw new ControlError('bad-parameter', 'could not unmarshal typed data - err="the message is not JSON"')
  }
  try {
    return await wallet.signTypedJson(data)
  } catch (error) {
    // The libraries' words, of which the first line says what is wrong.
    throw new ControlError(
      'refused',
      `could not sign typed data - err=${JSON.stringify(messageOf(error).split('\n', 1)[0])}`,
    )
  }
}

/** What peers sign is the hash of a ticket or of a message: a text that may be one would be money. */
function assertNoHash(message: string): void {
  const bytes = Buffer.from(message)
  if (bytes.length !== HASH_BYTES || bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return
  throw new ControlError(
    'bad-parameter',
    `this message may be a hash, such as a ticket’s: ${HASH_BYTES} bytes are signed only if they are readable`,
  )
}
