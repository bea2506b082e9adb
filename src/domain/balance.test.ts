import assert from 'node:assert/strict'
import { test } from 'node:test'
import { profileOf } from '../../test/fakes/profile.ts'
import payments from '../../test/vectors/payments.json' with { type: 'json' }
import { Rational } from '../lib/rational.ts'
import { encodedPixels, estimatePixels, feeFor, minimumCredit, outlayFor, ticketsFor } from './balance.ts'
import type { Profile } from './rendition.ts'

const base = profileOf({ name: 'P', bitrate: 400_000, fps: 30, format: 'none' })
const p = base
const q: Profile = { ...base, name: 'Q', width: 426, height: 240 }

const PIXELS: [string, Profile[], number, bigint][] = [
  ['one profile, 2 s', [p], 2000, 2211840n],
  ['two profiles, 2 s', [p, q], 2000, 8346240n],
  ['a fraction of a second counts as a whole one', [p, q], 2200, 12519360n],
  ['a rendition that keeps the frame rate counts as 60 fps', [{ ...p, fps: 0 }, q], 3000, 15837120n],
  ['a fractional frame rate is rounded up', [{ ...p, fps: 30000, fpsDen: 1001 }, q], 3000, 12519360n],
  ['a denominator of 0 counts as 1', [{ ...p, fpsDen: 0 }], 2000, 2211840n],
  ['no profiles', [], 2000, 0n],
]

for (const [name, profiles, durationMs, pixels] of PIXELS) {
  test(`pixels: ${name}`, () => {
    assert.equal(encodedPixels(profiles, durationMs), pixels)
    const factor = Rational.of(2296835809958953n, 2251799813685248n)
    assert.deepEqual(estimatePixels(profiles, durationMs), Rational.of(pixels).mul(factor))
  })
}

test('the fee is the exact product of the over-estimated pixels and the price', () => {
  const fee = feeFor(estimatePixels([p], 2000), Rational.of(3n))
  assert.deepEqual(fee, Rational.of(930218503033375965n, 137438953472n))
})

for (const row of payments.stage) {
  test(`${row.tickets} tickets of ${row.ev} raise ${row.existing} to ${row.min}`, () => {
    const [min, existing, ev] = [row.min, row.existing, row.ev].map(Rational.parse)
    assert.equal(ticketsFor(min!, existing!, ev!), row.tickets)
  })
}

test('worthless tickets are never bought', () => {
  assert.equal(ticketsFor(Rational.of(5n), Rational.zero, Rational.zero), 0)
})

test('the minimum credit is the fee, or one ticket if that is more', () => {
  assert.deepEqual(minimumCredit(Rational.of(3n), Rational.of(5n)), Rational.of(5n))
  assert.deepEqual(minimumCredit(Rational.of(7n), Rational.of(5n)), Rational.of(7n))
})

const STAKES: [string, string, string, string, { taken: string; tickets: number; surplus: string }][] = [
  ['enough credit gives only the fee', '100', '3', '10', { taken: '3', tickets: 0, surplus: '0' }],
  ['exactly one ticket suffices', '10', '3', '10', { taken: '3', tickets: 0, surplus: '0' }],
  ['credit below a ticket is taken entirely', '9', '3', '10', { taken: '9', tickets: 1, surplus: '16' }],
  ['a fee of several tickets', '0', '25', '10', { taken: '0', tickets: 3, surplus: '5' }],
  ['a debt is paid off', '-5', '2', '1', { taken: '-5', tickets: 7, surplus: '0' }],
  ['free work takes nothing', '0', '0', '0', { taken: '0', tickets: 0, surplus: '0' }],
]

for (const [name, credit, fee, ev, expected] of STAKES) {
  test(`outlay: ${name}`, () => {
    const [c, f, e] = [credit, fee, ev].map(Rational.parse)
    const outlay = outlayFor(c!, f!, e!)
    assert.equal(outlay.tickets, expected.tickets)
    assert.equal(outlay.taken.toString(), expected.taken)
    assert.equal(outlay.surplus.toString(), expected.surplus)
    const brought = outlay.taken.add(e!.mul(Rational.of(BigInt(outlay.tickets))))
    assert.deepEqual(outlay.held.add(outlay.surplus), brought, 'nothing is created or lost')
  })
}
