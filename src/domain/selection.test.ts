import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Address } from '../lib/crypto.ts'
import { seededDice } from '../lib/dice.ts'
import { Rational } from '../lib/rational.ts'
import {
  chooseRecipient,
  chooseSession,
  eligible,
  type IdleSession,
  latencyScore,
  mayTakeAnother,
  probabilities,
  type SelectionWeights,
  type Weighed,
} from './selection.ts'

const weights: SelectionWeights = {
  stakeWeight: 0.3,
  priceWeight: 0.7,
  randomWeight: 0,
  priceExpFactor: 100,
  maxPrice: null,
  ignoreMaxPriceIfNeeded: false,
  minPerfScore: 0,
}
const [a, b, c] = ['0xa', '0xb', '0xc'] as [Address, Address, Address]
const weighed = (
  recipient: Address,
  stake: number,
  price: number | null,
  perfScore: number | null = null,
): Weighed => ({
  recipient,
  stake: BigInt(stake),
  price: price === null ? null : Rational.of(BigInt(price)),
  perfScore,
})
const three = [weighed(a, 100, 400), weighed(b, 100_000, 700), weighed(c, 300, 1000)]
const close = (actual: readonly number[], expected: readonly number[]) => {
  assert.equal(actual.length, expected.length)
  for (const [i, value] of actual.entries())
    assert.ok(Math.abs(value - expected[i]!) < 1e-4, `${actual} is not ${expected}`)
}

test('probabilities combine price and stake as the Go node does', () => {
  close(probabilities(three, weights), [0.6655, 0.3319, 0.0025])
})

test('shares that sum to zero are even, so that probabilities always sum to one', () => {
  const even = [1 / 3, 1 / 3, 1 / 3]
  close(
    probabilities(
      three.map((one) => ({ ...one, stake: 0n })),
      { ...weights, stakeWeight: 1, priceWeight: 0 },
    ),
    even,
  )
  const dear = three.map((one) => ({ ...one, price: Rational.of(10n ** 12n) }))
  close(probabilities(dear, { ...weights, stakeWeight: 0, priceWeight: 1 }), even)
  close(probabilities(three, { ...weights, stakeWeight: 0, priceWeight: 0, randomWeight: 1 }), even)
  assert.deepEqual(probabilities([], weights), [])
})

test('one random number selects along the cumulative probabilities', () => {
  for (const [thrown, chosen] of [
    [0, a],
    [0.665, a],
    [0.666, b],
    [0.997, b],
    [0.9985, c],
    [0.9999999999, c],
  ] as const)
    assert.equal(chooseRecipient(three, weights, thrown), chosen)
  assert.equal(chooseRecipient([], weights, 0.5), null)
})

test('many draws match the probabilities', () => {
  const dice = seededDice('selection')
  const counts = new Map<Address, number>()
  for (let i = 0; i < 20_000; i++) {
    const chosen = chooseRecipient(three, weights, dice.fraction())!
    counts.set(chosen, (counts.get(chosen) ?? 0) + 1)
  }
  assert.ok(Math.abs(counts.get(a)! / 20_000 - 0.6655) < 0.01)
  assert.ok(Math.abs(counts.get(b)! / 20_000 - 0.3319) < 0.01)
})

test('eligibility goes by performance unless none remains, then by price; an equal price passes', () => {
  const max = (price: number, more: Partial<SelectionWeights> = {}) => ({
    ...weights,
    maxPrice: Rational.of(BigInt(price)),
    ...more,
  })
  const table: readonly [string, readonly Weighed[], SelectionWeights, Address[]][] = [
    ['no limits', three, weights, [a, b, c]],
    ['equal price passes', three, max(700), [a, b]],
    ['too expensive for all', three, max(399), []],
    ['too expensive but needed', three, max(399, { ignoreMaxPriceIfNeeded: true }), [a, b, c]],
    ['ignore only if needed', three, max(400, { ignoreMaxPriceIfNeeded: true }), [a]],
    ['no price fails even without a maximum', [weighed(a, 1, null), weighed(b, 1, 5)], weights, [b]],
    [
      'low performance is excluded',
      [weighed(a, 1, 1, 0.4), weighed(b, 1, 1, 0.5)],
      { ...weights, minPerfScore: 0.5 },
      [b],
    ],
    ['unless all have low performance', [weighed(a, 1, 1, 0.4)], { ...weights, minPerfScore: 0.5 }, [a]],
  ]
  for (const [claim, all, how, expected] of table)
    assert.deepEqual(
      eligible(all, how).map((one) => one.recipient),
      expected,
      claim,
    )
})

interface Named extends IdleSession {
  readonly name: string
}
const idle = (
  name: string,
  score: number | null,
  recipient: Address | null = null,
  price: number | null = null,
): Named => ({ name, score, recipient, price: price === null ? null : Rational.of(BigInt(price)) })
const facts = { stakeOf: () => 1n, perfScoreOf: () => null }

test('a session is chosen: known and fast, else unknown, else the fastest known', () => {
  const table: readonly [string, readonly Named[], SelectionWeights | null, string | null][] = [
    ['no candidates', [], null, null],
    ['fast one first', [idle('u', null), idle('k', 1.0)], null, 'k'],
    ['fastest of the fast', [idle('k', 0.9), idle('l', 0.2)], null, 'l'],
    ['slow known yields to unknown', [idle('k', 1.1), idle('u', null), idle('v', null)], null, 'u'],
    ['all slow', [idle('k', 1.5), idle('l', 1.2)], null, 'l'],
    ['on chain, never without a recipient', [idle('u', null)], weights, null],
    ['on chain, unaffordable: the slow known one', [idle('k', 3, a, 1), idle('u', null, b)], weights, 'k'],
    ['the first of one recipient', [idle('u', null, a, 900), idle('v', null, a, 1)], weights, 'u'],
  ]
  for (const [claim, sessions, how, expected] of table)
    assert.equal(chooseSession(sessions, how, facts, () => 0.5)?.name ?? null, expected, claim)
})

test('sessions of one recipient count once, with the price of the last', () => {
  const sessions = [idle('u', null, a, 900), idle('v', null, a, 1), idle('w', null, b, 50)]
  const byPrice = { ...weights, priceWeight: 1, stakeWeight: 0, priceExpFactor: 1 }
  assert.equal(chooseSession(sessions, byPrice, facts, () => 0.99)?.name, 'u')
})

test('no session above the maximum price is used, new or known, also beside a cheaper one of its recipient', () => {
  const max = { ...weights, maxPrice: Rational.of(10n) }
  const table: readonly [readonly Named[], boolean, string | null][] = [
    [[idle('u', null, a, 900), idle('v', null, a, 1), idle('w', null, b, 50)], false, 'v'],
    [[idle('k', 0.5, a, 11), idle('l', 0.9, b, 10)], false, 'l'],
    [[idle('k', 0.5, a, 11), idle('u', null, b, 10)], true, 'u'],
    [[idle('k', 0.5, a, 11), idle('u', null, b, 12)], false, null],
    [[idle('k', 0.5, a, 11), idle('u', null, b, 12)], true, 'k'],
  ]
  for (const [sessions, ignoreMaxPriceIfNeeded, expected] of table) {
    const chosen = chooseSession(sessions, { ...max, ignoreMaxPriceIfNeeded }, facts, () => 0.99)
    assert.equal(chosen?.name ?? null, expected)
  }
})

test("a latency score is relative to the segment's duration, but to at least 1.5 s", () => {
  assert.equal(latencyScore(1000, 2000), 0.5)
  assert.equal(latencyScore(750, 500), 0.5)
})

test('a busy session takes another segment while its oldest one is young enough', () => {
  const table: readonly [number, number, 1 | 2, boolean][] = [
    [1999, 2000, 1, true],
    [2000, 2000, 1, false],
    [3999, 2000, 2, true],
    [4000, 2000, 2, false],
    [1499, 1000, 1, true],
    [1500, 1000, 1, false],
    [1400, 1001, 1, false],
    [1499, 500, 2, true],
  ]
  for (const [ageMs, durationMs, factor, expected] of table)
    assert.equal(mayTakeAnother({ ageMs, durationMs }, factor), expected, `${ageMs}/${durationMs}x${factor}`)
})
