import type { Kysely } from 'kysely'
import { type Causes, noCauses } from '../../domain/causes.ts'
import type { NodeEvent } from '../../domain/events.ts'
import type { Fence } from '../../domain/lease.ts'
import { type Booking, dayOf } from '../../domain/money.ts'
import type { PricePerPixel, WinningTicket } from '../../domain/ticket.ts'
import type { TicketState } from '../../domain/ticket-state.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import { settle } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { type Dice, systemDice } from '../../lib/dice.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import { Rational } from '../../lib/rational.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { KeptAlert } from '../../services/alerts/alert-log.ts'
import type { AlertKeeping } from '../../services/alerts/alerts.ts'
import type { KeptPool } from '../../services/gateway/orchestrator-source.ts'
import type {
  Balances,
  PaymentRecord,
  PaymentRecords,
  SecretPurpose,
  Secrets,
  SeenNonces,
  SegmentEnd,
  SegmentStart,
  SegmentStarted,
  SessionPrices,
  StoredTicket,
  TicketCount,
  TicketRecords,
  TicketRemark,
} from '../../services/orchestrator/payment-records.ts'
import type { OpenTicketFacts, OpenTicketRecords } from '../../services/redemption/open-tickets.ts'
import { alertsInText } from './alert-rows.ts'
import { CommitQueue } from './commit-queue.ts'
import {
  addControlChange,
  type ControlChangeRecord,
  controlChanges,
  controlSettings,
  writeControlSetting,
} from './control-rows.ts'
import { type Database, StoreError } from './database.ts'
import { type JournaledGrace, openGrace } from './grace-setup.ts'
import { claimBatch, deleteOldHolds } from './hold-rows.ts'
import { storedValue, storeFirstValue, storeValue } from './kv-rows.ts'
import { checkFence } from './lease-rows.ts'
import { LocalAccounts, type LocalAccountsNeeds } from './local-accounts.ts'
import { addToMoney, type BookedMoney, type MoneyReport, readMoney } from './money-rows.ts'
import { deleteExpiredNonces, insertRevealed, noncesIn } from './nonce-rows.ts'
import { DEFAULT_SCHEMA, isPostgresUrl, type Location, openDatabase } from './open.ts'
import { writePayment } from './payment-writes.ts'
import { poolInText, textOfPool } from './pool-rows.ts'
import { isServersFault } from './postgres.ts'
import { addMissedRewards, addReward, lastRewards, type RewardRecord } from './reward-rows.ts'
import { insertSecret, newestSecret, retireReplaced, secretsIn } from './secret-rows.ts'
import {
  forgetIdleSessions,
  lockSession,
  owedBy,
  sessionIn,
  setSession,
  takeLeftovers,
} from './session-rows.ts'
import { SharedAccounts } from './shared-accounts.ts'
import type { Tables } from './tables.ts'
import { openAmong, openTicketFacts, unfinishedHashes, unfinishedRows } from './ticket-pages.ts'
import { ticketOfRow } from './ticket-row.ts'
import { readTotals } from './ticket-totals.ts'
import { addWinners, changeTicket, type TicketWrite } from './ticket-writes.ts'
import { minedSince, transactionOfRow, writeTransaction } from './transaction-row.ts'

const MAX_KNOWN_PRICES = 10_000
const POOL_KEY = 'orchestrator-pool'

/** What all nodes of a cluster have in common; a word of its own where the node is offchain. */
export interface ClusterIdentity {
  /** Address of the Controller contract. */
  readonly controller: string
  /** Address that tickets pay: the orchestrator on chain. */
  readonly recipient: string
}

const CLUSTER_FLAGS = { controller: '-ethController', orchestrator: '-ethOrchAddr' } as const

export interface StoreOptions extends Location {
  /** How long a debit may wait to share a commit with another write, in ms; absent: it does not wait. */
  readonly debitPatienceMs?: number
  /** Separates this node's chain cursor and totals from those of other nodes with the same database. */
  readonly node?: string
  /** What the node goes on with while a shared database is away; absent: nothing. */
  readonly grace?: JournaledGrace
}

/** What a store needs. */
export interface StoreNeeds {
  readonly dice: Dice
  readonly causes?: Causes
  readonly log?: Log
  /** Milliseconds that never jump; absent: the system's. */
  readonly monotonic?: () => number
}

type Row = Parameters<typeof ticketOfRow>[0]
type Note = (booked: BookedMoney) => void

interface Opened {
  readonly database: Database
  readonly commits: CommitQueue<BookedMoney>
  readonly accounts: LocalAccounts | SharedAccounts
}

const WRITER_BYTES = 16
/** Payments of a shared store are counted in rows of their own, so that they wait for no other write of their node. */
const HOT_ROWS = '+payments'

/**
 * The node's database: SQLite, or PostgreSQL if several processes share it. A method that resolves has written to disk.
 */
export class Store
  implements
    Service,
    Secrets,
    SeenNonces,
    Balances,
    SessionPrices,
    PaymentRecords,
    TicketRecords,
    OpenTicketRecords
{
  readonly name = 'store'
  readonly #options: StoreOptions
  readonly #dice: Dice
  readonly #causes: Causes
  readonly #log: Log
  readonly #monotonic: () => number
  /** A session keeps its first price, which need not be read again for every segment. */
  readonly #prices = new Map<string, PricePerPixel>()
  #open: Opened | null = null
  /** The last initialised round, in which money is counted; null while it is not known. */
  #round: bigint | null = null

  constructor(options: StoreOptions, needs: StoreNeeds = { dice: systemDice }) {
    this.#options = options
    this.#causes = needs.causes ?? noCauses
    this.#dice = needs.dice
    this.#log = needs.log ?? silentLog
    this.#monotonic = needs.monotonic ?? (() => performance.now())
  }

  async start(scope: Scope): Promise<void> {
    await this.open()
    scope.defer(() => this.close())
    const { broken } = this.#opened.commits
    scope.spawn('keep what is written', (signal) =>
      Promise.race([broken, new Promise<void>((stop) => signal.addEventListener('abort', () => stop()))]),
    )
  }

  /** Opens the database and brings its schema up to date. Throws StoreError. */
  async open(): Promise<void> {
    if (this.#open) return
    const database = await openDatabase(this.#options)
    const { schema } = database
    const writer = `${this.#node}/${formatHex(this.#dice.bytes(WRITER_BYTES))}`
    const commits = new CommitQueue<BookedMoney>(
      database,
      () => this.#tellFault(),
      (tx, booked) => addToMoney(tx, database, this.#node, booked),
      schema === null ? null : (tx, seq) => claimBatch(tx, schema, `${writer}/commits`, seq),
    )
    try {
      const { accounts, recover } = await this.#accountsOf(database, commits, writer)
      this.#open = { database, commits, accounts }
      await recover()
    } catch (error) {
      this.#open = null
      await database.close()
      throw database.explain(error)
    }
  }

  async #accountsOf(
    database: Database,
    commits: CommitQueue<BookedMoney>,
    writer: string,
  ): Promise<{ accounts: Opened['accounts']; recover(): Promise<void> }> {
    const { call, schema } = database
    if (!call || schema === null) {
      return { accounts: new LocalAccounts(this.#localNeeds), recover: async () => {} }
    }
    const { grace, records } = await openGrace(this.#options.grace ?? null, {
      ...{ causes: this.#causes, log: this.#log, monotonic: this.#monotonic },
      firstValue: (key, value) => commits.run((tx) => storeFirstValue(tx, key, value)),
      newId: () => formatHex(this.#dice.bytes(WRITER_BYTES)),
    })
    const accounts = new SharedAccounts({
      grace,
      ...{ call, schema, writer, node: `${this.#node}${HOT_ROWS}`, takenBy: this.#node },
      bookingAt: (nowMs) => this.#bookingAt(nowMs),
      isServersFault,
      explain: (error) => database.explain(error),
      onFault: () => this.#tellFault(),
    })
    return { accounts, recover: () => accounts.recover(records) }
  }

  get #localNeeds(): LocalAccountsNeeds {
    return {
      balance: (...of) => this.balance(...of),
      carryOver: (...of) => this.carryOver(...of),
      debit: (...of) => this.#debit(...of),
      owed: (...of) => this.owed(...of),
      price: (...of) => this.price(...of),
      record: async (payment) => {
        const conflict = new Error('a nonce was used meanwhile')
        try {
          return await this.#write((tx, shared, note) =>
            writePayment(this.#ticketWrite(tx, shared, note, payment.nowMs), payment, conflict),
          )
        } catch (error) {
          if (error === conflict) return null
          throw error
        }
      },
    }
  }

  /** Follows the rounds, to count money in them. */
  hear(event: NodeEvent): void {
    if (event.kind === 'round-begun') this.#round = event.round
  }

  /** What the node earned and spent on the day of this time, in its week, in the last initialised round, and ever. */
  async money(nowMs: number): Promise<MoneyReport> {
    return readMoney(this.#db, this.#bookingAt(nowMs))
  }

  #tellFault(): void {
    // The grace time has words of its own for it.
    if (this.#options.grace && this.#isAway) return
    const { fault } = this
    if (fault === null) this.#causes.over('store-unwritable')
    else this.#causes.met({ code: 'store-unwritable', facts: { fault } })
  }

  /** Whether a shared database is away, and the node goes on by itself. */
  get #isAway(): boolean {
    return this.#shared?.isAway ?? false
  }

  get #shared(): SharedAccounts | null {
    const accounts = this.#open?.accounts
    return accounts instanceof SharedAccounts ? accounts : null
  }

  /** Throws at once, rather than after a long wait, what a read would end with. */
  #refuseAway(): void {
    if (this.#isAway) throw new StoreError('store-unavailable', this.#shared!.fault ?? 'the database is away')
  }

  /** Why writes fail at the moment, as a sentence; null if they succeed. */
  get fault(): string | null {
    return this.#open?.accounts.fault ?? this.#open?.commits.fault ?? null
  }

  /** The open database, for tables that are not about payments. Throws StoreError while it is not open. */
  get database(): Database {
    return this.#opened.database
  }

  /** Finishes running writes and closes. */
  async close(): Promise<void> {
    const open = this.#open
    this.#open = null
    await open?.accounts.close()
    await open?.commits.idle()
    await open?.database.close()
  }

  /** Binds the store to one chain, 0 meaning none. Throws StoreError `wrong-chain` if it is bound to another. */
  async bindChain(chainId: bigint): Promise<void> {
    const bound = await this.#write((tx) => storeFirstValue(tx, 'chain-id', chainId.toString()))
    if (bound !== chainId.toString()) {
      const { change, where } = this.#place
      throw new StoreError(
        'wrong-chain',
        `expecting chainID of ${bound}, but got ${chainId}: the data in ${where} belongs to another chain: ${change}`,
      )
    }
  }

  /**
   * Binds a shared store to the cluster that uses it: the contracts and the orchestrator that its nodes work for. Throws
   * StoreError `wrong-cluster` if it is bound to others.
   */
  async bindCluster(cluster: ClusterIdentity): Promise<void> {
    const own = { controller: cluster.controller, orchestrator: cluster.recipient }
    for (const [name, value] of Object.entries(own)) {
      const bound = await this.#write((tx) => storeFirstValue(tx, name, value))
      if (bound === value) continue
      const { change, where } = this.#place
      throw new StoreError(
        'wrong-cluster',
        `${where} belongs to a cluster with the ${name} ${bound}, and this node's is ${value}: ${change}, or correct ${CLUSTER_FLAGS[name as keyof typeof own]}`,
      )
    }
  }

  /** The JSON last given to `saveCursor`, or null. */
  async loadCursor(): Promise<string | null> {
    return storedValue(this.#db, this.#cursorKey)
  }

  /** Stores the chain cursor. */
  async saveCursor(json: string): Promise<void> {
    await this.#write((tx) => storeValue(tx, this.#cursorKey, json))
  }

  /** The pool of orchestrators last given to `savePool`, or null. */
  async loadPool(): Promise<KeptPool | null> {
    return poolInText(await storedValue(this.#db, POOL_KEY))
  }

  /** Stores the pool of orchestrators as it was read. */
  async savePool(pool: KeptPool): Promise<void> {
    await this.#write((tx) => storeValue(tx, POOL_KEY, textOfPool(pool)))
  }

  /** Which alerts this node, or its cluster, has told: those last given to `saveAlerts`. */
  async loadAlerts(of: AlertKeeping): Promise<readonly KeptAlert[]> {
    return alertsInText(await storedValue(this.#db, this.#alertsKey(of)))
  }

  /** Stores which alerts have been told. */
  async saveAlerts(of: AlertKeeping, alerts: readonly KeptAlert[]): Promise<void> {
    await this.#write((tx) => storeValue(tx, this.#alertsKey(of), JSON.stringify(alerts)))
  }

  #alertsKey(of: AlertKeeping): string {
    return of === 'own' ? `alerts/${this.#node}` : 'cluster-alerts'
  }

  /** What an operator set at run time and made to outlast a restart, by name. */
  async controlSettings(): Promise<ReadonlyMap<string, string>> {
    return controlSettings(this.#db, this.#node)
  }

  /** Keeps such a setting; null forgets it. */
  async keepControlSetting(name: string, value: string | null, nowMs: number): Promise<void> {
    await this.#write((tx) => writeControlSetting(tx, this.#node, { name, value, nowMs }))
  }

  /** Appends to the record of what operators asked this node for. */
  async addControlChange(change: ControlChangeRecord): Promise<void> {
    await this.#write((tx) => addControlChange(tx, this.#node, change))
  }

  /** The newest entries of that record, the newest first. */
  async controlChanges(most: number): Promise<readonly ControlChangeRecord[]> {
    return controlChanges(this.#db, this.#node, most)
  }

  /** Keeps that the reward of a round was called. */
  async addReward(reward: RewardRecord & { readonly reward: bigint }): Promise<void> {
    await this.#write((tx) => addReward(tx, reward))
  }

  /** Keeps that rounds, from first to last, ended without their reward. */
  async addMissedRewards(rounds: { first: bigint; last: bigint; atMs: number }): Promise<void> {
    await this.#write((tx) => addMissedRewards(tx, rounds))
  }

  /** What became of the rewards of the last rounds of which anything is known, the newest first. */
  async lastRewards(most: number): Promise<readonly RewardRecord[]> {
    return lastRewards(this.#db, most)
  }

  async secrets(purpose: SecretPurpose): Promise<readonly Uint8Array[]> {
    const known = await secretsIn(this.#db, purpose)
    if (known.length > 0) return known
    return this.#write(async (tx) => {
      await insertSecret(tx, purpose, { version: 1, atMs: 0, dice: this.#dice })
      return secretsIn(tx, purpose)
    })
  }

  async rotateSecret(purpose: SecretPurpose, notSinceMs: number, nowMs: number): Promise<void> {
    await this.#write(async (tx) => {
      const { version, replacedAtMs } = await newestSecret(tx, purpose)
      if (replacedAtMs !== null && replacedAtMs >= notSinceMs) return
      await insertSecret(tx, purpose, { version: version + 1, atMs: nowMs, dice: this.#dice })
    })
  }

  async retireSecrets(purpose: SecretPurpose, replacedBeforeMs: number, nowMs: number): Promise<void> {
    await this.#write((tx) => retireReplaced(tx, purpose, replacedBeforeMs, nowMs))
  }

  async noncesOf(recipientRandHash: Uint8Array): Promise<{ used: ReadonlySet<number>; revealed: boolean }> {
    if (this.#isAway) {
      return { used: this.#shared!.noncesAway(formatHex(recipientRandHash)), revealed: false }
    }
    return noncesIn(this.#db, formatHex(recipientRandHash))
  }

  async reveal(recipientRandHash: Uint8Array, expirationBlock: bigint, fence?: Fence): Promise<void> {
    await this.#write(async (tx) => {
      if (fence) await checkFence(tx, fence)
      await insertRevealed(tx, formatHex(recipientRandHash), expirationBlock)
    })
  }

  async forgetNonces(expiredAt: bigint): Promise<void> {
    await this.#write((tx) => deleteExpiredNonces(tx, expiredAt))
  }

  async balance(sender: Address, sessionId: string): Promise<Rational> {
    return this.#amountIn(this.#db, sender, sessionId)
  }

  async price(sender: Address, sessionId: string): Promise<PricePerPixel | null> {
    const key = `${sender}/${sessionId}`
    const known = this.#prices.get(key)
    if (known) return known
    this.#refuseAway()
    const price = (await sessionIn(this.#db, sender, sessionId))?.price ?? null
    if (price) {
      if (this.#prices.size >= MAX_KNOWN_PRICES) this.#prices.clear()
      this.#prices.set(key, price)
    }
    return price
  }

  async debit(sender: Address, sessionId: string, fee: Rational, nowMs: number): Promise<Rational> {
    const { accounts } = this.#opened
    if (accounts instanceof SharedAccounts) {
      return accounts.end({ sender, sessionId, fee, nowMs, segment: '0x', holder: '' })
    }
    return this.#debit(sender, sessionId, fee, nowMs)
  }

  #debit(sender: Address, sessionId: string, fee: Rational, nowMs: number): Promise<Rational> {
    return this.#write(async (tx, shared) => {
      const { amount } = await lockSession(tx, shared, sender, sessionId, nowMs)
      await setSession(tx, sender, sessionId, { amount: amount.sub(fee), nowMs })
      return amount.sub(fee)
    }, this.#options.debitPatienceMs)
  }

  async carryOver(sender: Address, sessionId: string, idleSinceMs: number, nowMs: number): Promise<Rational> {
    return this.#write(async (tx, shared) => {
      const leftovers = await takeLeftovers(tx, shared, sender, sessionId, idleSinceMs)
      // Nothing to carry over: skip the write.
      if (leftovers.amount.sign === 0) return this.#amountIn(tx, sender, sessionId)
      const session = await lockSession(tx, shared, sender, sessionId, nowMs)
      const amount = session.amount.add(leftovers.amount)
      const price = session.price ?? leftovers.price
      await setSession(tx, sender, sessionId, { amount, ...(price ? { price } : {}), nowMs })
      return amount
    })
  }

  async owed(sender: Address, idleSinceMs: number): Promise<Rational> {
    this.#refuseAway()
    return owedBy(this.#db, sender, idleSinceMs)
  }

  async forgetSessions(idleSinceMs: number): Promise<void> {
    this.#prices.clear()
    while (await this.#write((tx, shared) => forgetIdleSessions(tx, shared, idleSinceMs))) {}
    const { schema } = this.#opened.database
    if (schema !== null) await this.#write((tx) => deleteOldHolds(tx, schema))
  }

  async fixPrice(
    sender: Address,
    sessionId: string,
    price: PricePerPixel,
    nowMs: number,
  ): Promise<PricePerPixel> {
    return this.#write(async (tx, shared) => {
      const session = await lockSession(tx, shared, sender, sessionId, nowMs)
      if (session.price) return session.price
      await setSession(tx, sender, sessionId, { price, nowMs })
      return price
    })
  }

  /** Records a payment without a segment; null if it must not be recorded. */
  async recordPayment(record: PaymentRecord): Promise<{ newWinners: readonly WinningTicket[] } | null> {
    const { newWinners } = await this.beginSegment({ payment: record, hold: null })
    return newWinners && { newWinners }
  }

  beginSegment(start: SegmentStart): Promise<SegmentStarted> {
    return this.#opened.accounts.begin(start)
  }

  async endSegment(end: SegmentEnd): Promise<void> {
    await this.#opened.accounts.end(end)
  }

  async addTickets(
    tickets: readonly WinningTicket[],
    nowMs: number,
    source: 'unpaid' | 'handedIn' = 'unpaid',
  ): Promise<WinningTicket[]> {
    if (tickets.length === 0) return []
    const shared = source === 'unpaid' && this.#shared?.hasGrace ? this.#shared : null
    if (shared?.isAway) return shared.keep(tickets, nowMs)
    try {
      return await this.#write((tx, isShared, note) =>
        addWinners(this.#ticketWrite(tx, isShared, note, nowMs), tickets, source),
      )
    } catch (error) {
      if (!shared || !isServersFault(error)) throw error
      return shared.keep(tickets, nowMs)
    }
  }

  async *unfinishedTickets(
    isKnown: (hash: Hex) => boolean = () => false,
  ): AsyncGenerator<readonly StoredTicket[]> {
    for await (const hashes of unfinishedHashes(this.#db)) {
      const rows = await unfinishedRows(
        this.#db,
        hashes.filter((hash) => !isKnown(hash)),
      )
      if (rows.length > 0) yield rows.map((row) => ticketOfRow(row as Row))
      // SQLite blocks the process, so the event loop gets a turn between two chunks.
      await settle()
    }
  }

  openTickets(): AsyncGenerator<readonly OpenTicketFacts[]> {
    return openTicketFacts(this.#db)
  }

  async stillOpen(ids: readonly Hex[]): Promise<ReadonlySet<Hex>> {
    return openAmong(this.#db, ids)
  }

  async redeemedSince(block: bigint): Promise<StoredTicket[]> {
    const rows = await this.#db
      .selectFrom('tickets')
      .selectAll()
      .where('state', '=', 'redeemed')
      .where('block', '>=', block)
      .orderBy('hash')
      .execute()
    return rows.map((row) => ticketOfRow(row as Row))
  }

  async saveTicketState(
    hash: Uint8Array,
    state: TicketState,
    nowMs: number,
    { fence, ...remark }: TicketRemark & { readonly fence?: Fence } = {},
  ): Promise<void> {
    await this.#write(async (tx, shared, note) => {
      if (fence) await checkFence(tx, fence)
      const byLeader = fence !== undefined
      await changeTicket(this.#ticketWrite(tx, shared, note, nowMs), hash, state, { ...remark, byLeader })
    })
  }

  async countTickets(): Promise<TicketCount[]> {
    return readTotals(this.#db)
  }

  /** The transactions of an account that are not known to be mined, in nonce order. */
  async openTransactions(account: Address): Promise<StoredTransaction[]> {
    const rows = await this.#db
      .selectFrom('transactions')
      .selectAll()
      .where('account', '=', account)
      .where('state', '=', 'open')
      .orderBy('nonce')
      .execute()
    return rows.map(transactionOfRow)
  }

  /** The newest transactions of an account that were mined on the day of this time or later, at most `most`. */
  async minedTransactions(account: Address, sinceMs: number, most: number): Promise<StoredTransaction[]> {
    return minedSince(this.#db, { account, day: dayOf(sinceMs), most })
  }

  /** Stores a transaction, replacing the one with its account and nonce, and counts its fee. */
  async saveTransaction(transaction: StoredTransaction, nowMs: number, fence?: Fence): Promise<void> {
    const now = this.#bookingAt(nowMs)
    await this.#write(async (tx, shared, note) => {
      if (fence) await checkFence(tx, fence)
      await writeTransaction(tx, shared, transaction, now, note)
    })
  }

  get #opened(): Opened {
    if (!this.#open) throw new StoreError('store-unavailable', `${this.#place.where} is not open`)
    return this.#open
  }

  get #db(): Kysely<Tables> {
    return this.#opened.database.db
  }

  get #node(): string {
    return this.#options.node ?? ''
  }

  get #cursorKey(): string {
    return `chain-cursor/${this.#node}`
  }

  #bookingAt(nowMs: number): Booking {
    return { day: dayOf(nowMs), round: this.#round }
  }

  #ticketWrite(tx: Kysely<Tables>, shared: boolean, note: Note, nowMs: number): TicketWrite {
    return { tx, shared, node: this.#node, nowMs, now: this.#bookingAt(nowMs), note }
  }

  #write<T>(
    write: (tx: Kysely<Tables>, shared: boolean, note: Note) => Promise<T>,
    patienceMs?: number,
  ): Promise<T> {
    const { commits, database } = this.#opened
    return commits.run((tx, note) => write(tx, database.shared, note), patienceMs)
  }

  async #amountIn(db: Kysely<Tables>, sender: Address, sessionId: string): Promise<Rational> {
    return (await sessionIn(db, sender, sessionId))?.amount ?? Rational.zero
  }

  /** The database in words, without the password that a URL may contain, and how a node gets another. */
  get #place(): { readonly where: string; readonly change: string } {
    const { location, schema = DEFAULT_SCHEMA } = this.#options
    if (!isPostgresUrl(location)) return { where: location, change: 'give this node its own -dataDir' }
    return {
      where: `the schema ${schema} of the database at ${maskUrl(location)}`,
      change: 'give this node another -storeSchema',
    }
  }
}
