import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkAuthToken, makeAuthToken } from '../../src/domain/auth-token.ts'
import type { AuthToken } from '../../src/domain/segment.ts'
import { expectedValue, type Payment, ticketHash } from '../../src/domain/ticket.ts'
import { decodePayment, encodePayment } from '../../src/io/rpc/convert-payment.ts'
import { bytesToInt, formatHex } from '../../src/lib/bytes.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { Rational } from '../../src/lib/rational.ts'
import type { Offer } from '../fakes/payer.ts'
import { recipientWorld } from '../fakes/recipient-world.ts'

/*
 * Random changes of payments and tokens, checked against a model of what may be credited: each ticket that its sender
 * signed for an offer of this node, once, at its value in the offer; nothing of a refused payment. `MUTATIONS` and
 * `MUTATIONS_SEED` choose how many and which.
 */

const MUTATIONS = Number(process.env.MUTATIONS ?? 2_000)
const SEED = process.env.MUTATIONS_SEED ?? 'payments'
const SESSIONS = ['aaaa', 'bbbb', 'cccc']

type Random = (below: number) => number
type Mutation = (payment: Payment, random: Random, other: Payment) => Payment

const INTEGERS = ['faceValue', 'winProb', 'seed', 'expirationBlock'] as const

function withParams(payment: Payment, change: Partial<NonNullable<Payment['ticketParams']>>): Payment {
  return { ...payment, ticketParams: { ...payment.ticketParams!, ...change } }
}

function someInteger(random: Random, value: bigint): bigint {
  const choices = [
    value + 1n,
    value === 0n ? 1n : value - 1n,
    value << BigInt(8 * (1 + random(40))),
    value >> BigInt(8 * (1 + random(31))),
    0n,
    2n ** 256n - 1n,
    2n ** 256n,
    10n ** BigInt(random(90)),
  ]
  return choices[random(choices.length)]!
}

function flipped(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = new Uint8Array(bytes)
  if (copy.length > 0) copy[random(copy.length)]! ^= 1 << random(8)
  return copy
}

const MUTATIONS_OF_PAYMENTS: Readonly<Record<string, Mutation>> = {
  nothing: (payment) => payment,
  'one number': (payment, random) => {
    const field = INTEGERS[random(4)]!
    return withParams(payment, { [field]: someInteger(random, payment.ticketParams![field]) })
  },
  'two numbers': (payment, random) => {
    const [a, b] = [INTEGERS[random(4)]!, INTEGERS[random(4)]!]
    const change = (field: (typeof INTEGERS)[number]) => ({
      [field]: someInteger(random, payment.ticketParams![field]),
    })
    return withParams(payment, { ...change(a), ...change(b) })
  },
  'digits that move to the next field': (payment, random) => {
    const at = random(3)
    const [left, right] = [INTEGERS[at]!, INTEGERS[at + 1]!]
    const shift = BigInt(8 * (1 + random(31)))
    const { [left]: from, [right]: to } = payment.ticketParams!
    const width = BigInt(Math.ceil(to.toString(16).length / 2) * 8)
    const moved = from & ((1n << shift) - 1n)
    return withParams(payment, { [left]: from >> shift, [right]: (moved << width) | to })
  },
  'digits that move to the field before': (payment, random) => {
    const at = random(3)
    const [left, right] = [INTEGERS[at]!, INTEGERS[at + 1]!]
    const { [left]: to, [right]: from } = payment.ticketParams!
    const width = Math.ceil(from.toString(16).length / 2)
    const taken = BigInt(8 * random(width + 1))
    const kept = BigInt(8 * width) - taken
    return withParams(payment, {
      [left]: (to << taken) | (from >> kept),
      [right]: from & ((1n << kept) - 1n),
    })
  },
  'swapped numbers': (payment, random) => {
    const [a, b] = [INTEGERS[random(4)]!, INTEGERS[random(4)]!]
    return withParams(payment, { [a]: payment.ticketParams![b], [b]: payment.ticketParams![a] })
  },
  'the price': (payment, random) => {
    const { pricePerUnit, pixelsPerUnit } = payment.expectedPrice!
    const expectedPrice = {
      pricePerUnit: someInteger(random, pricePerUnit) % 2n ** 63n,
      pixelsPerUnit: random(2) ? pixelsPerUnit : someInteger(random, pixelsPerUnit) % 2n ** 63n,
    }
    return { ...payment, expectedPrice }
  },
  'the round': (payment, random) => {
    const { creationRound, creationRoundBlockHash } = payment.expirationParams!
    const expirationParams = random(2)
      ? { creationRound: creationRound + 1n, creationRoundBlockHash }
      : { creationRound, creationRoundBlockHash: flipped(creationRoundBlockHash, random) }
    return { ...payment, expirationParams }
  },
  'the commitment': (payment, random) =>
    withParams(payment, { recipientRandHash: flipped(payment.ticketParams!.recipientRandHash, random) }),
  'another offer’s params': (payment, _, other) => ({ ...payment, ticketParams: other.ticketParams }),
  'another offer’s tickets': (payment, _, other) => ({
    ...payment,
    tickets: [...payment.tickets, ...other.tickets],
  }),
  'a signature': (payment, random) => {
    const at = random(payment.tickets.length)
    const tickets = payment.tickets.map((ticket, i) =>
      i === at ? { ...ticket, sig: flipped(ticket.sig, random) } : ticket,
    )
    return { ...payment, tickets }
  },
  'a nonce': (payment, random) => {
    const at = random(payment.tickets.length)
    const tickets = payment.tickets.map((ticket, i) =>
      i === at ? { ...ticket, senderNonce: random(5) } : ticket,
    )
    return { ...payment, tickets }
  },
  'a ticket twice': (payment, random) => ({
    ...payment,
    tickets: [...payment.tickets, payment.tickets[random(payment.tickets.length)]!],
  }),
  'missing tickets': (payment, random) => ({
    ...payment,
    tickets: payment.tickets.slice(random(payment.tickets.length + 1)),
  }),
  'the sender': (payment, random) => {
    const address = `0x${flipped(Buffer.from(payment.sender.slice(2), 'hex'), random).reduce((text, byte) => text + byte.toString(16).padStart(2, '0'), '')}`
    return { ...payment, sender: address as Payment['sender'] }
  },
  'bytes of the message': (payment, random) => {
    try {
      return decodePayment(flipped(encodePayment(payment), random)) ?? payment
    } catch {
      return payment
    }
  },
}

test(`none of ${MUTATIONS} changed payments is credited with more than was offered and signed`, async (t) => {
  const { chain, gateway, node, store } = await recipientWorld(t, { quick: true })
  const dice = seededDice(SEED)
  const random: Random = (below) => Number(bytesToInt(dice.bytes(6)) % BigInt(Math.max(1, below)))
  const kinds = Object.entries(MUTATIONS_OF_PAYMENTS)
  /** The value of each ticket that the sender signed, by hash, and whether it has been credited. */
  const signed = new Map<string, { worth: Rational; isCredited: boolean }>()
  const counts = { accepted: 0, refused: 0 }
  const state = async () => ({
    balances: await Promise.all(SESSIONS.map((id) => store.sessions.balance(gateway.address, id))),
    prices: await Promise.all(SESSIONS.map((id) => store.sessions.price(gateway.address, id))),
  })
  const honest = (offer: Offer): Payment => {
    const payment = gateway.pay(offer, 1 + random(3))
    const { faceValue, winProb } = offer.ticketParams
    for (const { senderNonce } of payment.tickets) {
      const hash = formatHex(ticketHash(gateway.ticket(offer.ticketParams, senderNonce)))
      signed.set(hash, { worth: expectedValue(faceValue, winProb), isCredited: false })
    }
    return payment
  }
  /** The credit for a payment according to the model; null if it must be refused. */
  const creditOf = ({ ticketParams, expirationParams, tickets, sender }: Payment): Rational | null => {
    if (!ticketParams || tickets.length === 0) return Rational.zero
    if (sender !== gateway.address || !expirationParams) return null
    const params = { ...ticketParams, expirationParams }
    let credit = Rational.zero
    const seen = new Set<string>()
    for (const { senderNonce } of tickets) {
      let hash: string
      try {
        hash = formatHex(ticketHash(gateway.ticket(params, senderNonce)))
      } catch {
        return null
      }
      const ticket = signed.get(hash)
      if (!ticket || ticket.isCredited || seen.has(hash)) return null
      seen.add(hash)
      credit = credit.add(ticket.worth)
    }
    for (const hash of seen) signed.get(hash)!.isCredited = true
    return credit
  }
  let offer = await node.recipient.quote(gateway.address, null)
  let other = honest(offer)
  for (let i = 0; i < MUTATIONS; i++) {
    if (random(10) === 0) offer = await node.recipient.quote(gateway.address, null)
    if (random(50) === 0) chain.mine()
    const [kind, mutate] = kinds[random(kinds.length)]!
    const good = honest(offer)
    const payment = mutate(good, random, other)
    other = good
    const at = random(SESSIONS.length)
    const before = await state()
    const refusal = await node.recipient.receive(payment, SESSIONS[at]!).then(
      () => null,
      (error: unknown) => error,
    )
    const after = await state()
    if (refusal) {
      counts.refused++
      assert.ok(refusal instanceof NodeError, `${kind}: ${refusal}`)
      assert.deepEqual(after, before, `${kind}: a refused payment changed something`)
      continue
    }
    counts.accepted++
    const credit = creditOf(payment)
    assert.ok(credit, `${kind}: accepted, though it was not offered and signed`)
    const [had, has] = [before.balances[at]!, after.balances[at]!]
    assert.deepEqual(has.sub(had), credit, `${kind}: credited otherwise than offered`)
  }
  assert.ok(counts.accepted > MUTATIONS / 20 && counts.refused > MUTATIONS / 4, JSON.stringify(counts))
  t.diagnostic(JSON.stringify(counts))
})

test(`none of ${MUTATIONS} changed tokens is accepted`, () => {
  const dice = seededDice(SEED)
  const random: Random = (below) => Number(bytesToInt(dice.bytes(6)) % BigInt(Math.max(1, below)))
  const keys = [dice.bytes(32), dice.bytes(32)]
  const text = (token: AuthToken) => `${token.sessionId}/${token.expiration}/${formatHex(token.token)}`
  const taken = (token: AuthToken) => {
    try {
      return checkAuthToken(keys, token, 0n) === token
    } catch {
      return false
    }
  }
  let accepted = 0
  for (let i = 0; i < MUTATIONS; i++) {
    const sessionId = formatHex(dice.bytes(4)).slice(2)
    const token = makeAuthToken(keys[random(2)]!, sessionId, 1_700_000_000n + BigInt(random(100_000)))
    const digits = token.expiration.toString(16).padStart(8, '0')
    const take = random(5)
    const changes: AuthToken[] = [
      token,
      { ...token, sessionId: sessionId.slice(0, random(9)) },
      { ...token, sessionId: `${sessionId}${String.fromCharCode(random(128))}` },
      { ...token, expiration: BigInt.asUintN(63, someInteger(random, token.expiration)) },
      { ...token, token: flipped(token.token, random) },
      { ...token, token: token.token.subarray(random(33)) },
      {
        // Bytes of the expiration moved into the session id.
        ...token,
        sessionId: `${sessionId}${Buffer.from(digits.slice(0, 2 * take), 'hex').toString('latin1')}`,
        expiration: BigInt(`0x${digits.slice(2 * take) || '0'}`),
      },
      {
        // And the reverse.
        ...token,
        sessionId: sessionId.slice(0, 8 - take),
        expiration:
          BigInt(`0x${Buffer.from(sessionId.slice(8 - take)).toString('hex')}${digits}`) % 2n ** 63n,
      },
    ]
    const changed = changes[random(changes.length)]!
    const isSame = text(changed) === text(token)
    if (isSame) accepted++
    assert.equal(taken(changed), isSame, text(changed))
  }
  assert.ok(accepted > MUTATIONS / 20)
})
