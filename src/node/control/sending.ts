import { type WordedCall, wordsOfCall } from '../../domain/call-words.ts'
import { DryTransactions, type PlannedTransaction } from '../../io/chain/dry-transactions.ts'
import { calledContracts, decodeCall } from '../../io/chain/known-calls.ts'
import { notLeading } from '../../io/chain/led-transactions.ts'
import type { OperatorSender } from '../../io/chain/operator-calls.ts'
import { Staking } from '../../io/chain/staking.ts'
import type { MinedTransaction } from '../../io/chain/transaction-request.ts'
import { etherAtLeast } from '../../lib/amounts.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { ChainParts } from '../parts/chain.ts'

/** What of the chain a request sends with. */
export type SendingChain = Pick<ChainParts, 'account' | 'recipient' | 'watch' | 'operator' | 'staking'>

/** How the transactions of one request are sent, and what is noted of them. */
export interface Sending {
  /** Whether they are simulated only, so that nothing may be changed. */
  readonly isDry: boolean
  of(chain: ChainParts): SendingChain
  /** A step of the request begins: what is sent from now on belongs to it. */
  begin(step: string): void
  /** A step was done before. */
  noteDone(step: string): void
}

/** A transaction of a step: in words, as the chain takes it, and what it may cost. */
export interface StepCall extends WordedCall {
  /** Under which the node lists it while it waits to be mined. */
  readonly purpose: string
  readonly transaction: Omit<PlannedTransaction, 'purpose' | 'open'>
  /** The most that its gas may cost. */
  readonly maxCostWei: bigint
  readonly maxCost: string
  /** The hash of the same call that waits to be mined already; null where it would be sent now. */
  readonly open: Hex | null
}

/** One step of what a request does. */
export interface Step<Call> {
  /** Null for a request that has one step only. */
  readonly step: string | null
  readonly isDone: boolean
  /** Null for a step that was done before, or that sends nothing. */
  readonly call: Call | null
}

/** The answer to dryRun=true. */
export interface DryRunAnswer {
  readonly dryRun: true
  readonly chainId: bigint
  /** The account that would send. */
  readonly from: Address
  readonly steps: readonly Step<StepCall>[]
  /** The most that all of it may cost, without what is sent along. */
  readonly maxCostWei: bigint
  readonly maxCost: string
}

/** A transaction that was sent and mined. */
export interface SentCall extends WordedCall {
  readonly hash: Hex
  readonly block: bigint
  readonly feeWei: bigint
}

/** The answer to details=true. */
export interface SentAnswer {
  readonly dryRun: false
  readonly steps: readonly Step<SentCall>[]
}

/** The steps of a request, as they are taken. */
class Steps<Call> {
  readonly #steps: { step: string | null; isDone: boolean; call: Call | null }[] = []
  #current: string | null = null

  begin(step: string): void {
    this.#current = step
    this.#steps.push({ step, isDone: false, call: null })
  }

  noteDone(step: string): void {
    this.#steps.push({ step, isDone: true, call: null })
  }

  add(call: Call): void {
    const last = this.#steps.at(-1)
    if (last && last.step === this.#current && !last.isDone && last.call === null) last.call = call
    else this.#steps.push({ step: this.#current, isDone: false, call })
  }

  get all(): readonly Step<Call>[] {
    return this.#steps
  }
}

/** Simulates what a request would send with an account, by default the node's own. */
export class DryRun implements Sending {
  readonly isDry = true
  readonly #from: Address | null
  readonly #steps = new Steps<PlannedTransaction>()
  #dry: {
    readonly chain: ChainParts
    readonly transactions: DryTransactions
    readonly view: SendingChain
  } | null = null

  constructor(from: Address | null) {
    this.#from = from
  }

  of(chain: ChainParts): SendingChain {
    this.#dry ??= this.#over(chain)
    return this.#dry.view
  }

  begin(step: string): void {
    this.#steps.begin(step)
  }

  noteDone(step: string): void {
    this.#steps.noteDone(step)
  }

  /** What would have been done. Null for a request that looked at no chain. */
  answer(): DryRunAnswer | null {
    if (!this.#dry) return null
    const { chain, view } = this.#dry
    const steps = this.#steps.all.map(({ call, isDone, step }) => {
      return { step, isDone, call: call && stepCall(call, chain) }
    })
    const maxCostWei = steps.reduce(
      (sum, { call }) => sum + (call && call.open === null ? call.maxCostWei : 0n),
      0n,
    )
    const { chainId } = chain.access
    return {
      ...{ dryRun: true, chainId, from: view.account, steps, maxCostWei },
      maxCost: etherAtLeast(maxCostWei),
    }
  }

  #over(chain: ChainParts) {
    const { access, client, gas, operator, recipient, settings, watch } = chain
    const account = this.#from ?? chain.account
    const isOwn = account === chain.account
    const { gasLimit } = chain.transactions
    const transactions = new DryTransactions(
      { account, gasLimit, open: isOwn ? chain.transactions.open : [], isSignedLater: !isOwn },
      { rpc: access.rpc, gasPrices: gas },
    )
    const leading: OperatorSender = {
      simulates: true,
      open: transactions.open,
      submit: async (request, signal) => {
        if (isOwn && chain.leaders && chain.leaders.transactions.epoch === null) throw notLeading()
        return transactions.submit(request, signal)
      },
    }
    const noting = noted(leading, () => this.#steps.add(transactions.planned.at(-1)!))
    const sender = Object.assign(noting, { gasLimit, join: () => null, allow: () => {} })
    const { maxReplacements } = settings
    const view: SendingChain = {
      ...{ account, watch },
      recipient: isOwn ? recipient : account,
      operator: { reads: operator.reads, calls: operator.calls.dry(account, noting) },
      staking: new Staking({ maxReplacements }, { client, transactions: sender, account }),
    }
    return { chain, transactions, view }
  }
}

/** Sends what a request sends, and tells of each transaction. */
export class DetailedSending implements Sending {
  readonly isDry = false
  readonly #steps = new Steps<SentCall>()
  #view: SendingChain | null = null

  of(chain: ChainParts): SendingChain {
    if (this.#view) return this.#view
    const { account, client, operator, recipient, settings, transactions, watch } = chain
    const { maxReplacements } = settings
    const noting = noted(transactions, (request, mined) => {
      const { block, fee, hash } = mined
      this.#steps.add({ ...wordsOf(request, chain), hash, block, feeWei: fee })
    })
    const sender = Object.assign(noting, {
      gasLimit: transactions.gasLimit,
      join: transactions.join.bind(transactions),
      allow: transactions.allow.bind(transactions),
    })
    this.#view = {
      ...{ account, recipient, watch },
      operator: { reads: operator.reads, calls: operator.calls.over(noting) },
      staking: new Staking({ maxReplacements }, { client, transactions: sender, account }),
    }
    return this.#view
  }

  begin(step: string): void {
    this.#steps.begin(step)
  }

  noteDone(step: string): void {
    this.#steps.noteDone(step)
  }

  /** What was done. */
  answer(): SentAnswer {
    return { dryRun: false, steps: this.#steps.all }
  }
}

type Request = Parameters<OperatorSender['submit']>[0]

/** A sender that tells of each transaction that it has sent. */
function noted(
  sender: OperatorSender,
  note: (request: Request, mined: MinedTransaction) => void,
): OperatorSender {
  return {
    simulates: sender.simulates ?? false,
    get open() {
      return sender.open
    },
    submit: async (request, signal) => {
      const mined = await sender.submit(request, signal)
      note(request, mined)
      return mined
    },
  }
}

function stepCall(planned: PlannedTransaction, chain: ChainParts): StepCall {
  const { open, purpose, ...transaction } = planned
  const maxCostWei = transaction.gas * transaction.maxFeePerGas
  const maxCost = etherAtLeast(maxCostWei)
  return { ...wordsOf(planned, chain), purpose, transaction, maxCostWei, maxCost, open }
}

function wordsOf(
  { data, to, value = 0n }: { readonly to: Address; readonly data: Hex; readonly value?: bigint },
  { access }: ChainParts,
): WordedCall {
  const known = calledContracts(access.addresses)
  // The only contract that the Controller does not know is a poll.
  const contracts = known.has(to) ? known : new Map([...known, [to, 'Poll' as const]])
  return wordsOfCall(decodeCall({ to, data, value }, contracts), contracts)
}
