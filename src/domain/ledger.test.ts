import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededDice } from '../lib/dice.ts'
import { luckOf, NO_SENDER_MONEY, negated, plusSender, sharesOf, ticketsIn, varianceOf } from './ledger.ts'
import { partsOf } from './money.ts'
import { expectedValue, MAX_WIN_PROB } from './ticket.ts'

test('a fee is shared out to the wei, to each ticket as much as to any other but for one wei', () => {
  for (const fee of [0n, 1n, 7n, 100n, 10n ** 18n + 1n]) {
    for (const count of [1, 2, 3, 16]) {
      const shares = sharesOf(fee, count)
      assert.equal(
        shares.reduce((sum, share) => sum + share, 0n),
        fee,
      )
      const sorted = [...shares].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
      assert.ok(sorted.at(-1)! - sorted[0]! <= 1n)
    }
  }
  assert.deepEqual(sharesOf(5n, 0), [])
})

test('the tickets of a transaction are those of its purpose, if it redeems', () => {
  assert.deepEqual(ticketsIn('redeem 0x01 0x02'), ['0x01', '0x02'])
  assert.deepEqual(ticketsIn('reward 0x01'), [])
  assert.deepEqual(ticketsIn(''), [])
})

test('a change that is taken out again leaves nothing', () => {
  const change = { ticketsWon: 2, won: 7n, redeemGas: 3n }
  const money = plusSender(NO_SENDER_MONEY, change)
  assert.deepEqual({ ...plusSender(money, negated(change)) }, NO_SENDER_MONEY)
})

test('a ticket that always wins, or never, leaves nothing to luck', () => {
  assert.equal(varianceOf(10n, MAX_WIN_PROB), 0n)
  assert.equal(varianceOf(10n, 0n), 0n)
  const parts = partsOf(expectedValue(10n, MAX_WIN_PROB))
  const luck = luckOf({ received: parts, variance: 0n, won: 10n })
  assert.deepEqual(luck, { expectedWei: 10n, wonWei: 10n, lowWei: 10n, highWei: 10n })
})

test('the band of an even chance is that of the binomial distribution', () => {
  const half = MAX_WIN_PROB / 2n
  // 10,000 tickets that pay 100 wei every second time: 500,000 wei, with a deviation of 50 × 100 wei.
  const received = 10_000n * 100n * half
  const luck = luckOf({ received, variance: 10_000n * varianceOf(100n, half), won: 509_900n })
  assert.deepEqual(luck, { expectedWei: 499_999n, wonWei: 509_900n, lowWei: 490_199n, highWei: 509_799n })
})

test('what is won lies within the band in 95 of 100 periods', () => {
  const dice = seededDice('luck')
  const faceValue = 10n ** 16n
  const tickets = 2_000
  const winProb = MAX_WIN_PROB / 20n
  const received = BigInt(tickets) * faceValue * winProb
  const variance = BigInt(tickets) * varianceOf(faceValue, winProb)
  let within = 0
  for (let period = 0; period < 400; period++) {
    let won = 0n
    for (let i = 0; i < tickets; i++) if (dice.fraction() < 0.05) won += faceValue
    const { highWei, lowWei } = luckOf({ received, variance, won })
    if (won >= lowWei && won <= highWei) within++
  }
  assert.ok(within >= 370 && within <= 392, `${within} of 400`)
})
