import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rational } from '../lib/rational.ts'
import { GraceBook } from './grace.ts'

const LIMITS = { graceMs: 60_000, valueWei: 100n }
const PRICE = Rational.of(3n, 2n)

test('a session is known at its price for twenty minutes after the last work', () => {
  const book = new GraceBook(LIMITS)
  book.note('alice', 's', PRICE, 1_000)
  assert.deepEqual(book.priceOf('alice', 's', 1_000 + 1_199_999), PRICE)
  assert.equal(book.priceOf('alice', 's', 1_000 + 1_200_000), null)
  assert.equal(book.priceOf('alice', 't', 1_000), null)
  assert.equal(book.priceOf('bob', 's', 1_000), null)
})

test('work is granted on credit up to the limit of each sender, overruns included', () => {
  const book = new GraceBook(LIMITS)
  assert.deepEqual(book.grant('alice', PRICE, 20n), { price: PRICE, overrun: 30n })
  assert.deepEqual(book.grant('alice', PRICE, 20n), { price: PRICE, overrun: 10n })
  assert.equal(book.grant('alice', PRICE, 1n), null)
  assert.deepEqual(book.grant('bob', PRICE, 66n), { price: PRICE, overrun: 1n })
  assert.equal(book.grant('carol', PRICE, 67n), null)
  const free = Rational.zero
  assert.deepEqual(book.grant('alice', free, 10n ** 12n), { price: free, overrun: 0n })
  book.settled()
  assert.deepEqual(book.grant('alice', PRICE, 20n), { price: PRICE, overrun: 30n })
})

test('the fee of a fraction of a wei counts as a whole one', () => {
  const book = new GraceBook({ ...LIMITS, valueWei: 1n })
  assert.notEqual(book.grant('alice', Rational.of(1n, 10n ** 9n), 1n), null)
  assert.equal(book.grant('alice', Rational.of(1n, 10n ** 9n), 1n), null)
})

test('a nonce is used once, all of a payment or none', () => {
  const book = new GraceBook(LIMITS)
  const take = (payment: { hash: string; nonces: readonly number[] }) => {
    const isTaken = book.areUnused(payment)
    if (isTaken) book.useNonces(payment)
    return isTaken
  }
  assert.ok(take({ hash: 'h', nonces: [1, 2] }))
  assert.ok(!take({ hash: 'h', nonces: [3, 2] }))
  assert.ok(!take({ hash: 'h', nonces: [4, 4] }))
  assert.ok(take({ hash: 'h', nonces: [3, 4] }))
  assert.ok(take({ hash: 'other', nonces: [1] }))
  assert.deepEqual([...book.noncesOf('h')], [1, 2, 3, 4])
  book.settled()
  assert.ok(take({ hash: 'h', nonces: [1] }))
})

test('of refused payments each winning ticket is kept once, and at most ten thousand of them', () => {
  const book = new GraceBook(LIMITS)
  const [a, b] = [{ hash: 'a' }, { hash: 'b' }]
  assert.deepEqual(book.keep([a, a]), [a])
  assert.deepEqual(book.keep([a, b]), [b])
  const many = Array.from({ length: 10_000 }, (_, i) => ({ hash: `${i}` }))
  assert.equal(book.keep(many).length, 9_998)
  assert.deepEqual(book.keep([{ hash: 'one more' }]), [])
  book.settled()
  assert.deepEqual(book.keep([a]), [a])
})
