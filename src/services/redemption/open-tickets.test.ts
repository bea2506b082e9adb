import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { wonTicket } from '../../../test/suites/store.ts'
import { ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { NEW_TICKET, type TicketState } from '../../domain/ticket-state.ts'
import { IN_MEMORY } from '../../io/store/open.ts'
import { Store } from '../../io/store/store.ts'
import { formatHex } from '../../lib/bytes.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { OpenTickets } from './open-tickets.ts'

const CLOCK = { currentRound: 3500n, startL1Block: 1_000n, roundLength: 100n, l1Block: 1_010n }

async function world(t: TestContext) {
  const clock = new ManualClock()
  const store = new Store({ location: IN_MEMORY })
  await store.open()
  let isAway = false
  let isCutShort = false
  const pending = new Map<string, bigint>()
  let reads = 0
  const open = new OpenTickets({
    tickets: {
      countTickets: async () => {
        if (isAway) throw new Error('the store is away')
        return store.countTickets()
      },
      openTickets: async function* () {
        reads++
        yield* store.openTickets()
        if (isCutShort) throw new Error('the connection was cut')
      },
      stillOpen: (ids) => store.stillOpen(ids),
    },
    senders: {
      addPending: (sender, amount) => void pending.set(sender, (pending.get(sender) ?? 0n) + amount),
    },
    ...{ rounds: { roundClock: CLOCK }, clock, log: silentLog },
  })
  const supervisor = new Supervisor()
  t.after(async () => {
    await supervisor.stop()
    await store.close()
  })
  const change = (ticket: WinningTicket, state: TicketState) =>
    store.saveTicketState(ticketHash(ticket), state, 0)
  return {
    ...{ clock, store, open, change, supervisor },
    sum: () => [...pending.values()].reduce((all, one) => all + one, 0n),
    reads: () => reads,
    away: (is: boolean) => {
      isAway = is
    },
    cutShort: (is: boolean) => {
      isCutShort = is
    },
    pass: async (ms: number) => {
      await clock.wind(ms)
      for (let i = 0; i < 20; i++) await clock.wind(0)
    },
  }
}

const tickets = [1, 2, 3].map((n) => wonTicket(n))
const [first, second, third] = tickets as [WinningTicket, WinningTicket, WinningTicket]
const redeemed = { kind: 'redeemed', txHash: '0x01', paid: 1n, fee: 1n, block: 1n } as const

test('tickets of all nodes count from a second after they were won until a second after their end', async (t) => {
  const w = await world(t)
  await w.store.addTickets([first], 0)
  await w.supervisor.start(w.open)
  assert.equal(w.sum(), first.faceValue)
  let found = 0
  w.open.onNew(() => found++, new AbortController().signal)
  await w.store.addTickets([second, third], 0)
  await w.pass(1_000)
  assert.equal(w.sum(), first.faceValue + second.faceValue + third.faceValue)
  assert.deepEqual([w.open.size, found], [3, 1])
  await w.change(first, redeemed)
  await w.change(second, { kind: 'refused', reason: 'expired' })
  await w.change(third, { kind: 'submitted', txHash: null })
  await w.pass(1_000)
  assert.equal(w.sum(), third.faceValue)
  assert.deepEqual([w.open.size, found], [1, 1])
  assert.deepEqual(
    w.open.waiting(10).map(({ hash, state }) => [hash, state.kind]),
    [[formatHex(ticketHash(third)), 'submitted']],
  )
  assert.deepEqual([...w.open.firstExpiries()], [['submitted ', 1_200n]])
  // Handed in once more, they are known; opened again by a reorganisation, they count again.
  for (const ticket of tickets) assert.ok(w.open.knows(formatHex(ticketHash(ticket))))
  await w.change(first, { kind: 'open', reason: 'reorganised' })
  await w.pass(1_000)
  assert.equal(w.sum(), first.faceValue + third.faceValue)
})

test('an own ticket counts at once, and once', async (t) => {
  const w = await world(t)
  await w.supervisor.start(w.open)
  await w.store.addTickets([first], 0)
  w.open.adopt([first])
  assert.equal(w.sum(), first.faceValue)
  assert.deepEqual(w.open.waiting(1)[0]?.state, NEW_TICKET)
  await w.pass(3_000)
  assert.equal(w.sum(), first.faceValue)
})

test('tickets are read only after one has changed, and once a minute', async (t) => {
  const w = await world(t)
  await w.store.addTickets(tickets, 0)
  await w.supervisor.start(w.open)
  await w.pass(30_000)
  assert.equal(w.reads(), 1)
  await w.change(first, redeemed)
  await w.pass(2_000)
  assert.equal(w.reads(), 2)
  await w.pass(62_000)
  assert.equal(w.reads(), 3)
})

test('while the store is away what was open still counts', async (t) => {
  const w = await world(t)
  await w.store.addTickets([first], 0)
  await w.supervisor.start(w.open)
  w.away(true)
  await w.change(first, redeemed)
  await w.pass(10_000)
  assert.equal(w.sum(), first.faceValue)
  w.away(false)
  await w.pass(1_000)
  assert.equal(w.sum(), 0n)
})

test('tickets are told as new although the rest could not be read', async (t) => {
  const w = await world(t)
  await w.supervisor.start(w.open)
  let found = 0
  w.open.onNew(() => found++, new AbortController().signal)
  w.cutShort(true)
  await w.store.addTickets([first], 0)
  await w.pass(1_000)
  w.cutShort(false)
  await w.pass(1_000)
  assert.equal(found, 1)
})
