import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import type { Payment } from '../../domain/ticket.ts'
import * as wire from './gen/lp_rpc_pb.ts'
import { formatPaymentHeader, parsePaymentHeader, parseSegmentHeader } from './headers.ts'

const KEY_ONE = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'

test('invalid headers are refused with the peers’ own texts', () => {
  const segment = (message: object) =>
    Buffer.from(toBinary(wire.SegDataSchema, create(wire.SegDataSchema, message))).toString('base64')
  const payment = (message: object) =>
    Buffer.from(toBinary(wire.PaymentSchema, create(wire.PaymentSchema, message))).toString('base64')
  const bytes = (text: string) => Buffer.from(text, 'hex').toString('base64')
  const wide = Buffer.concat([Buffer.of(1), Buffer.alloc(32)])
  const cases: [(text: string) => unknown, string, string, string][] = [
    [parseSegmentHeader, '!!!!', 'bad-base64', 'ErrorSegEncoding'],
    [parseSegmentHeader, 'QUI', 'bad-base64', 'ErrorSegEncoding'],
    [parseSegmentHeader, 'QU-_', 'bad-base64', 'ErrorSegEncoding'],
    [parseSegmentHeader, 'Q===', 'bad-base64', 'ErrorSegEncoding'],
    [parseSegmentHeader, 'QU I', 'bad-base64', 'ErrorSegEncoding'],
    [parseSegmentHeader, bytes('0aff'), 'bad-message', 'cannot parse the message'],
    [parseSegmentHeader, segment({ duration: -1 }), 'invalid-duration', 'invalid duration'],
    [parseSegmentHeader, segment({ duration: 300_001 }), 'invalid-duration', 'invalid duration'],
    [
      parseSegmentHeader,
      segment({ fullProfiles: [{ format: 2 }] }),
      'bad-enum',
      'unrecognized profile output format',
    ],
    [
      parseSegmentHeader,
      segment({ fullProfiles: [{ profile: 5 }] }),
      'bad-enum',
      'unrecognized encoder profile',
    ],
    [parseSegmentHeader, segment({ fullProfiles: [{ encoder: 4 }] }), 'bad-enum', 'unrecognized video codec'],
    [
      parseSegmentHeader,
      segment({ fullProfiles: Array(65).fill({}) }),
      'bad-message',
      'cannot accept the message: more than 64 profiles',
    ],
    [
      parseSegmentHeader,
      segment({ storage: Array(17).fill({}) }),
      'bad-message',
      'cannot accept the message: more than 16 storage',
    ],
    [
      parseSegmentHeader,
      segment({ manifestId: Buffer.alloc(1025, 'a') }),
      'bad-message',
      'cannot accept the message: the manifest id has more than 1024 characters',
    ],
    [
      parseSegmentHeader,
      segment({ capabilities: { bitstring: Array(65).fill(1n) } }),
      'bad-message',
      'cannot accept the message: more than 64 capability words',
    ],
    [
      parseSegmentHeader,
      Buffer.alloc(300_000).toString('base64'),
      'bad-message',
      'the header of the segment has 400000 bytes, at most 32768 are taken',
    ],
    [parsePaymentHeader, '!!!!', 'bad-base64', 'base64 decode error: illegal base64 data'],
    [parsePaymentHeader, bytes('0aff'), 'bad-message', 'protobuf unmarshal error: cannot parse the message'],
    [
      parsePaymentHeader,
      payment({ ticketSenderParams: Array(601).fill({}) }),
      'bad-message',
      'protobuf unmarshal error: cannot accept the message: more than 600 tickets',
    ],
    [
      parsePaymentHeader,
      payment({ ticketParams: { faceValue: wide } }),
      'bad-message',
      'protobuf unmarshal error: cannot accept the message: the face value has more than 256 bits',
    ],
    [
      parsePaymentHeader,
      payment({ expirationParams: { creationRound: -1n } }),
      'bad-message',
      'protobuf unmarshal error: cannot accept the message: the creation round is negative',
    ],
  ]
  for (const [parse, text, code, message] of cases) {
    assert.throws(() => parse(text), { code, message }, `${message} for ${text.slice(0, 40)}`)
  }
  assert.equal(parsePaymentHeader(''), null)
  assert.equal(parseSegmentHeader('').seq, 0n)
})

test('a header with 600 tickets is accepted', () => {
  const tickets = Array.from({ length: 600 }, (_, index) => ({
    senderNonce: index + 1,
    sig: new Uint8Array(65).fill(index),
  }))
  const payment: Payment = {
    sender: KEY_ONE,
    ticketParams: null,
    expirationParams: null,
    tickets,
    expectedPrice: null,
  }
  const header = formatPaymentHeader(payment)
  assert.ok(header.length > 50_000)
  assert.deepEqual(parsePaymentHeader(header), payment)
})
