import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf'
import { unknownFields, withOrderedMaps } from '../../../test/net/protobuf.ts'
import { recordedRendition } from '../../../test/vectors/renditions.ts'
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import type { Capabilities } from '../../domain/capabilities.ts'
import type { Profile } from '../../domain/rendition.ts'
import { requestHash, resultHash, type SegmentData, segmentHash } from '../../domain/segment.ts'
import type { ExpirationParams, Payment, WinningTicket } from '../../domain/ticket.ts'
import { concatBytes, formatHex, intToFixedBytes, parseHex } from '../../lib/bytes.ts'
import { addressBytes, keccak256, recoverSigner, ZERO_ADDRESS } from '../../lib/crypto.ts'
import {
  decodePayment,
  decodePaymentResult,
  decodeSegment,
  decodeTranscodeResult,
  encodePayment,
  encodePaymentResult,
  encodeSegment,
  encodeTranscodeResult,
  readAddress,
  readAuthToken,
  readCapabilities,
  readInfo,
  readInfoRequest,
  readMaxFloat,
  readSegment,
  readTicket,
  writeCapabilities,
  writeInfo,
  writeInfoRequest,
  writeMaxFloat,
  writeSegment,
  writeTicket,
} from './convert.ts'
import * as wire from './gen/lp_rpc_pb.ts'
import { MaxFloatReqSchema, MaxFloatUpdateSchema, TicketSchema } from './gen/redeemer_pb.ts'
import {
  formatPaymentHeader,
  formatSegmentHeader,
  parsePaymentHeader,
  parseSegmentHeader,
} from './headers.ts'

const { gateway, orchestratorKey, recipient } = recorded.accounts

/** Compares messages as bytes, but for the order of map entries. */
function assertSameMessage(schema: DescMessage, actual: Uint8Array, expected: Uint8Array) {
  assert.equal(formatHex(withOrderedMaps(schema, actual)), formatHex(withOrderedMaps(schema, expected)))
}

/** The hash of a ticket as payments.md §3 has it, written out once more. */
function ticketHash(ticket: Omit<WinningTicket, 'sig' | 'recipientRand' | 'paramsExpirationBlock'>) {
  const int = (value: bigint) => intToFixedBytes(value, 32)
  const { creationRound, creationRoundBlockHash } = ticket.expirationParams
  return keccak256(
    addressBytes(ticket.recipient),
    addressBytes(ticket.sender),
    int(ticket.faceValue),
    int(ticket.winProb),
    int(BigInt(ticket.senderNonce)),
    ticket.recipientRandHash,
    int(creationRound),
    creationRoundBlockHash,
  )
}

test('every field of every recorded message is known', () => {
  const messages: [DescMessage, string][] = []
  const add = (schema: DescMessage, ...texts: string[]) =>
    messages.push(...texts.map((text): [DescMessage, string] => [schema, text]))
  for (const call of recorded.ping) add(wire.PingPongSchema, call.request, ...call.responses)
  for (const call of recorded.getOrchestrator) {
    add(wire.OrchestratorRequestSchema, call.request)
    add(wire.OrchestratorInfoSchema, ...call.responses)
  }
  for (const call of [...recorded.registerTranscoder, ...recorded.wrongSecret]) {
    add(wire.RegisterRequestSchema, call.request)
    add(wire.NotifySegmentSchema, ...call.responses)
  }
  for (const call of recorded.queueTicket) add(TicketSchema, call.request)
  for (const call of [...recorded.maxFloat, ...recorded.monitorMaxFloat]) {
    add(MaxFloatReqSchema, call.request)
    add(MaxFloatUpdateSchema, ...call.responses)
  }
  for (const segment of recorded.segments) {
    add(wire.SegDataSchema, Buffer.from(segment.segmentHeader, 'base64').toString('hex'))
    add(wire.PaymentSchema, Buffer.from(segment.paymentHeader, 'base64').toString('hex'))
    add(wire.TranscodeResultSchema, segment.result)
  }
  assert.equal(messages.length, 53)
  for (const [schema, text] of messages) assert.deepEqual(unknownFields(schema, parseHex(text)), [])
})

test('the recorded ping is answered by the orchestrator’s key', () => {
  const [call] = recorded.ping
  const value = fromBinary(wire.PingPongSchema, parseHex(call!.request)).value
  const answer = fromBinary(wire.PingPongSchema, parseHex(call!.responses[0]!)).value
  assert.equal(recoverSigner(keccak256(value), answer), orchestratorKey.address)
})

test('recorded pings, questions for a float and every float told are written to the same bytes', () => {
  for (const { request, responses } of recorded.ping) {
    for (const text of [request, ...responses]) {
      const { value } = fromBinary(wire.PingPongSchema, parseHex(text))
      assert.equal(
        formatHex(toBinary(wire.PingPongSchema, create(wire.PingPongSchema, { value }))),
        `0x${text}`,
      )
    }
  }
  let told = 0
  for (const { request, responses } of [...recorded.maxFloat, ...recorded.monitorMaxFloat]) {
    const sender = readAddress(fromBinary(MaxFloatReqSchema, parseHex(request)).sender)
    assert.equal(sender, gateway.address)
    const question = create(MaxFloatReqSchema, { sender: addressBytes(sender) })
    assert.equal(formatHex(toBinary(MaxFloatReqSchema, question)), `0x${request}`)
    for (const text of responses) {
      const amount = readMaxFloat(fromBinary(MaxFloatUpdateSchema, parseHex(text)))
      assert.equal(formatHex(toBinary(MaxFloatUpdateSchema, writeMaxFloat(amount))), `0x${text}`)
      told++
    }
  }
  assert.ok(told > 1, `${told} floats`)
})

test('recorded requests for info are read, signed by the gateway, and written to the same bytes', () => {
  for (const call of recorded.getOrchestrator) {
    const bytes = parseHex(call.request)
    const request = readInfoRequest(fromBinary(wire.OrchestratorRequestSchema, bytes))
    assert.equal(request.address, gateway.address)
    assert.equal(recoverSigner(requestHash(request.address), request.sig), gateway.address)
    const written = create(wire.OrchestratorRequestSchema, writeInfoRequest(request))
    assert.equal(formatHex(toBinary(wire.OrchestratorRequestSchema, written)), formatHex(bytes))
  }
})

test('recorded infos are read and written to the same bytes', () => {
  for (const call of recorded.getOrchestrator) {
    const bytes = parseHex(call.responses[0]!)
    const info = readInfo(fromBinary(wire.OrchestratorInfoSchema, bytes))
    assert.equal(info.transcoder, 'https://127.0.0.1:8934')
    assert.equal(info.address, orchestratorKey.address)
    assert.equal(info.ticketParams?.recipient, recipient.address)
    assert.match(info.authToken?.sessionId ?? '', /^[0-9a-f]{8}$/)
    assert.equal(info.capabilities?.capacities.get(0), 2)
    assert.equal(info.capabilities?.minVersion, '0.9.1')
    const written = create(wire.OrchestratorInfoSchema, writeInfo(info))
    assertSameMessage(wire.OrchestratorInfoSchema, toBinary(wire.OrchestratorInfoSchema, written), bytes)
  }
})

test('recorded segment headers are read, signed by the gateway, and written to the same text', () => {
  for (const [index, vector] of recorded.segments.entries()) {
    const segment = parseSegmentHeader(vector.segmentHeader)
    assert.equal(segment.seq, BigInt(index))
    assert.equal(segment.manifestId, 'vec')
    assert.deepEqual(
      segment.profiles.map(({ name, profile, gopMs, fpsDen }) => [name, profile, gopMs, fpsDen]),
      [
        ['tiny', 'main', 0, 0],
        ['half', 'baseline', 1000, 1001],
      ],
    )
    assert.equal(recoverSigner(segmentHash(segment), segment.sig), gateway.address)
    if (vector.keccak256) assert.equal(formatHex(segment.hash), `0x${vector.keccak256}`)
    assert.equal(formatSegmentHeader(segment), vector.segmentHeader)
  }
})

test('recorded payments are read, every ticket signed by the gateway, and written to the same text', () => {
  let tickets = 0
  for (const vector of recorded.segments) {
    const payment = parsePaymentHeader(vector.paymentHeader)
    assert.ok(payment?.ticketParams && payment.expirationParams)
    assert.deepEqual(payment.expectedPrice, { pricePerUnit: 30_300_000_000n, pixelsPerUnit: 1n })
    for (const { senderNonce, sig } of payment.tickets) {
      const ticket: Parameters<typeof ticketHash>[0] = {
        ...payment.ticketParams,
        sender: payment.sender,
        senderNonce,
        expirationParams: payment.expirationParams,
      }
      assert.equal(recoverSigner(ticketHash(ticket), sig), gateway.address)
      tickets++
    }
    assert.equal(formatPaymentHeader(payment), vector.paymentHeader)
  }
  assert.equal(tickets, 20)
})

test('recorded results are read, signed over their renditions, and written to the same bytes', () => {
  for (const [index, vector] of recorded.segments.entries()) {
    const bytes = parseHex(vector.result)
    const result = decodeTranscodeResult(bytes)
    assert.equal(result.seq, BigInt(index))
    assert.ok(result.outcome.kind === 'data' && result.info)
    assertSameMessage(wire.TranscodeResultSchema, encodeTranscodeResult(result), bytes)

    const hashes = result.outcome.renditions.map(({ url }) =>
      recorded.downloads.find(({ path }) => url.endsWith(path)),
    )
    if (!hashes[0] || !hashes[1]) continue
    const hash = resultHash(hashes.map((download) => parseHex(download!.keccak256)))
    assert.equal(recoverSigner(hash, result.outcome.sig), result.info.address)
  }
  assert.equal(recorded.downloads.length, 6)
})

test('the recorded renditions have the hashes that the vectors name', () => {
  for (const { path, keccak256: hash, length } of recorded.downloads) {
    const [, , , profile, file] = path.split('/')
    const rendition = recordedRendition(`${profile}-${file!.replace('.ts', '')}`)
    assert.equal(rendition.length, length)
    assert.equal(formatHex(keccak256(rendition)), `0x${hash}`)
  }
})

test('recorded tasks and registrations carry segments and capabilities that are written to the same bytes', () => {
  const [call] = recorded.registerTranscoder
  for (const text of call!.responses) {
    const message = fromBinary(wire.NotifySegmentSchema, parseHex(text))
    const teardown = message.url === ''
    const segment = readSegment(message.segData!)
    assert.equal(segment.authToken?.sessionId, '0d0956a3')
    if (teardown) continue
    message.segData = create(wire.SegDataSchema, writeSegment(segment))
    assertSameMessage(wire.NotifySegmentSchema, toBinary(wire.NotifySegmentSchema, message), parseHex(text))
  }
  for (const { request } of [...recorded.registerTranscoder, ...recorded.wrongSecret]) {
    const message = fromBinary(wire.RegisterRequestSchema, parseHex(request))
    const capabilities = readCapabilities(message.capabilities!)
    message.capabilities = create(wire.CapabilitiesSchema, writeCapabilities(capabilities))
    assertSameMessage(
      wire.RegisterRequestSchema,
      toBinary(wire.RegisterRequestSchema, message),
      parseHex(request),
    )
  }
})

test('recorded winning tickets are read, their commitment holds, and they are written to the same bytes', () => {
  for (const { request } of recorded.queueTicket) {
    const ticket = readTicket(fromBinary(TicketSchema, parseHex(request)))
    assert.equal(recoverSigner(ticketHash(ticket), ticket.sig), gateway.address)
    assert.equal(
      formatHex(keccak256(intToFixedBytes(ticket.recipientRand, 32))),
      formatHex(ticket.recipientRandHash),
    )
    const draw = BigInt(formatHex(keccak256(ticket.sig, intToFixedBytes(ticket.recipientRand, 32))))
    assert.ok(draw < ticket.winProb)
    assert.equal(formatHex(toBinary(TicketSchema, writeTicket(ticket))), `0x${request}`)
  }
  assert.equal(recorded.queueTicket.length, 8)
})

test('a max float travels without a sign: a negative one is zero', () => {
  const bytes = parseHex(recorded.maxFloat[0]!.responses[0]!)
  const amount = readMaxFloat(fromBinary(MaxFloatUpdateSchema, bytes))
  assert.equal(amount, 100n * 10n ** 18n)
  assert.equal(formatHex(toBinary(MaxFloatUpdateSchema, writeMaxFloat(amount))), formatHex(bytes))
  assert.equal(readMaxFloat(writeMaxFloat(-5n)), 0n)
})

const KEY_ONE = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const NO_CAPABILITIES: Capabilities = {
  bitstring: [],
  mandatories: [],
  capacities: new Map(),
  version: '',
  minVersion: '',
  perCapability: new Map(),
}

test('known messages of the specification have their bytes (wire.md §17)', () => {
  const sig = `2e05f5b96d0c24dde6256c43b4dd51d50979d8a650510a52b1317a95e9eda00d3d716748cd06e78360e29fdfe091e0c6c5a3d7ae1fb408d0b746ebdd9fa6382a1c`
  const request = {
    address: KEY_ONE,
    sig: parseHex(sig),
    capabilities: { ...NO_CAPABILITIES, bitstring: [0x4001003n] },
    ignoreCapacityCheck: false,
  } as const
  const message = create(
    wire.OrchestratorRequestSchema,
    writeInfoRequest({
      ...request,
      capabilities: { ...NO_CAPABILITIES, bitstring: [(1n << 0n) | (1n << 1n) | (1n << 12n) | (1n << 26n)] },
    }),
  )
  assert.equal(
    formatHex(toBinary(wire.OrchestratorRequestSchema, message)),
    `0x0a147e5f4552091a69125d5dfcb7b8c2659029395bdf1241${sig}1a080a0483a080202a00`,
  )

  const teardown = fromBinary(wire.NotifySegmentSchema, parseHex('1a0742051203626172'))
  assert.deepEqual(readAuthToken(teardown.segData!.authToken!), {
    token: new Uint8Array(0),
    sessionId: 'bar',
    expiration: 0n,
  })

  const busy = { seq: 7n, info: null, outcome: { kind: 'error', text: 'OrchestratorBusy' } } as const
  const busyBytes = '0x080712104f7263686573747261746f7242757379'
  assert.equal(formatHex(encodeTranscodeResult(busy)), busyBytes)
  assert.deepEqual(decodeTranscodeResult(parseHex(busyBytes)), busy)
})

const PROFILE: Profile = {
  name: 'P',
  width: 640,
  height: 360,
  bitrate: 600_000,
  fps: 30,
  fpsDen: 0,
  format: 'mpegts',
  profile: 'none',
  gopMs: 0,
  encoder: 'h264',
  colorDepth: 0,
  chromaFormat: '420',
  quality: 0,
}
const SEGMENT: SegmentData = {
  manifestId: 'stream',
  seq: 0n,
  hash: new Uint8Array(32).fill(7),
  profiles: [PROFILE],
  sig: new Uint8Array(65).fill(1),
  durationMs: 2000,
  capabilities: null,
  authToken: null,
  calcPerceptualHash: false,
  storage: [],
  clip: null,
  forceSessionReinit: false,
}
const EXPIRATION: ExpirationParams = { creationRound: 3n, creationRoundBlockHash: new Uint8Array(32).fill(3) }

test('profiles go into the one list that every peer reads', () => {
  const lists = (profiles: Profile[]) => {
    const message = fromBinary(wire.SegDataSchema, encodeSegment({ ...SEGMENT, profiles }))
    return [message.fullProfiles.length, message.fullProfiles2.length, message.fullProfiles3.length]
  }
  const cases: [string, Partial<Profile>[], number[]][] = [
    ['all MPEG-TS and plain', [{}, {}], [2, 0, 0]],
    ['a container not chosen', [{ format: 'none' }], [1, 0, 0]],
    ['one MP4', [{}, { format: 'mp4' }], [0, 2, 0]],
    ['one with a frame rate denominator', [{}, { fpsDen: 1001 }], [0, 0, 2]],
    ['one with an encoder profile', [{ profile: 'high' }, { format: 'mp4' }], [0, 0, 2]],
    ['one with key frames only', [{ gopMs: -1 }], [0, 0, 1]],
    ['none at all', [], [0, 0, 0]],
  ]
  for (const [name, changes, expected] of cases) {
    assert.deepEqual(lists(changes.map((change) => ({ ...PROFILE, ...change }))), expected, name)
  }
})

test('a decoder takes the first list with something in it: 3, then 2, then 1', () => {
  const named = (name: string) =>
    [{ ...PROFILE, name, format: 0, profile: 0, encoder: 0, chromaFormat: 0 }] as never[]
  const read = (lists: object) =>
    readSegment(create(wire.SegDataSchema, { ...lists })).profiles.map(({ name }) => name)
  assert.deepEqual(read({ fullProfiles: named('1'), fullProfiles2: named('2'), fullProfiles3: named('3') }), [
    '3',
  ])
  assert.deepEqual(read({ fullProfiles: named('1'), fullProfiles2: named('2') }), ['2'])
  assert.deepEqual(read({ fullProfiles: named('1') }), ['1'])
  assert.deepEqual(read({}), [])
})

test('a profile without a name is sent and read under one made of its size', () => {
  const sent = fromBinary(
    wire.SegDataSchema,
    encodeSegment({ ...SEGMENT, profiles: [{ ...PROFILE, name: '' }] }),
  )
  assert.equal(sent.fullProfiles[0]?.name, 'ffmpeg_640x360_600000')
  sent.fullProfiles[0]!.name = ''
  assert.equal(readSegment(sent).profiles[0]?.name, 'net_640x360_600000')
})

test('a segment keeps everything it says, but colour depth and chroma', () => {
  const segment: SegmentData = {
    ...SEGMENT,
    seq: 2n ** 40n,
    durationMs: 300_000,
    profiles: [
      {
        ...PROFILE,
        format: 'mp4',
        profile: 'constrained-high',
        gopMs: -1,
        encoder: 'vp9',
        quality: 23,
        fpsDen: 2,
      },
    ],
    capabilities: {
      bitstring: [2n ** 54n, 2n ** 15n, 0n, 3n],
      mandatories: [1n],
      capacities: new Map([
        [0, 1],
        [26, 4],
      ]),
      version: '0.9.1',
      minVersion: '0.8.0',
      perCapability: new Map([
        [27, new Map([['__proto__', { warm: true, capacity: 1, runnerVersion: '1', capacityInUse: 2 }]])],
      ]),
    },
    authToken: { token: Uint8Array.of(1), sessionId: 'abcd', expiration: 1n },
    calcPerceptualHash: true,
    storage: [
      { kind: 'direct', s3: null },
      {
        kind: 's3',
        s3: { host: 'h', key: 'k', policy: 'p', signature: 's', credential: 'c', xAmzDate: 'd' },
      },
    ],
    clip: { fromMs: 0n, toMs: 1000n },
    forceSessionReinit: true,
  }
  const message = fromBinary(wire.SegDataSchema, encodeSegment(segment))
  assert.equal(Buffer.from(message.profiles).toString(), 'invalid')
  assert.deepEqual(decodeSegment(encodeSegment(segment)), segment)
  const deep = { ...PROFILE, colorDepth: 2, chromaFormat: '444' } as const
  assert.deepEqual(decodeSegment(encodeSegment({ ...SEGMENT, profiles: [deep] })).profiles, [PROFILE])
})

test('without a chain an orchestrator tells 20 zero bytes for its address: none at all would count as blocked', () => {
  const [call] = recorded.getOrchestrator
  const info = readInfo(fromBinary(wire.OrchestratorInfoSchema, parseHex(call!.responses[0]!)))
  const written = create(wire.OrchestratorInfoSchema, writeInfo({ ...info, address: ZERO_ADDRESS }))
  assert.deepEqual(written.address, new Uint8Array(20))
})

test('zeros are absent on the wire and read as zeros', () => {
  const info = readInfo(create(wire.OrchestratorInfoSchema, { ticketParams: {} }))
  assert.equal(info.address, ZERO_ADDRESS)
  assert.deepEqual(info.ticketParams, {
    recipient: ZERO_ADDRESS,
    faceValue: 0n,
    winProb: 0n,
    recipientRandHash: new Uint8Array(32),
    seed: 0n,
    expirationBlock: 0n,
    expirationParams: { creationRound: 0n, creationRoundBlockHash: new Uint8Array(32) },
  })
  const params = create(wire.OrchestratorInfoSchema, writeInfo(info)).ticketParams
  assert.equal(params?.faceValue.length, 0)
  assert.equal(params?.seed.length, 0)
  assert.equal(readSegment(create(wire.SegDataSchema)).durationMs, 2000)
})

test('addresses and hashes of other lengths are padded on the left or keep their last bytes', () => {
  const read = (address: Uint8Array) => readInfo(create(wire.OrchestratorInfoSchema, { address })).address
  assert.equal(read(Uint8Array.of(5)), '0x0000000000000000000000000000000000000005')
  assert.equal(read(concatBytes(Uint8Array.of(9, 9), addressBytes(KEY_ONE))), KEY_ONE)
})

test('a payment always sends the expiration of its params beside them, never inside (wire.md §18, 8)', () => {
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
  assert.deepEqual(decodePayment(encodePayment(payment)).expirationParams, EXPIRATION)
})

test('a payment result carries the info and nothing else', () => {
  const [call] = recorded.getOrchestrator
  const info = readInfo(fromBinary(wire.OrchestratorInfoSchema, parseHex(call!.responses[0]!)))
  assert.deepEqual(decodePaymentResult(encodePaymentResult(info)), info)
  assert.equal(decodePaymentResult(new Uint8Array(0)), null)
})

test('what a peer may not send is refused in the peers’ own words', () => {
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

test('600 tickets make a header that is read again', () => {
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
