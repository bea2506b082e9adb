import { LPT_TYPED } from '../../domain/typed-amount.ts'
import type { Address } from '../../lib/crypto.ts'
import {
  delegatorAnswer,
  locksAnswer,
  orchestratorAnswer,
  type RegisteredOrchestrator,
  statusAnswer,
} from './answers.ts'
import type { CallValues } from './control.ts'
import { accountOf } from './node-facts.ts'
import { amountIn, currency, percent, pixels, price, serviceUri } from './readers.ts'
import { send } from './send.ts'
import { askFor, askYesNo, ItemError, type Session } from './session.ts'
import { chosenLock, movesStake } from './staking-items.ts'
import type { Fact } from './tables.ts'
import { lpt, percentWords, priceIn } from './words.ts'

const WHOLE = 1_000_000n
/** What a new orchestrator keeps, unless it says otherwise (operations.md §5). */
const NEW_CUTS = { reward: 100_000n, fee: 950_000n }

interface Terms {
  readonly values: CallValues
  readonly facts: readonly Fact[]
}

/** Invoke multi-step "become an orchestrator". */
export async function becomeOrchestrator(session: Session): Promise<void> {
  const { control, write } = session
  const delegator = await control.json('/delegatorInfo', delegatorAnswer)
  const balance = await control.whole('/tokenBalance')
  const { PriceInfo, Transcoder: now } = await control.json('/orchestratorInfo', orchestratorAnswer)
  const account = await accountOf(session)
  write(`Current token balance: ${lpt(balance)}\nCurrent bonded amount: ${lpt(delegator.BondedAmount)}\n`)
  if (now.Address !== account) throw servesAnother(now.Address, account)
  const cuts = await askCuts(session, now)
  const asked = await askPrice(session, PriceInfo)
  const address = await askServiceUri(session, now)
  const isBonded = delegator.BondedAmount > 0n && delegator.DelegateAddress === account
  const stake = isBonded
    ? NONE
    : await askStake(session, balance, await movesStake(session, delegator, account))
  const isSent = await send(session, {
    path: '/activateOrchestrator',
    values: { ...cuts.values, ...asked.values, ...address.values, ...stake.values },
    what: 'makes the account an orchestrator, in steps: stake, cuts, address, price',
    facts: [...stake.facts, ...cuts.facts, ...asked.facts, ...address.facts],
  })
  if (isSent) write('It is active from the next round, if its stake is among the largest.\n')
}

/** Set orchestrator config. */
export async function setOrchestratorConfig(session: Session): Promise<void> {
  const { control, facts, write } = session
  if (facts.chainId === 0n) {
    throw new ItemError('wrong-node', 'Cannot set Orchestrator config in off-chain mode')
  }
  const balance = await control.whole('/tokenBalance')
  const { PriceInfo, Transcoder: now } = await control.json('/orchestratorInfo', orchestratorAnswer)
  const account = await accountOf(session)
  write(`Current token balance: ${lpt(balance)}\n`)
  if (now.Address !== account) {
    write(
      `This node works for ${now.Address} with the account ${account}: cuts and address are set with the key of ${now.Address}, and only the price here.\n`,
    )
    const asked = await askPrice(session, PriceInfo)
    await setConfig(session, 'changes the price that this node asks', [asked])
    return
  }
  const cuts = await askCuts(session, now)
  const asked = await askPrice(session, PriceInfo)
  const address = await askServiceUri(session, now)
  await setConfig(session, 'changes cuts, price and address, those that differ', [cuts, asked, address])
}

async function setConfig(session: Session, what: string, terms: readonly Terms[]): Promise<void> {
  await send(session, {
    ...{ path: '/setOrchestratorConfig', what },
    values: Object.assign({}, ...terms.map(({ values }) => values)) as CallValues,
    facts: terms.flatMap(({ facts }) => facts),
  })
}

const NONE: Terms = { values: {}, facts: [] }

async function askCuts(session: Session, now: RegisteredOrchestrator): Promise<Terms> {
  const isNew = now.Status !== 'Registered'
  const [rewardNow, feeNow] = [now.RewardCut, WHOLE - now.FeeShare]
  const ask = (name: string, current: bigint, fresh: bigint) => {
    const text = `Enter ${name} percentage (current=${percentWords(current)}) -`
    return askFor(session, text, percent, percentWords(isNew ? fresh : current))
  }
  const rewardCut = await ask('block reward cut', rewardNow, NEW_CUTS.reward)
  const feeCut = await ask('fee cut', feeNow, NEW_CUTS.fee)
  return {
    values: { blockRewardCut: percentWords(rewardCut), feeShare: percentWords(WHOLE - feeCut) },
    facts: [
      ['it keeps of its rewards', `${percentWords(rewardCut)} %`],
      ['it keeps of its fees', `${percentWords(feeCut)} %`],
    ],
  }
}

/** Asks what a pixel costs; what the node asks now is the default. */
export async function askPrice(session: Session, now: string | null | undefined): Promise<Terms> {
  const current = priceIn(now)
  session.write(
    'Enter a transcoding base price in wei per pixels\neg. 1 wei / 10 pixels = 0,1 wei per pixel\n',
  )
  const pixelsPerUnit = await askFor(
    session,
    'Enter amount of pixels that make up a single unit',
    pixels,
    (current?.den ?? 1n).toString(),
  )
  const unit = await askFor(session, 'Enter the currency for the price per unit', currency, 'Wei')
  const isSame = current !== null && pixelsPerUnit === current.den.toString() && unit.toLowerCase() === 'wei'
  const fallback = isSame || current === null ? (current?.num ?? 0n).toString() : undefined
  const pricePerUnit = await askFor(
    session,
    `Enter the price for ${pixelsPerUnit} pixels in ${unit}`,
    price,
    fallback,
  )
  return {
    values: { pricePerUnit, pixelsPerUnit, currency: unit },
    facts: [['price', `${pricePerUnit} ${unit} for ${pixelsPerUnit} pixels`]],
  }
}

async function askServiceUri(session: Session, now: RegisteredOrchestrator): Promise<Terms> {
  const own = (await session.control.json('/status', statusAnswer)).serviceUri
  const known = [now.ServiceURI, own ?? ''].find(isServiceUri)
  const uri = await askFor(session, 'Enter the public host:port of node', serviceUri, known)
  return { values: { serviceURI: uri }, facts: [['address', uri]] }
}

function isServiceUri(text: string): boolean {
  try {
    return serviceUri(text) === text
  } catch {
    return false
  }
}

async function askStake(session: Session, balance: bigint, moves: boolean): Promise<Terms> {
  const { control, write } = session
  write('You must bond to yourself in order to become an orchestrator\n')
  const locks = await control.json('/unbondingLocks', locksAnswer)
  if (locks.length > 0) {
    const question = 'You have some unbonding locks. Would you like to use one to rebond to yourself?'
    if (await askYesNo(session, question)) {
      const lock = await chosenLock(session, locks, 'rebond to yourself with')
      return {
        values: { unbondingLockId: lock.ID.toString() },
        facts: [['it bonds again', `lock ${lock.ID}, ${lpt(lock.Amount)}`]],
      }
    }
  }
  const amount = await askFor(
    session,
    'Enter bond amount (in LPTU; or with its unit, such as 1.5 LPT) -',
    amountIn(LPT_TYPED, { least: moves ? 0n : 1n, most: balance, mostIs: 'the balance' }),
  )
  return { values: { amount: amount.toString() }, facts: [['it bonds', lpt(amount)]] }
}

function servesAnother(registered: Address, account: Address): ItemError {
  return new ItemError(
    'wrong-node',
    `This node works for the orchestrator ${registered} with the account ${account}: register with the key of ${registered}, or leave out -ethOrchAddr to make ${account} an orchestrator of its own`,
  )
}
