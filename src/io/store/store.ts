import type { Kysely } from 'kysely'
import { type Causes, noCauses } from '../../domain/causes.ts'
import type { NodeEvent } from '../../domain/events.ts'
import type { Fence } from '../../domain/lease.ts'
import { type Booking, dayOf } from '../../domain/money.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import type { TicketState } from '../../domain/ticket-state.ts'
import type { StoredTransaction } from '../../domain/transaction.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import { settle } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { type Dice, systemDice } from '../../lib/dice.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type {
  PaymentRecord,
  PaymentRecords,
  SecretPurpose,
  Secrets,
  SeenNonces,
  SegmentEnd,
  SegmentStart,
  SegmentStarted,
  StoredTicket,
  TicketCount,
  TicketRecords,
  TicketRemark,
} from '../../services/orchestrator/payment-records.ts'
import type { OpenTicketFacts, OpenTicketRecords } from '../../services/redemption/open-tickets.ts'
import { CommitQueue } from './commit-queue.ts'
import { type Database, StoreError } from './database.ts'
import { type JournaledGrace, openGrace } from './grace-setup.ts'
import { claimBatch } from './hold-rows.ts'
import { storeFirstValue } from './kv-rows.ts'
import { checkFence } from './lease-rows.ts'
import { LocalAccounts } from './local-accounts.ts'
import { addToMoney, type BookedMoney, type MoneyReport, readMoney } from './money-rows.ts'
import { NodeRecords } from './node-records.ts'
import { deleteExpiredNonces, insertRevealed, noncesIn } from './nonce-rows.ts'
import { type Location, openDatabase } from './open.ts'
import { writePayment } from './payment-writes.ts'
import { isServersFault } from './postgres.ts'
import { insertSecret, newestSecret, retireReplaced, secretsIn } from './secret-rows.ts'
import { SessionRecords } from './session-records.ts'
import { activeSessions } from './session-rows.ts'
import { SharedAccounts } from './shared-accounts.ts'
import type { Note, StoreAccess } from './store-access.ts'
import { bindToChain, bindToCluster, type ClusterIdentity, wordsOf } from './store-binding.ts'
import type { Tables } from './tables.ts'
import { openAmong, openTicketFacts, unfinishedHashes, unfinishedRows } from './ticket-pages.ts'
import { ticketOfRow } from './ticket-row.ts'
import { readTotals } from './ticket-totals.ts'
import { addWinners, changeTicket, type TicketWrite } from './ticket-writes.ts'
import { minedSince, openOf, writeTransaction } from './transaction-row.ts'

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
export class Store implements Service, Secrets, SeenNonces, PaymentRecords, TicketRecords, OpenTicketRecords {
  readonly name = 'store'
  /** Credit and price of each session. */
  readonly sessions: SessionRecords
  /** What is kept beside payments and tickets. */
  readonly records: NodeRecords
  readonly #options: StoreOptions
  readonly #dice: Dice
  readonly #causes: Causes
  readonly #log: Log
  readonly #monotonic: () => number
  #open: Opened | null = null
  /** The last initialised round, in which money is counted; null while it is not known. */
  #round: bigint | null = null

  constructor(options: StoreOptions, needs: StoreNeeds = { dice: systemDice }) {
    this.#options = options
    this.#causes = needs.causes ?? noCauses
    this.#dice = needs.dice
    this.#log = needs.log ?? silentLog
    this.#monotonic = needs.monotonic ?? (() => performance.now())
    const access: StoreAccess = {
      database: () => this.#opened.database,
      node: this.#node,
      write: (...of) => this.#write(...of),
    }
    this.sessions = new SessionRecords({ ...access, shared: () => this.#shared }, options.debitPatienceMs)
    this.records = new NodeRecords(access)
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
      const record = (payment: PaymentRecord) => this.#recordAlone(payment)
      return { accounts: new LocalAccounts({ sessions: this.sessions, record }), recover: async () => {} }
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
    const recover = async () => {
      await accounts.recover(records)
      accounts.follow(() => activeSessions(database.db))
    }
    return { accounts, recover }
  }

  async #recordAlone(payment: PaymentRecord): Promise<{ newWinners: readonly WinningTicket[] } | null> {
    const conflict = new Error('a nonce was used meanwhile')
    try {
      return await this.#write((tx, shared, note) =>
        writePayment(this.#ticketWrite(tx, shared, note, payment.nowMs), payment, conflict),
      )
    } catch (error) {
      if (error === conflict) return null
      throw error
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

  /** Why writes fail at the moment, as a sentence; null if they succeed. */
  get fault(): string | null {
    return this.#open?.accounts.fault ?? this.#open?.commits.fault ?? null
  }

  /** The open database, for tables that are not about payments. Throws StoreError while it is not open. */
  get database(): Database {
    return this.#opened.database
  }

  /** Binds the store to one chain, 0 meaning none. Throws StoreError `wrong-chain` if it is bound to another. */
  bindChain(chainId: bigint): Promise<void> {
    return this.#write((tx) => bindToChain(tx, this.#options, chainId))
  }

  /** Binds a shared store to the cluster that uses it. Throws StoreError `wrong-cluster` if it is bound to another. */
  bindCluster(cluster: ClusterIdentity): Promise<void> {
    return this.#write((tx) => bindToCluster(tx, this.#options, cluster))
  }

  /** Finishes running writes and closes. */
  async close(): Promise<void> {
    const open = this.#open
    this.#open = null
    await open?.accounts.close()
    await open?.commits.idle()
    await open?.database.close()
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
    return openOf(this.#db, account)
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
    if (!this.#open) throw new StoreError('store-unavailable', `${wordsOf(this.#options).where} is not open`)
    return this.#open
  }

  get #db(): Kysely<Tables> {
    return this.#opened.database.db
  }

  get #node(): string {
    return this.#options.node ?? ''
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
}
