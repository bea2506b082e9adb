import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import type { ExpirationParams, Payment } from '../../domain/ticket.ts'
import { formatHex, parseHex } from '../../lib/bytes.ts'
import { ZERO_ADDRESS } from '../../lib/crypto.ts'
import { decodePayment, encodePayment, readMaxFloat, writeMaxFloat } from './convert-payment.ts'
import * as wire from './gen/lp_rpc_pb.ts'
import { MaxFloatUpdateSchema } from './gen/redeemer_pb.ts'

const KEY_ONE = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const EXPIRATION: ExpirationParams = { creationRound: 3n, creationRoundBlockHash: new Uint8Array(32).fill(3) }

test('a max float has no sign on the wire: a negative one is sent as zero', () => {
  const bytes = parseHex(recorded.maxFloat[0]!.responses[0]!)
  const amount = readMaxFloat(fromBinary(MaxFloatUpdateSchema, bytes))
  assert.equal(amount, 100n * 10n ** 18n)
  assert.equal(formatHex(toBinary(MaxFloatUpdateSchema, writeMaxFloat(amount))), formatHex(bytes))
  assert.equal(readMaxFloat(writeMaxFloat(-5n)), 0n)
})

test('a payment sends the expiration of its params beside them, never inside (wire.md §18, 8)', () => {
  const params = {
    recipient: KEY_ONE,
    faceValue: 1n,
    winProb: 2n,
    recipientRandHash: new Uint8Array(32).fill(4),
    seed: 5n,
    expirationBlock: 6n,
    expirationParams: EXPIRATION,
  } as const
  const payment: Payment = {
    sender: ZERO_ADDRESS,
    ticketParams: params,
    expirationParams: null,
    tickets: [],
    expectedPrice: null,
  }
  const message = fromBinary(wire.PaymentSchema, encodePayment(payment))
  assert.equal(message.ticketParams?.expirationParams, undefined)
  const read = decodePayment(encodePayment(payment))
  assert.deepEqual(read.expirationParams, EXPIRATION)
  assert.deepEqual(read.ticketParams, params)
})

test('a payment has one expiration, wherever in it that stands', () => {
  const nested = { creationRound: 9n, creationRoundBlockHash: new Uint8Array(32).fill(9) }
  const payment = (beside: ExpirationParams | undefined) =>
    decodePayment(
      toBinary(
        wire.PaymentSchema,
        create(wire.PaymentSchema, {
          ticketParams: { expirationParams: nested },
          ...(beside && { expirationParams: beside }),
        }),
      ),
    )
  for (const [beside, one] of [
    [EXPIRATION, EXPIRATION],
    [undefined, nested],
  ] as const) {
    const { expirationParams, ticketParams } = payment(beside)
    assert.deepEqual([expirationParams, ticketParams?.expirationParams], [one, one])
  }
})
