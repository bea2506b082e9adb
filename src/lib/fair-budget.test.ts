import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FairBudget } from './fair-budget.ts'

const session = { name: 'session a', maxBytes: 40, maxShares: 2 }
const host = (name: string) => ({ name: `host ${name}`, maxBytes: 60 })

test('a holder gets no more than its limit, which leaves room for others', () => {
  const budget = new FairBudget(100)
  const first = budget.open([session, host('x')])!
  const second = budget.open([session, host('x')])!
  assert.deepEqual([first.take(30), second.take(10), second.take(1)], [true, true, false])
  const other = budget.open([{ name: 'session b', maxBytes: 40 }, host('x')])!
  assert.deepEqual([other.take(20), other.take(1)], [true, false], 'its host has its part')
  const elsewhere = budget.open([host('y')])!
  assert.deepEqual([elsewhere.take(40), elsewhere.take(1), budget.held], [true, false, 100])
})

test('a holder may open a limited number of shares, and another one after closing one', () => {
  const budget = new FairBudget(100)
  const shares = [budget.open([session]), budget.open([session])]
  assert.equal(budget.open([session, host('x')]), null)
  assert.ok(budget.open([{ ...session, name: 'session b' }]))
  shares[0]!.close()
  shares[0]!.close()
  assert.ok(budget.open([session]))
  assert.equal(budget.open([session]), null)
})

test('closing a share gives its bytes back once, and a closed share takes none', () => {
  const budget = new FairBudget(100)
  const share = budget.open([host('x')])!
  share.take(50)
  share.give(20)
  assert.equal(budget.held, 30)
  share.close()
  share.give(30)
  share.close()
  assert.deepEqual([budget.held, share.take(1)], [0, false])
  assert.ok(budget.open([host('x')])!.take(60))
})
