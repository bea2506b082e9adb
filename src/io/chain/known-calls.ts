import { type Abi, decodeFunctionData, encodeFunctionData } from 'viem'
import type { CalledContract, DecodedCall } from '../../domain/call-words.ts'
import type { Hex } from '../../lib/bytes.ts'
import { type Address, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'
import { abis, type ContractAddresses } from './contracts.ts'

/** Why the data of a transaction is not understood. */
export type CalldataFault = 'unknown-contract' | 'unknown-function' | 'bad-calldata'

/** The longest data of an operator's call: a vote with its reason. */
const MAX_DATA_CHARS = 20_000

const ABI_OF: Readonly<Record<CalledContract, Abi>> = {
  BondingManager: abis.BondingManager,
  LivepeerGovernor: abis.LivepeerGovernor,
  LivepeerToken: abis.LivepeerToken,
  LivepeerTokenFaucet: abis.Faucet,
  Poll: abis.Poll,
  RoundsManager: abis.RoundsManager,
  ServiceRegistry: abis.ServiceRegistry,
  TicketBroker: abis.TicketBroker,
}

/** The contracts that an operator calls, by their addresses. */
export function calledContracts(addresses: ContractAddresses): ReadonlyMap<Address, CalledContract> {
  const { bondingManager, faucet, governor, roundsManager, serviceRegistry, ticketBroker, token } = addresses
  const named: readonly (readonly [Address, CalledContract])[] = [
    [bondingManager, 'BondingManager'],
    [faucet, 'LivepeerTokenFaucet'],
    [governor, 'LivepeerGovernor'],
    [roundsManager, 'RoundsManager'],
    [serviceRegistry, 'ServiceRegistry'],
    [ticketBroker, 'TicketBroker'],
    [token, 'LivepeerToken'],
  ]
  return new Map(named.filter(([address]) => address !== ZERO_ADDRESS))
}

/**
 * The call that a transaction makes. Only data in the form that the contract's ABI gives to exactly these arguments is
 * understood. Throws NodeError `unknown-contract`, `unknown-function`, `bad-calldata`.
 */
export function decodeCall(
  { data, to, value }: { readonly to: Address; readonly data: Hex; readonly value: bigint },
  contracts: ReadonlyMap<Address, CalledContract>,
): DecodedCall {
  const contract = contracts.get(to)
  if (contract === undefined) {
    throw new NodeError<CalldataFault>('unknown-contract', `no contract is known at ${to}`)
  }
  if (data.length > MAX_DATA_CHARS) {
    throw new NodeError<CalldataFault>(
      'bad-calldata',
      `its data has ${data.length} characters, of at most ${MAX_DATA_CHARS}`,
    )
  }
  const abi = ABI_OF[contract]
  const selector = data.slice(0, 10)
  let called: { functionName: string; args?: readonly unknown[] | undefined }
  try {
    called = decodeFunctionData({ abi, data })
  } catch (error) {
    throw new NodeError<CalldataFault>(
      'unknown-function',
      `${contract} has no function ${selector} with such arguments`,
      {
        cause: error,
      },
    )
  }
  const { args = [], functionName: method } = called
  if (encodeFunctionData({ abi, functionName: method, args }) !== data.toLowerCase()) {
    throw new NodeError<CalldataFault>(
      'bad-calldata',
      `its data for ${contract}.${method} is not in the usual form`,
    )
  }
  return { contract, address: to, method, args: args.map(argumentOf), value }
}

function argumentOf(value: unknown): bigint | string {
  if (typeof value === 'bigint' || typeof value === 'string') return value
  if (typeof value === 'number') return BigInt(value)
  throw new NodeError<CalldataFault>('bad-calldata', 'an argument is neither a number nor a text')
}
