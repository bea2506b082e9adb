import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import {
  readAuthToken,
  readInfo,
  readInfoRequest,
  writeInfo,
  writeInfoRequest,
} from '../../src/io/rpc/convert-info.ts'
import {
  decodePayment,
  encodePayment,
  readMaxFloat,
  readTicket,
  writeMaxFloat,
  writeTicket,
} from '../../src/io/rpc/convert-payment.ts'
import {
  decodePaymentResult,
  decodeTranscodeResult,
  encodePaymentResult,
  encodeTranscodeResult,
} from '../../src/io/rpc/convert-result.ts'
import { decodeSegment, encodeSegment } from '../../src/io/rpc/convert-segment.ts'
import {
  readNotice,
  readRegistration,
  writeNotice,
  writeRegistration,
} from '../../src/io/rpc/convert-transcoder.ts'
import {
  AuthTokenSchema,
  NotifySegmentSchema,
  OrchestratorInfoSchema,
  OrchestratorRequestSchema,
  RegisterRequestSchema,
} from '../../src/io/rpc/gen/lp_rpc_pb.ts'
import { MaxFloatUpdateSchema, TicketSchema } from '../../src/io/rpc/gen/redeemer_pb.ts'
import {
  formatPaymentHeader,
  formatSegmentHeader,
  parsePaymentHeader,
  parseSegmentHeader,
} from '../../src/io/rpc/headers.ts'
import { encodeResult, parseContentType } from '../../src/io/rpc/transcoder-result.ts'
import { MAX_MESSAGE_BYTES, parseMessage } from '../../src/io/rpc/wire-message.ts'
import { parseHex } from '../../src/lib/bytes.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { segmentOf } from '../fakes/endpoint.ts'
import { decodeResult } from '../fakes/transcoder.ts'
import { mutate, mutation } from '../tools/byte-mutations.ts'
import recorded from '../vectors/wire.json' with { type: 'json' }

/** Inputs over all decoders; FUZZ_RUNS changes it. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 25_200)
/** Time limit of a decoder for any input; generous, because tests share the machine. */
const LIMIT_MS = 2_000

interface Codec {
  readonly name: string
  readonly samples: readonly Uint8Array[]
  decode(bytes: Uint8Array): unknown
  encode(value: never): Uint8Array
}

/** The boundary of a transcoder's result. */
const BOUNDARY = 'b'

const base64 = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
const ascii = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'))
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')

/** A segment with all fields, so that mutations reach each of them. */
const FULL = encodeSegment({
  ...segmentOf(ascii('x')),
  capabilities: {
    bitstring: [2n ** 63n, 1n],
    mandatories: [1n],
    capacities: new Map([[0, 1]]),
    version: '0.9.1',
    minVersion: '0.1.0',
    perCapability: new Map([
      [1, new Map([['m', { warm: true, capacity: 1, runnerVersion: '1', capacityInUse: 1 }]])],
    ]),
  },
  storage: [
    { kind: 's3', s3: { host: 'h', key: 'k', policy: 'p', signature: 's', credential: 'c', xAmzDate: 'd' } },
  ],
  clip: { fromMs: 1n, toMs: 2n },
})

const CODECS: readonly Codec[] = [
  {
    name: 'OrchestratorRequest',
    samples: recorded.getOrchestrator.map(({ request }) => parseHex(request)),
    decode: (bytes) => readInfoRequest(parseMessage(OrchestratorRequestSchema, bytes)),
    encode: (value) =>
      toBinary(OrchestratorRequestSchema, create(OrchestratorRequestSchema, writeInfoRequest(value))),
  },
  {
    name: 'OrchestratorInfo',
    samples: recorded.getOrchestrator.map(({ responses }) => parseHex(responses[0]!)),
    decode: (bytes) => readInfo(parseMessage(OrchestratorInfoSchema, bytes)),
    encode: (value) => toBinary(OrchestratorInfoSchema, create(OrchestratorInfoSchema, writeInfo(value))),
  },
  {
    name: 'SegData',
    samples: [FULL, ...recorded.segments.map(({ segmentHeader }) => base64(segmentHeader))],
    decode: decodeSegment,
    encode: encodeSegment,
  },
  {
    name: 'Payment',
    samples: recorded.segments.map(({ paymentHeader }) => base64(paymentHeader)),
    decode: decodePayment,
    encode: encodePayment,
  },
  {
    name: 'TranscodeResult',
    samples: recorded.segments.map(({ result }) => parseHex(result)),
    decode: decodeTranscodeResult,
    encode: encodeTranscodeResult,
  },
  {
    name: 'PaymentResult',
    samples: recorded.segments.slice(0, 2).map(({ result }) => parseHex(result)),
    decode: decodePaymentResult,
    encode: encodePaymentResult,
  },
  {
    name: 'Ticket',
    samples: recorded.queueTicket.map(({ request }) => parseHex(request)),
    decode: (bytes) => readTicket(parseMessage(TicketSchema, bytes)),
    encode: (value) => toBinary(TicketSchema, writeTicket(value)),
  },
  {
    name: 'MaxFloatUpdate',
    samples: recorded.monitorMaxFloat.flatMap(({ responses }) =>
      responses.slice(0, 3).map((t) => parseHex(t)),
    ),
    decode: (bytes) => readMaxFloat(parseMessage(MaxFloatUpdateSchema, bytes)),
    encode: (value) => toBinary(MaxFloatUpdateSchema, writeMaxFloat(value)),
  },
  {
    name: 'AuthToken',
    samples: [
      toBinary(
        AuthTokenSchema,
        create(AuthTokenSchema, {
          token: ascii('t'.repeat(32)),
          sessionId: 'deadbeef',
          expiration: 1_700_000_000n,
        }),
      ),
    ],
    decode: (bytes) => readAuthToken(parseMessage(AuthTokenSchema, bytes)),
    encode: (value) => toBinary(AuthTokenSchema, create(AuthTokenSchema, value)),
  },
  {
    name: 'Livepeer-Segment',
    samples: recorded.segments.map(({ segmentHeader }) => ascii(segmentHeader)),
    decode: (bytes) => parseSegmentHeader(text(bytes)),
    encode: (value) => ascii(formatSegmentHeader(value)),
  },
  {
    name: 'Livepeer-Payment',
    samples: recorded.segments.map(({ paymentHeader }) => ascii(paymentHeader)),
    decode: (bytes) => parsePaymentHeader(text(bytes)),
    encode: (value) => ascii(formatPaymentHeader(value)),
  },
  {
    name: 'NotifySegment',
    samples: recorded.registerTranscoder.flatMap(({ responses }) => responses.map((text) => parseHex(text))),
    decode: (bytes) => {
      const notice = readNotice(parseMessage(NotifySegmentSchema, bytes))
      // Its text goes to the orchestrator; it is not written again.
      if (notice.kind === 'unreadable') throw new NodeError('unreadable', notice.text)
      return notice
    },
    encode: (value) => toBinary(NotifySegmentSchema, create(NotifySegmentSchema, writeNotice(value))),
  },
  {
    name: 'RegisterRequest',
    samples: recorded.registerTranscoder.map(({ request }) => parseHex(request)),
    decode: (bytes) => readRegistration(parseMessage(RegisterRequestSchema, bytes)),
    encode: (value) =>
      toBinary(RegisterRequestSchema, create(RegisterRequestSchema, writeRegistration(value))),
  },
  {
    name: 'a transcoder’s result',
    samples: [
      encodeResult(
        [
          // Long enough that a good part of the changes is in what they hold.
          { bytes: ascii('one'.repeat(100)), pixels: 7n, perceptualHash: ascii('hash') },
          { bytes: ascii('two'.repeat(100)), pixels: 8n, perceptualHash: null },
        ],
        [false, false],
        BOUNDARY,
      ),
    ],
    decode: (bytes) => {
      const attempt = (pieceBytes: number) => {
        try {
          return decodeResult(bytes, BOUNDARY, pieceBytes)
        } catch (error) {
          return error
        }
      }
      // The result does not depend on how the body is split.
      const [whole, pieces] = [attempt(bytes.length + 1), attempt(1 + (bytes.length % 7))]
      assert.deepEqual(pieces, whole)
      if (whole instanceof Error) throw whole
      return whole
    },
    encode: (value) => encodeResult(value, [], BOUNDARY),
  },
  {
    name: 'Content-Type',
    samples: ['multipart/mixed; boundary=4c7b7cd3', 'multipart/mixed; charset=x; boundary="a b"'].map(ascii),
    decode: (bytes) => {
      const parsed = parseContentType(text(bytes))
      if (!parsed) throw new NodeError('bad-content-type', 'mime: invalid media type')
      return parsed
    },
    encode: ({ boundary, type }: NonNullable<ReturnType<typeof parseContentType>>) =>
      ascii(boundary === null ? type : `${type}; boundary="${boundary}"`),
  },
]

/**
 * Decodes an input; an accepted one must survive being written and read again. Only this project's errors may be
 * thrown.
 */
function check(codec: Codec, input: Uint8Array): 'accepted' | 'refused' {
  const started = performance.now()
  let value: unknown
  try {
    value = codec.decode(input)
  } catch (error) {
    assert.ok(error instanceof NodeError, `${codec.name} threw ${String(error)}`)
    assert.ok(error.message.length < 200, `${codec.name} says too much: ${error.message}`)
    return 'refused'
  } finally {
    assert.ok(performance.now() - started < LIMIT_MS, `${codec.name} took too long`)
  }
  assert.deepEqual(codec.decode(codec.encode(value as never)), value, codec.name)
  return 'accepted'
}

const share = Math.ceil(RUNS / CODECS.length / 2)
let inputs = 0

for (const codec of CODECS) {
  test(`${codec.name}: mutated messages are read or refused, nothing else`, () => {
    const seen = { accepted: 0, refused: 0 }
    const sample = fc.nat({ max: codec.samples.length - 1 })
    const changes = fc.array(mutation, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(sample, changes, (index, mutations) => {
        inputs++
        seen[check(codec, mutations.reduce(mutate, codec.samples[index]!))]++
      }),
      { numRuns: share, endOnFailure: true },
    )
    // Both outcomes must occur, or the test would show nothing.
    assert.ok(seen.accepted > share / 1_000 && seen.refused > share / 1_000, JSON.stringify(seen))
  })

  test(`${codec.name}: arbitrary bytes are read or refused, nothing else`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        inputs++
        check(codec, bytes)
      }),
      { numRuns: share, endOnFailure: true },
    )
  })
}

test('as many inputs were tried as were asked for', () => {
  assert.ok(inputs >= RUNS, `${inputs} of ${RUNS}`)
})

test('the densest messages of the maximum size cost little time and memory', () => {
  const empty = ['1a00', '8a0200', '2200', '0a00', '120208000a00', '0801']
  for (const codec of CODECS.slice(0, 9)) {
    for (const unit of empty) {
      const dense = Buffer.from(unit.repeat(Math.floor((MAX_MESSAGE_BYTES * 2) / unit.length)), 'hex')
      // A packed field with one byte per number.
      const packed = Buffer.concat([Buffer.of(0x0a, 0xf0, 0xff, 0x0f), Buffer.alloc(MAX_MESSAGE_BYTES - 16)])
      // An entry within capabilities, which three messages contain.
      const nested = Buffer.concat([
        Buffer.of(0x1a, 0xf0, 0xff, 0x0f),
        dense.subarray(0, MAX_MESSAGE_BYTES - 16),
      ])
      const before = process.memoryUsage().rss
      for (const input of [dense, packed, nested]) check(codec, input)
      const grown = (process.memoryUsage().rss - before) / 2 ** 20
      assert.ok(grown < 300, `${codec.name} of ${unit} took ${grown} MB`)
    }
    assert.throws(() => codec.decode(new Uint8Array(MAX_MESSAGE_BYTES + 1)), { code: 'bad-message' })
  }
})

test('nested groups are refused before they exhaust the stack', () => {
  const nested = Buffer.alloc(100_000, 0x7b)
  for (const codec of CODECS.slice(0, 9)) assert.equal(check(codec, nested), 'refused', codec.name)
})
