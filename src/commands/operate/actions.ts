import { parseRecipient, parseUint256 } from '../../domain/chain-amounts.ts'
import { parsePriceFlag } from '../../domain/price.ts'
import { ETH_NAMED, LPT_NAMED, parseTypedAmount } from '../../domain/typed-amount.ts'
import { messageOf } from '../../lib/errors.ts'
import { Rational } from '../../lib/rational.ts'
import type { ReadCommand } from './command-line.ts'
import { UsageError } from './environment.ts'

/** What a command asks of a node's control API. */
export interface ControlRequest {
  readonly path: string
  readonly values: Readonly<Record<string, string>>
}

/** What of a node a request may depend on. */
export interface NodeFacts {
  /** The account that sends, or would. */
  readonly from: string
}

/** A command that sends transactions. */
export interface Action {
  /** The role that a node has for it, where several answer. */
  readonly role: 'orchestrator' | 'gateway' | null
  /** Reads the command line, without asking any node. Throws UsageError. */
  readonly request: (line: ReadCommand) => (facts: NodeFacts) => ControlRequest
}

const MAX_URI_CHARS = 500
const MAX_REASON_CHARS = 1_000

/** The commands that send transactions, by their names. */
export const ACTIONS: Readonly<Record<string, Action>> = {
  'orchestrator register': { role: 'orchestrator', request: register },
  'orchestrator set': { role: 'orchestrator', request: setTerms },
  'orchestrator bond': {
    role: 'orchestrator',
    request: (line) => {
      const [amount] = takes(line, 'AMOUNT')
      const values = { amount: tokens('AMOUNT', amount) }
      const to = accountOf(line, 'to')
      return ({ from }) => ({ path: '/bond', values: { ...values, toAddr: to ?? from } })
    },
  },
  'orchestrator unbond': {
    role: 'orchestrator',
    request: (line) => {
      const [amount] = takes(line, 'AMOUNT|all')
      return fixed('/unbond', { amount: amount === 'all' ? amount : tokens('AMOUNT', amount) })
    },
  },
  'orchestrator rebond': {
    role: 'orchestrator',
    request: (line) => {
      const [lock] = takes(line, 'LOCK')
      const to = accountOf(line, 'to')
      return fixed('/rebond', { unbondingLockId: whole('LOCK', lock), ...(to !== null && { toAddr: to }) })
    },
  },
  'orchestrator withdraw-stake': {
    role: 'orchestrator',
    request: (line) => fixed('/withdrawStake', { unbondingLockId: whole('LOCK', takes(line, 'LOCK')[0]) }),
  },
  'orchestrator withdraw-fees': {
    role: 'orchestrator',
    request: (line) => {
      const [amount] = takes(line, 'AMOUNT|all')
      return fixed('/withdrawFees', { amount: amount === 'all' ? amount : ether('AMOUNT', amount) })
    },
  },
  'orchestrator transfer': {
    role: null,
    request: (line) => {
      const [amount, to] = takes(line, 'AMOUNT', 'ADDRESS')
      return fixed('/transferTokens', { amount: tokens('AMOUNT', amount), to: account('ADDRESS', to) })
    },
  },
  'orchestrator reward': { role: 'orchestrator', request: (line) => plainly(line, '/reward') },
  'gateway fund': { role: 'gateway', request: fund },
  'gateway unlock': { role: 'gateway', request: (line) => plainly(line, '/unlock') },
  'gateway cancel-unlock': { role: 'gateway', request: (line) => plainly(line, '/cancelUnlock') },
  'gateway withdraw': { role: 'gateway', request: (line) => plainly(line, '/withdraw') },
  vote: {
    role: null,
    request: (line) => {
      const [proposal, choice] = takes(line, 'PROPOSAL', 'for|against|abstain')
      const support = oneOf(choice, ['against', 'for', 'abstain'])
      const reason = optionOf(line, 'reason')
      if (reason !== null && reason.length > MAX_REASON_CHARS) {
        throw new UsageError(`--reason has ${reason.length} characters, of at most ${MAX_REASON_CHARS}`)
      }
      const values = { proposalID: whole('PROPOSAL', proposal), support: String(support) }
      return fixed('/voteOnProposal', { ...values, ...(reason !== null && { reason }) })
    },
  },
  poll: {
    role: null,
    request: (line) => {
      const [poll, choice] = takes(line, 'ADDRESS', 'yes|no')
      const values = { poll: account('ADDRESS', poll), choiceID: String(oneOf(choice, ['yes', 'no'])) }
      return fixed('/vote', values)
    },
  },
  'round init': { role: null, request: (line) => plainly(line, '/initializeRound') },
}

function register(line: ReadCommand): (facts: NodeFacts) => ControlRequest {
  takes(line)
  const [bond, lock] = [optionOf(line, 'bond'), optionOf(line, 'lock')]
  const values = {
    blockRewardCut: percent('reward-cut', needed(line, 'reward-cut')),
    feeShare: feeShareOf(needed(line, 'fee-cut')),
    ...priceOf(line, needed(line, 'price')),
    serviceURI: uriOf(needed(line, 'uri')),
    ...(bond !== null && { amount: tokens('--bond', bond) }),
    ...(lock !== null && { unbondingLockId: whole('--lock', lock) }),
  }
  return () => ({ path: '/activateOrchestrator', values })
}

function setTerms(line: ReadCommand): (facts: NodeFacts) => ControlRequest {
  takes(line)
  const [rewardCut, feeCut] = [optionOf(line, 'reward-cut'), optionOf(line, 'fee-cut')]
  const [uri, price] = [optionOf(line, 'uri'), optionOf(line, 'price')]
  if ((rewardCut === null) !== (feeCut === null)) {
    throw new UsageError('--reward-cut and --fee-cut are set together: give both')
  }
  if (rewardCut === null && uri === null && price === null) {
    throw new UsageError('nothing is to be changed: give --reward-cut and --fee-cut, --uri or --price')
  }
  if (price === null && optionOf(line, 'pixels') !== null) throw new UsageError('--pixels goes with --price')
  const values = {
    ...(rewardCut !== null && {
      blockRewardCut: percent('reward-cut', rewardCut),
      feeShare: feeShareOf(feeCut!),
    }),
    ...(uri !== null && { serviceURI: uriOf(uri) }),
    ...(price !== null && priceOf(line, price)),
    ...(line.options.persist === true && { persist: 'true' }),
  }
  return () => ({ path: '/setOrchestratorConfig', values })
}

function fund(line: ReadCommand): (facts: NodeFacts) => ControlRequest {
  takes(line)
  const [deposit, reserve] = ['deposit', 'reserve'].map((name) => {
    const given = optionOf(line, name)
    return given === null ? '0' : ether(`--${name}`, given)
  }) as [string, string]
  if (deposit === '0' && reserve === '0') throw new UsageError('give --deposit, --reserve or both')
  if (reserve === '0') return () => ({ path: '/fundDeposit', values: { amount: deposit } })
  const values = { depositAmount: deposit, reserveAmount: reserve }
  return () => ({ path: '/fundDepositAndReserve', values })
}

/** A price and the number of pixels it is for, as the parameters of a route. Throws UsageError. */
export function priceOf(line: ReadCommand, text: string): Record<string, string> {
  const { amount, currency } = reading('the price', () => parsePriceFlag(text))
  const pixels = optionOf(line, 'pixels')
  const count = pixels === null ? '1' : whole('--pixels', pixels)
  if (count === '0') throw new UsageError('--pixels is a number above 0')
  return { pricePerUnit: amount.toString(), pixelsPerUnit: count, ...(currency !== '' && { currency }) }
}

/** An address given as an option; null where it is not. Throws UsageError. */
export function accountOf(line: ReadCommand, name: string): string | null {
  const given = optionOf(line, name)
  return given === null ? null : account(`--${name}`, given)
}

/** An option's value; null where it is not given. */
export function optionOf({ options }: ReadCommand, name: string): string | null {
  const value = options[name]
  return typeof value === 'string' ? value : null
}

/** The arguments of a command, as many as there must be. Throws UsageError. */
export function takes<Names extends readonly string[]>(
  { command, words }: ReadCommand,
  ...names: Names
): { [Index in keyof Names]: string } {
  if (words.length === names.length) return words as unknown as { [Index in keyof Names]: string }
  const wanted = names.length === 0 ? 'no argument' : names.join(' ')
  throw new UsageError(`livepeer ${command.name} takes ${wanted}, not ${words.length} arguments`)
}

function plainly(line: ReadCommand, path: string): (facts: NodeFacts) => ControlRequest {
  takes(line)
  return fixed(path, {})
}

function fixed(path: string, values: Record<string, string>): (facts: NodeFacts) => ControlRequest {
  return () => ({ path, values })
}

function needed(line: ReadCommand, name: string): string {
  const value = optionOf(line, name)
  if (value === null) throw new UsageError(`livepeer ${line.command.name} needs --${name}`)
  return value
}

function reading<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new UsageError(`${what}: ${messageOf(error)}`, { cause: error })
  }
}

function tokens(what: string, text: string): string {
  return reading(what, () => parseTypedAmount(text, LPT_NAMED)).toString()
}

function ether(what: string, text: string): string {
  return reading(what, () => parseTypedAmount(text, ETH_NAMED)).toString()
}

function whole(what: string, text: string): string {
  return reading(what, () => parseUint256(text)).toString()
}

function account(what: string, text: string): string {
  return reading(what, () => parseRecipient(text))
}

function oneOf(text: string, choices: readonly string[]): number {
  const index = choices.indexOf(text)
  if (index < 0)
    throw new UsageError(`${JSON.stringify(text.slice(0, 40))} is not a choice: one of ${choices.join(', ')}`)
  return index
}

const PERCENT = /^(?:100(?:\.0{1,4})?|\d{1,2}(?:\.\d{1,4})?)$/

function percent(name: string, text: string): string {
  const number = text.replace(/ ?%$/, '')
  if (PERCENT.test(number)) return number
  throw new UsageError(
    `--${name} is a number from 0 to 100 with at most four decimals, not ${JSON.stringify(text.slice(0, 40))}`,
  )
}

/** What is given away is the rest of what is kept. */
function feeShareOf(feeCut: string): string {
  const kept = Rational.parse(percent('fee-cut', feeCut))
  return Rational.of(100n)
    .sub(kept)
    .toFixed(4)
    .replace(/\.?0+$/, '')
}

function uriOf(text: string): string {
  const url = URL.parse(text)
  if (url && url.protocol === 'https:' && url.hostname !== '' && text.length <= MAX_URI_CHARS) return text
  throw new UsageError(
    `--uri is an address such as https://orchestrator.example:8935, not ${JSON.stringify(text.slice(0, 80))}`,
  )
}
