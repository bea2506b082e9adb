import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { fundsOutlook, Spending } from './spending.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

test('spending is what was paid in the last hour, or since the first payment', async () => {
  const clock = new ManualClock()
  await clock.wind(HOUR_MS)
  const spending = new Spending(clock)
  assert.equal(spending.perHour, 0n)
  spending.add(10n)
  assert.equal(spending.perHour, 600n, 'the first minute counts as one')
  await clock.wind(30 * MINUTE_MS)
  spending.add(20n)
  assert.equal(spending.perHour, 60n)
  await clock.wind(40 * MINUTE_MS)
  assert.equal(spending.perHour, 20n, 'the first payment is more than an hour ago')
  await clock.wind(HOUR_MS)
  assert.equal(spending.perHour, 0n)
})

test('a deposit and a reserve last as long as the spending allows', () => {
  assert.deepEqual(fundsOutlook({ deposit: 300n, reserve: 100n }, 100n), {
    ...{ perHour: 100n, depositLastsMs: 3 * HOUR_MS, reserveLastsMs: HOUR_MS },
  })
  assert.deepEqual(fundsOutlook({ deposit: 300n, reserve: 100n }, 0n), {
    ...{ perHour: 0n, depositLastsMs: null, reserveLastsMs: null },
  })
})
