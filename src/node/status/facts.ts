import type { OrchestratorState } from '../../domain/chain.ts'
import type { SenderInfo } from '../../domain/float.ts'
import { callsLeft } from '../../domain/reward.ts'
import type { EndpointHealth } from '../../io/chain/endpoint-pool.ts'
import type { MoneyReport } from '../../io/store/money-rows.ts'
import type { Hex } from '../../lib/bytes.ts'
import { type Clock, settle } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { TicketCount } from '../../services/orchestrator/payment-records.ts'
import type { WaitingTicket } from '../../services/redemption/waiting-tickets.ts'
import type { ChainParts } from '../parts/chain.ts'
import type { Parts } from '../parts.ts'
import { type ClusterFigures, clusterFigures } from './cluster.ts'
import { Glimpse } from './glimpse.ts'
import { type MoneyFigures, moneyFigures } from './money.ts'
import { PatientRead } from './patient-read.ts'
import { type FundsFigures, fundsFigures, type PriceFigures, priceFigures } from './terms.ts'

/** Shown of the tickets that wait, the most urgent first, and of open transactions, the oldest first. */
const MAX_SHOWN = 100
/** The members of a cluster renew their leases every 2 s; what was read of them is shown for so long. */
const MEMBERS_MS = 500

/** Winning tickets in one state, for one reason. */
export interface TicketGroup {
  readonly state: string
  /** Empty where the state needs none. */
  readonly reason: string
  readonly count: number
  readonly faceValueWei: bigint
  /** The first L1 block in which one of them can no longer be redeemed; null for redeemed and refused ones. */
  readonly firstExpiryBlock: bigint | null
}

/** Winning tickets, counted by state: all that the database holds. */
export interface TicketFigures {
  /** Tickets received in accepted payments, and handed in by other nodes, since the database counts them. */
  readonly received: number
  /** Those of them that won. */
  readonly won: number
  readonly open: number
  readonly submitted: number
  /** Handed to a redeemer, and not yet seen redeemed. */
  readonly delivered: number
  readonly redeemed: number
  readonly refused: number
  readonly groups: readonly TicketGroup[]
  /** Wei; as text, for JSON. */
  readonly redeemedWei: string
  /** Payments of gateways that were refused since the start. */
  readonly paymentsRefused: number
  /** Tickets handed in by orchestrators that were refused since the start, by reason. */
  readonly handedRefused: Readonly<Record<string, number>>
}

/** The tickets that are not redeemed yet; those that expire first come first. */
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

/** The state of the protocol's rounds. */
export interface RoundFigures {
  readonly lastInitialized: bigint
  /** The round of the newest L1 block, initialised or not. */
  readonly current: bigint
  readonly startL1Block: bigint
  /** The L1 block in which the next round begins. */
  readonly nextL1Block: bigint
}

/** The limits of the gas price, in wei. */
export interface GasLimitFigures {
  /** `-minGasPrice`: the least that is assumed. */
  readonly min: bigint
  /** `-maxGasPrice`: nothing is sent above it; null for none. */
  readonly max: bigint | null
  /** The most that a transaction that earns nothing offers. */
  readonly ceiling: bigint
}

/** The chain as the node sees it. Unknown values are null; amounts are wei. */
export interface ChainFigures {
  readonly chainId: string
  readonly account: Address
  readonly balance: bigint | null
  /** The number of redemptions that the balance pays for at the present gas price; null where the node redeems nothing. */
  readonly redemptionsLeft: bigint | null
  readonly block: string | null
  /** The age of the newest block by the node's clock. */
  readonly blockAgeSeconds: number | null
  readonly l1Block: string | null
  readonly rounds: RoundFigures | null
  /** Null where the node does not follow the gas price. */
  readonly gasPrice: bigint | null
  /** The limits of the gas price; null where the node does not follow it. */
  readonly gasLimits: GasLimitFigures | null
  readonly endpoints: readonly EndpointHealth[]
  /** Transactions not known to be mined, the lowest nonce first. */
  readonly transactions: readonly TransactionFigures[]
  /** The orchestrator that tickets pay, as registered on chain; null where it does not concern the node. */
  readonly recipientState: OrchestratorState | null
}

/** Reads the figures of a running node, and of the chain as it sees it, for `/status` and `/metrics` (`src/node/readings.ts`). */
export class StatusFacts {
  readonly #parts: Parts
  readonly #clock: Clock
  /** Null offchain. */
  readonly #glimpses: {
    readonly balance: Glimpse<bigint>
    readonly recipient: Glimpse<OrchestratorState>
    /** Of a gateway's own account; null where it pays nobody. */
    readonly funds: Glimpse<SenderInfo> | null
  } | null
  /** Null unless the node is a gateway. */
  readonly #orchestrators: Glimpse<readonly string[]> | null
  readonly #ticketCounts: PatientRead<readonly TicketCount[]>
  readonly #money: PatientRead<MoneyReport>
  /** Null without a cluster. */
  readonly #members: Glimpse<void> | null

  constructor(parts: Parts, needs: { clock: Clock }) {
    const { clock } = needs
    const { chain, cluster } = parts
    const paying = parts.gateway?.paying
    this.#parts = parts
    this.#clock = clock
    const { core, gateway } = parts
    this.#ticketCounts = new PatientRead(() => core.store.countTickets(), clock)
    this.#money = new PatientRead(() => core.store.money(clock.now()), clock)
    this.#orchestrators = gateway && new Glimpse(() => gateway.orchestrators(), clock)
    this.#members = cluster && new Glimpse(() => cluster.members.look(), clock, MEMBERS_MS)
    this.#glimpses = chain && {
      balance: new Glimpse(() => chain.client.ethBalance(chain.account), clock),
      recipient: new Glimpse(() => chain.client.orchestrator(chain.recipient), clock),
      funds: paying ? new Glimpse(() => paying.funds.info(chain.account), clock) : null,
    }
  }

  /** Null offchain. */
  async chain(): Promise<ChainFigures | null> {
    const { chain } = this.#parts
    if (!chain) return null
    const { account, rounds, watch } = chain
    const { chainId, rpc } = chain.access
    const [balance, recipientState] = await Promise.all([this.balance(), this.recipientState()])
    const clock = roundClockOf(chain)
    return {
      ...{ chainId: chainId.toString(), account, balance },
      redemptionsLeft: this.#redemptionsLeft(chain, balance),
      block: watch.head?.number.toString() ?? null,
      blockAgeSeconds: this.#blockAgeSeconds(chain),
      l1Block: watch.head?.l1Block.toString() ?? null,
      rounds: clock && {
        lastInitialized: rounds.lastInitializedRound,
        current: clock.currentRound,
        startL1Block: clock.startL1Block,
        nextL1Block: clock.startL1Block + clock.roundLength,
      },
      gasPrice: this.#gasPrice(chain),
      gasLimits: this.#gasLimits(chain),
      endpoints: rpc.health(),
      transactions: this.#transactions(chain),
      recipientState,
    }
  }

  /** Null where no tickets are kept, and until they could be read. */
  async tickets(): Promise<TicketFigures | null> {
    const { winners } = this.#parts
    if (!winners) return null
    const { totals } = this.#parts.core
    const [counted, money] = await Promise.all([this.#ticketCounts.look(), this.#money.look()])
    if (!counted || !money) return null
    const { ever } = money
    const firstExpiries = winners.keeper.firstExpiries()
    const count = (state: string) =>
      counted.filter((group) => group.state === state).reduce((sum, group) => sum + group.count, 0)
    const { handedTicketsRefused, paymentsRefused } = totals
    return {
      received: ever.ticketsReceived + ever.ticketsHandedIn,
      won: ever.ticketsWon + ever.ticketsHandedIn,
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

  /** Null where nothing is earned or spent, and until it could be read. */
  async money(): Promise<MoneyFigures | null> {
    const { duties } = this.#parts
    if (!duties.keepsTickets && !duties.sendsTransactions) return null
    const money = await this.#money.look()
    return money && moneyFigures(money)
  }

  /** When the tickets and money that were given last had been read, if not just then; null otherwise. */
  get storeReadMs(): number | null {
    const old = [this.#ticketCounts, this.#money].flatMap(({ oldSinceMs }) => oldSinceMs ?? [])
    return old.length > 0 ? Math.min(...old) : null
  }

  /** The price of an orchestrator; null where nothing is asked. */
  price(): PriceFigures | null {
    const prices = this.#parts.orchestrator?.prices
    return prices ? priceFigures(prices) : null
  }

  /** What a gateway pays with; null where it pays nobody, and until it has been read. */
  async funds(): Promise<FundsFigures | null> {
    const paying = this.#parts.gateway?.paying
    const info = await this.#glimpses?.funds?.look()
    return paying && info ? fundsFigures(info, paying.spending) : null
  }

  /** The URLs of the orchestrators that a gateway may use; none of any other node, and until they have been read. */
  async orchestrators(): Promise<readonly string[]> {
    return (await this.#orchestrators?.look()) ?? []
  }

  /** The cluster as its database has it now; null where the node is in none. */
  async cluster(): Promise<ClusterFigures | null> {
    const { cluster } = this.#parts
    await this.#members?.look()
    return cluster && clusterFigures(cluster.members)
  }

  /** Null where no tickets are kept. */
  async waiting(): Promise<WaitingFigures | null> {
    const { winners } = this.#parts
    if (!winners) return null
    // With very many tickets each look at all of them takes a while: let other work run between two of them.
    await settle()
    const { keeper } = winners
    return { shown: keeper.waiting(MAX_SHOWN), more: Math.max(0, keeper.openTickets - MAX_SHOWN) }
  }

  #blockAgeSeconds({ watch }: ChainParts): number | null {
    const { head } = watch
    return head ? Math.max(0, this.#clock.now() / 1000 - Number(head.timestamp)) : null
  }

  #gasPrice({ gas }: ChainParts): bigint | null {
    return this.#parts.duties.followsGasPrice ? gas.gasPrice : null
  }

  #gasLimits({ gas }: ChainParts): GasLimitFigures | null {
    if (!this.#parts.duties.followsGasPrice) return null
    const { ceiling, max, min } = gas
    return { min, max: max === 0n ? null : max, ceiling }
  }

  async balance(): Promise<bigint | null> {
    return this.#glimpses?.balance.look() ?? null
  }

  #redemptionsLeft(chain: ChainParts, balance: bigint | null): bigint | null {
    if (balance === null || !this.#parts.duties.redeems) return null
    return callsLeft(balance, chain.settings.redeemGas * (this.#gasPrice(chain) ?? 0n))
  }

  async recipientState(): Promise<OrchestratorState | null> {
    return this.#parts.duties.showsRecipient ? (this.#glimpses?.recipient.look() ?? null) : null
  }

  #transactions({ transactions }: ChainParts): TransactionFigures[] {
    if (!this.#parts.duties.sendsTransactions) return []
    return transactions.open.slice(0, MAX_SHOWN).map(({ purpose, nonce, attempts }) => ({
      purpose,
      nonce,
      txHash: attempts.at(-1)!.hash,
      sentAtMs: attempts[0]!.sentAtMs,
      attempts: attempts.length,
    }))
  }
}

/** The chain's round now; null until the rounds have been read for the first time. */
export function roundClockOf({ rounds }: ChainParts) {
  return rounds.isKnown ? rounds.roundClock : null
}
