import { ETH_TYPED } from '../../domain/typed-amount.ts'
import { brokerAnswer, type Sender, senderAnswer } from './answers.ts'
import { amountIn } from './readers.ts'
import { send } from './send.ts'
import { askFor, ItemError, type Session } from './session.ts'
import { etherWords } from './words.ts'

/** What a sender's funds are at (payments.md §10). */
type FundsState = 'empty' | 'locked' | 'unlocking' | 'unlocked'

const STATE_WORDS: Readonly<Record<FundsState, string>> = {
  empty: "sender's deposit and reserve are zero",
  locked: "sender's deposit and reserve are locked",
  unlocking: 'sender is in the unlocking period',
  unlocked: "sender's deposit and reserve are unlocked",
}

/** Invoke "deposit broadcasting funds". */
export async function deposit(session: Session): Promise<void> {
  const { control, write } = session
  const sender = await control.json('/senderInfo', senderAnswer)
  const balance = await control.whole('/ethBalance')
  writeFunds(session, sender)
  write(`ETH balance: ${etherWords(balance)}\n`)
  const ask = (name: string, most: bigint, mostIs: string) =>
    askFor(session, `Enter ${name} amount in ETH -`, amountIn(ETH_TYPED, { most, mostIs }))
  const toDeposit = await ask('deposit', balance, 'the balance')
  const toReserve = await ask('reserve', balance - toDeposit, 'what is left of the balance')
  if (toDeposit + toReserve === 0n) {
    throw new ItemError('nothing-to-do', 'Deposit and reserve are both 0, so there is nothing to send')
  }
  await send(session, {
    path: '/fundDepositAndReserve',
    values: { depositAmount: toDeposit.toString(), reserveAmount: toReserve.toString() },
    what: 'adds ether of the account to its deposit and its reserve as a gateway',
    facts: [
      ['deposit', etherWords(toDeposit)],
      ['reserve', etherWords(toReserve)],
    ],
  })
}

/** Invoke "unlock broadcasting funds". */
export async function unlock(session: Session): Promise<void> {
  const { round, state } = await readFunds(session)
  if (state !== 'locked') {
    throw new ItemError(
      'nothing-to-do',
      `Cannot unlock because sender's deposit and reserve are not locked: ${STATE_WORDS[state]}`,
    )
  }
  const { UnlockPeriod } = await session.control.json('/ticketBrokerParams', brokerAnswer)
  session.write(
    `If you initiate the unlock period now, you will be able to withdraw at round ${round + UnlockPeriod}\n`,
  )
  await send(session, {
    path: '/unlock',
    what: 'unlocks deposit and reserve, which can be withdrawn some rounds later; until then they pay for nothing new',
    question: 'Would you like initiate the unlock period?',
  })
}

/** Invoke "cancel unlock of broadcasting funds". */
export async function cancelUnlock(session: Session): Promise<void> {
  const { state } = await readFunds(session, { withRound: true })
  if (state !== 'unlocking') {
    throw new ItemError(
      'nothing-to-do',
      `Cannot cancel unlock because sender is not in the unlock period: ${STATE_WORDS[state]}`,
    )
  }
  await send(session, {
    path: '/cancelUnlock',
    what: 'locks deposit and reserve again',
    question: 'Would you like to cancel the unlock period?',
  })
}

/** Invoke "withdraw broadcasting funds". */
export async function withdraw(session: Session): Promise<void> {
  const { sender, state } = await readFunds(session, { withRound: true })
  if (state !== 'unlocked') {
    throw new ItemError(
      'nothing-to-do',
      `Cannot withdraw because sender's deposit and reserve are not unlocked: ${STATE_WORDS[state]}`,
    )
  }
  await send(session, {
    path: '/withdraw',
    what: 'takes the whole deposit and reserve into the account',
    facts: [
      ['deposit', etherWords(sender.Deposit)],
      ['reserve', etherWords(sender.Reserve.FundsRemaining)],
    ],
    question: 'Would you like to withdraw?',
  })
}

async function readFunds(
  session: Session,
  { withRound = false } = {},
): Promise<{ readonly sender: Sender; readonly round: bigint; readonly state: FundsState }> {
  const { control, write } = session
  const sender = await control.json('/senderInfo', senderAnswer)
  const round = await control.whole('/currentRound')
  writeFunds(session, sender)
  write(`Current Round: ${round}\n${withRound ? `Withdraw Round: ${sender.WithdrawRound}\n` : ''}`)
  return { sender, round, state: stateOf(sender, round) }
}

function stateOf({ Deposit, Reserve, WithdrawRound }: Sender, round: bigint): FundsState {
  if (Deposit === 0n && Reserve.FundsRemaining === 0n) return 'empty'
  if (WithdrawRound === 0n) return 'locked'
  return WithdrawRound > round ? 'unlocking' : 'unlocked'
}

function writeFunds({ write }: Session, { Deposit, Reserve }: Sender): void {
  write(`Current Deposit: ${etherWords(Deposit)}\nCurrent Reserve: ${etherWords(Reserve.FundsRemaining)}\n`)
}
