import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Store, type StoreOptions } from '../../src/io/store/store.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { Rational } from '../../src/lib/rational.ts'
import type { HoldRequest } from '../../src/services/orchestrator/payment-records.ts'
import { type NewPlace, paymentRecord, wonTicket } from './store.ts'

const ALICE: Address = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const NOW = 1_700_000_000_000
const RAND = new Uint8Array(32).fill(1)

let holders = 0

/** The fee of some pixels at 1 wei each, of a segment of its own unless that is said. */
export function holdRequest(fields: Partial<HoldRequest>): HoldRequest {
  const holder = `${process.pid}/${++holders}`
  return {
    ...{ sender: ALICE, sessionId: 'deadbeef', segment: `0x${holder}`, holder, pixels: 10n },
    ...{ price: Rational.one, ticketEv: 8n, paid: Rational.zero, lifeMs: 60_000 },
    ...{ idleSinceMs: NOW - 60_000, nowMs: NOW, ...fields },
  }
}

/** How a store sets the fees of segments aside and charges them, on either database. */
export function accountsSuite(
  name: string,
  newPlace: NewPlace,
  { shared, ...options }: { shared: boolean } & Omit<StoreOptions, 'location'>,
): void {
  const claim = (text: string, run: (store: Store, another: () => Promise<Store>) => Promise<void>) =>
    test(`${name}: ${text}`, async () => {
      const location = await newPlace()
      const stores: Store[] = []
      const open = async () => {
        const store = new Store({ ...options, location })
        await store.open()
        stores.push(store)
        return store
      }
      try {
        // Where no other process may use the store, the other one is the same.
        const store = await open()
        await run(store, async () => (shared ? open() : store))
      } finally {
        await Promise.all(stores.map((store) => store.close()))
      }
    })

  const credited = (store: Store, credit: Rational, nonce = 1, fields = {}) =>
    store.recordPayment(paymentRecord({ nonces: [nonce], credit, ...fields }))
  const hold = async (store: Store, fields: Partial<HoldRequest> = {}) => {
    const request = holdRequest(fields)
    return { request, ...(await store.beginSegment({ payment: null, hold: request })) }
  }
  const end = (store: Store, { holder, segment, sender, sessionId }: HoldRequest, fee: bigint | null) =>
    store.endSegment({
      ...{ sender, sessionId, segment, holder, nowMs: NOW },
      fee: fee === null ? null : Rational.of(fee),
    })

  claim('a payment and the fee of its segment are written in one step', async (store) => {
    const winner = wonTicket(1)
    const payment = paymentRecord({ nonces: [1], credit: Rational.of(21n, 2n), winners: [winner] })
    const started = await store.beginSegment({ payment, hold: holdRequest({ pixels: 10n }) })
    assert.deepEqual(started.newWinners, [winner])
    assert.equal(started.hold?.price.toString(), '1')
    const again = await store.beginSegment({ payment, hold: holdRequest({ pixels: 0n }) })
    assert.deepEqual(again, { newWinners: null, hold: null }, 'without the payment nothing is set aside')
    assert.equal((await hold(store, { pixels: 1n })).hold, null, 'half a wei is left')
    const short = await store.beginSegment({
      payment: paymentRecord({ nonces: [2], credit: Rational.of(1n) }),
      hold: holdRequest({ pixels: 2n }),
    })
    assert.deepEqual(short, { newWinners: [], hold: null })
    assert.equal((await store.sessions.balance(ALICE, 'deadbeef')).toString(), '23/2', 'the payment is kept')
  })

  claim(
    'what is set aside at one node pays for nothing at another, until it ends',
    async (store, another) => {
      const other = await another()
      await credited(store, Rational.of(30n))
      const first = await hold(store, { pixels: 20n })
      assert.ok(first.hold)
      assert.equal((await hold(other, { pixels: 11n })).hold, null)
      const second = await hold(other, { pixels: 10n })
      assert.ok(second.hold)
      await end(other, first.request, 15n)
      assert.equal((await store.sessions.balance(ALICE, 'deadbeef')).toString(), '15')
      assert.equal((await hold(store, { pixels: 6n })).hold, null)
      await end(store, second.request, null)
      assert.ok((await hold(other, { pixels: 15n })).hold)
    },
  )

  claim('of many segments at once no more begin than the balance covers', async (store, another) => {
    const other = await another()
    await credited(store, Rational.of(100n))
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => hold(i % 2 ? store : other, { pixels: 10n })),
    )
    assert.equal(answers.filter((answer) => answer.hold).length, 10)
  })

  claim('a fee is exact: fractions of a wei are neither lost nor given', async (store) => {
    const price = Rational.of(1n, 3n)
    const credit = Rational.of(7n, 2n ** 256n - 1n).add(Rational.of(10n, 3n))
    await credited(store, credit, 1, { price })
    const held = await hold(store, { pixels: 10n, price: Rational.of(5n) })
    assert.deepEqual(held.hold?.price, price, 'a session keeps its price')
    assert.equal((await hold(store, { pixels: 1n })).hold, null)
    await store.endSegment({ ...held.request, fee: price.mul(Rational.of(10n)) })
    assert.deepEqual(await store.sessions.balance(ALICE, 'deadbeef'), Rational.of(7n, 2n ** 256n - 1n))
  })

  claim('a segment declared to cost nothing needs a ticket’s worth', async (store) => {
    await credited(store, Rational.of(7n))
    assert.equal((await hold(store, { pixels: 0n })).hold, null)
    await credited(store, Rational.of(1n), 2)
    assert.ok((await hold(store, { pixels: 0n })).hold)
  })

  claim('where the price is 0 nothing is set aside', async (store) => {
    const { hold: held } = await hold(store, { price: Rational.zero })
    assert.deepEqual([held?.price.sign, held?.overrun], [0, 0n])
  })

  claim('what the sender left in idle sessions counts', async (store) => {
    await credited(store, Rational.of(5n), 2, { sessionId: 'busy' })
    await credited(store, Rational.of(9n), 1, { sessionId: 'old', nowMs: NOW - 90_000 })
    assert.equal((await hold(store, { sessionId: 'new', pixels: 10n })).hold, null)
    assert.equal((await store.sessions.balance(ALICE, 'new')).toString(), '9')
    assert.ok((await hold(store, { sessionId: 'new', pixels: 9n })).hold)
  })

  claim('segments at all nodes share what their sender may owe', async (store, another) => {
    const other = await another()
    await credited(store, Rational.of(1_000n))
    // 64 tickets of 8 wei; a segment may cost four times its fee more.
    const overruns = []
    for (let i = 0; i < 20; i++) overruns.push((await hold(i % 2 ? store : other)).hold?.overrun)
    const granted = overruns.reduce<bigint>((sum, overrun) => sum + overrun!, 0n)
    assert.equal(overruns[0], 40n)
    assert.equal(overruns.at(-1), 0n)
    assert.equal(granted, 64n * 8n)
  })

  claim('debts lessen what a segment may cost beyond its fee, payments raise it', async (store) => {
    await credited(store, Rational.of(1_000n))
    await store.sessions.debit(ALICE, 'owing', Rational.of(1_001n, 2n), NOW)
    const owing = await hold(store)
    assert.equal(owing.hold?.overrun, 64n * 8n - 500n)
    await end(store, owing.request, null)
    const paid = await hold(store, { paid: Rational.of(16n * 520n) })
    assert.equal(paid.hold?.overrun, 20n)
  })

  claim(
    'another try of a segment uses what the first set aside, as far as its sender may owe it',
    async (store, another) => {
      const other = await another()
      await credited(store, Rational.of(100n))
      const segment = '0xabcd'
      const first = await hold(store, { pixels: 100n, segment })
      assert.ok(first.hold)
      assert.equal((await hold(other, { pixels: 100n })).hold, null, 'another segment')
      const second = await hold(other, { pixels: 100n, segment })
      assert.equal(
        second.hold?.overrun,
        12n,
        '512 wei, less 400 granted to the first and 100 that it may still cost',
      )
      assert.equal(
        (await hold(store, { pixels: 100n, segment })).hold,
        null,
        'as often as the sender may owe it',
      )
      await end(store, first.request, null)
      await end(other, second.request, 100n)
      assert.equal((await store.sessions.balance(ALICE, 'deadbeef')).sign, 0)
    },
  )

  claim('a payment whose number is revealed, or has too many nonces, is not recorded', async (store) => {
    const nonces = Array.from({ length: 599 }, (_, i) => i)
    assert.ok(await store.recordPayment(paymentRecord({ nonces })))
    assert.equal(await store.recordPayment(paymentRecord({ nonces: [600, 601] })), null)
    assert.ok(await store.recordPayment(paymentRecord({ nonces: [600] })))
    await store.reveal(new Uint8Array(32).fill(2), 140n)
    const revealed = { recipientRandHash: new Uint8Array(32).fill(2), nonces: [1] }
    assert.equal(await store.recordPayment(paymentRecord(revealed)), null)
    assert.equal((await store.noncesOf(RAND)).used.size, 600)
  })

  if (!shared) return

  claim(
    'a fee that was set aside by a node that crashed is free again after its time',
    async (store, another) => {
      const other = await another()
      await credited(store, Rational.of(10n))
      assert.ok((await hold(store, { lifeMs: 300 })).hold)
      const waiting = await hold(other)
      assert.ok(waiting.hold, 'it waited for the other segment of its session')
    },
  )

  claim('a charge on its way to the store does not make the next segment fail', async (store, another) => {
    const other = await another()
    await credited(store, Rational.of(10n))
    const first = await hold(store, { pixels: 10n })
    const next = hold(other, { pixels: 9n })
    await end(store, first.request, 1n)
    assert.ok((await next).hold)
  })
}
