import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf'
import { unknownFields, withOrderedMaps } from '../../../test/net/protobuf.ts'
import { recordedRendition } from '../../../test/vectors/renditions.ts'
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import type { Capabilities } from '../../domain/capabilities.ts'
import { requestHash, resultHash, segmentHash } from '../../domain/signed-hashes.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import { formatHex, intToFixedBytes, parseHex } from '../../lib/bytes.ts'
import { addressBytes, keccak256, recoverSigner } from '../../lib/crypto.ts'
import { readCapabilities, writeCapabilities } from './convert-capabilities.ts'
import { readAuthToken, readInfo, readInfoRequest, writeInfo, writeInfoRequest } from './convert-info.ts'
import { readMaxFloat, readTicket, writeMaxFloat, writeTicket } from './convert-payment.ts'
import { decodeTranscodeResult, encodeTranscodeResult } from './convert-result.ts'
import { readSegment, writeSegment } from './convert-segment.ts'
import * as wire from './gen/lp_rpc_pb.ts'
import { MaxFloatReqSchema, MaxFloatUpdateSchema, TicketSchema } from './gen/redeemer_pb.ts'
import {
  formatPaymentHeader,
  formatSegmentHeader,
  parsePaymentHeader,
  parseSegmentHeader,
} from './headers.ts'
import { readAddress } from './wire-message.ts'

const { gateway, orchestratorKey, recipient } = recorded.accounts

/** Compares messages as bytes, except for the order of map entries. */
function assertSameMessage(schema: DescMessage, actual: Uint8Array, expected: Uint8Array) {
  assert.equal(formatHex(withOrderedMaps(schema, actual)), formatHex(withOrderedMaps(schema, expected)))
}

/** The hash of a ticket according to payments.md §3, implemented independently. */
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

test('the recorded ping is signed by the orchestrator’s key', () => {
  const [call] = recorded.ping
  const value = fromBinary(wire.PingPongSchema, parseHex(call!.request)).value
  const answer = fromBinary(wire.PingPongSchema, parseHex(call!.responses[0]!)).value
  assert.equal(recoverSigner(keccak256(value), answer), orchestratorKey.address)
})

test('recorded pings, float requests and floats are written to the same bytes', () => {
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

test('recorded requests for info are read, have valid signatures, and are written to the same bytes', () => {
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

test('recorded segment headers are read, have valid signatures, and are written to the same text', () => {
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

test('recorded payments are read, have tickets signed by the gateway, and are written to the same text', () => {
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

test('recorded results are read, have valid signatures over their renditions, and are written to the same bytes', () => {
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

test('recorded renditions have the hashes in the vectors', () => {
  for (const { path, keccak256: hash, length } of recorded.downloads) {
    const [, , , profile, file] = path.split('/')
    const rendition = recordedRendition(`${profile}-${file!.replace('.ts', '')}`)
    assert.equal(rendition.length, length)
    assert.equal(formatHex(keccak256(rendition)), `0x${hash}`)
  }
})

test('segments and capabilities of recorded tasks and registrations are written to the same bytes', () => {
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

test('recorded winning tickets are read, match their commitment, and are written to the same bytes', () => {
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

const KEY_ONE = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const NO_CAPABILITIES: Capabilities = {
  bitstring: [],
  mandatories: [],
  capacities: new Map(),
  version: '',
  minVersion: '',
  perCapability: new Map(),
}

test('the specification’s example messages have its bytes (wire.md §17)', () => {
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
