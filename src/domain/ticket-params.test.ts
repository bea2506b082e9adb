import assert from 'node:assert/strict'
import { test } from 'node:test'
import payments from '../../test/vectors/payments.json' with { type: 'json' }
import vectors from '../../test/vectors/tickets.json' with { type: 'json' }
import { bytesToInt, concatBytes, formatHex, intToFixedBytes, parseHex } from '../lib/bytes.ts'
import { type Address, addressOfKey, hmacSha256, keccak256, recoverSigner, signHash } from '../lib/crypto.ts'
import type { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import { expectedValue, isWinning, MAX_WIN_PROB, type Ticket, ticketHash } from './ticket.ts'
import {
  faceValueAndWinProb,
  PARAMS_LIFETIME_BLOCKS,
  type RandBinding,
  recipientRand,
  recipientRandOf,
  ticketParamsFor,
  txCostMultiplier,
} from './ticket-params.ts'

const v = vectors.endToEnd
const secret = parseHex(v.secret)
const binding: RandBinding = {
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

test('a face value equal to the expected value always wins, and none is worth nothing', () => {
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

test('a float below zero offers nothing, whatever the expected value', () => {
  const settings = { expectedValue: 0n, redeemGas: 1n, gasPrice: 1n, maxFloat: -1n, maxFaceValue: 0n }
  assert.throws(() => faceValueAndWinProb(settings), { code: 'insufficient-sender-reserve' })
})

test('without a known cost of redeeming the multiplier is 0', () => {
  assert.deepEqual(txCostMultiplier(1000n, 0n), Rational.zero)
})

test('params, secret number, commitment, hash, signature and drawing agree from end to end', () => {
  const { faceValue, winProb } = faceValueAndWinProb({
    expectedValue: BigInt(v.expectedValue),
    redeemGas: BigInt(v.redeemGas),
    gasPrice: BigInt(v.gasPrice),
    maxFloat: BigInt(v.maxFloat),
    maxFaceValue: 0n,
  })
  assert.equal(faceValue, binding.faceValue)
  assert.equal(winProb, binding.winProb)

  const rand = recipientRand(secret, binding)
  assert.equal(rand, bytesToInt(parseHex(v.recipientRand)))
  const params = ticketParamsFor(secret, { ...binding, recipient: v.recipient as Address })
  assert.equal(formatHex(params.recipientRandHash), `0x${v.recipientRandHash}`)

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

test('the message behind the secret number is the 158 bytes of the protocol', () => {
  const message = concatBytes(
    ...[v.seed, v.sender, '2aa1efb94e0000', v.winProb, '01312d28', '65', '64', '0dac'.padStart(64, '0')].map(
      parseHex,
    ),
    parseHex(v.creationRoundBlockHash),
  )
  assert.equal(message.length, 158)
  assert.equal(recipientRand(secret, binding), bytesToInt(hmacSha256(secret, message)))
})

test('whoever changes anything of an offer gets another secret number', () => {
  const { expirationParams } = binding
  const changes: Partial<RandBinding>[] = [
    { seed: binding.seed + 1n },
    { sender: v.recipient as Address },
    { faceValue: binding.faceValue + 1n },
    { winProb: binding.winProb + 1n },
    { expirationBlock: binding.expirationBlock + 1n },
    { price: Rational.parse('100/99') },
    { expirationParams: { ...expirationParams, creationRound: 3501n } },
    { expirationParams: { ...expirationParams, creationRoundBlockHash: new Uint8Array(32) } },
  ]
  const numbers = changes.map((change) => recipientRand(secret, { ...binding, ...change }))
  assert.equal(new Set([recipientRand(secret, binding), ...numbers]).size, changes.length + 1)
  assert.notEqual(recipientRand(parseHex('04'.padEnd(64, '0')), binding), recipientRand(secret, binding))
})

test('a price is bound by its value, not by how its fraction is written', () => {
  const same = { ...binding, price: Rational.parse('202/200') }
  assert.equal(recipientRand(secret, same), recipientRand(secret, binding))
})

test('zero is no bytes at all in the message', () => {
  const zero: RandBinding = {
    ...binding,
    seed: 0n,
    faceValue: 0n,
    winProb: 0n,
    expirationBlock: 0n,
    price: Rational.zero,
    expirationParams: { creationRound: 0n, creationRoundBlockHash: new Uint8Array(32) },
  }
  const expected = hmacSha256(secret, parseHex(v.sender), Uint8Array.of(1))
  assert.equal(recipientRand(secret, zero), bytesToInt(expected))
})

test('a payment leads back to the number its params were made with', () => {
  const ticketParams = ticketParamsFor(secret, { ...binding, recipient: v.recipient as Address })
  const { sender, expirationParams } = binding
  const payment = { sender, ticketParams, expirationParams, tickets: [], expectedPrice: null }
  assert.equal(recipientRandOf(secret, payment, binding.price), recipientRand(secret, binding))
  assert.equal(recipientRandOf(secret, { ...payment, ticketParams: null }, binding.price), null)
  assert.equal(recipientRandOf(secret, { ...payment, expirationParams: null }, binding.price), null)
})

test('numbers wider than 256 bits are refused', () => {
  for (const change of [{ seed: 2n ** 256n }, { faceValue: 2n ** 256n }, { winProb: 2n ** 300n }]) {
    assert.throws(() => recipientRand(secret, { ...binding, ...change }), { code: 'integer-too-wide' })
  }
})
