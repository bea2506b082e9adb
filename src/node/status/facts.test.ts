import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { IN_MEMORY } from '../../io/store/open.ts'
import { Store } from '../../io/store/store.ts'
import { ManualClock } from '../../lib/clock.ts'
import type { Parts } from '../parts.ts'
import { StatusFacts } from './facts.ts'

/** A node of a cluster, of which nothing runs but its store. */
async function world(t: TestContext) {
  const clock = new ManualClock()
  const store = new Store({ location: IN_MEMORY })
  await store.open()
  t.after(() => store.close())
  const database = { reach: async () => {} }
  const reached = <T>(read: () => Promise<T>) => database.reach().then(read)
  const parts = {
    core: {
      store: {
        countTickets: () => reached(() => store.countTickets()),
        money: (nowMs: number) => reached(() => store.money(nowMs)),
      },
      totals: { paymentsRefused: 0, handedTicketsRefused: 0 },
    },
    duties: { keepsTickets: true },
    winners: { keeper: { firstExpiries: () => new Map() } },
    cluster: { members: { look: () => database.reach(), all: [], isIn: true, node: 'a' } },
  } as unknown as Parts
  const facts = new StatusFacts(parts, { clock })
  const look = () => Promise.all([facts.tickets(), facts.money(), facts.cluster()])
  return { clock, database, look }
}

for (const [what, reach] of [
  ['that refuses connections', () => Promise.reject(new Error('connection refused'))],
  ['that does not answer', () => new Promise<void>(() => {})],
] as const) {
  test(`a database ${what} holds up the status for less than a second, and what was read last is shown`, async (t) => {
    const { clock, database, look } = await world(t)
    const before = await look()
    assert.ok(before.every((part) => part !== null))
    database.reach = reach
    let after: unknown = null
    const looked = look().then((parts) => {
      after = parts
    })
    await clock.wind(999)
    await Promise.race([looked, new Promise((resolve) => setImmediate(resolve))])
    assert.deepEqual(after, before)
  })
}
