import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { firstOf } from './first-of.ts'

test('firstOf returns the items a stable sort would put first', () => {
  const item = fc.record({ key: fc.integer({ min: 0, max: 20 }), name: fc.string() })
  fc.assert(
    fc.property(fc.array(item, { maxLength: 60 }), fc.integer({ min: 1, max: 20 }), (items, count) => {
      const compare = (a: { key: number }, b: { key: number }) => a.key - b.key
      assert.deepEqual(firstOf(items, count, compare), items.toSorted(compare).slice(0, count))
    }),
  )
})

test('without a limit firstOf sorts all items', () => {
  assert.deepEqual(
    firstOf([3, 1, 2], Number.POSITIVE_INFINITY, (a, b) => a - b),
    [1, 2, 3],
  )
})
