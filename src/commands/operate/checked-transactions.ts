import { assertSafeCall, type CalledContract, type WordedCall, wordsOfCall } from '../../domain/call-words.ts'
import { parseRecipient, parseUint256 } from '../../domain/chain-amounts.ts'
import { knownContracts } from '../../domain/known-contracts.ts'
import { ETH_NAMED, parseTypedAmount } from '../../domain/typed-amount.ts'
import { networkMaxOf } from '../../io/chain/gas-price.ts'
import { decodeCall } from '../../io/chain/known-calls.ts'
import type { SignedTransaction } from '../../io/chain/signed-transactions.ts'
import { etherAtLeast, gwei } from '../../lib/amounts.ts'
import type { Address } from '../../lib/crypto.ts'
import { messageOf } from '../../lib/errors.ts'
import { optionOf } from './actions.ts'
import type { ReadCommand } from './command-line.ts'
import { UsageError } from './environment.ts'

/** What a person at the machine with the key says about what is to be signed. */
export interface Expectation {
  readonly chainId: bigint
  readonly contracts: ReadonlyMap<Address, CalledContract>
  /** The most that the gas of all transactions may cost, in wei. */
  readonly maxCost: bigint
}

/** What of a transaction is checked. */
export interface CheckedTransaction extends Omit<SignedTransaction, 'hash' | 'from' | 'chainId'> {
  /** As the file says. */
  readonly about: string
}

const ARBITRUM_ONE = 42_161n
const DEFAULT_MAX_COST = 10n ** 17n
/** More than any call of the protocol takes. */
const MAX_GAS = 30_000_000n
const NAMES: readonly CalledContract[] = [
  ...(['BondingManager', 'LivepeerGovernor', 'LivepeerToken', 'LivepeerTokenFaucet', 'Poll'] as const),
  ...(['RoundsManager', 'ServiceRegistry', 'TicketBroker'] as const),
]

/** What the command line says. Throws UsageError. */
export function expectationOf(line: ReadCommand): Expectation {
  const [chain, most] = [optionOf(line, 'chain-id'), optionOf(line, 'max-cost')]
  try {
    const chainId = chain === null ? ARBITRUM_ONE : parseUint256(chain)
    const given = (line.lists.contract ?? []).map(namedContract)
    return {
      chainId,
      contracts: new Map([...knownContracts(chainId), ...given]),
      maxCost: most === null ? DEFAULT_MAX_COST : parseTypedAmount(most, ETH_NAMED),
    }
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(messageOf(error), { cause: error })
  }
}

/**
 * What each transaction does, by its data alone. Throws a sentence for one that is not understood, that says something else
 * than its file, that no command of an operator makes, or whose fees are absurd.
 */
export function checkedWords(
  {
    chainId,
    from,
    transactions,
  }: {
    readonly chainId: bigint
    readonly from: Address
    readonly transactions: readonly CheckedTransaction[]
  },
  { chainId: expected, contracts, maxCost }: Expectation,
): (WordedCall & { readonly maxCostWei: bigint })[] {
  if (chainId !== expected) {
    throw new Error(
      `it is for chain ${chainId}, and chain ${expected} is meant: if that is wrong, give --chain-id ${chainId}`,
    )
  }
  const checked = transactions.map((transaction, index) => {
    try {
      return wordsOf(transaction, index, { chainId, from, contracts, first: transactions[0]!.nonce })
    } catch (error) {
      throw new Error(`transaction ${index + 1} is refused: ${messageOf(error)}`, { cause: error })
    }
  })
  const cost = checked.reduce((sum, { maxCostWei }) => sum + maxCostWei, 0n)
  if (cost > maxCost) {
    throw new Error(
      `the gas may cost up to ${etherAtLeast(cost)}, more than ${etherAtLeast(maxCost)}: if that is meant, give --max-cost`,
    )
  }
  return checked
}

function wordsOf(
  transaction: CheckedTransaction,
  index: number,
  {
    chainId,
    contracts,
    first,
    from,
  }: {
    readonly chainId: bigint
    readonly from: Address
    readonly contracts: ReadonlyMap<Address, CalledContract>
    readonly first: number
  },
): WordedCall & { readonly maxCostWei: bigint } {
  const { about, gas, maxFeePerGas, maxPriorityFeePerGas, nonce, to } = transaction
  if (!contracts.has(to)) {
    throw new Error(
      `the contract at ${to} is not known on chain ${chainId}: if you know it, name it with --contract NAME=${to}`,
    )
  }
  const call = decodeCall(transaction, contracts)
  const words = wordsOfCall(call, contracts)
  assertSafeCall(call, { from, names: contracts })
  if (words.about !== about.trim()) {
    throw new Error(`the file says that it ${about.slice(0, 200)}, and its data that it ${words.about}`)
  }
  if (nonce !== first + index) throw new Error(`its nonce is ${nonce}, and ${first + index} is next`)
  if (gas > MAX_GAS)
    throw new Error(`its gas limit of ${gas} is above ${MAX_GAS}, which no call of the protocol takes`)
  const most = networkMaxOf(Number(chainId))
  if (maxFeePerGas > most) {
    throw new Error(
      `it offers ${gwei(maxFeePerGas)} for a unit of gas, above the ${gwei(most)} that this chain has ever asked for`,
    )
  }
  if (maxPriorityFeePerGas > maxFeePerGas) throw new Error('its tip is above its fee')
  return { ...words, maxCostWei: gas * maxFeePerGas }
}

function namedContract(text: string): readonly [Address, CalledContract] {
  const [, given = '', address = ''] = /^(\w+)=(\S+)$/.exec(text) ?? []
  const name = NAMES.find((one) => one === given)
  if (!name) throw new UsageError(`--contract is NAME=ADDRESS, with a name of ${NAMES.join(', ')}`)
  return [parseRecipient(address), name]
}
