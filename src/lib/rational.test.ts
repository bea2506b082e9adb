import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Rational } from './rational.ts'

const rational = fc
  .tuple(fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }), fc.bigInt({ min: 1n, max: 2n ** 300n }))
  .map(([num, den]) => Rational.of(num, den))

test('a fraction is reduced and carries its sign in the numerator', () => {
  const cases: [bigint, bigint, string][] = [
    [6n, 4n, '3/2'],
    [-6n, 4n, '-3/2'],
    [6n, -4n, '-3/2'],
    [-6n, -4n, '3/2'],
    [0n, -7n, '0'],
    [8n, 4n, '2'],
  ]
  for (const [num, den, text] of cases) assert.equal(Rational.of(num, den).toString(), text)
  assert.throws(() => Rational.of(1n, 0n), { code: 'division-by-zero' })
  assert.throws(() => Rational.one.div(Rational.zero), { code: 'division-by-zero' })
})

test('common factors are removed, including large powers of two', () => {
  const factor = fc.tuple(fc.bigInt({ min: 1n, max: 2n ** 200n }), fc.bigInt({ min: 0n, max: 120n }))
  fc.assert(
    fc.property(rational, factor, ({ num, den }, [odd, twos]) => {
      const shared = odd << twos
      const reduced = Rational.of(num * shared, den * shared)
      assert.equal(reduced.num * den, num * reduced.den)
      assert.ok(reduced.den <= den)
      assert.equal(euclid(reduced.num < 0n ? -reduced.num : reduced.num, reduced.den), 1n)
    }),
  )
})

function euclid(a: bigint, b: bigint): bigint {
  return b === 0n ? a : euclid(b, a % b)
}

const PARSED: [string, string][] = [
  ['12', '12'],
  ['-0.5', '-1/2'],
  ['0.000', '0'],
  ['1e12', '1000000000000'],
  ['1.5e-3', '3/2000'],
  ['2E+2', '200'],
  ['4/6', '2/3'],
  ['-4/6', '-2/3'],
]

for (const [text, value] of PARSED) {
  test(`${text} is read as ${value}`, () => assert.equal(Rational.parse(text).toString(), value))
}

for (const text of [
  '',
  '.',
  '1.',
  '.5',
  'abc',
  '1/',
  '/2',
  '1/2/3',
  '1/-2',
  '0x10',
  ' 1',
  '+1',
  '1e1000',
  'NaN',
  '1_0',
]) {
  test(`${JSON.stringify(text)} is not a number`, () => {
    assert.throws(() => Rational.parse(text), { code: 'bad-number' })
  })
}

test('an infinite number is refused', () => {
  assert.throws(() => Rational.parse('9'.repeat(201)), { code: 'bad-number' })
  assert.throws(() => Rational.parse('1/0'), { code: 'division-by-zero' })
})

test('arithmetic is exact', () => {
  fc.assert(
    fc.property(rational, rational, rational, (a, b, c) => {
      assert.deepEqual(a.add(b).sub(b), a)
      assert.deepEqual(a.add(b).mul(c), a.mul(c).add(b.mul(c)))
      if (b.sign !== 0) assert.deepEqual(a.mul(b).div(b), a)
      assert.equal(a.cmp(b), a.sub(b).sign)
      assert.equal(a.equals(b), a.cmp(b) === 0)
      assert.deepEqual(Rational.parse(a.toString()), a)
    }),
  )
})

const ROUNDED: [string, bigint, bigint, bigint][] = [
  ['7/2', 3n, 4n, 3n],
  ['-7/2', -4n, -3n, -3n],
  ['4', 4n, 4n, 4n],
  ['-4', -4n, -4n, -4n],
  ['1/3', 0n, 1n, 0n],
  ['-1/3', -1n, 0n, 0n],
]

for (const [text, floor, ceil, trunc] of ROUNDED) {
  test(`${text} has floor ${floor}, ceiling ${ceil} and truncates to ${trunc}`, () => {
    const value = Rational.parse(text)
    assert.equal(value.floor(), floor)
    assert.equal(value.ceil(), ceil)
    assert.equal(value.trunc(), trunc)
  })
}

const FIXED: [string, number, string][] = [
  ['1/3', 5, '0.33333'],
  ['2/3', 5, '0.66667'],
  ['1/2', 0, '1'],
  ['-1/2', 0, '-1'],
  ['-1/3', 0, '0'],
  ['101', 5, '101.00000'],
  ['-0.000001', 5, '0.00000'],
  ['0.000005', 5, '0.00001'],
]

for (const [text, digits, expected] of FIXED) {
  test(`${text} with ${digits} decimals is ${expected}`, () => {
    assert.equal(Rational.parse(text).toFixed(digits), expected)
  })
}

test('toNumber is the nearest double, even for very long integers', () => {
  assert.equal(Rational.of(1n, 4n).toNumber(), 0.25)
  assert.equal(Rational.of(-3n, 2n).toNumber(), -1.5)
  const half = Rational.of(2n ** 2000n + 1n, 2n ** 2001n)
  assert.ok(Math.abs(half.toNumber() - 0.5) < 1e-12)
  const third = Rational.of(-(10n ** 500n), 3n * 10n ** 500n + 1n)
  assert.ok(Math.abs(third.toNumber() + 1 / 3) < 1e-12)
})

test('a fraction is serialised to JSON as text', () => {
  assert.equal(JSON.stringify({ price: Rational.of(1n, 3n) }), '{"price":"1/3"}')
})
