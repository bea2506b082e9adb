import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import payments from '../../test/vectors/payments.json' with { type: 'json' }
import vectors from '../../test/vectors/tickets.json' with { type: 'json' }
import { bytesToInt, concatBytes, formatHex, intToFixedBytes, parseHex } from '../lib/bytes.ts'
import {
  type Address,
  addressOfKey,
  checksumAddress,
  hmacSha256,
  keccak256,
  recoverSigner,
  signHash,
} from '../lib/crypto.ts'
import type { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import {
  expectedValue,
  isWinning,
  MAX_WIN_PROB,
  recipientRandHash,
  type Ticket,
  ticketHash,
} from './ticket.ts'
import {
  faceValueAndWinProb,
  PARAMS_LIFETIME_BLOCKS,
  type RandBinding,
  randPreimage,
  recipientRand,
  recipientRandOf,
  ticketParamsFor,
  txCostMultiplier,
} from './ticket-params.ts'

const v = vectors.endToEnd
const secret = parseHex(v.secret)
const binding: RandBinding = {
  recipient: v.recipient as Address,
  seed: bytesToInt(parseHex(v.seed)),
  sender: v.sender as Address,
  faceValue: BigInt(v.faceValue),
  winProb: bytesToInt(parseHex(v.winProb)),
  expirationBlock: BigInt(v.l1Block) + PARAMS_LIFETIME_BLOCKS,
  price: Rational.parse(v.price),
  expirationParams: {
    creationRound: BigInt(v.creationRound),
    creationRoundBlockHash: parseHex(v.creationRoundBlockHash),
  },
}

for (const [index, row] of payments.params.entries()) {
  test(`params, vector ${index + 1}: face value ${row.faceValue ?? 'refused'}`, () => {
    const settings = {
      expectedValue: BigInt(row.ev),
      redeemGas: BigInt(row.redeemGas),
      gasPrice: BigInt(row.gasPrice),
      maxFloat: BigInt(row.maxFloat),
      maxFaceValue: BigInt(row.maxFaceValue ?? 0),
    }
    if (row.error) {
      assert.throws(
        () => faceValueAndWinProb(settings),
        (error: NodeError) =>
          error.code === 'insufficient-sender-reserve' && error.message === 'insufficient sender reserve',
      )
      return
    }
    const { faceValue, winProb } = faceValueAndWinProb(settings)
    assert.equal(faceValue, BigInt(row.faceValue!))
    if (row.winProb) assert.equal(winProb, BigInt(row.winProb))
    if (row.multiplier) {
      const multiplier = txCostMultiplier(faceValue, settings.redeemGas * settings.gasPrice)
      assert.deepEqual(multiplier, Rational.parse(row.multiplier))
    }
    assert.ok(expectedValue(faceValue, winProb).cmp(Rational.of(settings.expectedValue)) >= 0)
  })
}

test('a face value equal to the expected value always wins, and worthless tickets stay worthless', () => {
  const settings = { expectedValue: 5n, redeemGas: 0n, gasPrice: 0n, maxFloat: 5n, maxFaceValue: 0n }
  assert.deepEqual(faceValueAndWinProb(settings), { faceValue: 5n, winProb: MAX_WIN_PROB })
  assert.deepEqual(faceValueAndWinProb({ ...settings, expectedValue: 0n }), { faceValue: 0n, winProb: 0n })
})

test('one wei above the expected value, practically every ticket wins', () => {
  const ev = 10n ** 16n
  const { faceValue, winProb } = faceValueAndWinProb({
    expectedValue: ev,
    redeemGas: 350_000n,
    gasPrice: 10n ** 9n,
    maxFloat: 10n ** 20n,
    maxFaceValue: ev + 1n,
  })
  assert.equal(faceValue, ev + 1n)
  assert.ok(winProb < MAX_WIN_PROB)
  assert.ok(Rational.of(winProb, MAX_WIN_PROB).cmp(Rational.of(ev, ev + 2n)) > 0)
})

test('a negative float gets no offer, whatever the expected value', () => {
  const settings = { expectedValue: 0n, redeemGas: 1n, gasPrice: 1n, maxFloat: -1n, maxFaceValue: 0n }
  assert.throws(() => faceValueAndWinProb(settings), { code: 'insufficient-sender-reserve' })
})

test('without a known redemption cost the multiplier is 0', () => {
  assert.deepEqual(txCostMultiplier(1000n, 0n), Rational.zero)
})

test('params, commitment, hash, signature and draw of a recorded ticket agree', () => {
  const { faceValue, winProb } = faceValueAndWinProb({
    expectedValue: BigInt(v.expectedValue),
    redeemGas: BigInt(v.redeemGas),
    gasPrice: BigInt(v.gasPrice),
    maxFloat: BigInt(v.maxFloat),
    maxFaceValue: 0n,
  })
  assert.equal(faceValue, binding.faceValue)
  assert.equal(winProb, binding.winProb)

  const rand = bytesToInt(parseHex(v.recipientRand))
  assert.equal(formatHex(recipientRandHash(rand)), `0x${v.recipientRandHash}`)
  const params = { ...ticketParamsFor(secret, binding), recipientRandHash: recipientRandHash(rand) }

  const senderKey = parseHex(v.senderKey)
  assert.equal(addressOfKey(senderKey), v.sender)
  for (const { senderNonce, hash, sig } of v.tickets) {
    const ticket: Ticket = {
      ...params,
      sender: binding.sender,
      senderNonce,
      paramsExpirationBlock: params.expirationBlock,
    }
    assert.equal(formatHex(ticketHash(ticket)), `0x${hash}`)
    assert.equal(formatHex(signHash(senderKey, ticketHash(ticket))), `0x${sig}`)
    assert.equal(recoverSigner(parseHex(hash), parseHex(sig)), v.sender)
  }
  const first = parseHex(v.tickets[0]!.sig)
  assert.equal(formatHex(keccak256(first, intToFixedBytes(rand, 32))), `0x${v.winValue}`)
  assert.equal(isWinning(first, rand, winProb), false)
})

const padded = (hex: string) => hex.padStart(64, '0')

test('the preimage of a rand names its use and gives every field a fixed width', () => {
  const integers = [v.seed, '2aa1efb94e0000', v.winProb, '01312d28', '65', '64', '0dac'].map(padded)
  const message = concatBytes(
    new TextEncoder().encode('livepeer-ts recipient rand 1'),
    ...[v.recipient, v.sender, ...integers, v.creationRoundBlockHash].map(parseHex),
  )
  assert.equal(message.length, 28 + 2 * 20 + 8 * 32)
  assert.deepEqual(randPreimage(binding), message)
  assert.equal(recipientRand(secret, binding), bytesToInt(hmacSha256(secret, message)))
})

const uint256 = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n })
/** Small and wide numbers, so that digits could move between neighbouring fields. */
const integer = fc.oneof(uint256, fc.bigInt({ min: 0n, max: 300n }))
const addresses = fc.uint8Array({ minLength: 20, maxLength: 20 }).map(checksumAddress)
const offers: fc.Arbitrary<RandBinding> = fc.record({
  recipient: addresses,
  sender: addresses,
  seed: integer,
  faceValue: integer,
  winProb: integer,
  expirationBlock: integer,
  price: fc.tuple(integer, integer).map(([num, den]) => Rational.of(num, den + 1n)),
  expirationParams: fc.record({
    creationRound: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    creationRoundBlockHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  }),
})
/** A text that differs for different offers. */
const textOf = (offer: RandBinding): string => {
  const { creationRound, creationRoundBlockHash } = offer.expirationParams
  const { num, den } = offer.price
  const { recipient, sender, seed, faceValue, winProb, expirationBlock } = offer
  const all = [recipient, sender, seed, faceValue, winProb, expirationBlock, num, den, creationRound]
  return `${all.join('/')}/${formatHex(creationRoundBlockHash)}`
}
const bytesOf = (offer: RandBinding): string => {
  try {
    return formatHex(randPreimage(offer))
  } catch (error) {
    // An offer with such a wide price cannot be made.
    return `refused ${(error as NodeError).code} ${textOf(offer)}`
  }
}

test('two offers have the same preimage only if they are equal, whatever fields differ', () => {
  const fields = Object.keys(binding) as (keyof RandBinding)[]
  const pairs = fields.flatMap((a, i) => fields.slice(i).map((b) => [a, b] as const))
  fc.assert(
    fc.property(offers, offers, (one, other) => {
      for (const [a, b] of pairs) {
        const changed = { ...one, [a]: other[a], [b]: other[b] }
        assert.equal(bytesOf(one) === bytesOf(changed), textOf(one) === textOf(changed))
      }
    }),
  )
})

test('moving digits from one field into the next changes the preimage', () => {
  const numbers = ['seed', 'faceValue', 'winProb', 'expirationBlock'] as const
  fc.assert(
    fc.property(
      offers,
      fc.integer({ min: 0, max: 2 }),
      fc.integer({ min: 1, max: 31 }),
      (offer, at, count) => {
        const [left, right] = [numbers[at]!, numbers[at + 1]!]
        const digits = offer[left].toString(16).padStart(64, '0')
        const moved = digits.slice(64 - 2 * count)
        const shifted = BigInt(`0x${moved}${offer[right].toString(16).padStart(2, '0')}`)
        const changed = { ...offer, [left]: offer[left] >> BigInt(8 * count), [right]: shifted }
        if (textOf(changed) === textOf(offer)) return
        assert.notEqual(bytesOf(changed), bytesOf(offer))
      },
    ),
  )
})

test('a price is bound by its value, not by the form of its fraction', () => {
  const same = { ...binding, price: Rational.parse('202/200') }
  assert.equal(recipientRand(secret, same), recipientRand(secret, binding))
})

test('the rand is recovered from a payment', () => {
  const ticketParams = ticketParamsFor(secret, binding)
  const { sender, expirationParams } = binding
  const payment = { sender, ticketParams, expirationParams, tickets: [], expectedPrice: null }
  assert.equal(recipientRandOf(secret, payment, binding.price), recipientRand(secret, binding))
  assert.equal(recipientRandOf(secret, { ...payment, ticketParams: null }, binding.price), null)
  assert.equal(recipientRandOf(secret, { ...payment, expirationParams: null }, binding.price), null)
})

test('numbers outside 256 bits and block hashes of another width are refused', () => {
  const wide = [
    { seed: 2n ** 256n },
    { faceValue: 2n ** 256n },
    { winProb: 2n ** 300n },
    { expirationBlock: 2n ** 256n },
    { price: Rational.of(2n ** 256n) },
    { price: Rational.of(1n, 2n ** 256n) },
  ]
  for (const change of wide)
    assert.throws(() => recipientRand(secret, { ...binding, ...change }), { code: 'integer-too-wide' })
  const { creationRoundBlockHash } = binding.expirationParams
  const negative = { expirationParams: { creationRound: -1n, creationRoundBlockHash } }
  assert.throws(() => recipientRand(secret, { ...binding, ...negative }), { code: 'negative-integer' })
  for (const bytes of [0, 31, 33, 64]) {
    const expirationParams = { creationRound: 1n, creationRoundBlockHash: new Uint8Array(bytes) }
    assert.throws(() => recipientRand(secret, { ...binding, expirationParams }), { code: 'bad-ticket' })
  }
})
