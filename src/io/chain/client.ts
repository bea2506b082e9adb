import {
  type Abi,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  decodeFunctionResult,
  encodeFunctionData,
  hexToBytes,
} from 'viem'
import {
  CONFIRMATIONS,
  type OrchestratorState,
  type PoolMember,
  type RoundState,
} from '../../domain/chain.ts'
import type { SenderInfo } from '../../domain/float.ts'
import { larger } from '../../lib/bigints.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { type Address, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import { ChainError } from './chain-error.ts'
import { abis, CONTRACT_NAMES, type ContractAddresses, contractId } from './contracts.ts'
import { headerOf, parseQuantity, toQuantity } from './raw-header.ts'
import type { Rpc } from './rpc.ts'

/** The state that a read is about; `pending` includes the pool, where an endpoint knows it. */
export type AtBlock = bigint | 'latest' | 'pending'

type Views<A extends Abi> = ContractFunctionName<A, 'view' | 'pure'>
type Args<A extends Abi, F extends Views<A>> = ContractFunctionArgs<A, 'view' | 'pure', F>

/** The walk through the pool ends here: the network's limit is 100 (contracts.md §2). */
const MAX_POOL = 1_000
/** Reads in flight at once while the pool is walked. */
const MAX_PARALLEL_READS = 16

/** Calls one view of a contract. Throws ChainError, `no-contract` when nothing is there. */
export async function readContract<const A extends Abi, F extends Views<A>, const P extends Args<A, F>>(
  rpc: Rpc,
  call: { abi: A; address: Address; functionName: F; args?: P; at?: AtBlock },
): Promise<ContractFunctionReturnType<A, 'view' | 'pure', F, P>> {
  const abi = call.abi as Abi
  const functionName: string = call.functionName
  const data = encodeFunctionData({ abi, functionName, args: (call.args ?? []) as readonly unknown[] })
  const block = typeof call.at === 'bigint' ? toQuantity(call.at) : (call.at ?? 'latest')
  const answer = (await rpc.request('eth_call', [{ to: call.address, data }, block])) as Hex
  if (answer === '0x') {
    throw new ChainError('no-contract', `no contract at ${call.address} answers ${functionName}()`)
  }
  try {
    const decoded = decodeFunctionResult({ abi, functionName, data: answer })
    return decoded as ContractFunctionReturnType<A, 'view' | 'pure', F, P>
  } catch (error) {
    throw new ChainError('bad-answer', `${functionName}() at ${call.address} answered in another form`, {
      cause: error,
    })
  }
}

/** Asks the Controller where the contracts are (chain.md §2). Throws ChainError `no-contract` with a sentence. */
export async function resolveContracts(rpc: Rpc, controller: Address): Promise<ContractAddresses> {
  const code = await rpc.request('eth_getCode', [controller, 'latest'])
  if (typeof code !== 'string' || code === '0x') {
    throw new ChainError(
      'no-contract',
      `no contract code at given address: the Controller is said to be at ${controller}; check -ethController and -network`,
    )
  }
  const find = (name: string) =>
    readContract(rpc, {
      abi: abis.Controller,
      address: controller,
      functionName: 'getContract',
      args: [contractId(name)],
    })
  const found = await Promise.all(
    Object.entries(CONTRACT_NAMES).map(async ([key, { name, required }]) => {
      const address: Address = await find(name)
      if (required && address === ZERO_ADDRESS) {
        throw new ChainError(
          'no-contract',
          `the Controller at ${controller} knows no ${name}: is it Livepeer's?`,
        )
      }
      return [key, address] as const
    }),
  )
  return { controller, ...(Object.fromEntries(found) as Omit<ContractAddresses, 'controller'>) }
}

/** How often, and for how long, the first contact is tried. */
export interface ConnectPatience {
  readonly forMs: number
  readonly everyMs: number
}

const DEFAULT_PATIENCE: ConnectPatience = { forMs: 30_000, everyMs: 1_000 }

/**
 * First contact: waits with patience for an endpoint on the right chain and looks the contracts up. Throws the last
 * ChainError when patience ends, at once when waiting would change nothing (no contract there).
 */
export async function connectChain(
  needs: { rpc: Rpc; clock: Clock; log: Log },
  controller: Address,
  signal: AbortSignal,
  patience: ConnectPatience = DEFAULT_PATIENCE,
): Promise<{ chainId: number; addresses: ContractAddresses }> {
  const deadline = needs.clock.now() + patience.forMs
  const unreachable = new PassingFailure(
    {
      ...{ message: 'chain not reachable yet, retrying', over: 'chain reachable' },
      ...{ first: 'info', afterMs: patience.forMs / 3 },
    },
    needs,
  )
  for (;;) {
    try {
      const chainId = await needs.rpc.chainId(signal)
      const addresses = await resolveContracts(needs.rpc, controller)
      unreachable.passed()
      return { chainId, addresses }
    } catch (error) {
      const hopeless =
        !(error instanceof ChainError) || error.code === 'no-contract' || error.code === 'wrong-chain'
      if (hopeless || needs.clock.now() >= deadline) throw error
      unreachable.failed({ reason: messageOf(error) })
      await needs.clock.sleep(patience.everyMs, signal)
    }
  }
}

/** Reads of the protocol's contracts, each a small method. */
export class ChainClient {
  readonly rpc: Rpc
  readonly addresses: ContractAddresses
  readonly #followed: () => bigint | null
  /** The newest block with a transaction of this node, and what had been followed when it was noted. */
  #own = { block: 0n, since: 0n }

  /** `followed`: the newest block that the node has followed, whose state it must not read any older; null: none. */
  constructor(needs: { rpc: Rpc; addresses: ContractAddresses; followed?: () => bigint | null }) {
    this.rpc = needs.rpc
    this.addresses = needs.addresses
    this.#followed = needs.followed ?? (() => null)
  }

  /** Notes a block with a transaction of this node: later reads are of this block at least. Never throws. */
  async noteOwn(block: bigint): Promise<void> {
    const since = this.#followed()
    if (since === null) return
    // One receipt is not believed about a block far beyond what was followed: nothing could be read at one that is not.
    if (block > since + CONFIRMATIONS && !(await this.#isKnown(block))) return
    if (block > this.#own.block) this.#own = { block, since }
  }

  /** The state of the rounds, all of it at one block. */
  async roundState(): Promise<RoundState> {
    const at = await this.blockNumber()
    const [lastInitialized, current, currentInitialized, startL1Block, length] = await Promise.all([
      this.#rounds('lastInitializedRound', at),
      this.#rounds('currentRound', at),
      this.#rounds('currentRoundInitialized', at),
      this.#rounds('currentRoundStartBlock', at),
      this.#rounds('roundLength', at),
    ])
    const [blockHash, previousBlockHash] = await Promise.all([
      this.blockHashForRound(lastInitialized, at),
      this.blockHashForRound(lastInitialized - 1n, at),
    ])
    return {
      lastInitialized,
      blockHash,
      previousBlockHash,
      current,
      currentInitialized,
      startL1Block,
      length,
    }
  }

  /** 32 bytes; zeros for a round never initialised, and for the one before round 0 (chain.md §3). */
  async blockHashForRound(round: bigint, at: AtBlock = this.#now): Promise<Uint8Array> {
    if (round < 0n) return new Uint8Array(32)
    const { roundsManager: address } = this.addresses
    const call = {
      abi: abis.RoundsManager,
      address,
      functionName: 'blockHashForRound',
      args: [round],
      at,
    } as const
    return hexToBytes(await readContract(this.rpc, call))
  }

  /** How many orchestrators are in the pool now. */
  poolSize(): Promise<bigint> {
    const { bondingManager: address } = this.addresses
    return readContract(this.rpc, {
      abi: abis.BondingManager,
      address,
      functionName: 'getTranscoderPoolSize',
      at: this.#now,
    })
  }

  /** A sender's deposit and reserve. */
  async senderInfo(sender: Address, at: AtBlock = this.#now): Promise<SenderInfo> {
    const { ticketBroker: address } = this.addresses
    const call = {
      abi: abis.TicketBroker,
      address,
      functionName: 'getSenderInfo',
      args: [sender],
      at,
    } as const
    const [account, reserve] = await readContract(this.rpc, call)
    return { ...account, ...reserve }
  }

  /** What `claimant` took from the sender's reserve in this round. */
  claimedReserve(sender: Address, claimant: Address): Promise<bigint> {
    const { ticketBroker: address } = this.addresses
    const args = [sender, claimant] as const
    const call = { abi: abis.TicketBroker, address, functionName: 'claimedReserve', args } as const
    return readContract(this.rpc, { ...call, at: this.#now })
  }

  /**
   * What `claimant` can still take from the sender's reserve in this round. The contract itself fails (`reverted`,
   * Panic(0x11)) when the pool grew after a claim (contracts.md §14-4).
   */
  claimableReserve(sender: Address, claimant: Address, at: AtBlock = this.#now): Promise<bigint> {
    const { ticketBroker: address } = this.addresses
    const args = [sender, claimant] as const
    return readContract(this.rpc, {
      abi: abis.TicketBroker,
      address,
      functionName: 'claimableReserve',
      args,
      at,
    })
  }

  /** Whether a ticket was redeemed already. */
  isTicketUsed(ticketHash: Uint8Array): Promise<boolean> {
    const { ticketBroker: address } = this.addresses
    const args = [formatHex(ticketHash)] as const
    const call = { abi: abis.TicketBroker, address, functionName: 'usedTickets', args } as const
    return readContract(this.rpc, { ...call, at: this.#now })
  }

  /** An orchestrator's state on chain; an unknown address is not registered. */
  async orchestrator(address: Address): Promise<OrchestratorState> {
    const [terms, status, active, serviceUri, stake] = await Promise.all([
      this.#bonding('getTranscoder', address),
      this.#bonding('transcoderStatus', address),
      this.#bonding('isActiveTranscoder', address),
      this.#serviceUri(address),
      this.#bonding('transcoderTotalStake', address),
    ])
    return {
      registered: status === 1,
      active,
      activationRound: terms[4],
      deactivationRound: terms[5],
      lastRewardRound: terms[0],
      serviceUri,
      stake,
    }
  }

  /** The pool in its order, most stake first: the active set of the next round. */
  async orchestratorPool(): Promise<PoolMember[]> {
    const { bondingManager: address } = this.addresses
    const addresses: Address[] = []
    let next: Address = await readContract(this.rpc, {
      abi: abis.BondingManager,
      address,
      functionName: 'getFirstTranscoderInPool',
      at: this.#now,
    })
    // The list may change during the walk: an address seen twice ends it.
    while (next !== ZERO_ADDRESS && !addresses.includes(next) && addresses.length < MAX_POOL) {
      addresses.push(next)
      next = await this.#bonding('getNextTranscoderInPool', next)
    }
    const members: PoolMember[] = []
    for (let at = 0; at < addresses.length; at += MAX_PARALLEL_READS) {
      const some = addresses.slice(at, at + MAX_PARALLEL_READS)
      members.push(...(await Promise.all(some.map((member) => this.#poolMember(member)))))
    }
    return members
  }

  /** Wei. */
  ethBalance(address: Address): Promise<bigint> {
    return this.rpc.quantity('eth_getBalance', [address, 'latest'])
  }

  /** Number of the newest block; never less than what the node has followed, though an endpoint may lag. */
  async blockNumber(): Promise<bigint> {
    const newest = parseQuantity('eth_blockNumber', await this.rpc.request('eth_blockNumber'))
    return larger(newest, this.#seen ?? 0n)
  }

  /** The newest block known to exist: a lagging replica refuses it instead of answering for an older one. */
  get #seen(): bigint | null {
    const followed = this.#followed()
    // The chain may have been reorganised since.
    return followed !== null && this.#own.since <= followed ? larger(followed, this.#own.block) : followed
  }

  /** Whether two endpoints, where there are several, know this block. */
  async #isKnown(block: bigint): Promise<boolean> {
    try {
      const { answers } = await this.rpc.askTwo('eth_getBlockByNumber', [toQuantity(block), false])
      return answers.every((answer) => headerOf(answer)?.number === block)
    } catch {
      return false
    }
  }

  get #now(): AtBlock {
    return this.#seen ?? 'latest'
  }

  async #poolMember(address: Address): Promise<PoolMember> {
    const [terms, stake, serviceUri] = await Promise.all([
      this.#bonding('getTranscoder', address),
      this.#bonding('transcoderTotalStake', address),
      this.#serviceUri(address),
    ])
    return { address, serviceUri, stake, activationRound: terms[4], deactivationRound: terms[5] }
  }

  #serviceUri(orchestrator: Address): Promise<string> {
    const { serviceRegistry: address } = this.addresses
    const args = [orchestrator] as const
    const call = { abi: abis.ServiceRegistry, address, functionName: 'getServiceURI', args } as const
    return readContract(this.rpc, { ...call, at: this.#now })
  }

  #bonding<
    F extends
      | 'getTranscoder'
      | 'transcoderStatus'
      | 'isActiveTranscoder'
      | 'transcoderTotalStake'
      | 'getNextTranscoderInPool',
  >(functionName: F, of: Address) {
    const { bondingManager: address } = this.addresses
    const args = [of] as const as ContractFunctionArgs<typeof abis.BondingManager, 'view', F>
    return readContract(this.rpc, { abi: abis.BondingManager, address, functionName, args, at: this.#now })
  }

  #rounds<
    F extends
      | 'lastInitializedRound'
      | 'currentRound'
      | 'currentRoundInitialized'
      | 'currentRoundStartBlock'
      | 'roundLength',
  >(functionName: F, at: AtBlock) {
    const { roundsManager: address } = this.addresses
    return readContract(this.rpc, { abi: abis.RoundsManager, address, functionName, at })
  }
}
