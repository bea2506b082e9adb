import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Rational } from '../lib/rational.ts'
import { debtLimit, overrunFor, owesTooMuch } from './debt.ts'

const wei = (amount: bigint) => Rational.of(amount)
const EV = 1000n

test('a sender may owe 64 tickets, or a sixteenth of what it has paid', () => {
  const cases = [
    [0n, 64_000n],
    [1_023_999n, 64_000n],
    [1_024_000n, 64_000n],
    [1_600_000n, 100_000n],
  ] as const
  for (const [paid, most] of cases) {
    assert.deepEqual(debtLimit({ ticketEv: EV, paid: wei(paid) }), wei(most))
  }
})

test('a sender that owes half its limit gets no new session', () => {
  const owing = (owed: bigint, paid = 0n) => owesTooMuch({ ticketEv: EV, owed: wei(owed), paid: wei(paid) })
  assert.deepEqual([owing(0n), owing(32_000n), owing(32_001n)], [false, false, true])
  assert.equal(owing(32_001n, 1_600_000n), false)
})

test('a segment may exceed its fee by four times, within what is left of the limit', () => {
  const overrun = (fee: bigint, owed: bigint, granted: bigint) =>
    overrunFor(wei(fee), { ticketEv: EV, owed: wei(owed), paid: Rational.zero }, wei(granted))
  assert.deepEqual(overrun(5_000n, 0n, 0n), wei(20_000n))
  assert.deepEqual(overrun(0n, 0n, 0n), wei(4_000n), 'the fee counts as at least one ticket')
  assert.deepEqual(overrun(5_000n, 50_000n, 0n), wei(14_000n))
  assert.deepEqual(overrun(5_000n, 50_000n, 10_000n), wei(4_000n))
  assert.deepEqual(overrun(5_000n, 64_000n, 0n), Rational.zero)
  assert.deepEqual(overrun(5_000n, 70_000n, 0n), Rational.zero)
})

test('no sequence of segments brings a sender above its limit', () => {
  const amounts = fc.bigInt({ min: 0n, max: 100_000n })
  const steps = fc.array(fc.record({ fee: amounts, takes: amounts }), { maxLength: 50 })
  fc.assert(
    fc.property(steps, (all) => {
      let owed = Rational.zero
      for (const { fee, takes } of all) {
        const overrun = overrunFor(wei(fee), { ticketEv: EV, owed, paid: Rational.zero }, Rational.zero)
        const beyond = wei(takes)
        owed = owed.add(beyond.cmp(overrun) < 0 ? beyond : overrun)
        assert.ok(owed.cmp(wei(64_000n)) <= 0)
      }
    }),
  )
})
