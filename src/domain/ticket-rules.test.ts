import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concatBytes, formatHex, intToFixedBytes, parseHex } from '../lib/bytes.ts'
import { type Address, addressOfKey, keccak256, signHash, ZERO_ADDRESS } from '../lib/crypto.ts'
import type { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import { expectedValue, type Payment, recipientRandHash, type SignedTicket, ticketHash } from './ticket.ts'
import { winProbFor } from './ticket-params.ts'
import {
  checkPayment,
  consequence,
  expectedPriceOf,
  judgeTicket,
  judgeTickets,
  MAX_NONCES_PER_RAND,
  MAX_TICKETS_PER_PAYMENT,
  senderInfoUnavailable,
  settlePayment,
  type TicketContext,
  type TicketFault,
  ticketsOf,
} from './ticket-rules.ts'

const RAND = 123456789n
const senderKey = parseHex('46'.repeat(32))
const sender = addressOfKey(senderKey)
const otherKey = parseHex('47'.repeat(32))
const recipient: Address = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
/** The expected value of a ticket in wei; one in two wins. */
const TICKET_EV = 500n
const WIN_PROB = winProbFor(TICKET_EV, 1000n)
const EV = expectedValue(1000n, WIN_PROB)

function signed(change: Partial<SignedTicket> = {}, key = senderKey): SignedTicket {
  const ticket = {
    recipient,
    sender,
    faceValue: 1000n,
    winProb: WIN_PROB,
    senderNonce: 1,
    recipientRandHash: recipientRandHash(RAND),
    expirationParams: { creationRound: 5n, creationRoundBlockHash: keccak256() },
    paramsExpirationBlock: 140n,
    ...change,
  }
  return { ...ticket, sig: change.sig ?? signHash(key, ticketHash(ticket)) }
}

/** Found by trying: the signature decides whether the ticket of a nonce wins. */
function nonceThat(wins: boolean, from = 1): number {
  for (let nonce = from; ; nonce++) {
    const { sig } = signed({ senderNonce: nonce })
    const drawing = BigInt(formatHex(keccak256(concatBytes(sig, intToFixedBytes(RAND, 32)))))
    if (drawing < WIN_PROB === wins) return nonce
  }
}
const WINNING = nonceThat(true)
const LOSING = nonceThat(false)

const context: TicketContext = {
  recipient,
  recipientRand: RAND,
  terms: { ticketEv: TICKET_EV, maxFaceValue: 0n },
  funds: 1000n,
  withdrawRound: 0n,
  lastInitializedRound: 5n,
  l1Block: 100n,
  nonceSeen: false,
  noncesStored: 0,
}

interface Case {
  readonly name: string
  readonly ticket?: () => SignedTicket
  readonly context?: Partial<TicketContext>
  readonly fault: TicketFault | null
  readonly message?: string
  readonly won?: boolean
}

const winner = () => signed({ senderNonce: WINNING })
const CASES: Case[] = [
  { name: 'a good winner', ticket: winner, fault: null, won: true },
  { name: 'a good loser', ticket: () => signed({ senderNonce: LOSING }), fault: null, won: false },
  {
    name: 'a sender that may withdraw in the next round',
    ticket: winner,
    context: { withdrawRound: 6n },
    fault: 'sender-unlocking',
    message: `deposit and reserve for sender ${sender} is set to unlock soon`,
  },
  {
    name: 'a sender that may withdraw in the round after the next',
    ticket: winner,
    context: { withdrawRound: 7n },
    fault: null,
    won: true,
  },
  {
    name: 'a ticket for another recipient',
    ticket: () => signed({ recipient: sender }),
    fault: 'wrong-recipient',
    message: 'invalid ticket recipient',
  },
  {
    name: 'a ticket without a sender',
    ticket: () => signed({ sender: ZERO_ADDRESS }),
    fault: 'no-sender',
    message: 'invalid ticket sender',
  },
  {
    name: 'a commitment to another rand',
    ticket: () => signed({ recipientRandHash: recipientRandHash(RAND + 1n) }),
    fault: 'rand-does-not-match',
    message: 'invalid recipientRand for ticket recipientRandHash',
  },
  {
    name: 'numbers wider than 256 bits',
    ticket: () => ({ ...winner(), faceValue: 2n ** 256n }),
    fault: 'rand-does-not-match',
  },
  {
    name: 'a negative win prob',
    ticket: () => ({ ...winner(), winProb: -1n }),
    fault: 'rand-does-not-match',
  },
  {
    name: 'a face value that makes it worth more than asked',
    ticket: () => signed({ faceValue: 1001n }),
    fault: 'not-as-offered',
    message: `invalid ticket winProb: faceValue=1001 winProb=${WIN_PROB} is not worth 500 wei`,
  },
  {
    name: 'a win prob that makes it worth less than asked',
    ticket: () => signed({ winProb: WIN_PROB - 1n }),
    fault: 'not-as-offered',
  },
  {
    name: 'a face value of 70 digits with a win prob of 0',
    ticket: () => signed({ faceValue: 10n ** 69n, winProb: 0n }),
    fault: 'not-as-offered',
  },
  {
    name: 'a ticket with a value where none is asked',
    ticket: winner,
    context: { terms: { ticketEv: 0n, maxFaceValue: 0n } },
    fault: 'not-as-offered',
  },
  {
    name: 'a worthless ticket where none is asked',
    ticket: () => signed({ faceValue: 0n, winProb: 0n }),
    context: { terms: { ticketEv: 0n, maxFaceValue: 0n }, funds: 0n },
    fault: null,
  },
  {
    name: 'a face value at the limit of offers',
    ticket: winner,
    context: { terms: { ticketEv: TICKET_EV, maxFaceValue: 1000n } },
    fault: null,
    won: true,
  },
  {
    name: 'a face value above the limit of offers',
    ticket: winner,
    context: { terms: { ticketEv: TICKET_EV, maxFaceValue: 999n } },
    fault: 'not-as-offered',
    message: 'invalid ticket faceValue: 1000 is more than the 999 wei that are offered',
  },
  {
    name: "a face value above the sender's funds keeps its win",
    ticket: winner,
    context: { funds: 999n },
    fault: 'beyond-funds',
    message: 'invalid ticket faceValue: 1000 is more than the 999 wei that deposit and reserve can pay',
    won: true,
  },
  {
    name: "another's signature",
    ticket: () => signed({ senderNonce: WINNING }, otherKey),
    fault: 'invalid-signature',
    message: 'invalid ticket signature',
  },
  {
    name: 'a signature over another nonce',
    ticket: () => ({ ...winner(), senderNonce: WINNING + 1 }),
    fault: 'invalid-signature',
  },
  { name: 'no signature', ticket: () => signed({ sig: new Uint8Array(0) }), fault: 'invalid-signature' },
  {
    name: 'a nonce seen before keeps its win',
    ticket: winner,
    context: { nonceSeen: true },
    fault: 'nonce-already-seen',
    message: `invalid ticket senderNonce: already seen sender=${sender} nonce=${WINNING}`,
    won: true,
  },
  {
    name: 'the 600th nonce',
    ticket: winner,
    context: { noncesStored: MAX_NONCES_PER_RAND - 1 },
    fault: null,
    won: true,
  },
  {
    name: 'the 601st nonce keeps its win',
    ticket: winner,
    context: { noncesStored: MAX_NONCES_PER_RAND },
    fault: 'too-many-nonces',
    message: `invalid ticket senderNonce: too many values sender=${sender} nonce=${WINNING}`,
    won: true,
  },
  {
    name: 'params of the last block keep their win',
    ticket: winner,
    context: { l1Block: 140n },
    fault: 'params-expired',
    message: 'TicketParams expired',
    won: true,
  },
  { name: 'params with a block to go', ticket: winner, context: { l1Block: 139n }, fault: null, won: true },
]

for (const row of CASES) {
  test(`judging ${row.name}: ${row.fault ?? 'accepted'}`, () => {
    const judged = judgeTicket((row.ticket ?? winner)(), { ...context, ...row.context })
    assert.equal(judged.fault?.code ?? null, row.fault)
    if (row.message) assert.equal(judged.fault?.message, row.message)
    assert.equal(judged.won, row.won ?? false)
  })
}

test('the first of several faults is reported', () => {
  const wrong = { ...signed({ recipient: sender }, otherKey), sender: ZERO_ADDRESS }
  const all = { ...context, withdrawRound: 1n, recipientRand: 1n, nonceSeen: true, l1Block: 200n }
  const faults: TicketFault[] = []
  const steps: [SignedTicket, TicketContext][] = [
    [wrong, all],
    [wrong, { ...all, withdrawRound: 0n }],
    [
      { ...wrong, recipient },
      { ...all, withdrawRound: 0n },
    ],
    [
      { ...wrong, recipient, sender },
      { ...all, withdrawRound: 0n },
    ],
    [
      { ...wrong, recipient, sender },
      { ...all, withdrawRound: 0n, recipientRand: RAND },
    ],
    [winner(), { ...all, withdrawRound: 0n, recipientRand: RAND, noncesStored: 600 }],
    [winner(), { ...all, withdrawRound: 0n, recipientRand: RAND, noncesStored: 600, nonceSeen: false }],
    [winner(), { ...all, withdrawRound: 0n, recipientRand: RAND, nonceSeen: false }],
  ]
  for (const [ticket, known] of steps) faults.push(judgeTicket(ticket, known).fault!.code)
  assert.deepEqual(faults, [
    'sender-unlocking',
    'wrong-recipient',
    'no-sender',
    'rand-does-not-match',
    'invalid-signature',
    'nonce-already-seen',
    'too-many-nonces',
    'params-expired',
  ])
})

test('every fault has a consequence, and from the signature on they only skip the ticket', () => {
  const skipping = Object.entries(consequence).flatMap(([fault, what]) =>
    what === 'skip ticket' ? fault : [],
  )
  assert.deepEqual(skipping, [
    'invalid-signature',
    'beyond-funds',
    'nonce-already-seen',
    'too-many-nonces',
    'params-expired',
  ])
  assert.equal(Object.keys(consequence).length, 11)
})

test("unreadable funds refuse the payment with the network's text", () => {
  const error = senderInfoUnavailable(sender, new Error('timeout'))
  assert.equal(error.message, `could not get sender info for ${sender}: timeout`)
  assert.equal(consequence[error.code], 'refuse payment')
})

const { seenNonces, ...known } = { ...context, seenNonces: new Set<number>() }
const settle = (tickets: SignedTicket[], change: Partial<typeof known> = {}, seen = seenNonces) =>
  settlePayment(judgeTickets(tickets, { ...known, ...change, seenNonces: seen }))

test('all tickets of a good payment are credited', () => {
  const tickets = [1, 2, 3].map((senderNonce) => signed({ senderNonce }))
  const { credit, nonces, error, winners } = settle(tickets)
  assert.deepEqual(credit, EV.mul(Rational.of(3n)))
  assert.deepEqual(nonces, [1, 2, 3])
  assert.equal(error, null)
  for (const won of winners) assert.equal(won.recipientRand, RAND)
})

test('one bad ticket refuses the whole payment: nothing is credited or used up, but winners are kept', () => {
  const next = nonceThat(true, WINNING + 1)
  const bad = signed({ senderNonce: 900 }, otherKey)
  const { credit, winners, nonces, error } = settle([
    signed({ senderNonce: LOSING }),
    bad,
    signed({ senderNonce: WINNING }),
    signed({ senderNonce: next }),
  ])
  assert.deepEqual(credit, Rational.zero)
  assert.deepEqual(
    winners.map((won) => won.senderNonce),
    [WINNING, next],
  )
  assert.deepEqual(nonces, [])
  assert.equal(error?.code, 'invalid-signature')
})

test('of several faults the last one is reported', () => {
  const { error, credit } = settle([
    signed({ senderNonce: 1 }),
    signed({ senderNonce: 2 }, otherKey),
    signed({ senderNonce: 1 }),
  ])
  assert.equal(error?.code, 'nonce-already-seen')
  assert.deepEqual(credit, Rational.zero)
})

test('a duplicate ticket in a payment refuses it', () => {
  const { credit, nonces, error } = settle([signed(), signed()])
  assert.deepEqual(credit, Rational.zero)
  assert.deepEqual(nonces, [])
  assert.equal(error?.message, `invalid ticket senderNonce: already seen sender=${sender} nonce=1`)
})

test('a fault that refuses the payment ends it, and later tickets are not checked', () => {
  const tickets = [
    signed({ senderNonce: 1 }),
    signed({ senderNonce: 2, recipient: sender }),
    signed({ senderNonce: 3 }),
  ]
  const judgements = judgeTickets(tickets, { ...known, seenNonces })
  assert.equal(judgements.length, 2)
  const { credit, nonces, error } = settlePayment(judgements)
  assert.deepEqual(credit, Rational.zero)
  assert.deepEqual(nonces, [])
  assert.equal(error?.code, 'wrong-recipient')
})

test('expired params credit nothing and use up nothing, but winners are kept', () => {
  const { credit, winners, nonces, error } = settle([signed({ senderNonce: WINNING })], { l1Block: 140n })
  assert.deepEqual(credit, Rational.zero)
  assert.equal(winners.length, 1)
  assert.deepEqual(nonces, [])
  assert.equal(error?.message, 'TicketParams expired')
})

test('600 nonces of one rand are accepted; a payment with the 601st, or with any of them again, is refused', () => {
  const seen = new Set(Array.from({ length: 599 }, (_, i) => i + 1))
  const first = settle([signed({ senderNonce: 600 }), signed({ senderNonce: 601 })], {}, seen)
  assert.deepEqual(first.nonces, [])
  assert.equal(first.error?.code, 'too-many-nonces')
  assert.deepEqual(settle([signed({ senderNonce: 600 })], {}, seen).nonces, [600])
  seen.add(600)
  for (const senderNonce of [600, 1, 300]) {
    const replay = settle([signed({ senderNonce })], {}, seen)
    assert.equal(replay.error?.code, 'nonce-already-seen')
    assert.deepEqual(replay.credit, Rational.zero)
  }
})

test('an empty payment settles to nothing', () => {
  assert.deepEqual(settlePayment([]), { credit: Rational.zero, winners: [], nonces: [], error: null })
})

const { sig, senderNonce, paramsExpirationBlock, sender: _, ...shared } = signed()
const payment: Payment = {
  sender,
  ticketParams: { ...shared, seed: 9n, expirationBlock: paramsExpirationBlock },
  expirationParams: shared.expirationParams,
  tickets: [{ senderNonce, sig }],
  expectedPrice: { pricePerUnit: 101n, pixelsPerUnit: 100n },
}

test('the tickets of a payment are rebuilt from its params', () => {
  assert.deepEqual(ticketsOf(payment), [signed()])
  assert.equal(judgeTicket(ticketsOf(payment)[0]!, context).fault, null)
  assert.deepEqual(ticketsOf({ ...payment, ticketParams: null }), [])
})

test('a payment that cannot be read as tickets is refused before any check', () => {
  const tooMany = Array(MAX_TICKETS_PER_PAYMENT + 1).fill({ senderNonce, sig })
  const cases: [Partial<Payment>, string][] = [
    [{ expirationParams: null }, 'malformed-payment'],
    [{ tickets: [{ senderNonce: -1, sig }] }, 'malformed-payment'],
    [{ tickets: [{ senderNonce: 2 ** 32, sig }] }, 'malformed-payment'],
    [{ tickets: tooMany }, 'too-many-tickets'],
  ]
  for (const [change, code] of cases) {
    assert.throws(
      () => ticketsOf({ ...payment, ...change }),
      (error: NodeError) => error.code === code,
    )
  }
  assert.equal(ticketsOf({ ...payment, tickets: tooMany.slice(1) }).length, MAX_TICKETS_PER_PAYMENT)
})

test('a payment without a valid price is refused with the reason in quotes', () => {
  const price = (pricePerUnit: bigint, pixelsPerUnit: bigint) => ({
    ...payment,
    expectedPrice: { pricePerUnit, pixelsPerUnit },
  })
  const said = 'invalid expected price sent with payment err='
  const cases: [Payment, string][] = [
    [{ ...payment, expectedPrice: null }, `${said}"expected price is nil"`],
    [price(1n, 0n), `${said}"pixels per unit is 0"`],
    [price(-1n, 1n), `${said}"price per unit is negative"`],
  ]
  for (const [refused, message] of cases) {
    assert.throws(() => expectedPriceOf(refused), { code: 'invalid-expected-price', message })
  }
  assert.deepEqual(expectedPriceOf(payment), Rational.of(101n, 100n))
})

test('a payment is refused without a sender, and while the recipient is inactive', () => {
  const active = { recipient, isActive: true, lastInitializedRound: 5n }
  assert.deepEqual(checkPayment(payment, active), Rational.of(101n, 100n))
  const inactive = { ...active, isActive: false }
  assert.throws(() => checkPayment({ ...payment, sender: ZERO_ADDRESS }, inactive), {
    code: 'sender-missing',
    message: /^Could not find Sender for payment/,
  })
  assert.throws(() => checkPayment({ ...payment, expectedPrice: null }, inactive), {
    code: 'recipient-inactive',
    message: `orchestrator ${recipient} is inactive in round 5, cannot process payments`,
  })
})
