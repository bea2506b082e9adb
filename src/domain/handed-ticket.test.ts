import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakePayer } from '../../test/fakes/payer.ts'
import { intToBytes } from '../lib/bytes.ts'
import { ZERO_ADDRESS } from '../lib/crypto.ts'
import { checkAge, checkHandedTicket } from './handed-ticket.ts'
import type { WinningTicket } from './ticket.ts'

const RECIPIENT = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const payer = new FakePayer('gateway')
const clock = { currentRound: 10n, startL1Block: 500n, roundLength: 50n, l1Block: 520n }

function winning(fields: Partial<Parameters<typeof payer.sign>[0]> = {}, nonce = 1): WinningTicket {
  const expirationParams = { creationRound: 10n, creationRoundBlockHash: new Uint8Array(32).fill(3) }
  return payer.winning({ recipient: RECIPIENT, expirationBlock: 530n, expirationParams, ...fields }, nonce)
}

test('a winning ticket of this recipient is accepted in its round and in the next', () => {
  checkHandedTicket(winning(), { recipient: RECIPIENT })
  checkAge(winning(), clock)
  checkAge(winning(), { ...clock, currentRound: 11n })
})

test('a ticket of two rounds ago is refused three blocks into the round, and only by a confirmed clock', () => {
  const ticket = winning({
    expirationParams: { creationRound: 8n, creationRoundBlockHash: new Uint8Array(32).fill(3) },
  })
  assert.throws(() => checkAge(ticket, clock), {
    code: 'expired',
    message: 'the ticket of round 8 has expired: the chain is in round 10',
  })
  assert.throws(() => checkAge(ticket, { ...clock, l1Block: 503n }), { code: 'expired' })
  checkAge(ticket, { ...clock, l1Block: 502n })
  checkAge(ticket, null)
})

const good = winning()
const cases: Record<string, { ticket: WinningTicket; code: string; text?: string }> = {
  'for another recipient': {
    ticket: winning({ recipient: payer.address }),
    code: 'wrong-recipient',
    text: `invalid ticket recipient ${payer.address.toLowerCase()}, expected ${RECIPIENT}`,
  },
  'with a rand that does not match the commitment': {
    ticket: { ...good, recipientRand: 8n },
    code: 'rand-does-not-match',
  },
  'with a changed face value': { ticket: { ...good, faceValue: 2n }, code: 'invalid-signature' },
  'signed by another account': {
    ticket: { ...good, sender: new FakePayer('other').address },
    code: 'invalid-signature',
  },
  'that did not win': { ticket: winning({ winProb: 1n }), code: 'not-winning' },
  'without a sender': { ticket: { ...good, sender: ZERO_ADDRESS }, code: 'malformed-ticket' },
  'that pays nothing': { ticket: winning({ faceValue: 0n }), code: 'malformed-ticket' },
  'with a short signature': { ticket: { ...good, sig: new Uint8Array(64) }, code: 'malformed-ticket' },
  'with a number too wide for its field': {
    ticket: { ...good, recipientRand: 2n ** 256n },
    code: 'malformed-ticket',
  },
  'with a short commitment': {
    ticket: { ...good, recipientRandHash: intToBytes(5n) },
    code: 'malformed-ticket',
  },
}

for (const [what, { ticket, code, text }] of Object.entries(cases)) {
  test(`a ticket ${what} is refused`, () => {
    assert.throws(
      () => checkHandedTicket(ticket, { recipient: RECIPIENT }),
      text ? { code, message: text } : { code },
    )
  })
}
