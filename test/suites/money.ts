import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dayOf, type Money, type MoneyChange, mondayOf, NO_MONEY, plus } from '../../src/domain/money.ts'
import { expectedValue, ticketHash } from '../../src/domain/ticket.ts'
import type { TicketState } from '../../src/domain/ticket-state.ts'
import type { StoredTransaction } from '../../src/domain/transaction.ts'
import { Store, type StoreOptions } from '../../src/io/store/store.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { type NewPlace, paymentRecord, wonTicket } from './store.ts'

const ACCOUNT: Address = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const DAY_MS = 86_400_000
/** A Wednesday at noon. */
const WEDNESDAY = Date.UTC(2026, 10, 25, 12)
const EV = expectedValue(10n ** 16n + 7n, 2n ** 251n + 3n)
/** The same, as it is counted. */
const EV_PARTS = (10n ** 16n + 7n) * (2n ** 251n + 3n)

/** How a store counts what was earned and spent, on either database. */
export function moneySuite(
  name: string,
  newPlace: NewPlace,
  { shared, ...options }: { shared: boolean } & Omit<StoreOptions, 'location'>,
): void {
  const claim = (text: string, run: (store: Store, reopen: () => Promise<Store>) => Promise<void>) =>
    test(`${name}: ${text}`, async () => {
      const location = await newPlace()
      let store = new Store({ ...options, location })
      await store.open()
      try {
        await run(store, async () => {
          await store.close()
          store = new Store({ ...options, location })
          await store.open()
          return store
        })
      } finally {
        await store.close()
      }
    })

  claim('rewards are kept by round, and what was called stays called', async (store, reopen) => {
    const called = { reward: 2n ** 70n, fee: 7n, txHash: '0xaa', atMs: WEDNESDAY } as const
    await store.records.addReward({ round: 2n ** 40n, ...called })
    await store.records.addMissedRewards({ first: 2n ** 40n - 1n, last: 2n ** 40n, atMs: WEDNESDAY })
    const missed = { reward: null, fee: null, txHash: null, atMs: WEDNESDAY }
    const all = [
      { round: 2n ** 40n, ...called },
      { round: 2n ** 40n - 1n, ...missed },
    ]
    assert.deepEqual(await (await reopen()).records.lastRewards(10), all)
    const again = await reopen()
    assert.deepEqual(await again.records.lastRewards(1), all.slice(0, 1))
  })

  claim('money is counted by day, week and round, exactly, and survives reopening', async (store, reopen) => {
    assert.deepEqual(await store.money(WEDNESDAY), {
      ...{ firstDay: null, thisRound: null },
      ...{ today: NO_MONEY, thisWeek: NO_MONEY, ever: NO_MONEY },
    })
    const pay = (to: Store, nonce: number, nowMs: number) =>
      to.recordPayment(paymentRecord({ nonces: [nonce], credit: EV, winners: [wonTicket(nonce)], nowMs }))
    await pay(store, 1, WEDNESDAY)
    begin(store, 4000n)
    await pay(store, 2, WEDNESDAY)
    await pay(store, 3, WEDNESDAY + DAY_MS)
    begin(store, 4001n)
    await pay(store, 4, WEDNESDAY + DAY_MS)
    await pay(store, 5, WEDNESDAY + 5 * DAY_MS)
    const money = (...nonces: number[]) => ({
      ...NO_MONEY,
      ...{ ticketsReceived: nonces.length, ticketsWon: nonces.length },
      received: EV_PARTS * BigInt(nonces.length),
      won: nonces.reduce((sum, nonce) => sum + wonTicket(nonce).faceValue, 0n),
    })
    const again = await reopen()
    const firstDay = dayOf(WEDNESDAY)
    assert.deepEqual(await again.money(WEDNESDAY + DAY_MS), {
      ...{ firstDay, today: money(3, 4), thisWeek: money(1, 2, 3, 4), ever: money(1, 2, 3, 4, 5) },
      thisRound: null,
    })
    begin(again, 4001n)
    assert.deepEqual(await again.money(WEDNESDAY + 5 * DAY_MS), {
      ...{ firstDay, today: money(5), thisWeek: money(5), ever: money(1, 2, 3, 4, 5) },
      thisRound: { round: 4001n, money: money(4, 5) },
    })
    begin(again, 4000n)
    assert.deepEqual((await again.money(WEDNESDAY)).thisRound, { round: 4000n, money: money(2, 3) })
  })

  claim('a payment that is not recorded counts nothing, whatever shares its commit', async (store) => {
    const pay = (nonces: number[], fields = {}) =>
      store.recordPayment(paymentRecord({ nonces, credit: EV, nowMs: WEDNESDAY, ...fields }))
    const outcomes = await Promise.allSettled([
      pay([1]),
      pay([1], { winners: [wonTicket(1)] }),
      pay([-0.5], { sessionId: null }),
      pay([2]),
    ])
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value !== null : null)),
      [true, false, null, true],
    )
    const { ever } = await store.money(WEDNESDAY)
    assert.deepEqual(ever, { ...NO_MONEY, ticketsReceived: 2, received: 2n * EV_PARTS })
  })

  claim('each winning ticket is counted once, as won or as handed in', async (store) => {
    await store.recordPayment(paymentRecord({ nonces: [1], winners: [wonTicket(1)], nowMs: WEDNESDAY }))
    await store.addTickets([wonTicket(1), wonTicket(2)], WEDNESDAY)
    await store.addTickets([wonTicket(1), wonTicket(3)], WEDNESDAY, 'handedIn')
    const { ever } = await store.money(WEDNESDAY)
    assert.equal(ever.won, wonTicket(1).faceValue + wonTicket(2).faceValue)
    assert.equal(ever.handedIn, wonTicket(3).faceValue)
    assert.deepEqual([ever.ticketsReceived, ever.ticketsWon, ever.ticketsHandedIn], [2, 2, 1])
  })

  claim('an undone redemption is taken out of the day in which it was counted', async (store, reopen) => {
    const redeemed = (paid: bigint, block: bigint): TicketState => ({
      ...{ kind: 'redeemed', txHash: null, paid, fee: 3n, block },
    })
    const ticket = wonTicket(1)
    const hash = ticketHash(ticket)
    begin(store, 4000n)
    await store.addTickets([ticket], WEDNESDAY)
    await store.saveTicketState(hash, { kind: 'submitted', txHash: null }, WEDNESDAY)
    await store.saveTicketState(hash, redeemed(ticket.faceValue, 7n), WEDNESDAY)
    const next = await reopen()
    begin(next, 4001n)
    const paidOn = async (day: number) => (await next.money(WEDNESDAY + day * DAY_MS)).today.redeemed
    assert.deepEqual([await paidOn(0), await paidOn(1)], [ticket.faceValue, 0n])
    await next.saveTicketState(hash, redeemed(5n, 9n), WEDNESDAY + DAY_MS)
    assert.deepEqual([await paidOn(0), await paidOn(1)], [5n, 0n], 'it was paid less in another block')
    await next.saveTicketState(hash, { kind: 'open', reason: 'reorganised' }, WEDNESDAY + DAY_MS)
    assert.deepEqual([await paidOn(0), await paidOn(1)], [0n, 0n])
    await next.saveTicketState(hash, redeemed(6n, 20n), WEDNESDAY + DAY_MS)
    const { ever, thisRound, today } = await next.money(WEDNESDAY + DAY_MS)
    assert.deepEqual([today.redeemed, thisRound?.money.redeemed, ever.redeemed], [6n, 6n, 6n])
    begin(next, 4000n)
    assert.equal((await next.money(WEDNESDAY)).thisRound?.money.redeemed, 0n)
    assert.equal((await next.money(WEDNESDAY)).ever.won, ticket.faceValue, 'it is still won')
  })

  claim('fees are counted by what they were paid for, once for each transaction', async (store, reopen) => {
    await store.saveTransaction(transaction(1, 'redeem 0x01 0x02'), WEDNESDAY)
    assert.equal((await store.money(WEDNESDAY)).firstDay, null, 'it is not mined')
    await store.saveTransaction(mined(1, 'redeem 0x01 0x02', 100n), WEDNESDAY)
    await store.saveTransaction(mined(1, 'redeem 0x01 0x02', 100n), WEDNESDAY + DAY_MS)
    await store.saveTransaction({ ...mined(2, 'redeem 0x03', 20n), state: 'reverted' }, WEDNESDAY)
    await store.saveTransaction(mined(3, 'reward 0x7099', 5n), WEDNESDAY)
    await store.saveTransaction(mined(4, 'initialize round', 2n), WEDNESDAY)
    await store.saveTransaction(mined(5, 'fill nonce 5', 1n), WEDNESDAY)
    await store.saveTransaction({ ...transaction(6, 'reward 0x7099'), state: 'abandoned' }, WEDNESDAY)
    const again = await reopen()
    assert.deepEqual((await again.money(WEDNESDAY)).today, {
      ...{ ...NO_MONEY, redeemGas: 120n, rewardGas: 5n, otherGas: 3n },
    })
    assert.deepEqual((await again.money(WEDNESDAY + DAY_MS)).today, NO_MONEY)
  })

  claim('the fee of a transaction that is undone is taken out until it is mined again', async (store) => {
    const fees = async () => {
      const [first, second] = [await store.money(WEDNESDAY), await store.money(WEDNESDAY + DAY_MS)]
      return [first.today, second.today, first.ever].map(({ redeemGas, rewardGas }) => redeemGas + rewardGas)
    }
    await store.saveTransaction(mined(1, 'redeem 0x01', 100n), WEDNESDAY)
    await store.saveTransaction(mined(1, 'redeem 0x01', 90n), WEDNESDAY + DAY_MS)
    assert.deepEqual(await fees(), [90n, 0n, 90n], 'another block, another fee')
    await store.saveTransaction(transaction(1, 'redeem 0x01'), WEDNESDAY + DAY_MS)
    assert.deepEqual(await fees(), [0n, 0n, 0n])
    await store.saveTransaction(mined(1, 'redeem 0x01', 80n), WEDNESDAY + DAY_MS)
    assert.deepEqual(await fees(), [0n, 80n, 80n])
    await store.saveTransaction(transaction(1, 'reward 0x7099'), WEDNESDAY + DAY_MS)
    assert.deepEqual(await fees(), [0n, 0n, 0n], 'its nonce serves another purpose')
  })

  claim('after any history the money is what the facts that hold add up to', async (first, reopen) => {
    const dice = seededDice('money')
    const pick = (most: number) => Math.floor(dice.fraction() * most)
    let store = first
    let day = dayOf(WEDNESDAY)
    let round = 10n
    begin(store, round)
    /** Facts by what they are about; a fact that holds no longer is deleted. */
    const facts = new Map<string, { day: number; round: bigint; change: MoneyChange }>()
    const count = (about: string, change: MoneyChange | null) => {
      const known = facts.get(about)
      if (change === null) facts.delete(about)
      else facts.set(about, { day: known?.day ?? day, round: known?.round ?? round, change })
    }
    const nowMs = () => day * DAY_MS + pick(DAY_MS)
    for (let step = 0; step < 150; step++) {
      if (pick(10) === 0) day += pick(3)
      if (pick(10) === 0) begin(store, ++round)
      if (pick(40) === 0) {
        store = await reopen()
        begin(store, round)
      }
      const writes = Array.from({ length: 1 + pick(4) }, async (_, i) => {
        const id = step * 10 + i
        const known = wonTicket(10 * pick(step + 1))
        switch (pick(4)) {
          case 0: {
            const winner = wonTicket(id)
            count(`won ${id}`, { ticketsWon: 1, won: winner.faceValue })
            count(`received ${id}`, { ticketsReceived: 1, received: EV_PARTS })
            return store.recordPayment(
              paymentRecord({ nonces: [id], credit: EV, winners: [winner], nowMs: nowMs() }),
            )
          }
          case 1:
          case 2: {
            if (!facts.has(`won ${known.senderNonce}`)) return
            const isRedeemed = pick(3) > 0
            const paid = BigInt(pick(1_000))
            count(`redeemed ${known.senderNonce}`, isRedeemed ? { redeemed: paid } : null)
            return store.saveTicketState(
              ticketHash(known),
              isRedeemed
                ? { kind: 'redeemed', txHash: null, paid, fee: null, block: 1n }
                : { kind: 'open', reason: 'reorganised' },
              nowMs(),
            )
          }
          default: {
            const nonce = pick(30)
            const fee = BigInt(pick(1_000))
            const isMined = pick(3) > 0
            count(`gas ${nonce}`, isMined ? { redeemGas: fee } : null)
            const purpose = `redeem ${nonce}`
            const next = isMined ? mined(nonce, purpose, fee) : transaction(nonce, purpose)
            return store.saveTransaction(next, nowMs())
          }
        }
      })
      await Promise.all(writes)
    }
    const sum = (holds: (fact: { day: number; round: bigint }) => boolean): Money =>
      [...facts.values()].filter(holds).reduce((money, { change }) => plus(money, change), NO_MONEY)
    for (let at = dayOf(WEDNESDAY); at <= day; at++) {
      const { ever, thisWeek, today } = await store.money(at * DAY_MS)
      const expected = {
        today: sum((fact) => fact.day === at),
        thisWeek: sum((fact) => fact.day <= at && fact.day >= mondayOf(at)),
        ever: sum(() => true),
      }
      assert.deepEqual({ today, thisWeek, ever }, expected)
    }
    for (let at = 10n; at <= round; at++) {
      begin(store, at)
      const { thisRound } = await store.money(WEDNESDAY)
      assert.deepEqual(
        thisRound?.money,
        sum((fact) => fact.round === at),
      )
    }
  })

  if (!shared) return

  test(`${name}: the money of two processes that share it adds up`, async () => {
    const location = await newPlace()
    const stores = [new Store({ ...options, location }), new Store({ ...options, location })]
    await Promise.all(stores.map((store) => store.open()))
    try {
      await Promise.all(
        stores.flatMap((store, s) =>
          Array.from({ length: 40 }, (_, i) =>
            store.recordPayment(
              paymentRecord({
                ...{ nonces: [100 * s + i], sessionId: `s${s}`, credit: EV, nowMs: WEDNESDAY },
                winners: [wonTicket(100 * s + i)],
              }),
            ),
          ),
        ),
      )
      const { ever, today } = await stores[0]!.money(WEDNESDAY)
      assert.equal(ever.received, 80n * EV_PARTS)
      assert.deepEqual(today, ever)
    } finally {
      await Promise.all(stores.map((store) => store.close()))
    }
  })
}

function begin(store: Store, round: bigint): void {
  store.hear({ kind: 'round-begun', round })
}

function transaction(nonce: number, purpose: string): StoredTransaction {
  return {
    ...{ account: ACCOUNT, nonce, purpose, to: ACCOUNT, data: '0x', value: 0n, gas: 21_000n },
    ...{ attempts: [], state: 'open' },
  }
}

function mined(nonce: number, purpose: string, fee: bigint): StoredTransaction {
  return { ...transaction(nonce, purpose), state: 'mined', fee }
}
