import type { OrchestratorState } from '../../domain/chain.ts'
import { callsLeft } from '../../domain/reward.ts'
import type { EndpointHealth } from '../../io/chain/endpoint-pool.ts'
import type { FigureReading, Sample } from '../../io/http/metrics.ts'
import type { Hex } from '../../lib/bytes.ts'
import { type Clock, settle } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { WaitingTicket } from '../../services/redemption/waiting-tickets.ts'
import type { Parts } from '../parts.ts'

/** The most urgent of the tickets that wait, and the oldest transactions; the others are only counted. */
const MAX_SHOWN = 100
/** What is read of the chain for the operator's eyes is read again when it is older than this. */
const REFRESH_MS = 10_000
/** How long whoever looks waits for it before the last value must do. */
const PATIENCE_MS = 1_500
const WEI_PER_GWEI = 1e9

/** Winning tickets in one state, for one reason. */
export interface TicketGroup {
  readonly state: string
  /** Empty where the state says it all. */
  readonly reason: string
  readonly count: number
  readonly faceValueWei: bigint
  /** The first L1 block in which one of them cannot be redeemed any more; null for those that have ended. */
  readonly firstExpiryBlock: bigint | null
}

/** Winning tickets by where they stand. */
export interface TicketFigures {
  /** Received since the node started; the others count everything that the database holds. */
  readonly received: number
  readonly won: number
  readonly open: number
  readonly submitted: number
  /** With a redeemer, and not seen redeemed yet. */
  readonly delivered: number
  readonly redeemed: number
  readonly refused: number
  readonly groups: readonly TicketGroup[]
  /** Wei; as text, for JSON. */
  readonly redeemedWei: string
  /** Payments of gateways that were not taken since the start. */
  readonly paymentsRefused: number
  /** Tickets that were handed in and not taken since the start, by reason. */
  readonly handedRefused: Readonly<Record<string, number>>
}

/** The tickets that are not redeemed yet, those that expire first in front. */
export interface WaitingFigures {
  readonly shown: readonly WaitingTicket[]
  readonly more: number
}

/** A transaction that is not known to be mined. */
export interface TransactionFigures {
  readonly purpose: string
  readonly nonce: number
  readonly txHash: Hex
  /** Of the first attempt. */
  readonly sentAtMs: number
  readonly attempts: number
}

/** Where the protocol's rounds stand. */
export interface RoundFigures {
  readonly lastInitialized: bigint
  /** The round of the newest L1 block, initialised or not. */
  readonly current: bigint
  readonly startL1Block: bigint
  /** The L1 block with which the next begins. */
  readonly nextL1Block: bigint
}

/** The chain as the node sees it. What is not known is null; amounts are wei. */
export interface ChainFigures {
  readonly chainId: string
  readonly account: Address
  readonly balance: bigint | null
  /** For how many redemptions the balance lasts at the present gas price; null where the node redeems nothing. */
  readonly redemptionsLeft: bigint | null
  readonly block: string | null
  /** Since the newest block was made, by the node's clock. */
  readonly blockAgeSeconds: number | null
  readonly l1Block: string | null
  readonly rounds: RoundFigures | null
  /** Null where the node does not follow it. */
  readonly gasPrice: bigint | null
  readonly endpoints: readonly EndpointHealth[]
  /** What the node has sent and is not known to be mined, the oldest nonce first. */
  readonly transactions: readonly TransactionFigures[]
  /** The orchestrator that tickets pay, as the chain has it; null where that does not concern the node. */
  readonly recipientState: OrchestratorState | null
}

/** What is read of a running node, and of the chain through it, for `/status` and `/metrics`. */
export class StatusFacts {
  readonly #parts: Parts
  readonly #clock: Clock
  readonly #balance: Glimpse<bigint>
  readonly #recipient: Glimpse<OrchestratorState>

  constructor(parts: Parts, needs: { clock: Clock }) {
    const { clock } = needs
    this.#parts = parts
    this.#clock = clock
    this.#balance = new Glimpse(() => parts.chainClient.ethBalance(parts.chain.wallet.address), clock)
    this.#recipient = new Glimpse(() => parts.chainClient.orchestrator(parts.recipientAddress!), clock)
  }

  /** Asked for on chain only. */
  async chain(): Promise<ChainFigures> {
    const { chain, watch } = this.#parts
    const [balance, recipient] = await Promise.all([this.#balance.look(), this.#recipientState()])
    const clock = this.#roundClock
    return {
      chainId: chain.chainId.toString(),
      account: chain.wallet.address,
      balance,
      redemptionsLeft: this.#redemptionsLeft(balance),
      block: watch.head?.number.toString() ?? null,
      blockAgeSeconds: this.#blockAgeSeconds,
      l1Block: watch.head?.l1Block.toString() ?? null,
      rounds: clock && {
        lastInitialized: this.#parts.rounds.lastInitializedRound,
        current: clock.currentRound,
        startL1Block: clock.startL1Block,
        nextL1Block: clock.startL1Block + clock.roundLength,
      },
      gasPrice: this.#gasPrice,
      endpoints: chain.rpc.health(),
      transactions: this.#transactions(),
      recipientState: recipient,
    }
  }

  /** Asked for only where tickets are kept. */
  async tickets(): Promise<TicketFigures> {
    const { store, metrics } = this.#parts
    const counted = await store.countTickets()
    const firstExpiries = this.#parts.winners.firstExpiries()
    const count = (state: string) =>
      counted.filter((group) => group.state === state).reduce((sum, group) => sum + group.count, 0)
    const { handedTicketsRefused, paymentsRefused, ticketsReceived } = metrics.totals
    return {
      received: ticketsReceived,
      won: counted.reduce((sum, group) => sum + group.count, 0),
      open: count('open'),
      submitted: count('submitted'),
      delivered: count('delivered'),
      redeemed: count('redeemed'),
      refused: count('refused'),
      groups: counted.map((group) => ({
        state: group.state,
        reason: group.reason,
        count: group.count,
        faceValueWei: group.faceValue,
        firstExpiryBlock: firstExpiries.get(`${group.state} ${group.reason}`) ?? null,
      })),
      redeemedWei: counted.reduce((sum, group) => sum + group.paid, 0n).toString(),
      paymentsRefused,
      handedRefused: handedTicketsRefused,
    }
  }

  /** Asked for only where tickets are kept. */
  async waiting(): Promise<WaitingFigures> {
    const { winners } = this.#parts
    // With very many tickets each look at all of them takes a while: others have their turn between two.
    await settle()
    return { shown: winners.waiting(MAX_SHOWN), more: Math.max(0, winners.openTickets - MAX_SHOWN) }
  }

  /** The figures of `/metrics` that are read rather than counted; those that do not concern the node are absent. */
  readings(): FigureReading[] {
    const parts = this.#parts
    const room = reading('max_sessions_total', 'Sessions taken at once', () => one(parts.maxSessions))
    const { chain } = parts.settings
    if (!chain) return [room]
    const ofChain: FigureReading[] = [
      reading('chain_silence_seconds', 'Time since the newest block was made', () =>
        one(this.#blockAgeSeconds),
      ),
      reading('current_round', 'Round of the newest L1 block', () =>
        one(this.#roundClock && Number(this.#roundClock.currentRound)),
      ),
      reading('account_balance', 'Balance of the node’s account, gwei', async () =>
        one(gwei(await this.#balance.look())),
      ),
      reading('open_transactions', 'Transactions not known to be mined', () =>
        one(this.#transactions().length),
      ),
      {
        ...reading('rpc_up', 'Whether an RPC endpoint is usable', () =>
          parts.chain.rpc
            .health()
            .filter(({ state }) => state.kind !== 'untried')
            .map(({ endpoint, state }) => ({ labels: { endpoint }, value: isUp(state.kind === 'healthy') })),
        ),
        labels: ['endpoint'],
      },
      ...this.#gasReadings(),
    ]
    return [room, ...ofChain, ...this.#ticketReadings(), ...this.#rewardReadings()]
  }

  #ticketReadings(): FigureReading[] {
    const parts = this.#parts
    if (!parts.keepsTickets) return []
    const tickets = {
      ...reading('tickets', 'Winning tickets by state and reason', async () => {
        const counted = await parts.store.countTickets()
        return counted.map(({ state, reason, count }) => ({ labels: { state, reason }, value: count }))
      }),
      labels: ['state', 'reason'],
    }
    const deadline = reading(
      'ticket_deadline_l1_blocks',
      'L1 blocks until the first of the winning tickets that are not redeemed expires',
      () => {
        const [first] = parts.winners.waiting(1)
        return one(first && this.#roundClock ? Number(first.expiryBlock - this.#roundClock.l1Block) : null)
      },
    )
    const active = reading(
      'recipient_active',
      'Whether the orchestrator that tickets pay is active',
      async () => {
        const recipient = await this.#recipientState()
        return one(recipient && isUp(recipient.active))
      },
    )
    if (!parts.handsOver) return [tickets, deadline, active]
    const redeemers = {
      ...reading('redeemer_up', 'Whether a redeemer answers', () =>
        parts.redeemers.health.map(({ name, answers }) => ({
          labels: { redeemer: name },
          value: isUp(answers),
        })),
      ),
      labels: ['redeemer'],
    }
    return [tickets, deadline, active, redeemers]
  }

  #rewardReadings(): FigureReading[] {
    const parts = this.#parts
    if (!parts.rewards) return []
    return [
      reading('last_reward_round', 'Last round in which the orchestrator’s reward was called', () => {
        const { lastRewardRound } = parts.reward.status()
        return one(lastRewardRound === null ? null : Number(lastRewardRound))
      }),
    ]
  }

  #gasReadings(): FigureReading[] {
    const { minGasPrice, maxGasPrice } = this.#parts.settings.chain!
    return [
      reading('suggested_gas_price', 'Gas price that the node reckons with, gwei', () =>
        one(gwei(this.#gasPrice)),
      ),
      reading('min_gas_price', 'Least gas price to reckon with, gwei', () => one(gwei(minGasPrice))),
      reading('max_gas_price', 'Gas price above which nothing is sent, gwei', () => one(gwei(maxGasPrice))),
    ]
  }

  get #blockAgeSeconds(): number | null {
    const { head } = this.#parts.watch
    return head ? Math.max(0, this.#clock.now() / 1000 - Number(head.timestamp)) : null
  }

  /** Null until the rounds have been read for the first time. */
  get #roundClock() {
    return this.#parts.rounds.isKnown ? this.#parts.rounds.roundClock : null
  }

  /** Those who send or take payments follow it. */
  get #gasPrice(): bigint | null {
    const { keepsTickets, sendsTransactions } = this.#parts
    return keepsTickets || sendsTransactions ? this.#parts.gas.gasPrice : null
  }

  #redemptionsLeft(balance: bigint | null): bigint | null {
    const { keepsTickets, handsOver, settings } = this.#parts
    if (balance === null || !keepsTickets || handsOver) return null
    return callsLeft(balance, settings.chain!.redeemGas * (this.#gasPrice ?? 0n))
  }

  async #recipientState(): Promise<OrchestratorState | null> {
    const { keepsTickets, settings } = this.#parts
    return keepsTickets || settings.roles.has('reward') ? this.#recipient.look() : null
  }

  #transactions(): TransactionFigures[] {
    if (!this.#parts.sendsTransactions) return []
    return this.#parts.transactions.open.slice(0, MAX_SHOWN).map(({ purpose, nonce, attempts }) => ({
      purpose,
      nonce,
      txHash: attempts.at(-1)!.hash,
      sentAtMs: attempts[0]!.sentAtMs,
      attempts: attempts.length,
    }))
  }
}

/** A fact of the chain for those who look: read anew when it is old, the last value while that takes long or fails. */
class Glimpse<T> {
  readonly #read: () => Promise<T>
  readonly #clock: Clock
  #value: T | null = null
  #askedAtMs = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | null = null

  constructor(read: () => Promise<T>, clock: Clock) {
    this.#read = read
    this.#clock = clock
  }

  /** Null until it was read for the first time. */
  async look(): Promise<T | null> {
    if (this.#clock.now() - this.#askedAtMs >= REFRESH_MS) this.#reading ??= this.#refresh()
    if (this.#reading) {
      const patience = new AbortController()
      const tooLong = this.#clock.sleep(PATIENCE_MS, patience.signal).catch(() => {})
      await Promise.race([this.#reading, tooLong])
      patience.abort()
    }
    return this.#value
  }

  async #refresh(): Promise<void> {
    this.#askedAtMs = this.#clock.now()
    try {
      this.#value = await this.#read()
    } catch {
      // The endpoints' health tells why.
    } finally {
      this.#reading = null
    }
  }
}

function reading(name: string, help: string, read: FigureReading['read']): FigureReading {
  return { name, help, read }
}

/** One figure; none while it is not known. */
function one(value: number | null | undefined): Sample[] {
  return value === null || value === undefined ? [] : [{ value }]
}

function gwei(wei: bigint | null): number | null {
  return wei === null ? null : Number(wei) / WEI_PER_GWEI
}

function isUp(yes: boolean): number {
  return yes ? 1 : 0
}
