import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { paymentRecord, wonTicket } from '../../../test/suites/store.ts'
import { ticketHash } from '../../domain/ticket.ts'
import { parsedParameters } from '../../io/http/control-parameters.ts'
import { ControlError } from '../../io/http/control-route.ts'
import { IN_MEMORY } from '../../io/store/open.ts'
import { Store } from '../../io/store/store.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import { ManualClock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { Rational } from '../../lib/rational.ts'
import type { Parts } from '../parts.ts'
import type { ControlledNode } from './context.ts'
import { ticketRoutes } from './ticket-routes.ts'

const NOON = Date.UTC(2026, 10, 25, 12)
const CAROL: Address = '0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69'

/** The routes of a node that has started, with a store in memory; `retry` stands for its redeemer or outbox. */
async function world(t: TestContext, retry: (id: Hex) => boolean | null = () => true) {
  const store = new Store({ location: IN_MEMORY })
  await store.open()
  t.after(() => store.close())
  const rounds = {
    isKnown: true,
    roundClock: { currentRound: 3501n, startL1Block: 1_000n, roundLength: 100n, l1Block: 1_090n },
  }
  const parts = {
    core: { store },
    chain: { rounds },
    winners: { keeper: { retryTicket: retry } },
    cluster: { members: { all: [{ node: 'n2', address: 'h:1', leftMs: 9, leads: [{ duty: 'redeem' }] }] } },
  } as unknown as Parts
  const node = {
    clock: new ManualClock(NOON),
    progress: { hasStarted: true, waitingFor: null, running: { parts } },
  } as unknown as ControlledNode
  const routes = ticketRoutes(node)
  const ask = async (path: string, given: Readonly<Record<string, string>> = {}) => {
    const { signal } = new AbortController()
    const { answer, params } = routes.find((route) => route.path === path)!
    const values = parsedParameters(params!, new Map(Object.entries(given)))
    const answered = await answer(values as never, { signal, headers: {} })
    assert.ok('json' in answered)
    // biome-ignore lint/suspicious/noExplicitAny: its shape is what is tested
    return answered.json as any
  }
  return { store, ask, parts }
}

const idOf = (n: number) => formatHex(ticketHash(wonTicket(n)))

test('tickets are listed with what is left of their time, in pages', async (t) => {
  const { ask, store } = await world(t)
  for (let n = 1; n <= 3; n++) await store.addTickets([wonTicket(n)], NOON + n)
  await store.saveTicketState(ticketHash(wonTicket(1)), { kind: 'refused', reason: 'expired' }, NOON + 9)
  const first = await ask('/tickets', { limit: '2' })
  assert.deepEqual(
    first.tickets.map(({ ticket }: { ticket: string }) => ticket),
    [idOf(3), idOf(2)],
  )
  const [newest] = first.tickets
  assert.deepEqual(
    [newest.state, newest.reason, newest.expiryBlock, newest.blocksLeft, newest.expectedWei],
    ['open', 'params-live', 1_100n, 10n, 5_000_000_000_000_001n],
  )
  const second = await ask('/tickets', { limit: '2', after: first.next })
  assert.deepEqual([second.tickets.length, second.next], [1, null])
  assert.equal(second.tickets[0].expiryBlock, null, 'it has ended')
  const count = async (given: Record<string, string>) => (await ask('/tickets', given)).tickets.length
  assert.deepEqual(
    [await count({ state: 'waiting' }), await count({ state: 'refused' }), await count({ sender: CAROL })],
    [2, 1, 0],
  )
  assert.deepEqual([await count({ within: '10' }), await count({ within: '9' })], [2, 0])
})

test('a ticket’s story begins with its arrival; what an earlier version did not write down is told as it is now', async (t) => {
  const { ask, store } = await world(t)
  await store.recordPayment(
    paymentRecord({ nonces: [1], sessionId: 's', winners: [wonTicket(1)], nowMs: NOON }),
  )
  await store.saveTicketState(ticketHash(wonTicket(1)), { kind: 'submitted', txHash: '0x0a' }, NOON + 5)
  const told = await ask('/ticket', { ticket: idOf(1).toUpperCase().replace('0X', '0x') })
  assert.deepEqual(
    told.story.map(({ atMs, step, txHash }: Record<string, unknown>) => [atMs, step, txHash]),
    [
      [NOON, 'received', null],
      [NOON + 5, 'submitted', '0x0a'],
    ],
  )
  assert.deepEqual([told.sessionId, told.source], ['s', 'paid'])
  await store.database.db.deleteFrom('ticket_story').execute()
  const old = await ask('/ticket', { ticket: idOf(1) })
  assert.deepEqual(
    old.story.map(({ node, step }: Record<string, unknown>) => [step, node]),
    [
      ['received', ''],
      ['submitted', null],
    ],
  )
})

test('a ticket is retried where it is open here; otherwise the refusal says why', async (t) => {
  let answer: boolean | null = true
  const { ask, parts, store } = await world(t, () => answer)
  await store.addTickets([wonTicket(1), wonTicket(2)], NOON)
  await store.saveTicketState(ticketHash(wonTicket(2)), { kind: 'refused', reason: 'expired' }, NOON)
  const retry = (n: number) => ask('/tickets/retry', { ticket: idOf(n) })
  assert.deepEqual(await retry(1), { ticket: idOf(1), retried: true })
  const refusal = async (n: number) => {
    try {
      await retry(n)
    } catch (error) {
      assert.ok(error instanceof ControlError)
      return [error.status, error.message]
    }
    return null
  }
  answer = false
  assert.deepEqual(await refusal(2), [409, 'the ticket is refused, which is final'])
  assert.deepEqual(await refusal(1), [
    409,
    'this node has not taken the ticket up yet: ask again in a minute',
  ])
  assert.deepEqual(await refusal(3), [400, `no winning ticket ${idOf(3)} is known here`])
  answer = null
  assert.deepEqual(await refusal(1), [409, 'another node of the cluster redeems (n2 at h:1): ask that one'])
  Object.assign(parts, { winners: null })
  assert.deepEqual(await refusal(1), [400, 'this node keeps no winning tickets'])
})

test('the book has a line for each gateway and day, a line for each day, and the luck of all', async (t) => {
  const { ask, store } = await world(t)
  const credit = Rational.of(8n)
  await store.recordPayment(
    paymentRecord({ nonces: [1, 2], credit, variance: 0n, winners: [wonTicket(1)], nowMs: NOON }),
  )
  const book = await ask('/ledger')
  assert.equal(book.lines.length, 1)
  assert.deepEqual(
    [book.lines[0].day, book.lines[0].sender, book.lines[0].ticketsReceived, book.lines[0].expectedWei],
    ['2026-11-25', wonTicket(1).sender, 2, 8n],
  )
  assert.deepEqual([book.days[0].receivedWei, book.total.wonWei], [8n, wonTicket(1).faceValue])
  assert.deepEqual((await ask('/ledger', { to: '2026-11-24' })).lines, [])
  await store.database.db.deleteFrom('ledger').execute()
  const [line] = (await ask('/ledger')).lines
  assert.deepEqual([line.sender, line.expectedWei], [null, 8n])
})

test('parameters out of range are refused in a sentence', async (t) => {
  const { ask } = await world(t)
  const cases: readonly (readonly [string, Record<string, string>, RegExp])[] = [
    ['/tickets', { state: 'lost' }, /^state must be one of open, submitted,/],
    ['/tickets', { limit: '501' }, /^limit must be between 1 and 500$/],
    ['/tickets', { within: '-1' }, /^within must be a whole number$/],
    ['/tickets', { after: '1-0x' }, /^after must be the `next` of an earlier answer$/],
    ['/tickets', { sender: '0x1' }, /address/],
    ['/ticket', { ticket: '0x1' }, /^ticket must be a hash/],
    ['/ledger', { from: '2026-13-01' }, /^from must be a day as YYYY-MM-DD$/],
    ['/ledger', { from: '2026-11-26', to: '2026-11-25' }, /^from must not be later than to$/],
    ['/ledger', { from: '2026-01-01' }, /^from and to are 329 days, of at most 31 in one answer$/],
  ]
  for (const [path, given, message] of cases) {
    await assert.rejects(ask(path, given), { name: 'ControlError', message }, JSON.stringify(given))
  }
})
