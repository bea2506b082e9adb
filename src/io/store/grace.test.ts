import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Postgres } from '../../../devnet/postgres.ts'
import { TcpLink } from '../../../devnet/tcp-link.ts'
import { paymentRecord, wonTicket } from '../../../test/suites/store.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import { until } from '../../../test/tools/until.ts'
import type { Cause } from '../../domain/causes.ts'
import type { Address } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { Rational } from '../../lib/rational.ts'
import type { HoldRequest, SegmentStarted } from '../../services/orchestrator/payment-records.ts'
import { Store } from './store.ts'

/** What a node does while the database of its cluster is away, on a real server behind a link that is cut. */

const ALICE: Address = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const BOB: Address = '0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF'
const NOW = 1_700_000_000_000
const FEE = 1_000n

const folder = mkdtempSync(join(tmpdir(), 'livepeer-grace-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let postgres: Postgres
before(async () => {
  postgres = await Postgres.start({ within: memoryFolder() })
})
after(() => postgres.stop())

let url = ''
let nodes = 0
beforeEach(async () => {
  url = await postgres.newDatabase()
})

/** A node of the cluster, with a link of its own to the database. */
class Node implements AsyncDisposable {
  readonly link: TcpLink
  readonly path: string
  readonly causes: string[] = []
  readonly #limits: { readonly valueWei: bigint; readonly graceMs: number }
  #store: Store
  #segments = 0
  #starts = 0

  private constructor(link: TcpLink, path: string, limits: { valueWei: bigint; graceMs: number }) {
    this.link = link
    this.path = path
    this.#limits = limits
    this.#store = this.#newStore()
  }

  static async start(valueWei = 10n * FEE, graceMs = 60_000): Promise<Node> {
    const path = join(folder, `${nodes++}.journal`)
    const node = new Node(await TcpLink.open(postgres.port), path, { valueWei, graceMs })
    await node.store.open()
    return node
  }

  get store(): Store {
    return this.#store
  }

  #newStore(): Store {
    const location = url.replace(`:${postgres.port}/`, `:${this.link.port}/`)
    return new Store(
      { location, node: 'n', grace: { ...this.#limits, path: this.path } },
      {
        dice: seededDice(`${this.path}/${++this.#starts}`),
        causes: {
          met: ({ code }: Cause) => void this.causes.push(code),
          over: (code) => void this.causes.push(`${code} over`),
        },
      },
    )
  }

  /** Pays for a segment and begins it, or only begins it. */
  async begin(
    nonces: readonly number[],
    how: { sender?: Address; session?: string; won?: boolean; nowMs?: number } = {},
  ) {
    const { sender = ALICE, session = 's', won = false, nowMs = NOW } = how
    const record = paymentRecord({
      ...{ sender, sessionId: session, credit: Rational.of(FEE), nonces, nowMs },
      winners: won ? nonces.map((nonce) => wonTicket(nonce, sender)) : [],
    })
    const hold: HoldRequest = {
      ...{ sender, sessionId: session, segment: `0x${(++this.#segments).toString(16)}` },
      ...{ holder: `${this.path}-${this.#segments}`, pixels: FEE, price: Rational.of(1n), ticketEv: 1n },
      ...{ paid: Rational.zero, lifeMs: 20_000, idleSinceMs: 0, nowMs: NOW },
    }
    const started = await this.store.beginSegment({ payment: nonces.length > 0 ? record : null, hold })
    return { ...started, hold, started }
  }

  async end({ hold }: { hold: HoldRequest }, fee: bigint | null): Promise<void> {
    const { holder, segment, sender, sessionId } = hold
    const amount = fee === null ? null : Rational.of(fee)
    await this.store.endSegment({ holder, segment, sender, sessionId, fee: amount, nowMs: NOW })
  }

  /** Ends the process as a kill does, as far as the journal is concerned, and starts another. */
  async restart(): Promise<void> {
    await this.store.close()
    this.#store = this.#newStore()
    await this.store.open()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close()
    await this.link[Symbol.asyncDispose]()
  }
}

const isTaken = ({ newWinners, hold }: SegmentStarted) => newWinners !== null && hold !== null

async function inDatabase(sender: Address = ALICE, session = 's') {
  const [balance] = await postgres.runIn(
    url,
    `select amount from livepeer.balances where sender = '${sender}' and session_id = '${session}'`,
  )
  const [counts] = await postgres.runIn(
    url,
    `select (select count(*) from livepeer.nonces) as nonces, (select count(*) from livepeer.tickets) as tickets,
       (select count(*) from livepeer.holds where fee <> '0') as holds,
       (select sum(tickets_received) from livepeer.money where period = 'ever') as received`,
  )
  const { holds, nonces, received, tickets } = counts as Record<string, unknown>
  return {
    balance: String(balance?.amount),
    nonces: Number(nonces),
    tickets: Number(tickets),
    holds: Number(holds),
    received: Number(received),
  }
}

const back = (node: Node) =>
  until(async () => (node.causes.at(-1) === 'store-away over' ? true : null), 'the journal to be played in')

test('known sessions go on without the database, and everything is in it afterwards', async () => {
  await using node = await Node.start()
  await node.end(await node.begin([1]), FEE)
  const running = await node.begin([2])
  node.link.cut()
  for (let nonce = 3; nonce < 7; nonce++) {
    const begun = await node.begin([nonce], { won: nonce === 4 })
    assert.ok(isTaken(begun.started))
    assert.equal(begun.newWinners?.length, nonce === 4 ? 1 : 0)
    await node.end(begun, FEE)
  }
  await node.end(running, FEE / 2n)
  assert.deepEqual(node.causes, ['store-away'])
  assert.match(node.store.fault ?? '', /^the database (at postgres:\/\/127\.0\.0\.1:\d+|did not answer)/)
  assert.ok(statSync(node.path).size > 0)
  const cleaning = node.store.sessions.forgetSessions(0)
  assert.deepEqual(
    await node.store.sessions.price(ALICE, 's'),
    Rational.of(1n),
    'also once it forgets what is over',
  )
  await assert.rejects(node.store.sessions.price(ALICE, 'unknown'), { code: 'store-unavailable' })
  node.link.restore()
  await cleaning
  await back(node)
  assert.deepEqual(await inDatabase(), { balance: '500', nonces: 6, tickets: 1, holds: 0, received: 6 })
  assert.equal(statSync(node.path).size, 0)
  assert.equal(node.store.fault, null)
  await node.end(await node.begin([7]), FEE)
  assert.equal((await inDatabase()).balance, '500')
})

test('sessions that other nodes work for go on too, those of before its start and those of later', async () => {
  await using other = await Node.start()
  const nowMs = Date.now()
  await other.begin([1], { session: 'before', nowMs })
  await other.begin([2], { session: 'left' })
  await using node = await Node.start()
  await other.begin([3], { session: 'later', nowMs })
  await sleep(5_500)
  node.link.cut()
  for (const [nonce, session] of [
    [4, 'before'],
    [5, 'later'],
  ] as const) {
    assert.ok(isTaken((await node.begin([nonce], { session })).started), session)
  }
  await assert.rejects(node.begin([6], { session: 'left' }), { code: 'store-unavailable' })
})

test('a batch that may have arrived counts once, whether it did or not', async () => {
  await using node = await Node.start()
  await node.end(await node.begin([1]), FEE)
  // The statement waits in the link, and reaches the database when the link is restored.
  node.link.freeze()
  assert.deepEqual(await node.store.sessions.price(ALICE, 's'), Rational.of(1n), 'nothing is read for it')
  assert.equal(node.causes.length, 0)
  const begun = await node.begin([2])
  assert.ok(isTaken(begun.started))
  await node.end(begun, FEE / 2n)
  node.link.restore()
  await back(node)
  assert.deepEqual(await inDatabase(), { balance: '500', nonces: 2, tickets: 0, holds: 0, received: 2 })
  assert.ok(!node.causes.includes('tickets-shown-twice'))
})

test('a session that the node does not know, a used nonce, and work beyond the limit are refused', async () => {
  await using node = await Node.start(3n * FEE)
  await node.end(await node.begin([1]), FEE)
  node.link.cut()
  assert.ok(isTaken((await node.begin([2])).started))
  const refused = (why: RegExp) => (error: Error & { code: string }) =>
    error.code === 'store-unavailable' && why.test(error.message)
  await assert.rejects(
    node.begin([3], { session: 'unknown' }),
    refused(/: until it is back, only sessions that this node knows go on$/),
  )
  await assert.rejects(node.begin([3], { sender: BOB }), refused(/only sessions that this node knows go on$/))
  assert.equal((await node.begin([2])).newWinners, null)
  assert.deepEqual([...(await node.store.noncesOf(new Uint8Array(32).fill(1))).used], [2])
  assert.ok(isTaken((await node.begin([3])).started))
  await assert.rejects(
    node.begin([4]),
    refused(/: until it is back, this sender has had the work that -storeGraceValue allows$/),
  )
  await assert.rejects(node.store.sessions.owed(BOB, NOW), { code: 'store-unavailable' })
  node.link.restore()
  await back(node)
  assert.ok(isTaken((await node.begin([4])).started))
})

test('what was taken survives the end of the process, and is played in by the next one', async () => {
  await using node = await Node.start()
  await node.end(await node.begin([1]), FEE)
  node.link.cut()
  for (let nonce = 2; nonce < 6; nonce++) await node.end(await node.begin([nonce], { won: true }), FEE / 4n)
  const closing = node.store.close()
  node.link.restore()
  await closing
  await node.restart()
  assert.deepEqual(await inDatabase(), { balance: '3000', nonces: 5, tickets: 4, holds: 0, received: 5 })
  await node.restart()
  assert.deepEqual((await inDatabase()).balance, '3000')
  assert.ok(!existsSync(`${node.path}.refused`))
})

test('a ticket shown to two nodes counts once, is told, and is kept if it won', async () => {
  await using node = await Node.start()
  await using other = await Node.start()
  await node.end(await node.begin([1]), FEE)
  node.link.cut()
  const begun = await node.begin([2], { won: true })
  assert.ok(isTaken(begun.started))
  await node.end(begun, FEE)
  assert.ok(isTaken((await other.begin([2])).started))
  node.link.restore()
  await back(node)
  assert.ok(node.causes.includes('tickets-shown-twice'))
  // Credited twice, by the payments of 1 and 2, and charged twice; the other node's segment is running.
  assert.deepEqual(await inDatabase(), { balance: '0', nonces: 2, tickets: 1, holds: 1, received: 2 })
})

test('a journal of another store is left as it is', async () => {
  await using node = await Node.start()
  await node.end(await node.begin([1]), FEE)
  node.link.cut()
  await node.begin([2])
  await node.store.close()
  node.link.restore()
  const journal = readFileSync(node.path, 'utf8')
  url = await postgres.newDatabase()
  await node.restart()
  assert.deepEqual(await inDatabase(), { balance: 'undefined', nonces: 0, tickets: 0, holds: 0, received: 0 })
  assert.equal(readFileSync(node.path, 'utf8'), journal)
})

test('of a refused payment a ticket that won is kept, whatever the node may do', async () => {
  await using node = await Node.start(2n * FEE)
  await using late = await Node.start(FEE, 0)
  for (const each of [node, late]) await each.end(await each.begin([each === node ? 1 : 2]), FEE)
  node.link.cut()
  const refused = { code: 'store-unavailable' }
  await assert.rejects(node.begin([3], { session: 'unknown', won: true }), refused)
  await assert.rejects(node.begin([4], { sender: BOB, won: true }), refused)
  assert.ok(isTaken((await node.begin([5])).started))
  await assert.rejects(node.begin([6], { won: true }), refused)
  await assert.rejects(node.begin([6, 7], { session: 'unknown', won: true }), refused, 'it is written once')
  const [won] = await node.store.addTickets([wonTicket(8, ALICE)], NOW)
  assert.equal(won?.senderNonce, 8, 'also where its payment was refused for another reason')
  assert.deepEqual(await node.store.addTickets([wonTicket(8, ALICE)], NOW), [])
  late.link.cut()
  const running = await late.store.addTickets([wonTicket(9, ALICE)], NOW)
  assert.equal(running.length, 1, 'the first to find out that the database is away')
  await assert.rejects(late.begin([10], { won: true }), { message: /, for longer than -storeGrace allows$/ })
  for (const each of [node, late]) each.link.restore()
  for (const each of [node, late]) await back(each)
  const { nonces, tickets } = await inDatabase()
  // Of the first one it was not known whether it had arrived, so its nonce is used.
  assert.deepEqual({ nonces, tickets }, { nonces: 4, tickets: 7 })
  assert.equal((await inDatabase(BOB)).balance, 'undefined', 'nothing but the ticket counts')
  await node.restart()
  assert.equal((await inDatabase()).tickets, 7)
})

test('of a journal with batches of two stores each plays its own in once, and the node goes on', async () => {
  await using node = await Node.start()
  const urls = [url, await postgres.newDatabase()]
  /** Takes two payments while the database is away, and stops before it is back. */
  const stopAway = async (first: number) => {
    await node.end(await node.begin([first]), FEE)
    node.link.cut()
    for (const nonce of [first + 1, first + 2]) await node.begin([nonce], { won: true })
    await node.store.close()
    node.link.restore()
  }
  await stopAway(1)
  url = urls[1]!
  await node.restart()
  await stopAway(4)
  const both = readFileSync(node.path, 'utf8').trimEnd().split('\n')
  assert.equal(both.length, 4)
  await node.restart()
  assert.deepEqual(await inDatabase(), { balance: '2000', nonces: 3, tickets: 2, holds: 1, received: 3 })
  assert.deepEqual(readFileSync(node.path, 'utf8').trimEnd().split('\n'), both.slice(0, 2))
  // Longer than a process that writes nothing is remembered.
  await postgres.runIn(url, 'delete from livepeer.writers')
  await node.restart()
  assert.deepEqual((await inDatabase()).balance, '2000')
  // An outage of this store ends, and leaves what belongs to the other one.
  await node.end(await node.begin([7]), FEE)
  node.link.cut()
  await node.begin([8])
  node.link.restore()
  await back(node)
  assert.deepEqual((await inDatabase()).balance, '3000')
  assert.deepEqual(readFileSync(node.path, 'utf8').trimEnd().split('\n'), both.slice(0, 2))
  url = urls[0]!
  await node.restart()
  assert.deepEqual(await inDatabase(), { balance: '2000', nonces: 3, tickets: 2, holds: 1, received: 3 })
  assert.equal(statSync(node.path).size, 0)
  assert.ok(!existsSync(`${node.path}.refused`))
})

test('a crash while the journal is played in plays the rest in, once', async () => {
  await using node = await Node.start()
  await node.end(await node.begin([1]), FEE)
  node.link.cut()
  for (const nonce of [2, 3, 4]) await node.begin([nonce], { won: true })
  await node.store.close()
  node.link.restore()
  const journal = readFileSync(node.path)
  await node.restart()
  assert.equal((await inDatabase()).balance, '3000')
  await node.store.close()
  // As if the process had ended before the journal was emptied.
  writeFileSync(node.path, journal)
  await node.restart()
  assert.deepEqual(await inDatabase(), { balance: '3000', nonces: 4, tickets: 3, holds: 1, received: 4 })
  assert.ok(!existsSync(`${node.path}.refused`), 'what is in the store is not told as refused')
  assert.equal(statSync(node.path).size, 0)
})
