import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'
import type { Capabilities, ModelConstraint } from '../../domain/capabilities.ts'
import type { Profile } from '../../domain/rendition.ts'
import {
  type AuthToken,
  type InfoRequest,
  type OrchestratorInfo,
  receivedDurationMs,
  type SegmentData,
  type StorageInfo,
  type TranscodeResult,
} from '../../domain/segment.ts'
import type {
  ExpirationParams,
  Payment,
  PriceInfo,
  TicketParams,
  WinningTicket,
} from '../../domain/ticket.ts'
import { bytesToInt, concatBytes, intToBytes, leftPad } from '../../lib/bytes.ts'
import { type Address, addressBytes, checksumAddress } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'
import * as wire from './gen/lp_rpc_pb.ts'
import { type MaxFloatUpdate, MaxFloatUpdateSchema, type Ticket, TicketSchema } from './gen/redeemer_pb.ts'

/** Why a message from a peer is refused. */
export type WireFault = 'bad-base64' | 'bad-message' | 'bad-enum'

/** A message from a peer that cannot be a valid one. */
export class WireError extends NodeError<WireFault> {
  override name = 'WireError'
}

/** Larger messages are refused unread: a payment of 600 tickets takes some 45 KB, an info some hundreds of bytes. */
export const MAX_MESSAGE_BYTES = 256 * 1024
/** Tickets of one payment: what a sender may use of one recipient rand (wire.md §10). */
const MAX_TICKETS = 600
/** Profiles of a segment: the engine refuses more than 10 with its own words, this only bounds memory. */
const MAX_PROFILES = 64
const MAX_RENDITIONS = MAX_PROFILES
const MAX_STORAGE = 16
const MAX_NODES = 1024
const MAX_CAPABILITY_WORDS = 64
const MAX_CAPACITIES = 64 * MAX_CAPABILITY_WORDS
const MAX_MODELS = 1024
const MAX_INT_BYTES = 32
const MAX_NAME = 1024
const MAX_URL = 4096
const MAX_CREDENTIAL = 16 * 1024
/** An error text is kept to this length, not refused. */
const MAX_ERROR_TEXT = 4096

/** What peers put where profiles used to be (wire.md §6). */
const RETIRED_PROFILES = new TextEncoder().encode('invalid')

/** Parses a message. Throws WireError `bad-message`; the library's own words do not leave this file. */
export function parseMessage<Schema extends DescMessage>(
  schema: Schema,
  bytes: Uint8Array,
): MessageShape<Schema> {
  if (bytes.length > MAX_MESSAGE_BYTES) throw badMessage(`more than ${MAX_MESSAGE_BYTES} bytes`)
  try {
    // A Buffer would give Buffers: plain views are what the domain knows.
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return fromBinary(schema, view, { readUnknownFields: false })
  } catch (cause) {
    throw new WireError('bad-message', 'cannot parse the message', { cause })
  }
}

// Requests for info and their answers.

/** A gateway's request for info, as it travels. */
export function writeInfoRequest(
  request: InfoRequest,
): MessageInitShape<typeof wire.OrchestratorRequestSchema> {
  return {
    address: addressBytes(request.address),
    sig: request.sig,
    ...(request.capabilities && { capabilities: writeCapabilities(request.capabilities) }),
    ignoreCapacityCheck: request.ignoreCapacityCheck,
  }
}

/** Reads a gateway's request for info. */
export function readInfoRequest(message: wire.OrchestratorRequest): InfoRequest {
  return {
    address: readAddress(message.address),
    sig: message.sig,
    capabilities: message.capabilities ? readCapabilities(message.capabilities) : null,
    ignoreCapacityCheck: message.ignoreCapacityCheck,
  }
}

/** What an orchestrator says of itself, as it travels. */
export function writeInfo(info: OrchestratorInfo): MessageInitShape<typeof wire.OrchestratorInfoSchema> {
  return {
    transcoder: info.transcoder,
    ...(info.ticketParams && { ticketParams: writeTicketParams(info.ticketParams) }),
    ...(info.priceInfo && { priceInfo: info.priceInfo }),
    address: addressBytes(info.address),
    ...(info.capabilities && { capabilities: writeCapabilities(info.capabilities) }),
    ...(info.authToken && { authToken: info.authToken }),
    storage: info.storage.map(writeStorage),
    nodes: [...info.nodes],
  }
}

/** Reads what an orchestrator says of itself. */
export function readInfo(message: wire.OrchestratorInfo): OrchestratorInfo {
  return {
    transcoder: text(message.transcoder, 'transcoder', MAX_URL),
    ticketParams: message.ticketParams ? readTicketParams(message.ticketParams) : null,
    priceInfo: message.priceInfo ? readPrice(message.priceInfo) : null,
    address: readAddress(message.address),
    capabilities: message.capabilities ? readCapabilities(message.capabilities) : null,
    authToken: message.authToken ? readAuthToken(message.authToken) : null,
    storage: list(message.storage, 'storage', MAX_STORAGE).map(readStorage),
    nodes: list(message.nodes, 'nodes', MAX_NODES).map((node) => text(node, 'node', MAX_URL)),
  }
}

/** Reads an auth token. Its expiration is passed on as it is: the check of the token judges it. */
export function readAuthToken(message: wire.AuthToken): AuthToken {
  return {
    token: message.token,
    sessionId: text(message.sessionId, 'session id', MAX_NAME),
    expiration: message.expiration,
  }
}

// Segments.

/** The bytes of SegData (wire.md §5). */
export function encodeSegment(segment: SegmentData): Uint8Array {
  return toBinary(wire.SegDataSchema, create(wire.SegDataSchema, writeSegment(segment)))
}

/** Reads the bytes of SegData. Throws NodeError with the texts that peers are told (wire.md §6, §10). */
export function decodeSegment(bytes: Uint8Array): SegmentData {
  return readSegment(parseMessage(wire.SegDataSchema, bytes))
}

/** A segment's metadata, as they travel. */
export function writeSegment(segment: SegmentData): MessageInitShape<typeof wire.SegDataSchema> {
  return {
    manifestId: new TextEncoder().encode(segment.manifestId),
    seq: segment.seq,
    hash: segment.hash,
    profiles: RETIRED_PROFILES,
    sig: segment.sig,
    duration: Math.trunc(segment.durationMs),
    ...(segment.capabilities && { capabilities: writeCapabilities(segment.capabilities) }),
    ...(segment.authToken && { authToken: segment.authToken }),
    calcPerceptualHash: segment.calcPerceptualHash,
    storage: segment.storage.map(writeStorage),
    [profileList(segment.profiles)]: segment.profiles.map(writeProfile),
    ...(segment.clip && { segmentParameters: { from: segment.clip.fromMs, to: segment.clip.toMs } }),
    ForceSessionReinit: segment.forceSessionReinit,
  }
}

/** Reads a segment's metadata. */
export function readSegment(message: wire.SegData): SegmentData {
  const lists = [message.fullProfiles3, message.fullProfiles2, message.fullProfiles]
  const profiles = lists.find((candidates) => candidates.length > 0) ?? []
  return {
    // What is not UTF-8 gives another text, whose signature is then wrong.
    manifestId: text(
      new TextDecoder('utf-8', { ignoreBOM: true }).decode(message.manifestId),
      'manifest id',
      MAX_NAME,
    ),
    seq: message.seq,
    hash: leftPad(message.hash, 32),
    profiles: list(profiles, 'profiles', MAX_PROFILES).map(readProfile),
    sig: message.sig,
    durationMs: receivedDurationMs(message.duration),
    capabilities: message.capabilities ? readCapabilities(message.capabilities) : null,
    authToken: message.authToken ? readAuthToken(message.authToken) : null,
    calcPerceptualHash: message.calcPerceptualHash,
    storage: list(message.storage, 'storage', MAX_STORAGE).map(readStorage),
    clip: message.segmentParameters
      ? { fromMs: message.segmentParameters.from, toMs: message.segmentParameters.to }
      : null,
    forceSessionReinit: message.ForceSessionReinit,
  }
}

/** The one list that old and new peers read alike (wire.md §6, "profile lists"). */
function profileList(profiles: readonly Profile[]): 'fullProfiles' | 'fullProfiles2' | 'fullProfiles3' {
  if (profiles.some(({ fpsDen, profile, gopMs }) => fpsDen !== 0 || profile !== 'none' || gopMs !== 0)) {
    return 'fullProfiles3'
  }
  return profiles.some(({ format }) => format === 'mp4') ? 'fullProfiles2' : 'fullProfiles'
}

// The words of the domain and their numbers. Where two words share a number, the first is what is read.

/** A container that was not chosen is MPEG-TS (transcoding.md §2.4). */
const FORMATS = { mpegts: 0, mp4: 1, none: 0 } as const
const ENCODER_PROFILES = { none: 0, baseline: 1, main: 2, high: 3, 'constrained-high': 4 } as const
const CODECS = { h264: 0, h265: 1, vp8: 2, vp9: 3 } as const
const CHROMA = { '420': 0, '422': 1, '444': 2 } as const
const STORAGE_KINDS = { direct: 0, s3: 1, google: 2 } as const

function writeProfile(profile: Profile): MessageInitShape<typeof wire.VideoProfileSchema> {
  const { width, height, bitrate } = profile
  return {
    name: profile.name || `ffmpeg_${width}x${height}_${bitrate}`,
    width,
    height,
    bitrate,
    fps: profile.fps,
    format: FORMATS[profile.format],
    fpsDen: profile.fpsDen,
    profile: ENCODER_PROFILES[profile.profile],
    gop: profile.gopMs,
    encoder: CODECS[profile.encoder],
    colorDepth: profile.colorDepth,
    chromaFormat: CHROMA[profile.chromaFormat],
    quality: profile.quality,
  }
}

/** Colour depth and chroma are not taken from the wire, as the network's nodes do not (wire.md §6). */
function readProfile(message: wire.VideoProfile): Profile {
  const { width, height, bitrate } = message
  return {
    name: text(message.name, 'profile name', MAX_NAME) || `net_${width}x${height}_${bitrate}`,
    width,
    height,
    bitrate,
    fps: message.fps,
    fpsDen: message.fpsDen,
    format: choice(FORMATS, message.format, 'unrecognized profile output format'),
    profile: choice(ENCODER_PROFILES, message.profile, 'unrecognized encoder profile'),
    gopMs: message.gop,
    encoder: choice(CODECS, message.encoder, 'unrecognized video codec'),
    colorDepth: 0,
    chromaFormat: '420',
    quality: message.quality,
  }
}

// Payments and tickets.

/** The bytes of a Payment (wire.md §10). */
export function encodePayment(payment: Payment): Uint8Array {
  const { ticketParams } = payment
  const expiration = payment.expirationParams ?? ticketParams?.expirationParams
  return toBinary(
    wire.PaymentSchema,
    create(wire.PaymentSchema, {
      ...(ticketParams && {
        ticketParams: { ...writeTicketParams(ticketParams), expirationParams: undefined },
      }),
      sender: addressBytes(payment.sender),
      // Peers die of params without these (wire.md §18, 8).
      ...(expiration && { expirationParams: writeExpiration(expiration) }),
      ticketSenderParams: payment.tickets.map(({ senderNonce, sig }) => ({ senderNonce, sig })),
      ...(payment.expectedPrice && { expectedPrice: payment.expectedPrice }),
    }),
  )
}

/** Reads the bytes of a Payment. */
export function decodePayment(bytes: Uint8Array): Payment {
  const message = parseMessage(wire.PaymentSchema, bytes)
  const ticketParams = message.ticketParams ? readTicketParams(message.ticketParams) : null
  return {
    sender: readAddress(message.sender),
    ticketParams,
    expirationParams: message.expirationParams
      ? readExpiration(message.expirationParams)
      : (ticketParams?.expirationParams ?? null),
    tickets: list(message.ticketSenderParams, 'tickets', MAX_TICKETS).map(({ senderNonce, sig }) => ({
      senderNonce,
      sig,
    })),
    expectedPrice: message.expectedPrice ? readPrice(message.expectedPrice) : null,
  }
}

/** A winning ticket, as an orchestrator hands it to its redeemer (wire.md §14): neither seed nor nested expiration. */
export function writeTicket(ticket: WinningTicket): Ticket {
  return create(TicketSchema, {
    ticketParams: {
      recipient: addressBytes(ticket.recipient),
      faceValue: intToBytes(ticket.faceValue),
      winProb: intToBytes(ticket.winProb),
      recipientRandHash: ticket.recipientRandHash,
      expirationBlock: intToBytes(ticket.paramsExpirationBlock),
    },
    sender: addressBytes(ticket.sender),
    expirationParams: writeExpiration(ticket.expirationParams),
    senderParams: { senderNonce: ticket.senderNonce, sig: ticket.sig },
    recipientRand: intToBytes(ticket.recipientRand),
  })
}

/** Reads a winning ticket. Absent parts count as zeros (wire.md §18, 8). */
export function readTicket(message: Ticket): WinningTicket {
  const params = readTicketParams(message.ticketParams ?? create(wire.TicketParamsSchema))
  return {
    recipient: params.recipient,
    sender: readAddress(message.sender),
    faceValue: params.faceValue,
    winProb: params.winProb,
    senderNonce: message.senderParams?.senderNonce ?? 0,
    recipientRandHash: params.recipientRandHash,
    expirationParams: message.expirationParams
      ? readExpiration(message.expirationParams)
      : params.expirationParams,
    paramsExpirationBlock: params.expirationBlock,
    sig: message.senderParams?.sig ?? new Uint8Array(0),
    recipientRand: readInt(message.recipientRand, 'recipient rand'),
  }
}

/** A max float, as it travels. The wire has no sign: a negative one is sent as zero (wire.md §18, 18). */
export function writeMaxFloat(amount: bigint): MaxFloatUpdate {
  return create(MaxFloatUpdateSchema, { maxFloat: intToBytes(amount < 0n ? 0n : amount) })
}

/** Reads a max float. */
export function readMaxFloat(message: MaxFloatUpdate): bigint {
  return readInt(message.maxFloat, 'max float')
}

function writeTicketParams(params: TicketParams): MessageInitShape<typeof wire.TicketParamsSchema> {
  return {
    recipient: addressBytes(params.recipient),
    faceValue: intToBytes(params.faceValue),
    winProb: intToBytes(params.winProb),
    recipientRandHash: params.recipientRandHash,
    seed: intToBytes(params.seed),
    expirationBlock: intToBytes(params.expirationBlock),
    expirationParams: writeExpiration(params.expirationParams),
  }
}

function readTicketParams(message: wire.TicketParams): TicketParams {
  return {
    recipient: readAddress(message.recipient),
    faceValue: readInt(message.faceValue, 'face value'),
    winProb: readInt(message.winProb, 'win prob'),
    recipientRandHash: leftPad(message.recipientRandHash, 32),
    seed: readInt(message.seed, 'seed'),
    expirationBlock: readInt(message.expirationBlock, 'expiration block'),
    expirationParams: readExpiration(message.expirationParams ?? create(wire.TicketExpirationParamsSchema)),
  }
}

function writeExpiration(
  params: ExpirationParams,
): MessageInitShape<typeof wire.TicketExpirationParamsSchema> {
  return {
    creationRound: params.creationRound,
    creationRoundBlockHash: params.creationRoundBlockHash,
  }
}

function readExpiration(message: wire.TicketExpirationParams): ExpirationParams {
  if (message.creationRound < 0n) throw badMessage('the creation round is negative')
  return {
    creationRound: message.creationRound,
    creationRoundBlockHash: leftPad(message.creationRoundBlockHash, 32),
  }
}

function readPrice(message: wire.PriceInfo): PriceInfo {
  return { pricePerUnit: message.pricePerUnit, pixelsPerUnit: message.pixelsPerUnit }
}

// Answers.

/**
 * The bytes of a TranscodeResult. The outcome comes last, as the Go node writes it (wire.md §3): the parts of a message
 * may be encoded one after the other.
 */
export function encodeTranscodeResult(result: TranscodeResult): Uint8Array {
  const encode = (part: MessageInitShape<typeof wire.TranscodeResultSchema>) =>
    toBinary(wire.TranscodeResultSchema, create(wire.TranscodeResultSchema, part))
  return concatBytes(
    encode({ seq: result.seq, ...(result.info && { info: writeInfo(result.info) }) }),
    encode({ result: writeOutcome(result.outcome) }),
  )
}

function writeOutcome(
  outcome: TranscodeResult['outcome'],
): NonNullable<MessageInitShape<typeof wire.TranscodeResultSchema>['result']> {
  switch (outcome.kind) {
    case 'none':
      return { case: undefined }
    case 'error':
      return { case: 'error', value: outcome.text }
    case 'data':
      return {
        case: 'data',
        value: {
          segments: outcome.renditions.map(({ url, pixels, perceptualHashUrl }) => ({
            url,
            pixels,
            perceptualHashUrl,
          })),
          sig: outcome.sig,
        },
      }
  }
}

/** Reads the bytes of a TranscodeResult. */
export function decodeTranscodeResult(bytes: Uint8Array): TranscodeResult {
  const message = parseMessage(wire.TranscodeResultSchema, bytes)
  return {
    seq: message.seq,
    info: message.info ? readInfo(message.info) : null,
    outcome: readOutcome(message.result),
  }
}

function readOutcome(result: wire.TranscodeResult['result']): TranscodeResult['outcome'] {
  switch (result.case) {
    case undefined:
      return { kind: 'none' }
    case 'error':
      return { kind: 'error', text: result.value.slice(0, MAX_ERROR_TEXT) }
    case 'data': {
      const renditions = list(result.value.segments, 'renditions', MAX_RENDITIONS).map((rendition) => {
        if (rendition.pixels < 0n) throw badMessage('the pixels are negative')
        return {
          url: text(rendition.url, 'rendition URL', MAX_URL),
          pixels: rendition.pixels,
          perceptualHashUrl: text(rendition.perceptualHashUrl, 'hash URL', MAX_URL),
        }
      })
      return { kind: 'data', renditions, sig: result.value.sig }
    }
  }
}

/** The bytes of a PaymentResult (wire.md §11). */
export function encodePaymentResult(info: OrchestratorInfo | null): Uint8Array {
  return toBinary(
    wire.PaymentResultSchema,
    create(wire.PaymentResultSchema, info ? { info: writeInfo(info) } : {}),
  )
}

/** Reads the bytes of a PaymentResult. */
export function decodePaymentResult(bytes: Uint8Array): OrchestratorInfo | null {
  const { info } = parseMessage(wire.PaymentResultSchema, bytes)
  return info ? readInfo(info) : null
}

// Parts.

/** Capabilities, as they travel: the constraints always, even empty (wire.md §7). */
export function writeCapabilities(
  capabilities: Capabilities,
): MessageInitShape<typeof wire.CapabilitiesSchema> {
  const perCapability: Record<number, { models: Record<string, ModelConstraint> }> = {}
  for (const [number, models] of capabilities.perCapability) {
    perCapability[number] = { models: Object.fromEntries(models) }
  }
  return {
    bitstring: [...capabilities.bitstring],
    mandatories: [...capabilities.mandatories],
    capacities: Object.fromEntries(capabilities.capacities),
    version: capabilities.version,
    constraints: { minVersion: capabilities.minVersion, PerCapability: perCapability },
  }
}

/** Reads capabilities. Trailing zero words are dropped: the domain knows none. */
export function readCapabilities(message: wire.Capabilities): Capabilities {
  const capacities = Object.entries(message.capacities)
  const perCapability = Object.entries(message.constraints?.PerCapability ?? {})
  return {
    bitstring: trimmed(list(message.bitstring, 'capability words', MAX_CAPABILITY_WORDS)),
    mandatories: trimmed(list(message.mandatories, 'capability words', MAX_CAPABILITY_WORDS)),
    capacities: new Map(
      list(capacities, 'capacities', MAX_CAPACITIES).map(([number, capacity]) => [Number(number), capacity]),
    ),
    version: text(message.version, 'version', MAX_NAME),
    minVersion: text(message.constraints?.minVersion ?? '', 'version', MAX_NAME),
    perCapability: new Map(
      list(perCapability, 'constrained capabilities', MAX_CAPACITIES).map(([number, { models }]) => [
        Number(number),
        new Map(list(Object.entries(models), 'models', MAX_MODELS).map(readModel)),
      ]),
    ),
  }
}

function readModel([name, model]: [string, wire.Capabilities_CapabilityConstraints_ModelConstraint]): [
  string,
  ModelConstraint,
] {
  const { warm, capacity, capacityInUse } = model
  const runnerVersion = text(model.runnerVersion, 'version', MAX_NAME)
  return [text(name, 'model name', MAX_NAME), { warm, capacity, runnerVersion, capacityInUse }]
}

function writeStorage(storage: StorageInfo): MessageInitShape<typeof wire.OSInfoSchema> {
  return {
    storageType: STORAGE_KINDS[storage.kind],
    ...(storage.s3 && { s3info: storage.s3 }),
  }
}

function readStorage(message: wire.OSInfo): StorageInfo {
  const s3 = message.s3info
  return {
    kind: choice(STORAGE_KINDS, message.storageType, 'unrecognized storage type'),
    s3: s3
      ? {
          host: text(s3.host, 'storage host', MAX_URL),
          key: text(s3.key, 'storage key', MAX_CREDENTIAL),
          policy: text(s3.policy, 'storage policy', MAX_CREDENTIAL),
          signature: text(s3.signature, 'storage signature', MAX_CREDENTIAL),
          credential: text(s3.credential, 'storage credential', MAX_CREDENTIAL),
          xAmzDate: text(s3.xAmzDate, 'storage date', MAX_CREDENTIAL),
        }
      : null,
  }
}

/** An address of whatever length: short ones are padded, long ones cut in front (wire.md §6). */
export function readAddress(bytes: Uint8Array): Address {
  return checksumAddress(leftPad(bytes, 20))
}

/** An integer of at most 256 bits; leading zeros do no harm. */
function readInt(bytes: Uint8Array, what: string): bigint {
  let start = 0
  while (bytes[start] === 0) start++
  if (bytes.length - start > MAX_INT_BYTES) throw badMessage(`the ${what} has more than 256 bits`)
  return bytesToInt(bytes.subarray(start))
}

function trimmed(words: readonly bigint[]): bigint[] {
  let end = words.length
  while (end > 0 && words[end - 1] === 0n) end--
  return words.slice(0, end)
}

function text(value: string, what: string, limit: number): string {
  if (value.length > limit) throw badMessage(`the ${what} has more than ${limit} characters`)
  return value
}

function list<Item>(items: readonly Item[], what: string, limit: number): readonly Item[] {
  if (items.length > limit) throw badMessage(`more than ${limit} ${what}`)
  return items
}

function choice<Word extends string>(
  numbers: Readonly<Record<Word, number>>,
  number: number,
  message: string,
): Word {
  for (const word in numbers) if (numbers[word] === number) return word
  throw new WireError('bad-enum', message)
}

function badMessage(what: string): WireError {
  return new WireError('bad-message', `cannot accept the message: ${what}`)
}
