import { type Address, ZERO_ADDRESS } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import { quoted } from '../lib/printable.ts'
import { Rational } from '../lib/rational.ts'
import { ETH_TYPED, exactAmount, LPT_TYPED } from './typed-amount.ts'

/** The contracts that an operator calls, by the names under which the Controller knows them; a poll has none there. */
export type CalledContract =
  | 'BondingManager'
  | 'LivepeerGovernor'
  | 'LivepeerToken'
  | 'LivepeerTokenFaucet'
  | 'Poll'
  | 'RoundsManager'
  | 'ServiceRegistry'
  | 'TicketBroker'

/** A call of a contract's function, decoded: integers are bigints, addresses have their checksum. */
export interface DecodedCall {
  readonly contract: CalledContract
  readonly address: Address
  readonly method: string
  readonly args: readonly (bigint | string)[]
  /** Wei that are sent along. */
  readonly value: bigint
}

/** One argument of a call. */
export interface WordedArgument {
  readonly name: string
  /** As the contract takes it. */
  readonly value: string
  /** With its unit, for people. */
  readonly words: string
}

/** A call in words. */
export interface WordedCall {
  readonly contract: CalledContract
  readonly address: Address
  readonly method: string
  /** What it does, without a full stop. */
  readonly about: string
  readonly args: readonly WordedArgument[]
  readonly valueWei: bigint
}

/** Why a call is not put into words. */
export type CallFault =
  | 'unknown-method'
  /** It is one, and does what no operator means. */
  | 'unsafe-call'

type Kind = 'account' | 'cut' | 'hint' | 'lptu' | 'number' | 'support' | 'text' | 'wei' | 'yes-or-no'

interface Method {
  readonly args: readonly (readonly [name: string, kind: Kind])[]
  /** Takes the arguments in words. */
  readonly about: (words: readonly string[], call: DecodedCall) => string
  /** Whether it takes ether; what it must be then, if that is settled by the arguments. */
  readonly takesValue?: (args: DecodedCall['args']) => bigint | null
}

const NEIGHBOURS = [
  ['newPosPrev', 'hint'],
  ['newPosNext', 'hint'],
] as const

/** The functions that an operator calls (chain.md §3.2). */
const METHODS: Readonly<Record<CalledContract, Readonly<Record<string, Method>>>> = {
  BondingManager: {
    bondWithHint: {
      args: [
        ['amount', 'lptu'],
        ['to', 'account'],
        ['oldDelegateNewPosPrev', 'hint'],
        ['oldDelegateNewPosNext', 'hint'],
        ['currDelegateNewPosPrev', 'hint'],
        ['currDelegateNewPosNext', 'hint'],
      ],
      about: ([amount, to]) => `bonds ${amount} to ${to}, and moves there what is bonded already`,
    },
    unbondWithHint: {
      args: [['amount', 'lptu'], ...NEIGHBOURS],
      about: ([amount]) => `unbonds ${amount}, which can be withdrawn some rounds later`,
    },
    rebondWithHint: {
      args: [['unbondingLockId', 'number'], ...NEIGHBOURS],
      about: ([id]) => `bonds the LPT of lock ${id} again`,
    },
    rebondFromUnbondedWithHint: {
      args: [['to', 'account'], ['unbondingLockId', 'number'], ...NEIGHBOURS],
      about: ([to, id]) => `bonds the LPT of lock ${id} to ${to}`,
    },
    transcoder: {
      args: [
        ['rewardCut', 'cut'],
        ['feeShare', 'cut'],
      ],
      about: ([rewardCut, feeShare]) =>
        `registers the account as an orchestrator that keeps ${rewardCut} of its rewards and gives away ${feeShare} of its fees`,
    },
    withdrawStake: {
      args: [['unbondingLockId', 'number']],
      about: ([id]) => `takes the LPT of lock ${id} into the account`,
    },
    withdrawFees: {
      args: [
        ['recipient', 'account'],
        ['amount', 'wei'],
      ],
      about: ([recipient, amount]) => `pays ${amount} of earned fees to ${recipient}`,
    },
    claimEarnings: {
      args: [['endRound', 'number']],
      about: ([round]) => `credits what was earned up to round ${round}`,
    },
    rewardWithHint: { args: NEIGHBOURS, about: () => 'mints the reward of this round for the account' },
    rewardForTranscoderWithHint: {
      args: [['transcoder', 'account'], ...NEIGHBOURS],
      about: ([orchestrator]) => `mints the reward of this round for ${orchestrator}`,
    },
  },
  LivepeerGovernor: {
    castVote: {
      args: [
        ['proposalId', 'number'],
        ['support', 'support'],
      ],
      about: ([id, support]) => `casts the vote ${support} on proposal ${id}`,
    },
    castVoteWithReason: {
      args: [
        ['proposalId', 'number'],
        ['support', 'support'],
        ['reason', 'text'],
      ],
      about: ([id, support, reason]) =>
        `casts the vote ${support} on proposal ${id}, with the reason ${reason}`,
    },
  },
  LivepeerToken: {
    approve: {
      args: [
        ['spender', 'account'],
        ['amount', 'lptu'],
      ],
      about: ([spender, amount]) => `lets ${spender} take up to ${amount}`,
    },
    transfer: {
      args: [
        ['to', 'account'],
        ['amount', 'lptu'],
      ],
      about: ([to, amount]) => `sends ${amount} to ${to}`,
    },
  },
  LivepeerTokenFaucet: { request: { args: [], about: () => 'asks the test faucet for LPT' } },
  Poll: {
    vote: {
      args: [['choiceId', 'yes-or-no']],
      about: ([choice], { address }) => `votes ${choice} in the poll ${address}`,
    },
  },
  RoundsManager: { initializeRound: { args: [], about: () => 'initialises the current round' } },
  ServiceRegistry: {
    setServiceURI: {
      args: [['serviceURI', 'text']],
      about: ([uri]) => `registers ${uri} as the address where gateways reach the account’s orchestrator`,
    },
  },
  TicketBroker: {
    fundDeposit: {
      args: [],
      about: (_, { value }) => `adds ${exactAmount(value, ETH_TYPED)} to the deposit`,
      takesValue: () => null,
    },
    fundDepositAndReserve: {
      args: [
        ['depositAmount', 'wei'],
        ['reserveAmount', 'wei'],
      ],
      about: ([deposit, reserve]) => `adds ${deposit} to the deposit and ${reserve} to the reserve`,
      takesValue: ([deposit, reserve]) => (deposit as bigint) + (reserve as bigint),
    },
    unlock: {
      args: [],
      about: () => 'unlocks deposit and reserve, which can be withdrawn some rounds later',
    },
    cancelUnlock: { args: [], about: () => 'locks deposit and reserve again' },
    withdraw: { args: [], about: () => 'takes deposit and reserve into the account' },
  },
}

/**
 * A call in words: what it does, and each argument with its name and unit. `names`: contracts by their addresses. Throws
 * NodeError `unknown-method`.
 */
export function wordsOfCall(call: DecodedCall, names: ReadonlyMap<Address, string>): WordedCall {
  const { address, args, contract, method, value } = call
  const known = methodOf(call)
  const words = args.map((arg, index) => wordsOf(arg, known.args[index]![1], names))
  return {
    ...{ contract, address, method, about: known.about(words, call), valueWei: value },
    args: args.map((arg, index) => ({
      name: known.args[index]![0],
      value: String(arg),
      words: words[index]!,
    })),
  }
}

/**
 * Throws NodeError `unsafe-call` for a call that no command of an operator makes, although it is understood: ether sent to
 * a function that keeps none, tokens opened to another contract than the one for bonding, fees paid to somebody else.
 */
export function assertSafeCall(
  call: DecodedCall,
  { from, names }: { readonly from: Address; readonly names: ReadonlyMap<Address, string> },
): void {
  const { args, contract, method, value } = call
  const known = methodOf(call)
  const { takesValue } = known
  const called = `${contract}.${method}`
  if (!takesValue && value > 0n)
    throw unsafe(`${called} takes no ether, and ${exactAmount(value, ETH_TYPED)} are sent along`)
  const due = takesValue?.(args) ?? value
  if (due !== value) {
    throw unsafe(
      `${called} takes ${exactAmount(due, ETH_TYPED)} by its arguments, and ${exactAmount(value, ETH_TYPED)} are sent along`,
    )
  }
  const [first] = args
  if (called === 'LivepeerToken.approve' && names.get(first as Address) !== 'BondingManager') {
    throw unsafe(`it would let ${first} take LPT, which is not the BondingManager`)
  }
  if (called === 'BondingManager.withdrawFees' && first !== from) {
    throw unsafe(`it would pay the fees to ${first}, not to the account ${from}`)
  }
  args.forEach((arg, index) => {
    const [name, kind] = known.args[index]!
    if (kind === 'account' && arg === ZERO_ADDRESS)
      throw unsafe(`its ${name} is the zero address, which is nobody’s`)
    const choices = kind === 'support' ? SUPPORT : kind === 'yes-or-no' ? CHOICES : null
    if (choices && (arg as bigint) >= BigInt(choices.length))
      throw unsafe(`its ${name} ${arg} is not a choice`)
    if (kind === 'cut' && (arg as bigint) > PARTS_OF_CUT) throw unsafe(`its ${name} is more than 100 %`)
  })
}

function methodOf({ args, contract, method }: DecodedCall): Method {
  const methods = METHODS[contract]
  const known = Object.hasOwn(methods, method) ? methods[method]! : null
  if (known && known.args.length === args.length) return known
  throw new NodeError<CallFault>('unknown-method', `${contract}.${method} is no call of an operator`)
}

const PARTS_PER_PERCENT = 10_000n
const PARTS_OF_CUT = 100n * PARTS_PER_PERCENT
const SUPPORT = ['against', 'for', 'abstain']
const CHOICES = ['yes', 'no']

function wordsOf(arg: bigint | string, kind: Kind, names: ReadonlyMap<Address, string>): string {
  if (typeof arg === 'string') {
    if (kind === 'text') return quoted(arg)
    if (kind === 'hint' && arg === ZERO_ADDRESS) return 'none'
    const name = names.get(arg as Address)
    return name === undefined ? arg : `${arg} (${name})`
  }
  switch (kind) {
    case 'lptu':
      return exactAmount(arg, LPT_TYPED)
    case 'wei':
      return exactAmount(arg, ETH_TYPED)
    case 'cut':
      return `${Rational.of(arg, PARTS_PER_PERCENT)
        .toFixed(4)
        .replace(/\.?0+$/, '')} %`
    case 'support':
      return SUPPORT[Number(arg)] ?? arg.toString()
    case 'yes-or-no':
      return CHOICES[Number(arg)] ?? arg.toString()
    default:
      return arg.toString()
  }
}

function unsafe(what: string): NodeError<CallFault> {
  return new NodeError<CallFault>('unsafe-call', what)
}
