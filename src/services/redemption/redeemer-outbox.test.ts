import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { eventsTo } from '../../../test/fakes/events.ts'
import { FakeRedeemer } from '../../../test/fakes/redeemer.ts'
import {
  CONFIRMED,
  ETHER,
  extend,
  idOf,
  type NodeParts,
  noting,
  ORCHESTRATOR,
  ROUND,
  testWinners,
  winnersWorld,
} from '../../../test/suites/winners.ts'
import { ticketHash } from '../../domain/ticket.ts'
import { TicketBoard } from '../../io/store/ticket-board.ts'
import type { Hex } from '../../lib/bytes.ts'
import { ManualClock } from '../../lib/clock.ts'
import { Supervisor } from '../../lib/service.ts'
import { Redeemer } from './redeemer.ts'
import { RedeemerOutbox } from './redeemer-outbox.ts'
import { RedeemerPeers } from './redeemer-peers.ts'

async function world(t: TestContext) {
  const clock = new ManualClock()
  const [first, second] = [new FakeRedeemer('first', clock), new FakeRedeemer('second', clock)]
  const happened: string[] = []
  const events = eventsTo({
    ...noting(happened),
    'ticket-delivered': ({ redeemer }: { redeemer: string }) =>
      void happened.push(`delivered to ${redeemer}`),
    'ticket-delivery-failed': ({ redeemer, reason }: { redeemer: string; reason: string }) =>
      void happened.push(`${redeemer} ${reason}`),
  })
  const build = (parts: NodeParts) => {
    const redeemers = new RedeemerPeers({ probed: ORCHESTRATOR }, { ...parts, connections: [first, second] })
    const outbox = new RedeemerOutbox({ ...parts, redeemers, events })
    return { keeper: outbox, outbox, redeemers, before: [redeemers] }
  }
  const w = await winnersWorld(t, build, clock)
  await w.rest()
  return extend(w, {
    ...{ happened, first, second },
    /** Starts a redeemer of this node's own over the same store. */
    async redeemHere(supervisor: Supervisor) {
      const parts = w.parts()
      const redeemer = new Redeemer({ ...parts, nonces: parts.tickets, gas: parts.chain, events })
      for (const service of [parts.rounds, parts.senders, redeemer]) await supervisor.start(service)
      return redeemer
    },
  })
}

testWinners('outbox', async (t) => {
  const w = await world(t)
  const tried: Hex[] = []
  const redeemed = new Set<Hex>()
  for (const redeemer of [w.first, w.second]) {
    const queue = redeemer.queue.bind(redeemer)
    redeemer.queue = async (ticket, signal) => {
      if (redeemer === w.first) tried.push(idOf(ticket))
      await queue(ticket, signal)
      if (!redeemed.has(idOf(ticket))) w.chain.redeemFromElsewhere(ticket)
      redeemed.add(idOf(ticket))
    }
  }
  return extend(w, {
    tried,
    block(isBlocked: boolean) {
      w.first.mood = w.second.mood = isBlocked ? 'unable' : 'well'
    },
  })
})

test('a ticket that a redeemer cannot take now waits for that reason, and is handed over once it can', async (t) => {
  const w = await world(t)
  w.first.mood = 'unable'
  w.second.mood = 'away'
  await w.win()
  assert.deepEqual(await w.counts(), { 'open redeemer-unable': 1 })
  assert.ok(w.node.redeemers.health[0]!.answers, 'it answers all the same')
  w.first.mood = 'well'
  await w.pass(60_000)
  assert.deepEqual(await w.counts(), { delivered: 1 })
})

test('a winning ticket goes to the preferred redeemer, and is done when the chain shows it redeemed', async (t) => {
  const w = await world(t)
  const ticket = await w.win()
  assert.deepEqual(w.first.taken, [idOf(ticket)])
  assert.deepEqual(w.second.taken, [])
  assert.deepEqual(await w.counts(), { delivered: 1 })
  assert.equal(w.node.senders.pending(w.gateway.address), ETHER)
  w.chain.redeemFromElsewhere(ticket)
  await w.mine(CONFIRMED - 2)
  assert.deepEqual(await w.counts(), { delivered: 1 })
  await w.mine(2)
  assert.deepEqual(await w.counts(), { redeemed: 1 })
  assert.deepEqual(w.happened, ['won', 'delivered to first', `redeemed ${ETHER}`])
  assert.equal(w.node.senders.pending(w.gateway.address), 0n)
  assert.deepEqual(w.node.outbox.waiting(), [])
})

test('a delivered ticket is handed over again when an operator asks, and its story names the redeemers', async (t) => {
  const w = await world(t)
  const ticket = await w.win()
  assert.deepEqual(await w.counts(), { delivered: 1 })
  w.first.mood = 'away'
  assert.equal(w.node.outbox.retryTicket(idOf(ticket)), true)
  await w.rest()
  assert.deepEqual(w.second.taken, [idOf(ticket)])
  assert.deepEqual(await w.counts(), { delivered: 1 })
  const story = await new TicketBoard(w.store).story(idOf(ticket))
  assert.deepEqual(
    story?.facts.map(({ redeemer, state }) => [state.kind, redeemer]),
    [
      ['delivered', 'first'],
      ['delivered', 'second'],
    ],
  )
  assert.equal(w.node.outbox.retryTicket('0x01'), false)
})

test('when the preferred redeemer does not answer the next one gets the ticket', async (t) => {
  const w = await world(t)
  w.first.mood = 'away'
  const ticket = await w.win()
  assert.deepEqual(w.second.taken, [idOf(ticket)])
  assert.deepEqual(w.happened, ['won', 'first away', 'delivered to second'])
})

test('while no redeemer answers tickets wait on disk, and all are delivered within seconds of its return', async (t) => {
  const w = await world(t)
  w.first.mood = 'away'
  w.second.mood = 'away'
  const tickets = [await w.win(), await w.win(), await w.win()]
  await w.pass(60_000)
  assert.deepEqual(await w.counts(), { 'open redeemer-away': 3 })
  await w.restart()
  assert.equal(w.node.senders.pending(w.gateway.address), 3n * ETHER)
  assert.deepEqual(await w.counts(), { 'open redeemer-away': 3 })
  await w.pass(30_000)
  w.first.mood = 'well'
  await w.pass(3_000)
  assert.deepEqual([...w.first.taken].sort(), tickets.map(idOf).sort())
  assert.deepEqual(await w.counts(), { delivered: 3 })
})

test('a redeemer that takes a connection but never answers is given up after seconds', async (t) => {
  const w = await world(t)
  w.first.mood = 'frozen'
  const ticket = await w.win()
  assert.deepEqual(w.second.taken, [])
  await w.pass(20_000)
  assert.deepEqual(w.second.taken, [idOf(ticket)])
  assert.ok(w.first.resets > 0)
  assert.deepEqual(
    w.node.redeemers.health.map(({ name, answers }) => [name, answers]),
    [
      ['first', false],
      ['second', true],
    ],
  )
})

test('a ticket that is refused by every redeemer is kept, with that reason, and taken by one that learns better', async (t) => {
  const w = await world(t)
  w.first.mood = 'refusing'
  w.second.mood = 'refusing'
  await w.win()
  assert.deepEqual(await w.counts(), { 'open redeemer-refuses': 1 })
  w.second.mood = 'well'
  await w.pass(10_000)
  assert.deepEqual(await w.counts(), { delivered: 1 })
})

test('a redeemer that answers but cannot take the ticket is asked again', async (t) => {
  const w = await world(t)
  w.first.mood = 'unable'
  w.second.mood = 'unable'
  await w.win()
  assert.equal(w.first.taken.length + w.second.taken.length, 0)
  w.first.mood = 'well'
  await w.pass(10_000)
  assert.equal(w.first.taken.length, 1)
})

test('a delivered ticket that is about to expire unredeemed is handed over once more, to any redeemer that answers', async (t) => {
  const w = await world(t)
  const ticket = await w.win()
  w.first.mood = 'away'
  await w.mine(82)
  assert.deepEqual(w.second.taken, [])
  await w.mine(5)
  assert.deepEqual(w.second.taken, [idOf(ticket)])
  assert.deepEqual(await w.counts(), { delivered: 1 })
})

test('at the last chance every redeemer gets a delivered ticket: the one that has it may be cut off from the chain', async (t) => {
  const w = await world(t)
  const ticket = await w.win()
  await w.mine(87)
  assert.deepEqual(w.second.taken, [idOf(ticket)])
  assert.deepEqual(await w.counts(), { delivered: 1 })
})

test('a redeemer that is away when the last chance begins gets the ticket when it is back', async (t) => {
  const w = await world(t)
  const ticket = await w.win()
  w.second.mood = 'away'
  await w.mine(88)
  assert.deepEqual(w.second.taken, [])
  w.second.mood = 'well'
  await w.mine(4)
  assert.deepEqual(w.second.taken, [idOf(ticket)], 'once')
  assert.deepEqual(await w.counts(), { delivered: 1 })
})

test('a redeemer that refuses a ticket which another one has is not asked again', async (t) => {
  const w = await world(t)
  const ticket = await w.win()
  w.second.mood = 'refusing'
  await w.mine(92)
  assert.deepEqual(w.happened, ['won', 'delivered to first', 'delivered to first', 'second refused'])
  assert.deepEqual(w.first.taken, [idOf(ticket), idOf(ticket)])
})

test('a ticket that expires undelivered is refused by name; one that was redeemed unseen is not', async (t) => {
  const w = await world(t)
  w.first.mood = 'away'
  w.second.mood = 'away'
  const lost = await w.win()
  const paid = await w.win()
  await w.stop()
  // Redeemed while this node did not see the chain's events.
  w.chain.redeemFromElsewhere(paid)
  for (let i = 0; i < 20; i++) w.chain.mine()
  await w.restart()
  await w.mine(110)
  assert.deepEqual(await w.counts(), { 'refused expired': 1, redeemed: 1 })
  assert.ok(w.happened.includes(`redeemed ${ETHER}`) && w.happened.includes('refused expired'))
  assert.equal(w.node.outbox.waiting().length, 0)
  assert.ok(idOf(lost) !== idOf(paid))
})

test('an orchestrator that is switched to a redeemer hands over its open tickets, and takes them back when switched again', async (t) => {
  const w = await world(t)
  w.first.mood = 'away'
  w.second.mood = 'away'
  const tickets = [await w.win(), await w.win()]
  await w.store.saveTicketState(ticketHash(tickets[0]!), { kind: 'submitted', txHash: '0x01' }, 1)
  w.first.mood = 'well'
  await w.restart()
  await w.pass(5_000)
  assert.deepEqual([...w.first.taken].sort(), tickets.map(idOf).sort())
  assert.deepEqual(await w.counts(), { delivered: 2 })
  await w.stop()
  await using supervisor = new Supervisor()
  const redeemer = await w.redeemHere(supervisor)
  assert.equal(redeemer.waiting().length, 2)
  await w.mine(1 + CONFIRMED)
  assert.deepEqual(await w.counts(), { redeemed: 2 })
})

test('an endpoint that puts the round ahead, or makes up an event, for some blocks ends no delivered ticket', async (t) => {
  const w = await world(t)
  const ticket = await w.win()
  const { redemptionIn } = w.chain
  w.chain.redemptionIn = async () => {
    return { txHash: '0xabcd', paid: ETHER, fee: null, block: w.chain.head.number, isLone: false }
  }
  w.chain.l1Ahead = 5n * ROUND
  w.chain.tell([
    {
      ...{ kind: 'winning-ticket-redeemed', sender: ticket.sender, recipient: ticket.recipient },
      ...{ senderNonce: 1n, recipientRand: 1n, ticketFaceValue: ETHER, ticketHash: idOf(ticket) },
    },
  ])
  await w.mine(8)
  w.chain.l1Ahead = 0n
  Object.assign(w.chain, { redemptionIn })
  await w.mine(20)
  assert.deepEqual(await w.counts(), { delivered: 1 })
  w.chain.redeemFromElsewhere(ticket)
  await w.mine(CONFIRMED)
  assert.deepEqual(await w.counts(), { redeemed: 1 })
})
