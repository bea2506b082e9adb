import assert from 'node:assert/strict'
import { test } from 'node:test'
import vectors from '../../test/vectors/tickets.json' with { type: 'json' }
import { bytesToInt, concatBytes, formatHex, intToFixedBytes, parseHex } from '../lib/bytes.ts'
import { type Address, keccak256, recoverSigner, signHash, ZERO_ADDRESS } from '../lib/crypto.ts'
import type { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import {
  auxData,
  expectedValue,
  isHashable,
  isWinning,
  MAX_WIN_PROB,
  recipientRandHash,
  type Ticket,
  ticketHash,
} from './ticket.ts'

const none = new Uint8Array(32)
const empty: Ticket = {
  recipient: ZERO_ADDRESS,
  sender: ZERO_ADDRESS,
  faceValue: 0n,
  winProb: 0n,
  senderNonce: 0,
  recipientRandHash: none,
  expirationParams: { creationRound: 0n, creationRoundBlockHash: none },
  paramsExpirationBlock: 0n,
}

interface Fields {
  recipient?: string
  faceValue?: string
  winProb?: string
  senderNonce?: number
  recipientRandHash?: string
  creationRound?: string
  creationRoundBlockHash?: string
}

function ticketOf(fields: Fields): Ticket {
  return {
    ...empty,
    recipient: (fields.recipient ?? ZERO_ADDRESS) as Address,
    faceValue: BigInt(fields.faceValue ?? 0),
    winProb: BigInt(fields.winProb ?? 0),
    senderNonce: fields.senderNonce ?? 0,
    recipientRandHash: fields.recipientRandHash ? parseHex(fields.recipientRandHash) : none,
    expirationParams: {
      creationRound: BigInt(fields.creationRound ?? 0),
      creationRoundBlockHash: fields.creationRoundBlockHash ? parseHex(fields.creationRoundBlockHash) : none,
    },
  }
}

for (const { fields, hash } of vectors.hashes) {
  test(`the hash of a ticket with ${JSON.stringify(fields)} is the network's`, () => {
    assert.equal(formatHex(ticketHash(ticketOf(fields))), `0x${hash}`)
  })
}

test('the hash of a ticket does not depend on earlier hashes', () => {
  const plain = ticketOf(vectors.hashes[1]!.fields)
  const before = ticketHash(plain)
  ticketHash({ ...ticketOf(vectors.hashes[6]!.fields), faceValue: MAX_WIN_PROB, winProb: MAX_WIN_PROB })
  assert.deepEqual(ticketHash(plain), before)
})

test('aux data is empty only if round and block hash are both zero', () => {
  const hash = parseHex(vectors.endToEnd.creationRoundBlockHash)
  const cases: [bigint, Uint8Array, Uint8Array][] = [
    [0n, hash, concatBytes(none, hash)],
    [5n, none, concatBytes(intToFixedBytes(5n, 32), none)],
    [0n, none, new Uint8Array(0)],
    [5n, hash, concatBytes(intToFixedBytes(5n, 32), hash)],
  ]
  for (const [creationRound, creationRoundBlockHash, expected] of cases) {
    assert.deepEqual(auxData({ creationRound, creationRoundBlockHash }), expected)
  }
})

test("numbers too large for a ticket's fields are refused rather than truncated", () => {
  const round = (creationRound: bigint) => ({ creationRound, creationRoundBlockHash: none })
  const cases: [Partial<Ticket>, string][] = [
    [{ faceValue: 2n ** 256n }, 'integer-too-wide'],
    [{ winProb: 2n ** 256n }, 'integer-too-wide'],
    [{ faceValue: -1n }, 'negative-integer'],
    [{ winProb: -1n }, 'negative-integer'],
    [{ senderNonce: -1 }, 'bad-ticket'],
    [{ senderNonce: 2 ** 32 }, 'bad-ticket'],
    [{ senderNonce: 1.5 }, 'bad-ticket'],
    [{ expirationParams: round(-1n) }, 'bad-ticket'],
    [{ expirationParams: round(2n ** 63n) }, 'bad-ticket'],
  ]
  for (const [change, code] of cases) {
    const ticket = { ...empty, ...change }
    assert.equal(isHashable(ticket), false)
    assert.throws(
      () => ticketHash(ticket),
      (error: NodeError) => error.code === code,
    )
  }
  assert.equal(isHashable(empty), true)
})

test('a ticket tested with the contracts has the same hash, signature and draw here', () => {
  const v = vectors.onChain
  const ticket: Ticket = {
    recipient: v.recipient as Address,
    sender: v.sender as Address,
    faceValue: BigInt(v.faceValue),
    winProb: MAX_WIN_PROB,
    senderNonce: v.senderNonce,
    recipientRandHash: parseHex(v.recipientRandHash),
    expirationParams: {
      creationRound: BigInt(v.creationRound),
      creationRoundBlockHash: parseHex(v.creationRoundBlockHash),
    },
    paramsExpirationBlock: 0n,
  }
  const rand = BigInt(v.recipientRand)
  const hash = ticketHash(ticket)
  assert.equal(formatHex(hash), `0x${v.hash}`)
  assert.equal(formatHex(recipientRandHash(rand)), `0x${v.recipientRandHash}`)
  assert.equal(formatHex(signHash(parseHex(v.senderKey), hash)), `0x${v.sig}`)
  assert.equal(recoverSigner(hash, parseHex(v.sig)), v.sender)
  assert.equal(formatHex(keccak256(parseHex(v.sig), intToFixedBytes(rand, 32))), `0x${v.winValue}`)
  assert.equal(isWinning(parseHex(v.sig), rand, MAX_WIN_PROB), true)
})

test('a ticket wins only if its draw is strictly below its win prob', () => {
  const sig = parseHex(vectors.endToEnd.tickets[0]!.sig)
  const rand = bytesToInt(parseHex(vectors.endToEnd.recipientRand))
  const drawing = bytesToInt(parseHex(vectors.endToEnd.winValue))
  assert.equal(isWinning(sig, rand, drawing), false)
  assert.equal(isWinning(sig, rand, drawing + 1n), true)
  assert.equal(isWinning(sig, rand, 0n), false)
  assert.equal(isWinning(sig, rand, bytesToInt(parseHex(vectors.endToEnd.winProb))), false)
})

test('the expected value is exact', () => {
  assert.deepEqual(expectedValue(1000n, MAX_WIN_PROB), Rational.of(1000n))
  assert.deepEqual(expectedValue(1000n, 0n), Rational.zero)
  assert.deepEqual(expectedValue(0n, 999n), Rational.zero)
  const half = expectedValue(1000n, MAX_WIN_PROB / 2n)
  assert.equal(half.toFixed(5), '500.00000')
  assert.equal(half.cmp(Rational.of(500n)), -1)
})
