import { exactAmount, LPT_TYPED } from '../../domain/typed-amount.ts'
import { type Address, ZERO_ADDRESS } from '../../lib/crypto.ts'
import {
  type Delegator,
  delegatorAnswer,
  type Lock,
  locksAnswer,
  orchestratorAnswer,
  orchestratorsAnswer,
} from './answers.ts'
import { address, amountIn, oneOf } from './readers.ts'
import { send } from './send.ts'
import { askFor, askYesNo, ItemError, type Session } from './session.ts'
import { listTable, titleBox } from './tables.ts'
import { etherWords, lpt, percentWords, priceWords } from './words.ts'

/** Lists the registered orchestrators, each with the number by which it is chosen. */
export async function listOrchestrators({ control, write }: Session): Promise<readonly Address[]> {
  const pool = await control.json('/registeredOrchestrators', orchestratorsAnswer)
  const rows = pool.map((one, id) => [
    ...[String(id), one.Address, String(one.Active), lpt(one.DelegatedStake)],
    ...[percentWords(one.RewardCut), percentWords(1_000_000n - one.FeeShare), one.ServiceURI],
    priceWords(one.PricePerPixel),
  ])
  const heads = ['ID', 'ADDRESS', 'ACTIVE', 'DELEGATED STAKE', 'REWARD CUT (%)', 'FEE CUT (%)', 'SERVICE URI']
  write(`${titleBox('REGISTERED ORCHESTRATORS')}${listTable([...heads, 'PRICE PER PIXEL'], rows)}`)
  return pool.map((one) => one.Address)
}

async function chosenOrchestrator(session: Session, verb: 'bond' | 'rebond'): Promise<Address> {
  const pool = await listOrchestrators(session)
  if (pool.length === 0) throw new ItemError('nothing-to-do', 'No orchestrator is registered to bond to')
  const numbers = pool.map((_, id) => BigInt(id))
  const read = (answer: string) => {
    if (answer.startsWith('0x')) return address(answer)
    return pool[Number(oneOf(numbers, 'orchestrator')(answer))]!
  }
  return askFor(
    session,
    `Enter the identifier of the orchestrator you would like to ${verb} to (or its address) -`,
    read,
  )
}

/** Invoke "bond". */
export async function bond(session: Session): Promise<void> {
  const { control, write } = session
  const to = await chosenOrchestrator(session, 'bond')
  const balance = await control.whole('/tokenBalance')
  const delegator = await control.json('/delegatorInfo', delegatorAnswer)
  write(`LPT balance: ${lpt(balance)}\n`)
  const moves = await movesStake(session, delegator, to)
  const most = { most: balance, mostIs: 'the balance' }
  const amount = await askFor(
    session,
    'Enter bond amount (in LPTU; or with its unit, such as 1.5 LPT) -',
    amountIn(LPT_TYPED, { ...most, least: moves ? 0n : 1n }),
  )
  await send(session, {
    path: '/bond',
    values: { amount: amount.toString(), toAddr: to },
    what: `bonds LPT to an orchestrator${moves ? ', and moves there what is bonded already' : ''}`,
    facts: [
      ['amount', both(amount)],
      ['to', to],
    ],
  })
}

/** Whether what is bonded moves along with a bond to this orchestrator. Throws ItemError where that would cost it twice. */
export async function movesStake(
  { control, write }: Session,
  { BondedAmount, DelegateAddress, PendingStake }: Delegator,
  to: Address,
): Promise<boolean> {
  if (BondedAmount === 0n || DelegateAddress === to) return false
  // The Go node takes what moves from the balance once more (operations.md §4).
  if (!(await control.takes('/bond', 'dryRun'))) {
    throw new ItemError(
      'wrong-node',
      `${lpt(BondedAmount)} is bonded to ${DelegateAddress}, and this node’s software would take as much again from the balance to move it: unbond first`,
    )
  }
  write(`${lpt(PendingStake)} is bonded to ${DelegateAddress} and moves along; 0 bonds nothing more\n`)
  return true
}

/** Invoke "unbond". */
export async function unbond(session: Session): Promise<void> {
  const { control } = session
  const delegator = await control.json('/delegatorInfo', delegatorAnswer)
  writeStake(session, delegator)
  const stake = wholeStake(delegator)
  if (stake === 0n) throw new ItemError('nothing-to-do', 'Nothing is bonded, so there is nothing to unbond')
  const isFull = await askYesNo(session, 'Would you like to fully unbond?')
  const most = { least: 1n, most: stake, mostIs: 'the stake with its rewards' }
  const amount = isFull
    ? stake
    : await askFor(
        session,
        'Enter unbond amount (in LPTU; or with its unit, such as 1.5 LPT) -',
        amountIn(LPT_TYPED, most),
      )
  // A node of this project reads the stake itself when it sends, so that a reward in between is not left behind.
  const isAll = isFull && (await control.takes('/unbond', 'dryRun'))
  await send(session, {
    path: '/unbond',
    values: { amount: isAll ? 'all' : amount.toString() },
    what: 'unbonds stake, which can be withdrawn some rounds later',
    facts: [['amount', both(amount)]],
  })
}

/** What is bonded, with the rewards that no transaction has claimed yet. */
function wholeStake({ BondedAmount, PendingStake }: Delegator): bigint {
  return PendingStake > BondedAmount ? PendingStake : BondedAmount
}

/** Invoke "rebond". */
export async function rebond(session: Session): Promise<void> {
  const { control, write } = session
  const delegator = await control.json('/delegatorInfo', delegatorAnswer)
  writeStake(session, delegator)
  const locks = await control.json('/unbondingLocks', locksAnswer)
  if (locks.length === 0) throw new ItemError('nothing-to-do', 'No unbonding locks')
  const lock = await chosenLock(session, locks, 'rebond with')
  const values = { unbondingLockId: lock.ID.toString() }
  const facts = [
    ['lock', lock.ID.toString()],
    ['amount', both(lock.Amount)],
  ] as const
  if (delegator.BondedAmount > 0n || delegator.DelegateAddress !== ZERO_ADDRESS) {
    await send(session, { path: '/rebond', values, what: 'bonds what the lock holds again', facts })
    return
  }
  write('You are unbonded - you will need to choose an address to rebond to.\n')
  const toAddr = await chosenOrchestrator(session, 'rebond')
  await send(session, {
    path: '/rebond',
    values: { ...values, toAddr },
    what: 'bonds what the lock holds to an orchestrator',
    facts: [...facts, ['to', toAddr]],
  })
}

/** Invoke "withdraw stake". */
export async function withdrawStake(session: Session): Promise<void> {
  const { control } = session
  writeStake(session, await control.json('/delegatorInfo', delegatorAnswer))
  const locks = await control.json('/unbondingLocks?withdrawable=true', locksAnswer)
  if (locks.length === 0) throw new ItemError('nothing-to-do', 'No withdrawable unbonding locks')
  const lock = await chosenLock(session, locks, 'withdraw with')
  await send(session, {
    path: '/withdrawStake',
    values: { unbondingLockId: lock.ID.toString() },
    what: 'takes what the lock holds into the account',
    facts: [
      ['lock', lock.ID.toString()],
      ['amount', both(lock.Amount)],
    ],
  })
}

/** Shows locks and asks for one of them. */
export async function chosenLock(session: Session, locks: readonly Lock[], to: string): Promise<Lock> {
  const rows = locks.map(({ Amount, ID, WithdrawRound }) => [
    ...[String(ID), lpt(Amount), String(WithdrawRound)],
  ])
  session.write(`${titleBox('UNBONDING LOCKS')}${listTable(['ID', 'AMOUNT', 'WITHDRAW ROUND'], rows)}`)
  const id = await askFor(
    session,
    `Enter the identifier of the unbonding lock you would like to ${to} -`,
    oneOf(
      locks.map(({ ID }) => ID),
      'unbonding lock',
    ),
  )
  return locks.find(({ ID }) => ID === id)!
}

/** Invoke "withdraw fees". */
export async function withdrawFees(session: Session): Promise<void> {
  const { control, write } = session
  const { PendingFees: fees } = await control.json('/delegatorInfo', delegatorAnswer)
  write(`Earned fees: ${etherWords(fees)}\n`)
  if (fees <= 0n) throw new ItemError('nothing-to-do', 'There are no fees to withdraw')
  await send(session, {
    path: '/withdrawFees',
    values: { amount: fees.toString() },
    what: 'pays all earned fees to the account',
    facts: [['amount', `${etherWords(fees)} (${fees} wei)`]],
  })
}

/** Invoke "transfer". */
export async function transfer(session: Session): Promise<void> {
  const { control, write } = session
  const balance = await control.whole('/tokenBalance')
  write(`Current LPT balance: ${both(balance)}\n`)
  const to = await askFor(session, 'Enter recipient address (in hex i.e. 0xfoo) -', address)
  const amount = await askFor(
    session,
    'Enter amount (in LPTU; or with its unit, such as 1.5 LPT) -',
    amountIn(LPT_TYPED, { least: 1n, most: balance, mostIs: 'the balance' }),
  )
  await send(session, {
    path: '/transferTokens',
    values: { to, amount: amount.toString() },
    what: 'sends LPT of the account',
    facts: [
      ['amount', both(amount)],
      ['to', to],
    ],
    question: `Are you sure you want to send ${lpt(amount)} to "${to}"?`,
  })
}

/** Invoke "reward". */
export async function reward(session: Session): Promise<void> {
  const { control, write } = session
  const { Transcoder: orchestrator } = await control.json('/orchestratorInfo', orchestratorAnswer)
  const round = await control.whole('/currentRound')
  if (orchestrator.LastRewardRound === round) {
    throw new ItemError('nothing-to-do', `Reward for current round ${round} already called`)
  }
  write(`Calling reward for round ${round}\n`)
  await send(session, {
    path: '/reward',
    what: `mints the reward of round ${round}`,
    facts: [['orchestrator', orchestrator.Address]],
  })
}

/** Invoke "initialize round". */
export async function initializeRound(session: Session): Promise<void> {
  await send(session, { path: '/initializeRound', what: 'initialises the current round' })
}

function writeStake({ write }: Session, delegator: Delegator): void {
  const { BondedAmount, DelegateAddress } = delegator
  write(`Current Bonded Amount: ${lpt(BondedAmount)}\n`)
  if (DelegateAddress !== ZERO_ADDRESS) write(`Current Delegate: ${DelegateAddress}\n`)
  const rewards = wholeStake(delegator) - BondedAmount
  if (rewards > 0n) write(`Rewards to claim with it: ${lpt(rewards)}\n`)
}

/** An amount of LPT in both units. */
function both(lptu: bigint): string {
  const words = exactAmount(lptu, LPT_TYPED)
  return words.endsWith(' LPTU') ? words : `${words} (${lptu} LPTU)`
}
