import { parsedJson } from '../../lib/parsed-json.ts'
import { address, oneOf, whole } from './readers.ts'
import { send } from './send.ts'
import { askFor, askYesNo, ItemError, type Session } from './session.ts'

const MAX_REASON_CHARS = 1_000

/** Sign a message. */
export async function signMessage(session: Session): Promise<void> {
  const message = await session.ask.text(
    'Enter or paste the message to sign: \n(press enter followed by Ctrl+D when done)',
  )
  await sign(session, message, false)
}

/** Sign typed data. */
export async function signTypedData(session: Session): Promise<void> {
  const data = await session.ask.text(
    'Enter or paste the typed data to sign: \n(press enter followed by Ctrl+D when done)',
  )
  if (parsedJson(data) === null) {
    throw new ItemError('nothing-to-do', 'The typed data is not JSON, so nothing was signed')
  }
  await sign(session, data, true)
}

async function sign({ control, write }: Session, message: string, isTypedData: boolean): Promise<void> {
  if (message === '') throw new ItemError('nothing-to-do', 'There is no text to sign')
  const signature = await control.change({ path: '/signMessage', values: { message }, isTypedData })
  write(`\nSignature:\n0x${signature.toString('hex')}\n`)
}

/** Vote in a governance poll. */
export async function vote(session: Session): Promise<void> {
  assertOnChain(session)
  const poll = await askFor(
    session,
    'Enter the contract address for the poll you want to vote in ->',
    address,
  )
  const choice = await askChoice(session, ['Yes', 'No'])
  await send(session, {
    path: '/vote',
    values: { poll, choiceID: choice.toString() },
    what: 'votes in a poll',
    facts: [
      ['poll', poll],
      ['vote', ['Yes', 'No'][choice]!],
    ],
  })
}

/** Vote on a treasury proposal. */
export async function voteOnProposal(session: Session): Promise<void> {
  assertOnChain(session)
  const proposal = await askFor(session, 'Enter the proposal ID you want to vote on ->', whole)
  const names = ['Against', 'For', 'Abstain']
  const support = await askChoice(session, names)
  const hasReason = await askYesNo(session, 'Do you want to provide a reason for your vote?')
  const reason = hasReason ? await session.ask.line({ text: 'Enter your reason ->', check: tooLong }) : ''
  await send(session, {
    path: '/voteOnProposal',
    values: { proposalID: proposal.toString(), support: support.toString(), reason },
    what: 'votes on a proposal about the treasury',
    facts: [
      ['proposal', proposal.toString()],
      ['vote', names[support]!],
      ...(hasReason ? ([['reason, for everybody to read', reason]] as const) : []),
    ],
  })
}

async function askChoice(session: Session, names: readonly string[]): Promise<number> {
  const rows = names.map((name, id) => `${id}\t\t${name}\n`)
  for (;;) {
    session.write(`Identifier\tVoting Choices\n${rows.join('')}`)
    const choice = Number(
      await askFor(
        session,
        'Enter the ID of the choice you want to vote for ->',
        oneOf(
          names.map((_, id) => BigInt(id)),
          'choice',
        ),
      ),
    )
    if (await askYesNo(session, `Are you sure you want to vote "${names[choice]}"?`)) return choice
  }
}

function tooLong(reason: string): string | null {
  return reason.length <= MAX_REASON_CHARS
    ? null
    : `${reason.length} characters are too many: a reason has at most ${MAX_REASON_CHARS}`
}

function assertOnChain({ facts }: Session): void {
  if (facts.chainId === 0n) throw new ItemError('wrong-node', "Cannot vote in 'offchain' mode")
}
