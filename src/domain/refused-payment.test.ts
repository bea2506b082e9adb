import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NodeError } from '../lib/errors.ts'
import { causeOfRefusal } from './refused-payment.ts'

const RECIPIENT = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const SENDER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'

const causeOf = (error: unknown) => causeOfRefusal(error, { recipient: RECIPIENT, sender: SENDER })

for (const [fault, cause] of [
  ['recipient-inactive', 'recipient-inactive'],
  ['sender-unlocking', 'sender-unlocking'],
  ['sender-info-unavailable', 'sender-unknown'],
  ['beyond-funds', 'sender-underfunded'],
  ['insufficient-sender-reserve', 'sender-underfunded'],
  ['invalid-signature', 'payment-refused'],
  ['insufficient-balance', 'payment-refused'],
  ['price-mismatch', 'payment-refused'],
  ['sender-owes', 'payment-refused'],
] as const) {
  test(`a refusal for ${fault} has the cause ${cause}`, () => {
    assert.equal(causeOf(new NodeError(fault, 'x'))?.code, cause)
  })
}

test('a reserve that is too small comes with its amounts', () => {
  const details = { maxFloat: 10n ** 14n, txCost: 35n * 10n ** 13n }
  const error = new NodeError('insufficient-sender-reserve', 'insufficient sender reserve', { details })
  assert.deepEqual(causeOf(error)?.facts, {
    sender: SENDER,
    text: 'insufficient sender reserve: its tickets may pay 0.0001 ETH, and redeeming one costs 0.00035 ETH',
  })
})

test('a fault of this node itself is not put down to the gateway', () => {
  assert.equal(causeOf(new NodeError('store-failed', 'the disk is full')), null)
  assert.equal(causeOf(new Error('bug')), null)
})
