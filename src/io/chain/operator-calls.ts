import {
  type ContractFunctionArgs,
  type ContractFunctionName,
  type EncodeFunctionDataParameters,
  encodeFunctionData,
} from 'viem'
import { NO_HINTS, type PoolHints, poolHints } from '../../domain/pool-hints.ts'
import type { Hex } from '../../lib/bytes.ts'
import { type Address, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { ChainError, revertReason } from './chain-error.ts'
import type { ChainClient } from './client.ts'
import { abis } from './contracts.ts'
import type { TransactionSender } from './led-transactions.ts'
import type { OperatorReads } from './operator-reads.ts'
import { toQuantity } from './raw-header.ts'
import type { MinedTransaction } from './transaction-request.ts'

/** The pool may change before a call is mined, and the contract then searches further. */
const GAS_MARGIN_PERCENT = 50n
/** The contract's words for what an approval is for; it says them only once all else is right (contracts.md §8). */
const NO_ALLOWANCE = /insufficient allowance/

/** A call of a contract, with a name under which at most one transaction is open. */
interface OperatorCall {
  readonly purpose: string
  readonly to: Address
  readonly data: Hex
  readonly value?: bigint
}

/** What sends the calls, or simulates them in place of that. */
export type OperatorSender = Pick<TransactionSender, 'open' | 'submit'> & {
  /** Whether a call need not be simulated before, since this does nothing else. */
  readonly simulates?: boolean
}

type BondingFunction = ContractFunctionName<typeof abis.BondingManager, 'nonpayable'>
type BondingCall = {
  [F in BondingFunction]: {
    readonly functionName: F
    readonly args: ContractFunctionArgs<typeof abis.BondingManager, 'nonpayable', F>
  }
}[BondingFunction]

/**
 * The calls that an operator makes with the node's account, one after the other. Each is simulated before it is sent, and is
 * waited for until it is mined; the same call that is still open is waited for instead of being sent again. Amounts are in LPT's
 * smallest unit or wei. Throws ChainError: nothing was sent, unless its code is `transaction-timed-out` or `failed-on-chain`.
 */
export class OperatorCalls {
  readonly #client: ChainClient
  readonly #reads: OperatorReads
  readonly #transactions: OperatorSender
  readonly #account: Address
  readonly #turns: { last: Promise<unknown> }

  constructor(
    needs: {
      client: ChainClient
      reads: OperatorReads
      transactions: OperatorSender
      account: Address
    },
    turns = { last: Promise.resolve() as Promise<unknown> },
  ) {
    this.#client = needs.client
    this.#reads = needs.reads
    this.#transactions = needs.transactions
    this.#account = needs.account
    this.#turns = turns
  }

  /** The same calls over another sender of this account's transactions, in turn with these. */
  over(transactions: OperatorSender): OperatorCalls {
    const needs = { client: this.#client, reads: this.#reads, account: this.#account, transactions }
    return new OperatorCalls(needs, this.#turns)
  }

  /** Simulates the calls of an account, in no turn: nothing is sent. */
  dry(account: Address, transactions: OperatorSender): OperatorCalls {
    return new OperatorCalls({ client: this.#client, reads: this.#reads, account, transactions })
  }

  /** Bonds this much of the account's LPT to an orchestrator, and moves to it what is bonded already. */
  bond(amount: bigint, to: Address, signal: AbortSignal): Promise<MinedTransaction> {
    return this.#inTurn(async () => {
      await this.checkBond(amount, to)
      const { bondingManager, token } = this.#client.addresses
      if ((await this.#reads.bondAllowance(this.#account)) < amount) {
        const data = encodeFunctionData({
          abi: abis.LivepeerToken,
          functionName: 'approve',
          args: [bondingManager, amount],
        })
        await this.#send({ purpose: `approve ${amount} LPTU for bonding`, to: token, data }, signal)
      }
      return this.#send(await this.#bondCall(amount, to), signal)
    })
  }

  /** Throws ChainError unless such a bond would be accepted, once the contract may take the tokens. */
  async checkBond(amount: bigint, to: Address): Promise<void> {
    const balance = await this.#reads.tokenBalance(this.#account)
    if (balance < amount) {
      throw new ChainError('reverted', 'too few tokens', {
        details: {
          reason: `ERC20: transfer amount exceeds balance: the account has ${balance} LPTU, of the ${amount} LPTU to bond`,
        },
      })
    }
    try {
      await this.simulate(await this.#bondCall(amount, to))
    } catch (error) {
      if (!NO_ALLOWANCE.test(revertReason(error) ?? '')) throw error
    }
  }

  /** Unbonds this much, which can be withdrawn some rounds later. */
  async unbond(amount: bigint, signal: AbortSignal): Promise<MinedTransaction> {
    const { delegateAddress } = await this.#reads.delegator(this.#account)
    const { next, prev } = await this.#hints(delegateAddress, -amount)
    const args = [amount, prev, next] as const
    return this.#bonding(`unbond ${amount} LPTU`, { functionName: 'unbondWithHint', args }, signal)
  }

  /** Bonds what a lock holds again: to the same orchestrator, or to this one where nothing is bonded. */
  async rebond(id: bigint, to: Address | null, signal: AbortSignal): Promise<MinedTransaction> {
    const [{ delegateAddress }, locks] = await Promise.all([
      this.#reads.delegator(this.#account),
      this.#reads.locks(this.#account),
    ])
    const amount = locks.find((lock) => lock.id === id)?.amount ?? 0n
    const { next, prev } = await this.#hints(to ?? delegateAddress, amount)
    if (to !== null) {
      const args = [to, id, prev, next] as const
      const call = { functionName: 'rebondFromUnbondedWithHint', args } as const
      return this.#bonding(`rebond lock ${id} to ${to}`, call, signal)
    }
    return this.#bonding(
      `rebond lock ${id}`,
      { functionName: 'rebondWithHint', args: [id, prev, next] },
      signal,
    )
  }

  /** Takes what a lock holds into the account. */
  withdrawStake(id: bigint, signal: AbortSignal): Promise<MinedTransaction> {
    return this.#bonding(`withdraw lock ${id}`, { functionName: 'withdrawStake', args: [id] }, signal)
  }

  /** Takes earned fees into the account, in wei. */
  withdrawFees(amount: bigint, signal: AbortSignal): Promise<MinedTransaction> {
    const args = [this.#account, amount] as const
    return this.#bonding(`withdraw ${amount} wei of fees`, { functionName: 'withdrawFees', args }, signal)
  }

  /** Credits what was earned up to a round. */
  claimEarnings(round: bigint, signal: AbortSignal): Promise<MinedTransaction> {
    return this.#bonding(
      `claim earnings to ${round}`,
      { functionName: 'claimEarnings', args: [round] },
      signal,
    )
  }

  /** Sets what the orchestrator keeps of its rewards, and what it gives away of its fees, of a million. */
  setTerms(rewardCut: bigint, feeShare: bigint, signal: AbortSignal): Promise<MinedTransaction> {
    const args = [rewardCut, feeShare] as const
    return this.#bonding(`set cuts ${rewardCut} ${feeShare}`, { functionName: 'transcoder', args }, signal)
  }

  /** Registers the address where gateways reach the orchestrator. */
  setServiceUri(uri: string, signal: AbortSignal): Promise<MinedTransaction> {
    const data = encodeFunctionData({ abi: abis.ServiceRegistry, functionName: 'setServiceURI', args: [uri] })
    return this.#inTurn(() =>
      this.#send({ purpose: `register ${uri}`, to: this.#client.addresses.serviceRegistry, data }, signal),
    )
  }

  /** Sends LPT. */
  transfer(to: Address, amount: bigint, signal: AbortSignal): Promise<MinedTransaction> {
    const data = encodeFunctionData({ abi: abis.LivepeerToken, functionName: 'transfer', args: [to, amount] })
    return this.#inTurn(() =>
      this.#send(
        { purpose: `transfer ${amount} LPTU to ${to}`, to: this.#client.addresses.token, data },
        signal,
      ),
    )
  }

  /** Asks the test faucet for LPT. Throws ChainError `no-contract` where there is none. */
  requestTokens(signal: AbortSignal): Promise<MinedTransaction> {
    const { faucet } = this.#client.addresses
    if (faucet === ZERO_ADDRESS) throw noContract()
    const data = encodeFunctionData({ abi: abis.Faucet, functionName: 'request' })
    return this.#inTurn(() => this.#send({ purpose: 'request tokens', to: faucet, data }, signal))
  }

  /** Adds to the deposit of the account as a sender. */
  fundDeposit(amount: bigint, signal: AbortSignal): Promise<MinedTransaction> {
    const data = encodeFunctionData({ abi: abis.TicketBroker, functionName: 'fundDeposit' })
    return this.#broker({ purpose: `fund deposit with ${amount} wei`, data, value: amount }, signal)
  }

  /** Adds to its deposit and its reserve. */
  fundDepositAndReserve(deposit: bigint, reserve: bigint, signal: AbortSignal): Promise<MinedTransaction> {
    const data = encodeFunctionData({
      abi: abis.TicketBroker,
      functionName: 'fundDepositAndReserve',
      args: [deposit, reserve],
    })
    const purpose = `fund deposit with ${deposit} wei and reserve with ${reserve} wei`
    return this.#broker({ purpose, data, value: deposit + reserve }, signal)
  }

  /** Unlocks deposit and reserve, or locks them again, or takes them once they are unlocked. */
  moveFunds(
    functionName: 'unlock' | 'cancelUnlock' | 'withdraw',
    signal: AbortSignal,
  ): Promise<MinedTransaction> {
    const data = encodeFunctionData({ abi: abis.TicketBroker, functionName })
    return this.#broker({ purpose: `${functionName} sender funds`, data }, signal)
  }

  /** Votes in a poll. Throws ChainError `no-contract` where there is none. */
  async vote(poll: Address, choice: bigint, signal: AbortSignal): Promise<MinedTransaction> {
    if (!(await this.#reads.isContract(poll))) throw noContract()
    const data = encodeFunctionData({ abi: abis.Poll, functionName: 'vote', args: [choice] })
    return this.#inTurn(() => this.#send({ purpose: `vote ${choice} in ${poll}`, to: poll, data }, signal))
  }

  /** Votes on a proposal about the treasury. Throws ChainError `no-contract` where there is no governor. */
  async voteOnProposal(
    id: bigint,
    { reason, support }: { readonly support: number; readonly reason: string },
    signal: AbortSignal,
  ): Promise<MinedTransaction> {
    const { governor } = this.#client.addresses
    if (governor === ZERO_ADDRESS) throw noContract()
    const abi = abis.LivepeerGovernor
    const data =
      reason === ''
        ? encodeFunctionData({ abi, functionName: 'castVote', args: [id, support] })
        : encodeFunctionData({ abi, functionName: 'castVoteWithReason', args: [id, support, reason] })
    const purpose = `vote ${support} on proposal ${id}`
    return this.#inTurn(() => this.#send({ purpose, to: governor, data }, signal))
  }

  /** Throws ChainError unless the orchestrator's reward could be called with this account now. */
  async checkReward(orchestrator: Address): Promise<void> {
    const abi = abis.BondingManager
    const { next, prev } = NO_HINTS
    const data =
      orchestrator === this.#account
        ? encodeFunctionData({ abi, functionName: 'rewardWithHint', args: [prev, next] })
        : encodeFunctionData({
            abi,
            functionName: 'rewardForTranscoderWithHint',
            args: [orchestrator, prev, next],
          })
    await this.simulate({ to: this.#client.addresses.bondingManager, data })
  }

  /** Makes a call without sending it. Throws ChainError with what would go wrong. */
  async simulate({ data, to, value = 0n }: Omit<OperatorCall, 'purpose'>): Promise<void> {
    const call = { from: this.#account, to, data, ...(value > 0n && { value: toQuantity(value) }) }
    await this.#client.rpc.request('eth_call', [call, 'latest'])
  }

  async #bondCall(amount: bigint, to: Address): Promise<OperatorCall> {
    const { bondedAmount, delegateAddress, pendingStake } = await this.#reads.delegator(this.#account)
    const moves = bondedAmount > 0n && delegateAddress !== to ? pendingStake : 0n
    const [before, after] = [
      moves > 0n ? await this.#hints(delegateAddress, -moves) : NO_HINTS,
      await this.#hints(to, amount + moves),
    ]
    const data = encodeFunctionData({
      abi: abis.BondingManager,
      functionName: 'bondWithHint',
      args: [amount, to, before.prev, before.next, after.prev, after.next],
    })
    return { purpose: `bond ${amount} LPTU to ${to}`, to: this.#client.addresses.bondingManager, data }
  }

  /** The orchestrator's future neighbours in the pool, once its stake has changed by this. */
  async #hints(orchestrator: Address, change: bigint): Promise<PoolHints> {
    try {
      const [pool, { poolMaxSize }, { delegatedStake }] = await Promise.all([
        this.#client.orchestratorPool(),
        this.#reads.protocol(),
        this.#reads.orchestrator(orchestrator),
      ])
      return poolHints(pool, { address: orchestrator, stake: delegatedStake + change }, poolMaxSize)
    } catch (error) {
      // Without hints the call costs more gas, and does the same.
      if (error instanceof ChainError && error.code !== 'rpc-unreachable') return NO_HINTS
      throw error
    }
  }

  #bonding(purpose: string, call: BondingCall, signal: AbortSignal): Promise<MinedTransaction> {
    const data = encodeFunctionData({ abi: abis.BondingManager, ...call } as EncodeFunctionDataParameters)
    const { bondingManager: to } = this.#client.addresses
    return this.#inTurn(() => this.#send({ purpose, to, data }, signal))
  }

  #broker(call: Omit<OperatorCall, 'to'>, signal: AbortSignal): Promise<MinedTransaction> {
    return this.#inTurn(() => this.#send({ ...call, to: this.#client.addresses.ticketBroker }, signal))
  }

  async #send(call: OperatorCall, signal: AbortSignal): Promise<MinedTransaction> {
    const isOpen = this.#transactions.open.some(({ purpose }) => purpose === call.purpose)
    if (!isOpen && !this.#transactions.simulates) await this.simulate(call)
    const mined = await this.#transactions.submit(
      {
        ...{ ...call, gasMarginPercent: GAS_MARGIN_PERCENT },
        at: () => this.#client.blockNumber(),
      },
      signal,
    )
    await this.#client.noteOwn(mined.block)
    if (mined.success) return mined
    throw new ChainError('failed-on-chain', `transaction failed txHash=${mined.hash}`, {
      details: { hash: mined.hash },
    })
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#turns.last.then(work, work)
    this.#turns.last = turn.catch(() => {})
    return turn
  }
}

function noContract(): ChainError {
  return new ChainError('no-contract', 'no contract code at given address')
}
