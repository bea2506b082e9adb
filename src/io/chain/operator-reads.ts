import type { ContractFunctionArgs, ContractFunctionName } from 'viem'
import { type Address, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { type AtBlock, type ChainClient, readContract } from './client.ts'
import { abis } from './contracts.ts'

/** The newest locks that are looked for: an account with more of them has withdrawn most. */
const MAX_LOCKS = 1_000n

/** An orchestrator as registered on chain: amounts in LPT's smallest unit, cuts of a million. */
export interface OrchestratorDetails {
  readonly address: Address
  readonly serviceUri: string
  readonly lastRewardRound: bigint
  readonly rewardCut: bigint
  readonly feeShare: bigint
  readonly delegatedStake: bigint
  readonly activationRound: bigint
  readonly deactivationRound: bigint
  readonly lastActiveStakeUpdateRound: bigint
  readonly active: boolean
  readonly registered: boolean
}

/** An account's stake and earnings: LPT's smallest unit, wei. */
export interface DelegatorDetails {
  readonly address: Address
  readonly bondedAmount: bigint
  readonly fees: bigint
  readonly delegateAddress: Address
  readonly delegatedAmount: bigint
  readonly startRound: bigint
  readonly lastClaimRound: bigint
  readonly nextUnbondingLockId: bigint
  readonly pendingStake: bigint
  readonly pendingFees: bigint
  readonly status: 'Pending' | 'Bonded' | 'Unbonded'
}

/** Stake that was unbonded, and the round from which it can be withdrawn. */
export interface UnbondingLock {
  readonly id: bigint
  readonly amount: bigint
  readonly withdrawRound: bigint
}

/** What one round's pool of an orchestrator holds. */
export interface EarningsPool {
  readonly totalStake: bigint
  readonly rewardCut: bigint
  readonly feeShare: bigint
  readonly cumulativeRewardFactor: bigint
  readonly cumulativeFeeFactor: bigint
}

/** The protocol's parameters (chain.md §3.1). */
export interface ProtocolState {
  readonly poolMaxSize: bigint
  readonly roundLength: bigint
  readonly roundLockAmount: bigint
  readonly unbondingPeriod: bigint
  readonly inflation: bigint
  readonly inflationChange: bigint
  readonly targetBondingRate: bigint
  readonly totalBonded: bigint
  readonly totalSupply: bigint
  readonly paused: boolean
}

type Bonding = typeof abis.BondingManager
type Rounds = typeof abis.RoundsManager
type View<A extends (typeof abis)[keyof typeof abis]> = ContractFunctionName<A, 'view'>

const STATUS = ['Pending', 'Bonded', 'Unbonded'] as const

/** What an operator asks of the chain, each a small method; all views of one answer are of one block. Throws ChainError. */
export class OperatorReads {
  readonly #client: ChainClient

  constructor(needs: { client: ChainClient }) {
    this.#client = needs.client
  }

  /** The round of the newest block, and whether it is initialised and locked. */
  async round(): Promise<{ current: bigint; initialized: boolean; locked: boolean }> {
    const at = await this.#client.blockNumber()
    const [current, initialized, locked] = await Promise.all([
      this.#rounds('currentRound', at),
      this.#rounds('currentRoundInitialized', at),
      this.#rounds('currentRoundLocked', at),
    ])
    return { current, initialized, locked }
  }

  /** One orchestrator; of an account that is none, zeros. */
  async orchestrator(address: Address, at?: AtBlock): Promise<OrchestratorDetails> {
    const block = at ?? (await this.#client.blockNumber())
    const [terms, status, active, delegatedStake, serviceUri] = await Promise.all([
      this.#bonding('getTranscoder', [address], block),
      this.#bonding('transcoderStatus', [address], block),
      this.#bonding('isActiveTranscoder', [address], block),
      this.#bonding('transcoderTotalStake', [address], block),
      this.#serviceUri(address, block),
    ])
    const [
      lastRewardRound,
      rewardCut,
      feeShare,
      lastActiveStakeUpdateRound,
      activationRound,
      deactivationRound,
    ] = terms
    return {
      ...{ address, serviceUri, lastRewardRound, rewardCut, feeShare, delegatedStake },
      ...{ activationRound, deactivationRound, lastActiveStakeUpdateRound, active },
      registered: status === 1,
    }
  }

  /** The orchestrators of the pool, most stake first. */
  async pool(): Promise<OrchestratorDetails[]> {
    const members = await this.#client.orchestratorPool()
    const at = await this.#client.blockNumber()
    return Promise.all(members.map(({ address }) => this.orchestrator(address, at)))
  }

  /** The stake and the earnings of an account. */
  async delegator(address: Address): Promise<DelegatorDetails> {
    const at = await this.#client.blockNumber()
    const [state, status, pendingStake, pendingFees] = await Promise.all([
      this.#bonding('getDelegator', [address], at),
      this.#bonding('delegatorStatus', [address], at),
      this.#bonding('pendingStake', [address, 0n], at),
      this.#bonding('pendingFees', [address, 0n], at),
    ])
    const [
      bondedAmount,
      fees,
      delegateAddress,
      delegatedAmount,
      startRound,
      lastClaimRound,
      nextUnbondingLockId,
    ] = state
    return {
      ...{ address, bondedAmount, fees, delegateAddress, delegatedAmount, startRound, lastClaimRound },
      ...{ nextUnbondingLockId, pendingStake, pendingFees },
      status: STATUS[status] ?? 'Unbonded',
    }
  }

  /** The locks of an account that hold something, the oldest first. */
  async locks(address: Address): Promise<UnbondingLock[]> {
    const at = await this.#client.blockNumber()
    const state = await this.#bonding('getDelegator', [address], at)
    const end = state[6]
    const first = end > MAX_LOCKS ? end - MAX_LOCKS : 0n
    const ids = Array.from({ length: Number(end - first) }, (_, index) => first + BigInt(index))
    const locks = await Promise.all(
      ids.map(async (id) => {
        const [amount, withdrawRound] = await this.#bonding('getDelegatorUnbondingLock', [address, id], at)
        return { id, amount, withdrawRound }
      }),
    )
    return locks.filter(({ withdrawRound }) => withdrawRound > 0n)
  }

  /** An orchestrator's pool of one round; zeros for a round without one. */
  async earningsPool(address: Address, round: bigint): Promise<EarningsPool> {
    const at = await this.#client.blockNumber()
    const [totalStake, rewardCut, feeShare, cumulativeRewardFactor, cumulativeFeeFactor] =
      await this.#bonding('getTranscoderEarningsPoolForRound', [address, round], at)
    return { totalStake, rewardCut, feeShare, cumulativeRewardFactor, cumulativeFeeFactor }
  }

  /** The parameters of the protocol. */
  async protocol(): Promise<ProtocolState> {
    const at = await this.#client.blockNumber()
    const { addresses, rpc } = this.#client
    const minter = <F extends View<typeof abis.Minter>>(functionName: F) =>
      readContract(rpc, { abi: abis.Minter, address: addresses.minter, functionName, at })
    const [poolMaxSize, roundLength, roundLockAmount, unbondingPeriod, totalBonded] = await Promise.all([
      this.#bonding('getTranscoderPoolMaxSize', [], at),
      this.#rounds('roundLength', at),
      this.#rounds('roundLockAmount', at),
      this.#bonding('unbondingPeriod', [], at),
      this.#bonding('getTotalBonded', [], at),
    ])
    const [inflation, inflationChange, targetBondingRate, totalSupply, paused] = await Promise.all([
      minter('inflation'),
      minter('inflationChange'),
      minter('targetBondingRate'),
      minter('getGlobalTotalSupply'),
      readContract(rpc, { abi: abis.Controller, address: addresses.controller, functionName: 'paused', at }),
    ])
    return {
      ...{ poolMaxSize, roundLength, roundLockAmount, unbondingPeriod, totalBonded },
      ...{ inflation, inflationChange, targetBondingRate, totalSupply, paused },
    }
  }

  /** The rounds for which a sender's funds stay locked after unlocking. */
  async unlockPeriod(): Promise<bigint> {
    const { addresses, rpc } = this.#client
    const at = await this.#client.blockNumber()
    const call = {
      abi: abis.TicketBroker,
      address: addresses.ticketBroker,
      functionName: 'unlockPeriod',
    } as const
    return readContract(rpc, { ...call, at })
  }

  /** LPT of an account, in its smallest unit. */
  async tokenBalance(address: Address): Promise<bigint> {
    const at = await this.#client.blockNumber()
    return this.#token('balanceOf', [address], at)
  }

  /** What the bonding contract may take of an account's LPT. */
  async bondAllowance(owner: Address): Promise<bigint> {
    const at = await this.#client.blockNumber()
    return this.#token('allowance', [owner, this.#client.addresses.bondingManager], at)
  }

  /** When the test faucet gives an account tokens again, in seconds since the epoch; null where there is no faucet. */
  async nextFaucetRequest(address: Address): Promise<bigint | null> {
    const { addresses, rpc } = this.#client
    if (addresses.faucet === ZERO_ADDRESS) return null
    const at = await this.#client.blockNumber()
    const call = { abi: abis.Faucet, address: addresses.faucet, functionName: 'nextValidRequest' } as const
    return readContract(rpc, { ...call, args: [address], at })
  }

  /** Whether there is code at an address. */
  async isContract(address: Address): Promise<boolean> {
    const code = await this.#client.rpc.request('eth_getCode', [address, 'latest'])
    return typeof code === 'string' && code !== '0x'
  }

  #serviceUri(orchestrator: Address, at: AtBlock): Promise<string> {
    const { addresses, rpc } = this.#client
    const call = { abi: abis.ServiceRegistry, address: addresses.serviceRegistry } as const
    return readContract(rpc, { ...call, functionName: 'getServiceURI', args: [orchestrator], at })
  }

  #token<F extends View<typeof abis.LivepeerToken>>(
    functionName: F,
    args: ContractFunctionArgs<typeof abis.LivepeerToken, 'view', F>,
    at: AtBlock,
  ) {
    const { addresses, rpc } = this.#client
    return readContract(rpc, { abi: abis.LivepeerToken, address: addresses.token, functionName, args, at })
  }

  #bonding<F extends View<Bonding>>(
    functionName: F,
    args: ContractFunctionArgs<Bonding, 'view', F>,
    at: AtBlock,
  ) {
    const { addresses, rpc } = this.#client
    const call = {
      abi: abis.BondingManager,
      address: addresses.bondingManager,
      functionName,
      args,
      at,
    } as const
    return readContract(rpc, call)
  }

  #rounds<F extends Exclude<View<Rounds>, 'blockHashForRound'>>(functionName: F, at: AtBlock) {
    const { addresses, rpc } = this.#client
    return readContract(rpc, { abi: abis.RoundsManager, address: addresses.roundsManager, functionName, at })
  }
}
