import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakePayer } from '../../../test/fakes/payer.ts'
import { ETHER, EV, ORCHESTRATOR, recipientWorld, reserve } from '../../../test/fakes/recipient-world.ts'
import type { NodeEvent } from '../../domain/events.ts'
import { expectedValue, type Payment, type PriceInfo } from '../../domain/ticket.ts'
import { NodeError } from '../../lib/errors.ts'
import { Rational } from '../../lib/rational.ts'
import { FreeOfCharge } from './ticket-recipient.ts'

const sumOf = (n: number, offer: { ticketParams: { faceValue: bigint; winProb: bigint } }) =>
  expectedValue(offer.ticketParams.faceValue, offer.ticketParams.winProb).mul(Rational.of(BigInt(n)))

const refuses = (text: string | RegExp, code?: string) => (error: unknown) => {
  assert.ok(error instanceof NodeError, String(error))
  if (typeof text === 'string') assert.equal(error.message, text)
  else assert.match(error.message, text)
  if (code) assert.equal(error.code, code)
  return true
}

test('an offer asks what redeeming costs a hundred times over and adds a hundredth to the price', async (t) => {
  const { chain, gateway, node } = await recipientWorld(t)
  const { ticketParams, priceInfo } = await node.recipient.quote(gateway.address, null)
  assert.equal(ticketParams.faceValue, 350_000n * chain.gasPrice * 100n)
  assert.deepEqual(priceInfo, { pricePerUnit: 1010n, pixelsPerUnit: 1n })
  assert.equal(ticketParams.expirationBlock, chain.head.l1Block + 40n)
  assert.equal(ticketParams.expirationParams.creationRound, 10n)
  assert.equal(ticketParams.recipient, ORCHESTRATOR)
})

test('the price book remembers what new sessions were offered, by gateway', async (t) => {
  const { gateway, node, priceBook } = await recipientWorld(t)
  const offer = await node.recipient.quote(gateway.address, null)
  assert.deepEqual([...priceBook.offered], [[gateway.address, Rational.of(1010n)]])
  await node.recipient.receive(gateway.pay(offer, 1), 'aaaa')
  await node.recipient.quote(gateway.address, 'aaaa')
  for (let i = 0; i < 100; i++) priceBook.noteOffer(new FakePayer(`${i}`).address, Rational.one)
  assert.equal(priceBook.offered.size, 20)
})

test('a sender without funds is offered nothing, and a free orchestrator reads no sender’s funds', async (t) => {
  const poor = new FakePayer('poor')
  let isFree = false
  const price = () => Rational.of(isFree ? 0n : 1000n)
  const { chain, node } = await recipientWorld(t, { singlePrices: [[poor.address, price]] })
  await assert.rejects(node.recipient.quote(poor.address, null), refuses('insufficient sender reserve'))
  isFree = true
  chain.isDown = true
  const { ticketParams, priceInfo } = await node.recipient.quote(poor.address, null)
  assert.deepEqual([ticketParams.faceValue, ticketParams.winProb, priceInfo.pricePerUnit], [0n, 0n, 0n])
})

test('tickets are credited at their expected value and their session keeps the price of the first', async (t) => {
  let price = Rational.of(1000n)
  const { gateway, node, store } = await recipientWorld(t, { price: () => price })
  const offer = await node.recipient.quote(gateway.address, null)
  await node.recipient.receive(gateway.pay(offer, 5), 'aaaa')
  assert.deepEqual(await store.sessions.balance(gateway.address, 'aaaa'), sumOf(5, offer))
  price = Rational.of(9999n)
  const again = await node.recipient.quote(gateway.address, 'aaaa')
  assert.deepEqual(again.priceInfo, offer.priceInfo)
  await node.recipient.receive(gateway.pay(again, 1), 'aaaa')
  await (await reserve(node.recipient, gateway.address, 'aaaa', 7n)).charge(7n)
  const paid = sumOf(6, offer)
  assert.deepEqual(await store.sessions.balance(gateway.address, 'aaaa'), paid.sub(Rational.of(7n * 1010n)))
})

test('winners are handed over once they are on disk, and those known before are not handed over again', async (t) => {
  const { gateway, node, store } = await recipientWorld(t, { ticketEv: 350_000n * 10n ** 11n - 1n })
  const offer = await node.recipient.quote(gateway.address, null)
  const payment = gateway.pay(offer, 3)
  await node.recipient.receive(payment, 'aaaa')
  assert.equal(node.adopted.length, 3)
  assert.equal((await Array.fromAsync(store.unfinishedTickets())).flat().length, 3)
  await assert.rejects(node.recipient.receive(payment, 'aaaa'), refuses(/already seen/))
  assert.equal(node.adopted.length, 3)
})

test('payments are told with their stream, and winners that a refused one brought are told too', async (t) => {
  const told: NodeEvent[] = []
  const { gateway, node } = await recipientWorld(t, {
    ticketEv: 350_000n * 10n ** 11n - 1n,
    events: {
      'ticket-params-offered': (event) => void told.push(event),
      'tickets-received': (event) => void told.push(event),
      'payment-refused': (event) => void told.push(event),
    },
  })
  const { address: sender } = gateway
  const offer = await node.recipient.quote(sender, null)
  const { faceValue } = offer.ticketParams
  assert.deepEqual(
    told.map((event) => ({ ...event, maxFloat: null })),
    [{ kind: 'ticket-params-offered', sender, faceValue, maxFloat: null }],
  )
  const [first, second] = [gateway.pay(offer, 1), gateway.pay(offer, 1)]
  await node.recipient.receive(first, 'aaaa', 'movie')
  const both = { ...second, tickets: [...first.tickets, ...second.tickets] }
  await assert.rejects(node.recipient.receive(both, 'aaaa', 'movie'), refuses(/already seen/))
  const [received, refused] = told.filter(({ kind }) => /received|refused/.test(kind))
  const stream = { sender, manifestId: 'movie' }
  assert.deepEqual(received, {
    ...{ kind: 'tickets-received', ...stream, sessionId: 'aaaa', tickets: 1, winners: 1 },
    credit: sumOf(1, offer),
  })
  assert.deepEqual(refused, { kind: 'payment-refused', ...stream, winners: 1, reason: 'nonce-already-seen' })
})

test('what was offered before a restart is good after it, and no nonce counts twice', async (t) => {
  const { gateway, node, restart, store } = await recipientWorld(t)
  const offer = await node.recipient.quote(gateway.address, null)
  const first = gateway.pay(offer, 2)
  await node.recipient.receive(first, 'aaaa')
  const after = await restart()
  await after.recipient.receive(gateway.pay(offer, 2), 'aaaa')
  await assert.rejects(
    after.recipient.receive(first, 'aaaa'),
    refuses(
      `invalid ticket senderNonce: already seen sender=${gateway.address} nonce=2`,
      'nonce-already-seen',
    ),
  )
  assert.deepEqual(await store.sessions.balance(gateway.address, 'aaaa'), sumOf(4, offer))
})

test('params of a secret that was rotated are still good until it is retired, also when another process rotated', async (t) => {
  const { clock, gateway, node, store } = await recipientWorld(t)
  const offer = await node.recipient.quote(gateway.address, null)
  await store.rotateSecret('ticket', clock.now(), clock.now())
  await clock.wind(30_000)
  const newer = await node.recipient.quote(gateway.address, null)
  await node.recipient.receive(gateway.pay(offer, 1), 'aaaa')
  await node.recipient.receive(gateway.pay(newer, 1), 'aaaa')
  await store.retireSecrets('ticket', clock.now(), clock.now())
  await clock.wind(30_000)
  await assert.rejects(
    node.recipient.receive(gateway.pay(offer, 1), 'aaaa'),
    refuses('invalid recipientRand for ticket recipientRandHash', 'rand-does-not-match'),
  )
  await node.recipient.receive(gateway.pay(newer, 1), 'aaaa')
})

const tampered: [string, (payment: Payment) => Payment, string | RegExp][] = [
  [
    'face value',
    with_((p) => ({ faceValue: p.faceValue + 1n })),
    'invalid recipientRand for ticket recipientRandHash',
  ],
  [
    'win prob',
    with_((p) => ({ winProb: p.winProb - 1n })),
    'invalid recipientRand for ticket recipientRandHash',
  ],
  [
    'expiration',
    with_((p) => ({ expirationBlock: p.expirationBlock + 1n })),
    'invalid recipientRand for ticket recipientRandHash',
  ],
  ['seed', with_((p) => ({ seed: p.seed + 1n })), 'invalid recipientRand for ticket recipientRandHash'],
  [
    'recipient',
    with_(() => ({ recipient: '0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF' })),
    'invalid ticket recipient',
  ],
  [
    'price',
    (p) => ({ ...p, expectedPrice: { pricePerUnit: 1n, pixelsPerUnit: 1n } }),
    'invalid recipientRand for ticket recipientRandHash',
  ],
  [
    'round',
    (p) => ({ ...p, expirationParams: { ...p.expirationParams!, creationRound: -1n } }),
    'invalid recipientRand for ticket recipientRandHash',
  ],
  [
    'no price',
    (p) => ({ ...p, expectedPrice: null }),
    'invalid expected price sent with payment err="expected price is nil"',
  ],
  [
    'price per no pixel',
    (p) => ({ ...p, expectedPrice: { pricePerUnit: 1n, pixelsPerUnit: 0n } }),
    'invalid expected price sent with payment err="pixels per unit is 0"',
  ],
  [
    'signature',
    (p) => ({ ...p, tickets: [{ ...p.tickets[0]!, sig: new Uint8Array(65) }] }),
    'invalid ticket signature',
  ],
  [
    'sender',
    (p) => ({ ...p, sender: '0x0000000000000000000000000000000000000000' }),
    /^Could not find Sender for payment/,
  ],
]

function with_(change: (params: NonNullable<Payment['ticketParams']>) => object) {
  return (payment: Payment): Payment => ({
    ...payment,
    ticketParams: { ...payment.ticketParams!, ...change(payment.ticketParams!) },
  })
}

test('a payment that is not what was offered is refused with the peers’ text and leaves nothing behind', async (t) => {
  const { gateway, node, store } = await recipientWorld(t)
  const offer = await node.recipient.quote(gateway.address, null)
  for (const [what, tamper, text] of tampered) {
    await assert.rejects(node.recipient.receive(tamper(gateway.pay(offer, 1)), 'aaaa'), refuses(text), what)
  }
  assert.deepEqual(await store.sessions.balance(gateway.address, 'aaaa'), Rational.zero)
  assert.equal(await store.sessions.price(gateway.address, 'aaaa'), null)
  assert.equal((await store.noncesOf(offer.ticketParams.recipientRandHash)).used.size, 0)
})

test('params expire with their L1 block: the rest of the payment is not credited, a win is kept', async (t) => {
  const { chain, gateway, node, store } = await recipientWorld(t, { ticketEv: 350_000n * 10n ** 11n - 1n })
  const offer = await node.recipient.quote(gateway.address, null)
  for (let i = 0; i < 40; i++) chain.mine()
  await assert.rejects(
    node.recipient.receive(gateway.pay(offer, 2), 'aaaa'),
    refuses('TicketParams expired', 'params-expired'),
  )
  assert.deepEqual(await store.sessions.balance(gateway.address, 'aaaa'), Rational.zero)
  assert.equal(
    await store.sessions.price(gateway.address, 'aaaa'),
    null,
    'its price does not stick to the session',
  )
  assert.equal((await store.noncesOf(offer.ticketParams.recipientRandHash)).used.size, 0)
  assert.equal(node.adopted.length, 2)
  assert.equal((await Array.fromAsync(store.unfinishedTickets())).flat().length, 2)
})

test('params whose secret number was revealed early are over', async (t) => {
  const { gateway, node, store } = await recipientWorld(t)
  const { ticketParams, priceInfo } = await node.recipient.quote(gateway.address, null)
  await store.reveal(ticketParams.recipientRandHash, ticketParams.expirationBlock)
  await assert.rejects(
    node.recipient.receive(gateway.pay({ ticketParams, priceInfo }, 1), 'aaaa'),
    refuses('TicketParams expired'),
  )
  assert.deepEqual(await store.sessions.balance(gateway.address, 'aaaa'), Rational.zero)
})

test('a payment with the 601st nonce of one secret number is refused and changes nothing', async (t) => {
  const { gateway, node, store } = await recipientWorld(t)
  const offer = await node.recipient.quote(gateway.address, null)
  await assert.rejects(
    node.recipient.receive(gateway.pay(offer, 601), 'aaaa'),
    refuses(
      `invalid ticket senderNonce: too many values sender=${gateway.address} nonce=601`,
      'too-many-nonces',
    ),
  )
  assert.deepEqual(await store.sessions.balance(gateway.address, 'aaaa'), Rational.zero)
  assert.equal((await store.noncesOf(offer.ticketParams.recipientRandHash)).used.size, 0)
})

test('a sender that unlocks, an inactive recipient and unreadable funds refuse the payment', async (t) => {
  const { chain, gateway, node, restart } = await recipientWorld(t)
  const offer = await node.recipient.quote(gateway.address, null)
  chain.setSender(gateway.address, { withdrawRound: 11n })
  const unlocking = await restart()
  await assert.rejects(
    unlocking.recipient.receive(gateway.pay(offer, 1), 'aaaa'),
    refuses(`deposit and reserve for sender ${gateway.address} is set to unlock soon`),
  )
  chain.setSender(gateway.address, { withdrawRound: 12n })
  chain.isRegistered = false
  const inactive = await restart()
  await assert.rejects(
    inactive.recipient.receive(gateway.pay(offer, 1), 'aaaa'),
    refuses(`orchestrator ${ORCHESTRATOR} is inactive in round 10, cannot process payments`),
  )
  chain.isRegistered = true
  const blind = await restart()
  await blind.recipient.receive(gateway.pay(offer, 1), 'bbbb')
  const stranger = new FakePayer('stranger')
  chain.fund(stranger.address, ETHER, ETHER)
  const offered = await blind.recipient.quote(stranger.address, null)
  const forgetful = await restart()
  await forgetful.recipient.receive(gateway.pay(offer, 1), 'bbbb')
  chain.isDown = true
  await assert.rejects(
    forgetful.recipient.receive(stranger.pay(offered, 1), 'aaaa'),
    refuses(`could not get sender info for ${stranger.address}: no answer from the chain`),
  )
  await forgetful.recipient.receive(gateway.pay(offer, 1), 'bbbb')
})

test('the chain is not asked about a sender that brings what it was not offered', async (t) => {
  const { chain, gateway, node, senders } = await recipientWorld(t)
  const offer = await node.recipient.quote(gateway.address, null)
  await node.recipient.receive(gateway.pay(offer, 1), 'aaaa')
  const known = senders().size
  chain.isDown = true
  for (let i = 0; i < 3; i++) {
    const forged = { ...gateway.pay(offer, 1), sender: new FakePayer(`stranger ${i}`).address }
    await assert.rejects(
      node.recipient.receive(forged, 'aaaa'),
      refuses('invalid recipientRand for ticket recipientRandHash'),
    )
  }
  assert.equal(senders().size, known)
})

/** How many pixels one ticket pays for. */
const PIXELS_A_TICKET = EV / 1010n

test('a segment is begun only when the session’s balance covers its fee, or what its sender left elsewhere', async (t) => {
  const { clock, gateway, node, store } = await recipientWorld(t)
  const { recipient } = node
  const { address } = gateway
  const offer = await recipient.quote(address, null)
  const short = refuses('Insufficient balance', 'insufficient-balance')
  await assert.rejects(reserve(recipient, address, 'aaaa', 1n), short)
  await recipient.receive(gateway.pay(offer, 3), 'aaaa')
  await assert.rejects(reserve(recipient, address, 'aaaa', 4n * PIXELS_A_TICKET), short)
  const reservation = await reserve(recipient, address, 'aaaa', 3n * PIXELS_A_TICKET)
  reservation.release()
  await assert.rejects(reserve(recipient, address, 'bbbb', 1n), short)
  await clock.wind(20 * 60_000)
  await assert.rejects(
    reserve(recipient, address, 'bbbb', 1n),
    short,
    'a peer remembers for up to 20 minutes what it has in a session, and may go on with it',
  )
  await clock.wind(60_000)
  await reserve(recipient, address, 'bbbb', 3n * PIXELS_A_TICKET)
  assert.deepEqual(await store.sessions.balance(address, 'aaaa'), Rational.zero)
  assert.ok((await store.sessions.balance(address, 'bbbb')).cmp(sumOf(3, offer)) >= 0)
})

test('what is set aside for one segment pays for no other, until it is charged or released', async (t) => {
  const { gateway, node, store } = await recipientWorld(t)
  const { recipient } = node
  const { address } = gateway
  const offer = await recipient.quote(address, null)
  await recipient.receive(gateway.pay(offer, 3), 'aaaa')
  const short = refuses('Insufficient balance', 'insufficient-balance')
  const first = await reserve(recipient, address, 'aaaa', 2n * PIXELS_A_TICKET)
  await assert.rejects(reserve(recipient, address, 'aaaa', 2n * PIXELS_A_TICKET), short)
  const second = await reserve(recipient, address, 'aaaa', PIXELS_A_TICKET)
  first.release()
  const third = await reserve(recipient, address, 'aaaa', 2n * PIXELS_A_TICKET)
  // A charge and the reservation after it come at the same time: the rest of the fee is free again.
  const [, fourth] = await Promise.all([
    third.charge(PIXELS_A_TICKET),
    reserve(recipient, address, 'aaaa', PIXELS_A_TICKET),
  ])
  await second.charge(PIXELS_A_TICKET)
  await fourth.charge(PIXELS_A_TICKET)
  await fourth.charge(PIXELS_A_TICKET)
  const left = sumOf(3, offer).sub(Rational.of(3n * PIXELS_A_TICKET * 1010n))
  assert.deepEqual(await store.sessions.balance(address, 'aaaa'), left, 'each is charged once')
})

test('a segment may go beyond what it paid as far as its sender may owe, and no further', async (t) => {
  const { gateway, node, store } = await recipientWorld(t)
  const { recipient } = node
  const { address } = gateway
  const offer = await recipient.quote(address, null)
  let charged = 0n
  for (let session = 0; session < 40; session++) {
    const sessionId = `session ${session}`
    await recipient.receive(gateway.pay(offer, 1), sessionId)
    const reservation = await reserve(recipient, address, sessionId, PIXELS_A_TICKET)
    assert.ok(reservation.maxPixels! >= PIXELS_A_TICKET, 'what was paid may always be done')
    await reservation.charge(10n ** 15n)
    charged += reservation.maxPixels!
  }
  const unpaid = Rational.of(charged * 1010n).sub(sumOf(40, offer))
  assert.ok(unpaid.cmp(Rational.of(64n * EV)) <= 0, `${unpaid} wei of work was not paid`)
  assert.ok(unpaid.cmp(Rational.of(63n * EV)) > 0, 'nor is less borne than is said')
  assert.ok((await store.sessions.owed(address, 0)).cmp(Rational.of(63n * EV)) > 0)
})

test('segments that run at the same time share what their sender may owe', async (t) => {
  const { gateway, node } = await recipientWorld(t)
  const { recipient } = node
  const offer = await recipient.quote(gateway.address, null)
  let beyond = 0n
  const running = []
  for (let session = 0; session < 40; session++) {
    await recipient.receive(gateway.pay(offer, 1), `session ${session}`)
    running.push(await reserve(recipient, gateway.address, `session ${session}`, PIXELS_A_TICKET))
    beyond += running.at(-1)!.maxPixels! - PIXELS_A_TICKET
  }
  assert.ok(beyond * 1010n <= 64n * EV)
  for (const reservation of running) reservation.release()
  const after = await reserve(recipient, gateway.address, 'session 0', PIXELS_A_TICKET)
  assert.ok(after.maxPixels! > PIXELS_A_TICKET, 'what they did not take is there again')
})

test('debts of all sessions count before another is offered; what the sender pays too much settles them', async (t) => {
  const { clock, gateway, node } = await recipientWorld(t)
  const { recipient } = node
  const { address } = gateway
  const offer = await recipient.quote(address, null)
  for (let session = 0; session < 10; session++) {
    await recipient.receive(gateway.pay(offer, 1), `session ${session}`)
    const reservation = await reserve(recipient, address, `session ${session}`, PIXELS_A_TICKET)
    await reservation.charge(reservation.maxPixels!)
  }
  const owes = refuses(/^sender 0x\w{40} owes \d+ wei for work beyond what it paid/, 'sender-owes')
  await assert.rejects(recipient.quote(address, null), owes)
  await recipient.quote(address, 'session 3')
  await recipient.receive(gateway.pay(offer, 100), 'session 3')
  await assert.rejects(recipient.quote(address, null), owes, 'a session in use is not idle credit')
  await clock.wind(21 * 60_000)
  await recipient.quote(address, null)
})

test('debts are forgotten after a day, so that no sender is shut out for ever', async (t) => {
  const { clock, gateway, node } = await recipientWorld(t)
  const { recipient } = node
  const { address } = gateway
  const offer = await recipient.quote(address, null)
  for (let session = 0; session < 20; session++) {
    await recipient.receive(gateway.pay(offer, 1), `session ${session}`)
    const reservation = await reserve(recipient, address, `session ${session}`, PIXELS_A_TICKET)
    await reservation.charge(reservation.maxPixels!)
  }
  await assert.rejects(recipient.quote(address, null), refuses(/owes/, 'sender-owes'))
  await clock.wind(23 * 3_600_000)
  await assert.rejects(recipient.quote(address, null), refuses(/owes/, 'sender-owes'))
  await clock.wind(2 * 3_600_000)
  await recipient.quote(address, null)
})

test('a sender that has paid much may owe a sixteenth of it', async (t) => {
  const { gateway, node } = await recipientWorld(t)
  const { recipient } = node
  const most = async () => {
    const reservation = await reserve(recipient, gateway.address, 'aaaa', 600n * PIXELS_A_TICKET)
    reservation.release()
    return reservation.maxPixels! - 600n * PIXELS_A_TICKET
  }
  const pay = async () =>
    recipient.receive(gateway.pay(await recipient.quote(gateway.address, null), 600), 'aaaa')
  await pay()
  await pay()
  assert.ok((await most()) <= 76n * PIXELS_A_TICKET)
  for (let i = 0; i < 8; i++) await pay()
  assert.ok((await most()) > 300n * PIXELS_A_TICKET)
})

test('a payment without tickets cannot make a session cheaper than what is asked', async (t) => {
  let asked = Rational.of(1000n)
  const { clock, gateway, node, store } = await recipientWorld(t, { price: () => asked })
  const bare = (expectedPrice: PriceInfo | null): Payment => ({
    sender: gateway.address,
    ticketParams: null,
    expirationParams: null,
    tickets: [],
    expectedPrice,
  })
  const price = (pricePerUnit: bigint) => ({ pricePerUnit, pixelsPerUnit: 1n })
  await assert.rejects(
    node.recipient.receive(bare(price(0n)), 'aaaa'),
    refuses('expected price 0 is below the price 1000', 'price-mismatch'),
  )
  await node.recipient.receive(bare(null), 'aaaa')
  await assert.rejects(reserve(node.recipient, gateway.address, 'aaaa', 1n), refuses('Insufficient balance'))
  await node.recipient.receive(bare(price(1000n)), 'aaaa')
  assert.equal(
    await store.sessions.price(gateway.address, 'aaaa'),
    null,
    'a sender that pays nothing is promised nothing',
  )
  const offer = await node.recipient.quote(gateway.address, null)
  await node.recipient.receive(gateway.pay(offer, 1), 'aaaa')
  await assert.rejects(node.recipient.receive(bare(price(1000n)), 'aaaa'), refuses(/is below the price 1010/))
  await clock.wind(21 * 60_000)
  await node.recipient.receive(bare(price(1000n)), 'bbbb')
  await reserve(node.recipient, gateway.address, 'bbbb', 1n)
  assert.deepEqual(
    await store.sessions.price(gateway.address, 'bbbb'),
    Rational.of(1010n),
    'credit that was carried over is worth what it was paid for',
  )
  asked = Rational.zero
  await node.recipient.receive(bare(price(0n)), 'cccc')
  asked = Rational.of(1000n)
  assert.equal((await reserve(node.recipient, gateway.address, 'cccc', 1n)).maxPixels, null)
})

test('a payment without a valid ticket is not recorded', async (t) => {
  const { clock, gateway, node, store } = await recipientWorld(t)
  const offer = await node.recipient.quote(gateway.address, null)
  await node.recipient.receive(gateway.pay(offer, 3), 'aaaa')
  await clock.wind(10_000)
  const unsigned = { ...gateway.pay(offer, 2) }
  const forged = unsigned.tickets.map((ticket) => ({ ...ticket, sig: new Uint8Array(65) }))
  await assert.rejects(
    node.recipient.receive({ ...unsigned, tickets: forged }, 'bbbb'),
    refuses('invalid ticket signature'),
  )
  await assert.rejects(reserve(node.recipient, gateway.address, 'bbbb', 1n), refuses('Insufficient balance'))
  assert.equal(await store.sessions.price(gateway.address, 'bbbb'), null)
  await clock.wind(21 * 60_000)
  // Only a session that is not known yet takes over what was left.
  await node.recipient.receive(gateway.pay(offer, 1), 'bbbb')
  assert.ok((await store.sessions.balance(gateway.address, 'bbbb')).cmp(sumOf(4, offer)) >= 0)
})

test('payments of one session that come at the same time are taken one after the other', async (t) => {
  const { gateway, node, store } = await recipientWorld(t)
  const offer = await node.recipient.quote(gateway.address, null)
  const payments = Array.from({ length: 10 }, () => gateway.pay(offer, 2))
  await Promise.all(payments.map((payment) => node.recipient.receive(payment, 'aaaa')))
  assert.deepEqual(await store.sessions.balance(gateway.address, 'aaaa'), sumOf(20, offer))
  const twice = await Promise.allSettled([1, 2].map(() => node.recipient.receive(payments[0]!, 'aaaa')))
  assert.deepEqual(
    twice.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  const flood = await Promise.allSettled(
    Array.from({ length: 40 }, () => node.recipient.receive(gateway.pay(offer, 1), 'aaaa')),
  )
  assert.equal(flood.filter(({ status }) => status === 'rejected').length, 8)
})

test('offchain nothing is asked and nothing refused', async () => {
  const free = new FreeOfCharge()
  assert.deepEqual(await free.quote(), { ticketParams: null, priceInfo: null })
  await free.receive()
  assert.equal((await free.admit()).maxPixels, null)
})

test('each refusal of a gateway is noted with its cause, once for each gateway', async (t) => {
  const poor = new FakePayer('poor')
  const { causes, chain, gateway, node } = await recipientWorld(t)
  const offer = await node.recipient.quote(gateway.address, null)
  for (let times = 0; times < 3; times++) {
    await assert.rejects(node.recipient.quote(poor.address, null), refuses('insufficient sender reserve'))
  }
  assert.deepEqual(causes.told, [`sender-underfunded ${poor.address} begun`])
  assert.deepEqual(causes.sentences, [
    `gateway ${poor.address} has too little deposit or reserve (insufficient sender reserve: its tickets may pay 0 ETH, and redeeming one costs 0.00035 ETH): only that gateway can help, with more funds: livepeer gateway fund`,
  ])
  chain.isRegistered = false
  chain.mine()
  const inactive = await recipientWorld(t)
  inactive.chain.isRegistered = false
  await assert.rejects(inactive.node.recipient.receive(gateway.pay(offer, 1), 'aaaa'), {
    code: 'recipient-inactive',
  })
  assert.deepEqual(inactive.causes.told, [`recipient-inactive ${gateway.address} begun`])
  await assert.rejects(reserve(node.recipient, gateway.address, 'aaaa', 7n), { code: 'insufficient-balance' })
  assert.equal(causes.told.at(-1), `payment-refused ${gateway.address} begun`)
})
