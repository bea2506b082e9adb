import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  NO_SENDER_MONEY,
  plusSender,
  type SenderMoney,
  unattributed,
  varianceOf,
} from '../../src/domain/ledger.ts'
import { dayOf, NO_MONEY } from '../../src/domain/money.ts'
import { expectedValue, ticketHash } from '../../src/domain/ticket.ts'
import type { TicketState } from '../../src/domain/ticket-state.ts'
import type { StoredTransaction } from '../../src/domain/transaction.ts'
import { Store, type StoreOptions } from '../../src/io/store/store.ts'
import { TicketBoard } from '../../src/io/store/ticket-board.ts'
import { formatHex } from '../../src/lib/bytes.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { Rational } from '../../src/lib/rational.ts'
import { type NewPlace, paymentRecord, wonTicket } from './store.ts'

const ALICE: Address = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const CAROL: Address = '0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69'
const ACCOUNT: Address = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
const DAY_MS = 86_400_000
const NOON = Date.UTC(2026, 10, 25, 12)
const EV = expectedValue(10n ** 16n + 7n, 2n ** 251n + 3n)
const VARIANCE = varianceOf(10n ** 16n + 7n, 2n ** 251n + 3n)

/** What every store tells of single tickets and of the book by gateway, on either database. */
export function ticketsSuite(
  name: string,
  newPlace: NewPlace,
  { shared, ...options }: { shared: boolean } & Omit<StoreOptions, 'location'>,
): void {
  const claim = (text: string, run: (store: Store, board: TicketBoard) => Promise<void>) =>
    test(`${name}: ${text}`, async () => {
      const store = new Store({ ...options, location: await newPlace(), node: 'n1' })
      await store.open()
      try {
        await run(store, new TicketBoard(store))
      } finally {
        await store.close()
      }
    })
  const id = (n: number, sender: Address = ALICE) => formatHex(ticketHash(wonTicket(n, sender)))

  claim(
    'a ticket tells where it came from, each state it took and its transactions',
    async (store, board) => {
      const ticket = wonTicket(1)
      const hash = ticketHash(ticket)
      const payment = { nonces: [1], sessionId: 's1', winners: [ticket], nowMs: NOON }
      await store.recordPayment(paymentRecord(payment))
      const save = (state: TicketState, atMs: number, remark = {}) =>
        store.saveTicketState(hash, state, NOON + atMs, remark)
      await save({ kind: 'open', reason: 'underfunded' }, 1, { says: 'too little' })
      await save({ kind: 'submitted', txHash: null }, 2)
      await save({ kind: 'submitted', txHash: null }, 3)
      await save({ kind: 'open', reason: 'reverted' }, 4, { txHash: '0x0a' })
      await save({ kind: 'delivered' }, 5, { redeemer: 'r.example' })
      await save({ kind: 'redeemed', txHash: '0x0b', paid: 5n, fee: 2n, block: 9n }, 6)
      await store.saveTransaction(
        { ...transaction(1, `redeem ${id(1)} 0x02`), state: 'reverted', fee: 3n },
        NOON,
      )
      await store.saveTransaction(transaction(2, `redeem ${id(1)}`), NOON)
      await store.saveTransaction(transaction(3, 'reward 0x7099'), NOON)
      const story = await board.story(id(1))
      assert.deepEqual(story?.origin, { sessionId: 's1', source: 'paid', receivedBy: 'n1' })
      assert.equal(story.receivedAtMs, NOON)
      const at = (ms: number, state: TicketState, more = {}) => ({
        atMs: NOON + ms,
        node: 'n1',
        state,
        ...more,
      })
      assert.deepEqual(story.facts, [
        at(1, { kind: 'open', reason: 'underfunded' }, { says: 'too little' }),
        at(2, { kind: 'submitted', txHash: null }),
        at(4, { kind: 'open', reason: 'reverted' }, { txHash: '0x0a' }),
        at(5, { kind: 'delivered' }, { redeemer: 'r.example' }),
        at(6, { kind: 'redeemed', txHash: '0x0b', paid: 5n, fee: 2n, block: 9n }, { txHash: '0x0b' }),
      ])
      assert.deepEqual(
        story.transactions.map(({ nonce, state }) => [nonce, state]),
        [
          [1, 'reverted'],
          [2, 'open'],
        ],
      )
      assert.equal(await board.story(id(2)), null)
    },
  )

  claim('a story is bounded, and its end is told all the same', async (store, board) => {
    const ticket = wonTicket(1)
    await store.addTickets([ticket], NOON)
    assert.deepEqual((await board.story(id(1)))?.origin, {
      ...{ sessionId: null, source: 'unpaid', receivedBy: 'n1' },
    })
    const hash = ticketHash(ticket)
    const changes = Array.from({ length: 520 }, (_, i) =>
      store.saveTicketState(hash, { kind: 'open', reason: i % 2 ? 'underfunded' : 'no-ether' }, NOON + i),
    )
    await Promise.all(changes)
    await store.saveTicketState(hash, { kind: 'refused', reason: 'expired' }, NOON + 1_000)
    const { facts } = (await board.story(id(1)))!
    assert.equal(facts.length, 501)
    assert.deepEqual(facts.at(-1)?.state, { kind: 'refused', reason: 'expired' })
  })

  claim(
    'tickets are listed newest first, in pages, by state, reason, gateway and deadline',
    async (store, board) => {
      for (let n = 1; n <= 6; n++) {
        await store.addTickets([wonTicket(n, n % 2 ? ALICE : CAROL)], NOON + Math.floor(n / 2))
      }
      await store.saveTicketState(ticketHash(wonTicket(1)), { kind: 'refused', reason: 'expired' }, NOON)
      await store.saveTicketState(ticketHash(wonTicket(3)), { kind: 'open', reason: 'no-ether' }, NOON)
      const seen: string[] = []
      let after = null
      for (;;) {
        const page = await board.list({}, { after, most: 4 })
        seen.push(...page.map((ticket) => ticket.id))
        const last = page.at(-1)
        if (!last) break
        after = { receivedAtMs: last.receivedAtMs, id: last.id }
      }
      const all = [1, 2, 3, 4, 5, 6].map((n) => id(n, n % 2 ? ALICE : CAROL))
      assert.deepEqual([...seen].sort(), [...all].sort(), 'each once')
      assert.equal(seen[0], id(6, CAROL))
      assert.equal(seen.at(-1), id(1))
      const listed = async (filter: Parameters<TicketBoard['list']>[0]) =>
        (await board.list(filter, { after: null, most: 10 })).map((ticket) => ticket.id)
      assert.deepEqual(await listed({ states: ['refused'] }), [id(1)])
      assert.deepEqual(await listed({ states: ['open', 'refused'], reason: 'no-ether' }), [id(3)])
      assert.deepEqual(await listed({ sender: CAROL, createdTo: 3500n }), [
        id(6, CAROL),
        id(4, CAROL),
        id(2, CAROL),
      ])
      assert.deepEqual(await listed({ createdTo: 3499n }), [])
    },
  )

  claim('the book by gateway adds up to the money, with gas shared out to the wei', async (store, board) => {
    const pay = (n: number, sender: Address, nowMs: number) => {
      const facts = { credit: EV, variance: VARIANCE, winners: [wonTicket(n, sender)], nowMs }
      return store.recordPayment(paymentRecord({ sender, sessionId: `s${sender}`, nonces: [n], ...facts }))
    }
    await pay(1, ALICE, NOON)
    await Promise.all([pay(2, CAROL, NOON), pay(3, CAROL, NOON), pay(4, ALICE, NOON + DAY_MS)])
    assert.equal(await pay(4, ALICE, NOON), null, 'its nonce is used')
    await store.addTickets([wonTicket(5, CAROL)], NOON, 'handedIn')
    const redeem = (n: number, sender: Address, paid: bigint, block: bigint) =>
      store.saveTicketState(
        ticketHash(wonTicket(n, sender)),
        { kind: 'redeemed', txHash: '0x0a', paid, fee: 1n, block },
        NOON,
      )
    await redeem(1, ALICE, 5n, 1n)
    await redeem(2, CAROL, 7n, 1n)
    await redeem(3, CAROL, 11n, 1n)
    await store.saveTicketState(
      ticketHash(wonTicket(3, CAROL)),
      { kind: 'open', reason: 'reorganised' },
      NOON + DAY_MS,
    )
    const purpose = `redeem ${id(1)} ${id(2, CAROL)} ${id(3, CAROL)}`
    await store.saveTransaction({ ...transaction(1, purpose), state: 'mined', fee: 100n }, NOON)
    await store.saveTransaction({ ...transaction(1, purpose), state: 'mined', fee: 101n }, NOON + DAY_MS)
    await store.saveTransaction({ ...transaction(2, `redeem ${id(9)}`), state: 'mined', fee: 4n }, NOON)
    await store.saveTransaction({ ...transaction(3, 'reward 0x7099'), state: 'mined', fee: 8n }, NOON)
    const today = dayOf(NOON)
    const { byDay, rows } = await board.book(today, today + 1)
    const of = (sender: Address, day = today) =>
      rows.find((row) => row.sender === sender && row.day === day)?.money
    const parts = (10n ** 16n + 7n) * (2n ** 251n + 3n)
    const expected = (change: Partial<SenderMoney>) => ({ ...NO_SENDER_MONEY, ...change })
    assert.deepEqual(
      of(ALICE),
      expected({
        ...{ ticketsReceived: 1, ticketsWon: 1, ticketsRedeemed: 1, received: parts, variance: VARIANCE },
        ...{
          won: wonTicket(1).faceValue,
          redeemedFace: wonTicket(1).faceValue,
          redeemed: 5n,
          redeemGas: 33n,
        },
      }),
    )
    assert.deepEqual(
      of(CAROL),
      expected({
        ...{ ticketsReceived: 2, ticketsWon: 2, ticketsHandedIn: 1, ticketsRedeemed: 1 },
        ...{ received: 2n * parts, variance: 2n * VARIANCE, redeemed: 7n, redeemGas: 68n },
        ...{ won: wonTicket(2).faceValue + wonTicket(3).faceValue, redeemedFace: wonTicket(2).faceValue },
        handedIn: wonTicket(5).faceValue,
      }),
    )
    assert.equal(of(ALICE, today + 1)?.won, wonTicket(4).faceValue)
    for (const [day, money] of byDay) {
      const own = rows.filter((row) => row.day === day)
      assert.equal(
        unattributed(
          money,
          own.map((row) => row.money),
        ),
        null,
      )
    }
    const nobody = rows.find(({ sender }) => sender === null)
    assert.deepEqual(nobody?.money, expected({ redeemGas: 4n }), 'for a ticket that is not known')
    assert.deepEqual([byDay.get(today)?.redeemGas, byDay.get(today)?.rewardGas], [105n, 8n])
    assert.deepEqual(await board.book(today + 2, today + 3), { rows: [], byDay: new Map() })
  })

  claim('what is not known by gateway is told apart', async (store, board) => {
    await store.recordPayment(paymentRecord({ nonces: [1], credit: Rational.of(7n), nowMs: NOON }))
    const { byDay, rows } = await board.book(dayOf(NOON), dayOf(NOON))
    const money = { ...byDay.get(dayOf(NOON))!, won: 9n }
    assert.deepEqual(
      unattributed(
        money,
        rows.map((row) => row.money),
      ),
      { ...NO_SENDER_MONEY, won: 9n },
    )
    assert.equal(unattributed(NO_MONEY, []), null)
    assert.equal(plusSender(NO_SENDER_MONEY, { won: 2n }).won, 2n)
  })

  if (!shared) return

  test(`${name}: two processes with one name count into the same book`, async () => {
    const location = await newPlace()
    const stores = [new Store({ ...options, location }), new Store({ ...options, location })]
    await Promise.all(stores.map((store) => store.open()))
    try {
      const writes = stores.flatMap((store, s) =>
        Array.from({ length: 20 }, async (_, i) => {
          const ticket = wonTicket(100 * s + i)
          await store.addTickets([ticket], NOON)
          const state = { kind: 'redeemed', txHash: null, paid: 3n, fee: null, block: 1n } as const
          await store.saveTicketState(ticketHash(ticket), state, NOON)
        }),
      )
      await Promise.all(writes)
      const { byDay, rows } = await new TicketBoard(stores[0]!).book(dayOf(NOON), dayOf(NOON))
      assert.equal(
        rows.reduce((sum, { money }) => sum + money.redeemed, 0n),
        120n,
      )
      assert.equal(
        unattributed(
          byDay.get(dayOf(NOON))!,
          rows.map(({ money }) => money),
        ),
        null,
      )
    } finally {
      await Promise.all(stores.map((store) => store.close()))
    }
  })
}

function transaction(nonce: number, purpose: string): StoredTransaction {
  return {
    ...{ account: ACCOUNT, nonce, purpose, to: ACCOUNT, data: '0x', value: 0n, gas: 21_000n },
    ...{ attempts: [], state: 'open' },
  }
}
