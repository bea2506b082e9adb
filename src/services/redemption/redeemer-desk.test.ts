import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { FakeChain } from '../../../test/fakes/chain.ts'
import { eventsTo } from '../../../test/fakes/events.ts'
import { floatsOf } from '../../../test/fakes/floats.ts'
import { FakePayer } from '../../../test/fakes/payer.ts'
import { ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { equalBytes } from '../../lib/bytes.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { Rounds } from '../protocol/rounds.ts'
import { Senders } from '../protocol/senders.ts'
import { RedeemerDesk } from './redeemer-desk.ts'

const RECIPIENT = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const ETHER = 10n ** 18n
const REDEEM_GAS = 1_200_000n

async function world(t: TestContext) {
  const chain = new FakeChain()
  const clock = new ManualClock()
  const gateway = new FakePayer('gateway')
  chain.fund(gateway.address, 10n * ETHER, 20n * ETHER)
  chain.mine()
  const needs = { chain, watch: chain, clock, log: silentLog }
  const rounds = new Rounds(needs)
  const senders = new Senders({ claimant: RECIPIENT }, { ...needs, rounds })
  const queue: WinningTicket[] = []
  const redeemer = {
    openTickets: 0,
    knows: (hash: Uint8Array) => queue.some((ticket) => equalBytes(ticketHash(ticket), hash)),
    queue: async (ticket: WinningTicket) => {
      await settle()
      queue.push(ticket)
      senders.addPending(ticket.sender, ticket.faceValue)
    },
  }
  const happened: string[] = []
  const events = eventsTo({
    'ticket-handed-in': () => void happened.push('taken'),
    'handed-ticket-refused': ({ reason }: { reason: string }) => void happened.push(reason),
  })
  const options = { recipient: RECIPIENT, redeemGas: REDEEM_GAS } as const
  const desk = new RedeemerDesk(options, { ...needs, rounds, senders, redeemer, gas: chain, events })
  const supervisor = new Supervisor()
  for (const service of [rounds, senders, desk]) await supervisor.start(service)
  t.after(() => supervisor.stop())
  const rest = async () => {
    for (let i = 0; i < 30; i++) await settle()
  }
  return {
    ...{ chain, clock, gateway, rounds, senders, redeemer, queue, happened, desk, rest },
    /** Listens to a float; `told` grows as it is told. */
    listen(sender = gateway.address) {
      const told: bigint[] = []
      const stop = new AbortController()
      const ended = (async () => {
        for await (const value of floatsOf(desk, sender, { clock, signal: stop.signal })) told.push(value)
      })()
      t.after(() => stop.abort())
      return { told, stop, ended }
    },
    win(
      fields: { winProb?: bigint; faceValue?: bigint; nonce?: number; by?: FakePayer; round?: bigint } = {},
    ): WinningTicket {
      const { by = gateway, nonce = 1, round, ...rest } = fields
      const creation = round === undefined ? {} : { creationRound: round }
      const expirationParams = { ...rounds.expirationParams, ...creation }
      return by.winning({ recipient: RECIPIENT, expirationBlock: 0n, expirationParams, ...rest }, nonce)
    },
  }
}

test('a good ticket is queued before the answer; a wrong one is refused by name and never queued', async (t) => {
  const w = await world(t)
  await w.desk.queue(w.win())
  assert.equal(w.queue.length, 1)
  await assert.rejects(w.desk.queue(w.win({ winProb: 1n })), { code: 'not-winning' })
  assert.equal(w.queue.length, 1)
  assert.deepEqual(w.happened, ['taken', 'not-winning'])
})

test('a ticket is refused as expired only once that is confirmed; until then it is taken', async (t) => {
  const w = await world(t)
  const mine = async (blocks: number) => {
    for (let i = 0; i < blocks; i++) {
      w.chain.mine()
      await w.rest()
    }
  }
  await mine(15)
  const ticket = w.win()
  // An endpoint that is five rounds ahead, for a few blocks and after a reorganisation.
  w.chain.l1Ahead = 5n * w.chain.roundLength
  await mine(5)
  await w.desk.queue(ticket)
  w.chain.reorganise(3, () => true)
  await w.rest()
  await w.desk.queue(w.win({ nonce: 2, round: ticket.expirationParams.creationRound }))
  w.chain.l1Ahead = 0n
  await mine(20)
  assert.equal(w.queue.length, 2)
  const { creationRound } = ticket.expirationParams
  const late = w.win({ nonce: 3, round: creationRound })
  // Two rounds later it has expired; that counts once it is confirmed.
  while (w.rounds.roundClock.currentRound < creationRound + 2n) await mine(1)
  await w.desk.queue(late)
  await mine(20)
  await assert.rejects(w.desk.queue(w.win({ nonce: 4, round: creationRound })), {
    code: 'expired',
    message: `the ticket of round ${creationRound} has expired: the chain is in round ${creationRound + 2n}`,
  })
  assert.equal(w.queue.length, 3)
})

test('an endpoint that is ahead for long gets no ticket refused that another one calls valid', async (t) => {
  const w = await world(t)
  const ticket = w.win()
  w.chain.l1Ahead = 5n * w.chain.roundLength
  for (let i = 0; i < 30; i++) {
    w.chain.mine()
    await w.rest()
  }
  assert.ok(w.rounds.confirmedClock!.currentRound > ticket.expirationParams.creationRound + 2n)
  await w.desk.queue(ticket)
  const { hasExpired } = w.chain
  w.chain.hasExpired = async () => {
    throw new Error('no answer')
  }
  await w.desk.queue(w.win({ nonce: 2, round: ticket.expirationParams.creationRound }))
  assert.equal(w.queue.length, 2)
  w.chain.hasExpired = hasExpired
})

test('a ticket that cannot be written down is not acknowledged', async (t) => {
  const w = await world(t)
  w.redeemer.queue = async () => {
    throw new Error('disk full')
  }
  await assert.rejects(w.desk.queue(w.win()), /disk full/)
  assert.deepEqual(w.happened, [])
})

test('beyond half a million open tickets no further one is taken, and a later attempt is', async (t) => {
  const w = await world(t)
  w.redeemer.openTickets = 500_000
  await assert.rejects(w.desk.queue(w.win()), { code: 'no-room' })
  w.redeemer.openTickets = 499_999
  await w.desk.queue(w.win())
  assert.equal(w.queue.length, 1)
})

test('the open tickets of a sender are bounded by its funds, also when they come together; what is handed in again takes no room', async (t) => {
  const w = await world(t)
  // A deposit of 10, and a reserve of 20 of which the one recipient may claim all in each of two rounds.
  const tickets = Array.from({ length: 60 }, (_, nonce) => w.win({ nonce }))
  const outcomes = await Promise.allSettled(tickets.map((ticket) => w.desk.queue(ticket)))
  assert.equal(w.queue.length, 50)
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  assert.equal(refused.length, 10)
  for (const error of refused) {
    assert.equal(error.code, 'beyond-funds')
    assert.equal(
      error.message,
      `sender ${w.gateway.address} has 50 open tickets of ${50n * ETHER} wei already, and funds for ${50n * ETHER} wei: try again later`,
    )
  }
  await w.desk.queue(w.queue[3]!)
  assert.equal(w.queue.length, 50)
  w.senders.addPending(w.gateway.address, -ETHER)
  await w.desk.queue(tickets[59]!)
  assert.equal(w.queue.length, 51)
})

test('tickets of a sender without funds are not kept, nor those of made-up senders', async (t) => {
  const w = await world(t)
  const stranger = new FakePayer('stranger')
  const made = Array.from({ length: 40 }, (_, i) =>
    w.win({ by: new FakePayer(`made up ${i}`), faceValue: 1n }),
  )
  const outcomes = await Promise.allSettled(
    [...made, w.win({ by: stranger })].map((each) => w.desk.queue(each)),
  )
  for (const outcome of outcomes) assert.equal(outcome.status, 'rejected')
  assert.equal(w.queue.length, 0)
  w.chain.fund(stranger.address, ETHER)
  w.chain.mine()
  await w.desk.queue(w.win({ by: stranger }))
  assert.equal(w.queue.length, 1)
})

test('tickets that are worth less than their redemption take up room all the same', async (t) => {
  const w = await world(t)
  const stranger = new FakePayer('stranger')
  // Ten redemptions cost as much as it has: a hundred tickets are the most, however little each pays.
  w.chain.fund(stranger.address, 10n * REDEEM_GAS * w.chain.gasPrice)
  w.chain.mine()
  for (let nonce = 0; nonce < 100; nonce++) await w.desk.queue(w.win({ by: stranger, faceValue: 1n, nonce }))
  await assert.rejects(w.desk.queue(w.win({ by: stranger, faceValue: 1n, nonce: 100 })), {
    code: 'beyond-funds',
  })
})

test('while the chain cannot be read a few tickets of an unknown sender are taken, and no more', async (t) => {
  const w = await world(t)
  w.chain.isDown = true
  for (let nonce = 0; nonce < 100; nonce++) await w.desk.queue(w.win({ nonce }))
  await assert.rejects(w.desk.queue(w.win({ nonce: 100 })), { code: 'funds-unknown' })
  w.redeemer.openTickets = 1_000
  const other = new FakePayer('other')
  await assert.rejects(w.desk.queue(w.win({ by: other })), { code: 'funds-unknown' })
})

test('the funds of no more than sixteen new senders are read at once', async (t) => {
  const w = await world(t)
  let [reading, most] = [0, 0]
  const { senderInfo } = w.chain
  w.chain.senderInfo = async (sender) => {
    most = Math.max(most, ++reading)
    await settle()
    reading--
    return senderInfo.call(w.chain, sender)
  }
  const made = Array.from({ length: 1_100 }, (_, i) =>
    w.win({ by: new FakePayer(`made up ${i}`, { quick: true }) }),
  )
  const outcomes = await Promise.allSettled(made.map((ticket) => w.desk.queue(ticket)))
  assert.equal(most, 16)
  const codes = outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : 'taken'))
  assert.equal(codes.filter((code) => code === 'no-room').length, 1_100 - 1_016)
  assert.equal(codes.filter((code) => code === 'beyond-funds').length, 1_016)
})

test('a float is told at once, and again on every event that changes it', async (t) => {
  const w = await world(t)
  const { told } = w.listen()
  await w.rest()
  assert.deepEqual(told, [20n * ETHER])
  w.chain.fund(w.gateway.address, 0n, 5n * ETHER)
  w.chain.mine()
  await w.rest()
  assert.deepEqual(told, [20n * ETHER, 25n * ETHER])
  // More than a third of the deposit is on its way: it counts against the float.
  w.senders.addPending(w.gateway.address, 4n * ETHER)
  await w.rest()
  assert.equal(told.at(-1), 21n * ETHER)
  w.senders.addPending(w.gateway.address, -4n * ETHER)
  await w.rest()
  assert.equal(told.at(-1), 25n * ETHER)
  w.chain.poolMembers = 5n
  for (let i = 0; i < 60; i++) w.chain.mine()
  await w.rest()
  assert.equal(told.at(-1), 5n * ETHER)
})

test('an event that changes nothing is not told; what no event told is found out within half a minute', async (t) => {
  const w = await world(t)
  const { told } = w.listen()
  await w.rest()
  w.chain.fund(w.gateway.address, 1n)
  w.chain.mine()
  await w.rest()
  assert.equal(told.length, 1)
  w.chain.poolMembers = 4n
  w.chain.mine()
  await w.rest()
  for (let i = 0; i < 3; i++) {
    await w.clock.wind(5 * 60_000)
    await w.rest()
  }
  assert.deepEqual(told, [20n * ETHER, 5n * ETHER])
})

test('a float below zero is told as zero', async (t) => {
  const w = await world(t)
  w.chain.setSender(w.gateway.address, { deposit: 0n, fundsRemaining: 1n })
  w.senders.addPending(w.gateway.address, ETHER)
  const { told } = w.listen()
  await w.rest()
  assert.deepEqual(told, [0n])
  assert.equal(await w.desk.maxFloat(w.gateway.address), 0n)
})

test('a listener that disconnects is forgotten', async (t) => {
  const w = await world(t)
  const [one, two] = [w.listen(), w.listen()]
  await w.rest()
  assert.equal(w.desk.streams, 2)
  one.stop.abort()
  await one.ended
  assert.equal(w.desk.streams, 1)
  w.chain.fund(w.gateway.address, 0n, ETHER)
  w.chain.mine()
  await w.rest()
  assert.deepEqual([one.told.length, two.told.length], [1, 2])
})

test('one sender cannot be listened to a thousand times over', async (t) => {
  const w = await world(t)
  for (let i = 0; i < 1_000; i++) w.listen()
  await w.rest()
  await assert.rejects(w.listen().ended, { code: 'no-room' })
  const other = w.listen(new FakePayer('other').address)
  await w.rest()
  assert.equal(other.told.length, 1)
})
