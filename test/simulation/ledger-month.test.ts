import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  NO_SENDER_MONEY,
  negated,
  plusSender,
  type SenderChange,
  unattributed,
  varianceOf,
} from '../../src/domain/ledger.ts'
import { dayOf, partsOf } from '../../src/domain/money.ts'
import { expectedValue, MAX_WIN_PROB, ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { TicketBoard } from '../../src/io/store/ticket-board.ts'
import { formatHex, type Hex } from '../../src/lib/bytes.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { Rational } from '../../src/lib/rational.ts'
import { Redeemer } from '../../src/services/redemption/redeemer.ts'
import { eventsTo } from '../fakes/events.ts'
import { FakePayer } from '../fakes/payer.ts'
import { paymentRecord } from '../suites/store.ts'
import { CONFIRMED, ETHER, idOf, ROUND, winnersWorld } from '../suites/winners.ts'

/** The book over a month of a node that is stopped every night and loses blocks to reorganisations. */

const USUAL_SEED = 'a'
const SEED = process.env.LIVEPEER_TEST_SEED ?? USUAL_SEED
const DAYS = 31
const DAY_MS = 86_400_000
const TICKETS = 10
const WIN_PROB = MAX_WIN_PROB / 10n

/** What is expected of the book, by day and gateway. */
class Expected {
  readonly #rows = new Map<string, ReturnType<typeof plusSender>>()

  add(day: number, sender: Address, change: SenderChange): void {
    const key = `${day} ${sender}`
    this.#rows.set(key, plusSender(this.#rows.get(key) ?? NO_SENDER_MONEY, change))
  }

  get rows(): ReadonlyMap<string, ReturnType<typeof plusSender>> {
    return this.#rows
  }
}

async function world(t: TestContext) {
  const reopened: Hex[] = []
  const expected = new Expected()
  /** Where each redemption was told, from which it is taken out when it is undone. */
  const told = new Map<Hex, { day: number; sender: Address; change: SenderChange }>()
  const w = await winnersWorld(t, (parts) => {
    const events = eventsTo({
      'ticket-redeemed': ({ faceValue, paid, sender, ticket }) => {
        const day = dayOf(parts.clock.now())
        const change = { redeemed: paid ?? 0n, redeemedFace: faceValue, ticketsRedeemed: 1 }
        expected.add(day, sender, change)
        told.set(ticket, { day, sender, change })
      },
      'ticket-reopened': ({ ticket }) => {
        const { change, day, sender } = told.get(ticket)!
        expected.add(day, sender, negated(change))
        told.delete(ticket)
        reopened.push(ticket)
      },
    })
    const redeemer = new Redeemer({ ...parts, nonces: parts.tickets, gas: parts.chain, events })
    return { keeper: redeemer, redeemer }
  })
  return { w, expected, reopened, told }
}

test('the book of a month is what was paid and what the chain paid, to the wei, whatever was undone or stopped', async (t) => {
  const { expected, reopened, told, w } = await world(t)
  const dice = seededDice(SEED)
  const pick = (most: number) => Math.floor(dice.fraction() * most)
  const senders = ['anna', 'ben'].map((name) => new FakePayer(name).address)
  for (const sender of senders) w.chain.fund(sender, 1_000n * ETHER, 1_000n * ETHER)
  const won: WinningTicket[] = []
  let nonce = 0
  const pay = async (sender: Address) => {
    const faceValue = ETHER + BigInt(pick(1_000_000))
    const winners: WinningTicket[] = []
    for (let i = 0; i < TICKETS; i++) {
      if (pick(10) === 0) winners.push(await w.won({ sender, faceValue, winProb: WIN_PROB }))
    }
    const nonces = Array.from({ length: TICKETS }, () => ++nonce)
    const ev = expectedValue(faceValue, WIN_PROB)
    const credit = ev.mul(Rational.of(BigInt(TICKETS)))
    const variance = BigInt(TICKETS) * varianceOf(faceValue, WIN_PROB)
    // One of its own, which no redemption reveals, for some hundreds of nonces.
    const recipientRandHash = new Uint8Array(32).fill(100 + nonce / 500)
    const facts = { recipientRandHash, winners, credit, variance, nowMs: w.clock.now() }
    const payment = { sender, sessionId: sender, nonces, ...facts }
    const kept = await w.store.recordPayment(paymentRecord(payment))
    expected.add(dayOf(w.clock.now()), sender, {
      ...{ ticketsReceived: TICKETS, received: partsOf(credit), variance },
      ...{ ticketsWon: winners.length, won: faceValue * BigInt(winners.length) },
    })
    won.push(...winners)
    w.node.keeper.adopt(kept!.newWinners)
  }
  let undone = 0
  for (let day = 0; day < DAYS; day++) {
    for (let hour = 0; hour < 2; hour++) {
      await pay(senders[pick(2)]!)
      await w.mine(1 + pick(2 * CONFIRMED))
      if (pick(2) > 0) continue
      // Never past the start of the round, which would void its tickets.
      const depth = Math.min(1 + pick(3 * CONFIRMED), Number(w.chain.head.l1Block % ROUND))
      w.chain.reorganise(depth, () => pick(3) > 0)
      undone++
      await w.rest()
    }
    // What is in doubt is looked at once the chain has gone on for a while, which a day of so few blocks need not be.
    await w.mine(CONFIRMED + 2)
    await w.restart(DAY_MS - (w.clock.now() % DAY_MS) + pick(DAY_MS / 2))
  }
  for (let i = 0; i < 2 * Number(ROUND) + CONFIRMED; i++) await w.mine()

  const board = new TicketBoard(w.store)
  const { byDay, rows } = await board.book(0, dayOf(w.clock.now()))
  for (const [day, money] of byDay) {
    const own = rows.filter((row) => row.day === day).map((row) => row.money)
    assert.equal(unattributed(money, own), null, 'gateways and the whole agree')
  }
  for (const sender of senders) {
    const money = rows
      .filter((row) => row.sender === sender)
      .reduce((sum, row) => plusSender(sum, row.money), NO_SENDER_MONEY)
    const tickets = won.filter((ticket) => ticket.sender === sender)
    const paid = tickets.flatMap((ticket) => w.chain.redemptions.get(idOf(ticket)) ?? [])
    assert.equal(
      money.redeemed,
      paid.reduce((sum, wei) => sum + wei, 0n),
      'what the chain paid',
    )
    assert.equal(
      money.won,
      tickets.reduce((sum, { faceValue }) => sum + faceValue, 0n),
    )
  }
  assert.deepEqual(new Map(rows.map(({ day, money, sender }) => [`${day} ${sender}`, money])), expected.rows)
  assert.equal(told.size, won.length)
  assert.ok(
    won.length > 40 && undone > 15 && (SEED !== USUAL_SEED || reopened.length > 0),
    `${won.length} won, ${undone} reorganisations`,
  )
  assert.ok(
    won.every((ticket) => (w.chain.redemptions.get(formatHex(ticketHash(ticket))) ?? []).length === 1),
  )
  t.diagnostic(JSON.stringify({ won: won.length, undone, reopened: reopened.length, days: byDay.size }))
})
