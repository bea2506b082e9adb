import { type ContractFunctionArgs, encodeFunctionData, type Log, parseEventLogs } from 'viem'
import type { CallResult, InFlight, NotSent } from '../../domain/chain-call.ts'
import { NO_HINTS, type PoolHints, type PoolPlace, poolHints } from '../../domain/pool-hints.ts'
import { expectedReward, type RewardFacts, rewardStand } from '../../domain/reward.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import { type Address, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'
import type { RewardView } from '../../services/protocol/reward-right.ts'
import type { RewardChain, RewardResult } from '../../services/protocol/reward-service.ts'
import type { RoundInitializerChain } from '../../services/protocol/round-initializer.ts'
import { ChainError, type ChainFault, revertReason } from './chain-error.ts'
import { type AtBlock, type ChainClient, readContract } from './client.ts'
import { abis } from './contracts.ts'
import type { TransactionSender } from './led-transactions.ts'
import type { MinedTransaction, TransactionRequest } from './transaction-request.ts'

/** The walk through the pool stops after this many: the network's limit is 100 (contracts.md §2). */
const MAX_POOL = 1_000
/** Reads in flight at once while the pool is walked. */
const MAX_PARALLEL_READS = 16
/** Gas margin in percent: the pool may change before a call is mined, and the contract then searches further. */
const GAS_MARGIN_PERCENT = 50n
/** The most replacements of one transaction, over all calls. */
const MAX_REPLACEMENTS = 20

/** Why a transaction is not sent after all. */
class NotSentError extends NodeError<Extract<NotSent, 'not-due' | 'sent-elsewhere'>> {
  override name = 'NotSentError'
}

/** Reads and transactions for reward calls and the initialisation of rounds. */
export class Staking implements RewardChain, RoundInitializerChain {
  readonly #maxReplacements: number
  readonly #client: ChainClient
  readonly #transactions: TransactionSender
  readonly #account: Address
  /** The members of the pool at the last walk. */
  #knownMembers: readonly Address[] = []

  /** `maxReplacements`: how often one call replaces a late transaction. */
  constructor(
    options: { maxReplacements: number },
    needs: { client: ChainClient; transactions: TransactionSender; account: Address },
  ) {
    this.#maxReplacements = options.maxReplacements
    this.#client = needs.client
    this.#transactions = needs.transactions
    this.#account = needs.account
  }

  /** The state of an orchestrator's reward, and the account that may call it. Throws ChainError. */
  async rewardView(orchestrator: Address): Promise<RewardView> {
    const at = await this.#client.blockNumber()
    const [facts, rewardCaller] = await Promise.all([
      this.#facts(orchestrator, at),
      orchestrator === this.#account ? null : this.#rewardCaller(orchestrator, at),
    ])
    return { ...facts, rewardCaller }
  }

  /** The balance of the node's account, in wei. */
  balance(): Promise<bigint> {
    return this.#client.ethBalance(this.#account)
  }

  /** The open reward call for this orchestrator, also from before a restart. */
  rewardInFlight(orchestrator: Address): InFlight | null {
    return inFlight(this.#open(rewardPurpose(orchestrator)))
  }

  /** The open initialisation. */
  initializationInFlight(): InFlight | null {
    return inFlight(this.#open(INITIALIZE))
  }

  /**
   * Calls reward and waits for the receipt. At most one transaction is open, across restarts too: an open one is waited
   * for, and counts for the round in which it is mined. Throws when the signal is aborted.
   */
  async callReward(
    orchestrator: Address,
    options: { takeOver: boolean },
    signal: AbortSignal,
  ): Promise<RewardResult> {
    const { takeOver } = options
    const purpose = rewardPurpose(orchestrator)
    const hints = this.#open(purpose) ? NO_HINTS : await this.#hints(orchestrator)
    const confirm = async (foreign: number) => {
      if (foreign > 0) throw sentElsewhere(foreign)
      const read = (at: AtBlock) => this.#facts(orchestrator, at)
      const stand = rewardStand(takeOver ? await read('latest') : await this.#atPending(read))
      if (stand !== 'due') throw new NotSentError('not-due', `no longer due when it was to be sent: ${stand}`)
    }
    const { result, mined } = await this.#send(
      { purpose, to: this.#bondingManager, data: this.#rewardCall(orchestrator, hints), confirm, takeOver },
      signal,
    )
    if (result.kind !== 'mined') return result
    const round = await this.#rounds('currentRound', mined!.block).catch(() => null)
    return { ...result, reward: this.#rewardIn(mined!, orchestrator), round }
  }

  /** The round of the newest block, and whether it has been initialised. Throws ChainError. */
  async initialization(): Promise<{ round: bigint; isDone: boolean }> {
    const at = await this.#client.blockNumber()
    const [round, isDone] = await Promise.all([
      this.#rounds('currentRound', at),
      this.#rounds('currentRoundInitialized', at),
    ])
    return { round, isDone }
  }

  /** Initialises the current round and waits for the receipt; an open transaction is waited for. */
  async initializeRound(signal: AbortSignal): Promise<CallResult> {
    const confirm = async () => {
      const isDone = await this.#atPending((at) => this.#rounds('currentRoundInitialized', at))
      if (isDone) throw new NotSentError('not-due', 'another account was already initialising the round')
    }
    const data = encodeFunctionData({ abi: abis.RoundsManager, functionName: 'initializeRound' })
    const to = this.#client.addresses.roundsManager
    const { result } = await this.#send({ purpose: INITIALIZE, to, data, confirm }, signal)
    return result
  }

  async #send(
    request: TransactionRequest,
    signal: AbortSignal,
  ): Promise<{ result: CallResult; mined?: MinedTransaction }> {
    const replaced = (this.#open(request.purpose)?.attempts.length ?? 1) - 1
    const maxReplacements = Math.min(replaced + this.#maxReplacements, MAX_REPLACEMENTS)
    try {
      const mined = await this.#transactions.submit(
        {
          ...{ ...request, maxReplacements, gasMarginPercent: GAS_MARGIN_PERCENT },
          at: () => this.#client.blockNumber(),
        },
        signal,
      )
      const { hash: txHash, success, fee } = mined
      await this.#client.noteOwn(mined.block)
      return { result: { kind: 'mined', txHash, success, fee }, mined }
    } catch (error) {
      return { result: unsent(error) }
    }
  }

  #rewardCall(orchestrator: Address, { prev, next }: PoolHints): Hex {
    const abi = abis.BondingManager
    if (orchestrator === this.#account) {
      return encodeFunctionData({ abi, functionName: 'rewardWithHint', args: [prev, next] })
    }
    const args = [orchestrator, prev, next] as const
    return encodeFunctionData({ abi, functionName: 'rewardForTranscoderWithHint', args })
  }

  /** The orchestrator's future neighbours in the pool. Without them the call costs more gas but has the same effect. */
  async #hints(orchestrator: Address): Promise<PoolHints> {
    try {
      const at = await this.#client.blockNumber()
      const [terms, stakeNow, totalStake, maxSize, treasuryCut, mintable, pool] = await Promise.all([
        this.#bonding('getTranscoder', [orchestrator], at),
        this.#bonding('transcoderTotalStake', [orchestrator], at),
        this.#bonding('getTotalBonded', [], at),
        this.#bonding('getTranscoderPoolMaxSize', [], at),
        this.#unlessAbsent(this.#bonding('treasuryRewardCutRate', [], at), 0n),
        this.#mintable(at),
        this.#pool(at),
      ])
      const [stake] = await this.#bonding('getTranscoderEarningsPoolForRound', [orchestrator, terms[3]], at)
      const reward = expectedReward({ mintable, stake, totalStake, treasuryCut })
      return poolHints(pool, { address: orchestrator, stake: stakeNow + reward }, maxSize)
    } catch (error) {
      if (error instanceof ChainError) return NO_HINTS
      throw error
    }
  }

  /** The pool in order. The successors of the last walk's members are read in parallel. */
  async #pool(at: AtBlock): Promise<PoolPlace[]> {
    const nextOf = async (member: Address) => this.#bonding('getNextTranscoderInPool', [member], at)
    const known = await inChunks(this.#knownMembers, nextOf)
    const nextByMember = new Map(this.#knownMembers.map((member, index) => [member, known[index]!]))
    const members = new Set<Address>()
    let next: Address = await this.#bonding('getFirstTranscoderInPool', [], at)
    while (next !== ZERO_ADDRESS && !members.has(next) && members.size < MAX_POOL) {
      members.add(next)
      next = nextByMember.get(next) ?? (await nextOf(next))
    }
    this.#knownMembers = [...members]
    return inChunks(this.#knownMembers, async (address) => ({
      address,
      stake: await this.#bonding('transcoderTotalStake', [address], at),
    }))
  }

  async #facts(orchestrator: Address, at: AtBlock): Promise<RewardFacts> {
    const [terms, status, active, currentRound, roundInitialized] = await Promise.all([
      this.#bonding('getTranscoder', [orchestrator], at),
      this.#bonding('transcoderStatus', [orchestrator], at),
      this.#bonding('isActiveTranscoder', [orchestrator], at),
      this.#rounds('currentRound', at),
      this.#rounds('currentRoundInitialized', at),
    ])
    const [lastRewardRound, , , , activationRound, deactivationRound] = terms
    return {
      ...{ currentRound, roundInitialized, active, activationRound, deactivationRound, lastRewardRound },
      registered: status === 1,
    }
  }

  /** The other account that may call reward for it; null when none is set, and on contracts before LIP-118. */
  async #rewardCaller(orchestrator: Address, at: AtBlock): Promise<Address | null> {
    const read = this.#bonding('transcoderToRewardCaller', [orchestrator], at)
    const caller = await this.#unlessAbsent<Address>(read, ZERO_ADDRESS)
    return caller === ZERO_ADDRESS ? null : caller
  }

  /** A function that the contract does not have reverts, or answers nothing. */
  async #unlessAbsent<Value>(read: Promise<Value>, otherwise: Value): Promise<Value> {
    try {
      return await read
    } catch (error) {
      if (error instanceof ChainError && (error.code === 'reverted' || error.code === 'no-contract')) {
        return otherwise
      }
      throw error
    }
  }

  /** Reads the pending state; some endpoints know only the latest. */
  async #atPending<Value>(read: (at: AtBlock) => Promise<Value>): Promise<Value> {
    try {
      return await read('pending')
    } catch (error) {
      if (error instanceof ChainError && /^(rpc-refused|rejected)$/.test(error.code)) return read('latest')
      throw error
    }
  }

  #rewardIn({ logs }: MinedTransaction, orchestrator: Address): bigint {
    const own = logs.filter(({ address }) => address === this.#bondingManager)
    const [event] = parseEventLogs({
      abi: abis.BondingManager,
      eventName: 'Reward',
      args: { transcoder: orchestrator },
      logs: own.map(({ data, topics }) => ({ data, topics })) as unknown as Log[],
    })
    return event?.args.amount ?? 0n
  }

  #open(purpose: string): StoredTransaction | undefined {
    return this.#transactions.open.find((transaction) => transaction.purpose === purpose)
  }

  get #bondingManager(): Address {
    return this.#client.addresses.bondingManager
  }

  #mintable(at: AtBlock): Promise<bigint> {
    const { minter: address } = this.#client.addresses
    const call = { abi: abis.Minter, address, functionName: 'currentMintableTokens', at } as const
    return readContract(this.#client.rpc, call)
  }

  #bonding<
    F extends
      | 'getTranscoder'
      | 'transcoderStatus'
      | 'isActiveTranscoder'
      | 'transcoderTotalStake'
      | 'transcoderToRewardCaller'
      | 'treasuryRewardCutRate'
      | 'getTranscoderEarningsPoolForRound'
      | 'getTotalBonded'
      | 'getTranscoderPoolMaxSize'
      | 'getFirstTranscoderInPool'
      | 'getNextTranscoderInPool',
  >(functionName: F, args: ContractFunctionArgs<typeof abis.BondingManager, 'view', F>, at: AtBlock) {
    const call = { abi: abis.BondingManager, address: this.#bondingManager, functionName, args, at } as const
    return readContract(this.#client.rpc, call)
  }

  #rounds<F extends 'currentRound' | 'currentRoundInitialized'>(functionName: F, at: AtBlock) {
    const { roundsManager: address } = this.#client.addresses
    return readContract(this.#client.rpc, { abi: abis.RoundsManager, address, functionName, at })
  }
}

const INITIALIZE = 'initialize round'

/** It does not name the round: a call mined late rewards the round in which it is mined. */
function rewardPurpose(orchestrator: Address): string {
  return `reward ${orchestrator}`
}

function sentElsewhere(foreign: number): NotSentError {
  return new NotSentError(
    'sent-elsewhere',
    `another process of this account has ${foreign} transaction(s) in the pool`,
  )
}

/** Why a call was not sent, by fault; any other fault means that the chain is unavailable. */
const MEANINGS: Partial<Record<ChainFault, NotSent>> = {
  reverted: 'refused',
  'gas-price-too-high': 'gas-too-high',
  'insufficient-funds': 'no-money',
  'replacement-underpriced': 'sent-elsewhere',
  'nonce-too-low': 'sent-elsewhere',
  'nonce-taken': 'sent-elsewhere',
  'not-leading': 'not-due',
}

function unsent(error: unknown): CallResult {
  if (error instanceof NotSentError) return { kind: 'not-sent', why: error.code, reason: error.message }
  if (!(error instanceof ChainError)) throw error
  if (error.code === 'transaction-timed-out') {
    return { kind: 'timed-out', txHash: error.details.hash as Hex }
  }
  const why = MEANINGS[error.code] ?? 'chain-unavailable'
  return { kind: 'not-sent', why, reason: revertReason(error) ?? error.message }
}

function inFlight(stored: StoredTransaction | undefined): InFlight | null {
  if (!stored) return null
  const [first] = stored.attempts
  const newest = stored.attempts.at(-1)!
  return { txHash: newest.hash, sentAtMs: first!.sentAtMs, attempts: stored.attempts.length }
}

async function inChunks<Item, Result>(
  items: readonly Item[],
  read: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  for (let at = 0; at < items.length; at += MAX_PARALLEL_READS) {
    results.push(...(await Promise.all(items.slice(at, at + MAX_PARALLEL_READS).map(read))))
  }
  return results
}
