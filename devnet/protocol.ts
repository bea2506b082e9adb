import { setTimeout as sleep } from 'node:timers/promises'
import {
  decodeEventLog,
  decodeFunctionResult,
  encodeDeployData,
  encodeEventTopics,
  encodeFunctionData,
  getAddress,
  pad,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { type ContractAddresses, contractId } from '../src/io/chain/contracts.ts'
import type { Hex } from '../src/lib/bytes.ts'
import { type Address, ZERO_ADDRESS } from '../src/lib/crypto.ts'
import { isAbort, NodeError } from '../src/lib/errors.ts'
import type { Anvil } from './anvil.ts'
import { type ArtifactName, artifact, linkedBytecode, ZERO_ANSWER_BYTECODE } from './artifacts.ts'

/** Protocol parameters of the development network: the suggested profile of contracts.md §2 with shorter rounds. */
export interface ProtocolParameters {
  /** Blocks. */
  readonly roundLength: bigint
  /** Part of a round, at its end, in which terms cannot be changed; of 1 000 000. */
  readonly roundLockAmount: bigint
  /** Orchestrators in the active set. */
  readonly poolSize: bigint
  /** Rounds. */
  readonly unbondingPeriod: bigint
  /** Rounds. */
  readonly unlockPeriod: bigint
  /** Rounds. */
  readonly ticketValidityPeriod: bigint
  /** Of 10^9. */
  readonly inflation: bigint
  readonly inflationChange: bigint
  readonly targetBondingRate: bigint
}

/** Defaults of `Protocol.deploy`. */
const defaultParameters: ProtocolParameters = {
  roundLength: 50n,
  roundLockAmount: 100_000n,
  poolSize: 10n,
  unbondingPeriod: 7n,
  unlockPeriod: 2n,
  ticketValidityPeriod: 2n,
  inflation: 218_500n,
  inflationChange: 500n,
  targetBondingRate: 500_000_000n,
}

/** Redemptions according to the chain's logs, never a node's own figures. */
export interface RedemptionTotals {
  /** Tickets redeemed, paid or not. */
  readonly redeemed: number
  /** Distinct tickets: fewer than `redeemed` would mean a double redemption. */
  readonly distinct: number
  /** Of these, how many paid something. */
  readonly paying: number
  /** Sum of the face values, wei. */
  readonly faceValue: bigint
  /** Total amount paid, in wei. */
  readonly paid: bigint
  /** Wei spent on gas. */
  readonly fees: bigint
  /** The orchestrators that were paid. */
  readonly recipients: ReadonlySet<Address>
  /** The senders of the transactions. */
  readonly redeemers: ReadonlySet<Address>
}

interface Receipt {
  readonly transactionHash: Hex
  readonly status: Hex
  readonly contractAddress: Hex | null
  readonly gasUsed: Hex
  readonly effectiveGasPrice: Hex
  readonly from: Address
}

interface Log {
  readonly transactionHash: Hex
  readonly data: Hex
  readonly topics: [Hex, ...Hex[]]
}

interface Call {
  readonly to: Address
  readonly data: Hex
  readonly value?: bigint
}

const LPT = 10n ** 18n
/** Supply of the official test networks for faucet and deployer (contracts.md §2). */
const FAUCET_SUPPLY = 6_343_700n * LPT
const DEPLOYER_SUPPLY = 500_000n * LPT
const FAUCET_AMOUNT = 10n * LPT
const FAUCET_WAIT_HOURS = 1n
/** Enough for every call here; the largest creation needs about five million. */
const GAS = 12_000_000n
const CALL_GAS = 2_000_000n
const MAX_FEE = 100n * 10n ** 9n
const TIP = 10n ** 9n
/** An account below this gets ether before it sends. */
const LOW_BALANCE = 10n ** 18n
const FRESH_BALANCE = 100n * 10n ** 18n
const RECEIPT_POLL_MS = 50
const RECEIPT_TIMEOUT_MS = 60_000
const ROUND_POLL_MS = 200
const NO_COMMIT = `0x${'00'.repeat(20)}` as Hex
const MINTER_ROLE = contractId('MINTER_ROLE')

/** The protocol's official contracts on an anvil, and the actions that a development network needs. */
export class Protocol {
  readonly addresses: ContractAddresses
  readonly parameters: ProtocolParameters
  readonly #anvil: Anvil
  #initializing: Promise<void> | null = null
  readonly #owner: Address

  private constructor(
    anvil: Anvil,
    owner: Address,
    addresses: ContractAddresses,
    parameters: ProtocolParameters,
  ) {
    this.#anvil = anvil
    this.#owner = owner
    this.addresses = addresses
    this.parameters = parameters
  }

  /**
   * Deploys, links, proxies and registers the contracts in the order of contracts.md §1, and initialises the first
   * round. Afterwards anvil mines a block per transaction; `mineEvery` starts the clock.
   */
  static async deploy(anvil: Anvil, wanted: Partial<ProtocolParameters> = {}): Promise<Protocol> {
    const parameters = { ...defaultParameters, ...wanted }
    await anvil.mineAtOnce()
    const [owner] = await anvil.request<Address[]>('eth_accounts')
    const addresses = await new Deployment(anvil, owner!).run(parameters)
    const protocol = new Protocol(anvil, getAddress(owner!), addresses, parameters)
    await protocol.nextRound()
    return protocol
  }

  /** Calls a view of a registered contract. */
  async read<Result = bigint>(
    contract: ArtifactName,
    functionName: string,
    args: readonly unknown[] = [],
  ): Promise<Result> {
    return read<Result>(this.#anvil, this.#addressOf(contract), contract, functionName, args)
  }

  /** Mines up to the start of the next round and initialises it. */
  async nextRound(): Promise<bigint> {
    await this.mineTo((await this.roundStart()) + this.parameters.roundLength)
    await this.initializeRound()
    return this.read('RoundsManager', 'lastInitializedRound')
  }

  /** The first block of the current round. */
  async roundStart(): Promise<bigint> {
    return this.read('RoundsManager', 'currentRoundStartBlock')
  }

  /** Mines up to a block, unless the chain is already there. */
  async mineTo(block: bigint): Promise<void> {
    const head = await this.blockNumber()
    if (block > head) await this.#anvil.mine(Number(block - head))
  }

  /**
   * Initialises the current round if necessary. Others may do so at the same time, so a failed transaction is not an
   * error.
   */
  async initializeRound(): Promise<void> {
    // The chain refuses the same transaction twice.
    this.#initializing ??= this.#initialize().finally(() => {
      this.#initializing = null
    })
    await this.#initializing
  }

  async #initialize(): Promise<void> {
    const isDone = () => this.read<boolean>('RoundsManager', 'currentRoundInitialized')
    if (await isDone()) return
    try {
      await this.ownerCalls('RoundsManager', 'initializeRound')
    } catch (error) {
      if (!(await isDone())) throw error
    }
  }

  /** Initialises every round until aborted. Retries if the chain does not answer. */
  async keepRoundsInitialized(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.initializeRound().catch(() => {})
      await sleep(ROUND_POLL_MS, undefined, { signal }).catch((error) => {
        if (!isAbort(error)) throw error
      })
    }
  }

  /** Bonds `stake` to itself and sets terms and service URI: an orchestrator that is active from the next round on. */
  async bondAndRegister(
    key: Hex,
    terms: { stake: bigint; rewardCut?: bigint; feeShare?: bigint; serviceUri: string },
  ): Promise<Address> {
    const { address } = privateKeyToAccount(key)
    const { bondingManager, serviceRegistry, token } = this.addresses
    await this.ownerCalls('LivepeerToken', 'transfer', [address, terms.stake])
    await this.send(key, [
      { to: token, data: encode('LivepeerToken', 'approve', [bondingManager, terms.stake]) },
      { to: bondingManager, data: encode('BondingManager', 'bond', [terms.stake, address]) },
      {
        to: bondingManager,
        data: encode('BondingManager', 'transcoder', [
          terms.rewardCut ?? 100_000n,
          terms.feeShare ?? 500_000n,
        ]),
      },
      { to: serviceRegistry, data: encode('ServiceRegistry', 'setServiceURI', [terms.serviceUri]) },
    ])
    return address
  }

  /** Creates a sender's deposit and reserve, in wei, from its own newly funded account. */
  async fundSender(key: Hex, deposit: bigint, reserve: bigint): Promise<Address> {
    const { address } = privateKeyToAccount(key)
    const balance = BigInt(await this.#anvil.request<Hex>('eth_getBalance', [address, 'latest']))
    await this.#anvil.setBalance(address, balance + deposit + reserve)
    const data = encode('TicketBroker', 'fundDepositAndReserve', [deposit, reserve])
    await this.send(key, [{ to: this.addresses.ticketBroker, data, value: deposit + reserve }])
    return address
  }

  /** Calls a registered contract with a key; resolves with the fee once it is mined. */
  async call(
    key: Hex,
    contract: ArtifactName,
    functionName: string,
    args: readonly unknown[] = [],
    value = 0n,
  ): Promise<void> {
    await this.send(key, [
      { to: this.#addressOf(contract), data: encode(contract, functionName, args), value },
    ])
  }

  /** Calls as the owner of the contracts, which may change their parameters. */
  async ownerCalls(
    contract: ArtifactName,
    functionName: string,
    args: readonly unknown[] = [],
  ): Promise<void> {
    const data = encode(contract, functionName, args)
    await sendAs(
      this.#anvil,
      this.#owner,
      { to: this.#addressOf(contract), data, gas: CALL_GAS },
      functionName,
    )
  }

  /** Sends transactions of one account, all at once, and waits until they are mined. */
  async send(key: Hex, calls: readonly Call[]): Promise<void> {
    const account = privateKeyToAccount(key)
    const balance = BigInt(await this.#anvil.request<Hex>('eth_getBalance', [account.address, 'latest']))
    const value = calls.reduce((sum, call) => sum + (call.value ?? 0n), 0n)
    if (balance - value < LOW_BALANCE) await this.#anvil.setBalance(account.address, value + FRESH_BALANCE)
    const first = Number(
      await this.#anvil.request<Hex>('eth_getTransactionCount', [account.address, 'pending']),
    )
    const hashes: Hex[] = []
    for (const [index, call] of calls.entries()) {
      const raw = await account.signTransaction({
        ...call,
        type: 'eip1559',
        chainId: this.#anvil.chainId,
        nonce: first + index,
        gas: CALL_GAS,
        maxFeePerGas: MAX_FEE,
        maxPriorityFeePerGas: TIP,
      })
      hashes.push(await this.#anvil.request<Hex>('eth_sendRawTransaction', [raw]))
    }
    for (const hash of hashes) await minedReceipt(this.#anvil, hash, 'transaction')
  }

  /** Redemptions since the contracts were deployed, of all senders or of one, read from the chain. */
  async redemptions(sender?: Address): Promise<RedemptionTotals> {
    // The sender is the first indexed parameter of all events that count here.
    const topics = sender === undefined ? {} : { topics: [null, pad(sender).toLowerCase()] }
    const logs = await this.#anvil.request<Log[]>('eth_getLogs', [
      { address: this.addresses.ticketBroker, fromBlock: '0x0', toBlock: 'latest', ...topics },
    ])
    const hashes = new Set<Hex>()
    const tickets = new Set<string>()
    const recipients = new Set<Address>()
    const redeemers = new Set<Address>()
    const totals = { redeemed: 0, paying: 0, faceValue: 0n, paid: 0n, fees: 0n }
    for (const log of logs) {
      const event = decodeEventLog({ abi: artifact('TicketBroker').abi, data: log.data, topics: log.topics })
      const args = event.args as unknown as Record<string, bigint> & { recipient: Address }
      if (event.eventName === 'WinningTicketRedeemed') {
        totals.redeemed++
        totals.faceValue += args.faceValue!
        hashes.add(log.transactionHash)
        tickets.add(`${args.recipientRand} ${args.senderNonce}`)
        recipients.add(args.recipient)
      } else if (event.eventName === 'WinningTicketTransfer') {
        totals.paying++
        totals.paid += args.amount!
      }
    }
    const receipts = await Promise.all(
      [...hashes].map((hash) => this.#anvil.request<Receipt>('eth_getTransactionReceipt', [hash])),
    )
    for (const receipt of receipts) {
      totals.fees += BigInt(receipt.gasUsed) * BigInt(receipt.effectiveGasPrice)
      redeemers.add(getAddress(receipt.from))
    }
    return { ...totals, distinct: tickets.size, recipients, redeemers }
  }

  /** The number of rounds that began, and of reward calls, from a block on. */
  async roundsSince(fromBlock: bigint): Promise<{ rounds: number; rewards: number }> {
    const count = async (address: Address, contract: ArtifactName, eventName: string) => {
      const topics = encodeEventTopics({ abi: artifact(contract).abi, eventName })
      const fromBlockHex = `0x${fromBlock.toString(16)}`
      const filter = { address, topics, fromBlock: fromBlockHex, toBlock: 'latest' }
      return (await this.#anvil.request<Log[]>('eth_getLogs', [filter])).length
    }
    return {
      rounds: await count(this.addresses.roundsManager, 'RoundsManager', 'NewRound'),
      rewards: await count(this.addresses.bondingManager, 'BondingManager', 'Reward'),
    }
  }

  /** Number of the newest block. */
  async blockNumber(): Promise<bigint> {
    return BigInt(await this.#anvil.request<Hex>('eth_blockNumber'))
  }

  #addressOf(contract: ArtifactName): Address {
    const {
      controller,
      token,
      faucet,
      minter,
      roundsManager,
      bondingManager,
      ticketBroker,
      serviceRegistry,
    } = this.addresses
    const addresses: Partial<Record<ArtifactName, Address>> = {
      Controller: controller,
      LivepeerToken: token,
      LivepeerTokenFaucet: faucet,
      Minter: minter,
      RoundsManager: roundsManager,
      BondingManager: bondingManager,
      TicketBroker: ticketBroker,
      ServiceRegistry: serviceRegistry,
    }
    const address = addresses[contract]
    if (!address) throw new NodeError('deployment-failed', `${contract} has no address of its own`)
    return address
  }
}

/** The one-time work of `Protocol.deploy`. */
class Deployment {
  readonly #anvil: Anvil
  readonly #owner: Address
  #controller: Address = '0x'

  constructor(anvil: Anvil, owner: Address) {
    this.#anvil = anvil
    this.#owner = owner
  }

  async run(p: ProtocolParameters): Promise<ContractAddresses> {
    this.#controller = await this.#create('Controller')
    const controller = this.#controller
    const token = await this.#create('LivepeerToken')
    await this.#register('LivepeerToken', token)
    const minter = await this.#create('Minter', [
      controller,
      p.inflation,
      p.inflationChange,
      p.targetBondingRate,
    ])
    await this.#register('Minter', minter)
    const library = await this.#create('SortedDoublyLL')
    const bondingManager = await this.#proxied('BondingManager', { SortedDoublyLL: library })
    const ticketBroker = await this.#proxied('TicketBroker')
    // The Minter finds the contract that may move its ether under this old name (contracts.md §1).
    await this.#register('JobsManager', ticketBroker)
    const roundsManager = await this.#proxied('RoundsManager')
    const serviceRegistry = await this.#proxied('ServiceRegistry')
    await this.#register('L2LPTDataCache', await this.#createCode(ZERO_ANSWER_BYTECODE, 'L2LPTDataCache'))
    const faucet = await this.#create('LivepeerTokenFaucet', [token, FAUCET_AMOUNT, FAUCET_WAIT_HOURS])
    await this.#register('LivepeerTokenFaucet', faucet)

    await this.#call(bondingManager, 'BondingManager', 'setUnbondingPeriod', [p.unbondingPeriod])
    await this.#call(bondingManager, 'BondingManager', 'setNumActiveTranscoders', [p.poolSize])
    await this.#call(roundsManager, 'RoundsManager', 'setRoundLength', [p.roundLength])
    await this.#call(roundsManager, 'RoundsManager', 'setRoundLockAmount', [p.roundLockAmount])
    await this.#call(ticketBroker, 'TicketBroker', 'setUnlockPeriod', [p.unlockPeriod])
    await this.#call(ticketBroker, 'TicketBroker', 'setTicketValidityPeriod', [p.ticketValidityPeriod])

    await this.#call(token, 'LivepeerToken', 'grantRole', [MINTER_ROLE, this.#owner])
    await this.#call(token, 'LivepeerToken', 'mint', [this.#owner, DEPLOYER_SUPPLY])
    await this.#call(token, 'LivepeerToken', 'mint', [faucet, FAUCET_SUPPLY])
    await this.#call(token, 'LivepeerToken', 'grantRole', [MINTER_ROLE, minter])
    await this.#call(controller, 'Controller', 'unpause')
    return {
      ...{ controller, token, faucet, minter, roundsManager, bondingManager, ticketBroker, serviceRegistry },
      governor: ZERO_ADDRESS,
    }
  }

  /** Creates a contract behind a proxy that finds it through the Controller, and registers both. */
  async #proxied(name: ArtifactName, libraries: Record<string, Address> = {}): Promise<Address> {
    const target = await this.#create(name, [this.#controller], libraries)
    await this.#register(`${name}Target`, target)
    const proxy = await this.#create('ManagerProxy', [this.#controller, contractId(`${name}Target`)])
    await this.#register(name, proxy)
    return proxy
  }

  async #create(
    name: ArtifactName,
    args: readonly unknown[] = [],
    libraries: Record<string, Address> = {},
  ): Promise<Address> {
    const from = artifact(name)
    const bytecode = linkedBytecode(from, libraries)
    return this.#createCode(encodeDeployData({ abi: from.abi, bytecode, args }), name)
  }

  async #createCode(data: Hex, what: string): Promise<Address> {
    const receipt = await sendAs(this.#anvil, this.#owner, { data, gas: GAS }, what)
    return getAddress(receipt.contractAddress!)
  }

  async #register(name: string, address: Address): Promise<void> {
    await this.#call(this.#controller, 'Controller', 'setContractInfo', [
      contractId(name),
      address,
      NO_COMMIT,
    ])
  }

  async #call(
    to: Address,
    contract: ArtifactName,
    functionName: string,
    args: readonly unknown[] = [],
  ): Promise<void> {
    await sendAs(
      this.#anvil,
      this.#owner,
      { to, data: encode(contract, functionName, args), gas: GAS },
      functionName,
    )
  }
}

function encode(contract: ArtifactName, functionName: string, args: readonly unknown[]): Hex {
  return encodeFunctionData({ abi: artifact(contract).abi, functionName, args })
}

async function read<Result>(
  anvil: Anvil,
  to: Address,
  contract: ArtifactName,
  functionName: string,
  args: readonly unknown[],
): Promise<Result> {
  const data = await anvil.request<Hex>('eth_call', [
    { to, data: encode(contract, functionName, args) },
    'latest',
  ])
  return decodeFunctionResult({ abi: artifact(contract).abi, functionName, data }) as Result
}

/** Sends from one of anvil's own accounts and waits until it is mined. */
async function sendAs(
  anvil: Anvil,
  from: Address,
  transaction: { to?: Address; data: Hex; gas: bigint },
  what: string,
): Promise<Receipt> {
  const { gas, ...rest } = transaction
  const request = { from, ...rest, gas: `0x${gas.toString(16)}`, maxFeePerGas: `0x${MAX_FEE.toString(16)}` }
  const hash = await anvil.request<Hex>('eth_sendTransaction', [request])
  return minedReceipt(anvil, hash, what)
}

async function minedReceipt(anvil: Anvil, hash: Hex, what: string): Promise<Receipt> {
  const deadline = Date.now() + RECEIPT_TIMEOUT_MS
  for (;;) {
    const receipt = await anvil.request<Receipt | null>('eth_getTransactionReceipt', [hash])
    if (receipt && BigInt(receipt.status) === 1n) return receipt
    if (receipt) throw new NodeError('deployment-failed', `${what} failed on chain (${hash})`)
    if (Date.now() > deadline) throw new NodeError('deployment-failed', `${what} was not mined (${hash})`)
    await sleep(RECEIPT_POLL_MS)
  }
}
