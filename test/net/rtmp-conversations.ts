import { writeAmf } from '../../src/io/rtmp/amf.ts'
import { MESSAGE, type Message } from '../../src/io/rtmp/chunks.ts'
import type { RtmpFault } from '../../src/io/rtmp/rtmp-error.ts'
import {
  basic,
  type ChunkHabits,
  chunksOf,
  command,
  plainHello,
  plainReply,
  publishing,
  setChunkSize,
  signedHello,
} from './rtmp.ts'

/** A message as it is written, or bytes that are not a whole one. */
export interface Part {
  readonly bytes: Uint8Array
  readonly message: Message | null
  readonly habits: ChunkHabits
}

/** What a client says over one connection. */
export interface Conversation {
  readonly name: string
  /** C0, C1 and C2. */
  readonly hello: Uint8Array
  readonly parts: readonly Part[]
  /** The first part behind the request to publish or play. */
  readonly mediaFrom: number
  /** The part that ends the stream, or their number. */
  readonly endAt: number
}

const plain: Uint8Array = Buffer.concat([plainHello(), plainReply])
const metadata = { width: 160, height: 120, videocodecid: 7, audiocodecid: 10, encoder: 'none' }

/** A message of a published stream. */
export function media(type: number, timestamp: number, ...payload: readonly number[]): Message {
  return { type, streamId: 1, timestamp, payload: Uint8Array.from(payload) }
}

const data = (type: number, payload: Uint8Array): Message => ({ type, streamId: 1, timestamp: 0, payload })
/** The parameters of a published H.264 stream. */
export const avcConfig = media(
  MESSAGE.video,
  0,
  ...[0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 10, 0xff, 0xe1, 0, 2, 0x67, 0x42, 1, 0, 1, 0x68],
)
const aacConfig = media(MESSAGE.audio, 0, 0xaf, 0, 0x12, 0x08)
const picture = (timestamp: number, isKey: boolean, delayMs = 0) =>
  media(
    MESSAGE.video,
    timestamp,
    ...[isKey ? 0x17 : 0x27, 1, 0, delayMs >> 8, delayMs & 0xff, 0, 0, 0, 2, isKey ? 0x65 : 0x41, 0x88],
  )
const sound = (timestamp: number, bytes: number) =>
  media(MESSAGE.audio, timestamp, 0xaf, 1, ...Array<number>(bytes).fill(1))
const ends = [command(1, 'FCUnpublish', 6, null, 'movie'), command(1, 'deleteStream', 7, null, 1)]
const setMetadata = data(MESSAGE.dataAmf0, writeAmf('@setDataFrame', 'onMetaData', metadata))
/** What a client that wastes no words says up to its first media. */
const briefly = [
  command(0, 'connect', 1, { app: 'live', tcUrl: 'rtmp://127.0.0.1/live' }),
  command(0, 'createStream', 2, null),
  command(1, 'publish', 3, null, 'movie', 'live'),
]

const part = (message: Message, habits: ChunkHabits = {}): Part => ({
  ...{ bytes: chunksOf(message, habits), message, habits },
})
const raw = (...bytes: readonly number[]): Part => ({
  ...{ bytes: Uint8Array.from(bytes), message: null, habits: {} },
})

interface Written {
  readonly hello?: Uint8Array
  readonly request?: readonly Message[]
  readonly media: readonly (Message | Part)[]
  readonly end?: readonly Message[]
  /** Of everything behind the request, whose chunks are announced. */
  readonly habits?: ChunkHabits
}

function conversation(
  name: string,
  { end = ends, habits = {}, hello = plain, media, request = briefly }: Written,
): Conversation {
  const size = habits.chunkBytes
  const before = [
    ...request.map((message) => part(message)),
    ...(size ? [part(setChunkSize(size), { chunkStream: 2 })] : []),
  ]
  const between = media.map((item) => ('bytes' in item ? item : part(item, habits)))
  const parts = [...before, ...between, ...end.map((message) => part(message, habits))]
  return { name, hello, parts, mediaFrom: before.length, endAt: before.length + between.length }
}

/** Three groups of pictures of 2 s with sound, whose pictures are shown later than they are decoded. */
const groups = Array.from({ length: 9 }, (_, i) => i * 500).flatMap((at) => [
  picture(at, at % 2000 === 0, at % 1000 === 0 ? 40 : 0),
  sound(at + 10, 12),
])

const amf3 = (streamId: number, ...payload: readonly Uint8Array[]): Message => ({
  ...{ type: MESSAGE.commandAmf3, streamId, timestamp: 0 },
  payload: Buffer.concat([Buffer.of(0), ...payload]),
})
const ascii3 = (text: string) => [text.length * 2 + 1, ...Buffer.from(text)]
/** An object with the class `x`, whose one property is `app`, and dynamic ones with an array and a number in them. */
const object3 = Buffer.from([
  ...[0x11, 10, 0x1b, ...ascii3('x'), ...ascii3('app'), 6, ...ascii3('live')],
  ...[...ascii3('list'), 9, 5, 1, 4, 7, 2, ...ascii3('rate'), 5, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 1],
])

const tag = ({ payload, timestamp, type }: Message) => [
  ...[type, 0, payload.length >> 8, payload.length & 0xff],
  ...[(timestamp >> 16) & 0xff, (timestamp >> 8) & 0xff, timestamp & 0xff, timestamp >>> 24, 0, 0, 0],
  ...[...payload, 0, 0, 0, payload.length + 11],
]
const aggregate = (timestamp: number, ...messages: readonly Message[]): Message =>
  media(MESSAGE.aggregate, timestamp, ...messages.flatMap(tag))

const control = (type: number, ...payload: readonly number[]): Message => ({
  ...{ type, streamId: 0, timestamp: 0, payload: Uint8Array.from(payload) },
})
/** A chunk on chunk stream 6 with a header of this type. */
const chunk = (format: number, ...rest: readonly number[]) => raw(...basic(format, 6), ...rest)
const key = [...picture(0, true).payload]

/** Clients of every kind that the port serves. */
export const conversations: readonly Conversation[] = [
  ...(
    [
      ['an encoder', plain, 128, 3],
      ['an encoder that signs, with large chunks', Buffer.concat([signedHello(8), plainReply]), 4096, 70],
      ['an encoder that signs, with small chunks', Buffer.concat([signedHello(772), plainReply]), 60, 400],
    ] as const
  ).map(([name, hello, chunkBytes, chunkStream]) =>
    conversation(name, {
      ...{ hello, request: publishing('live', 'movie'), habits: { chunkBytes, chunkStream } },
      media: [setMetadata, avcConfig, aacConfig, ...groups.slice(0, 4), sound(2000, 150), ...groups.slice(8)],
    }),
  ),
  conversation('a brief publisher', { media: [avcConfig, picture(0, true), picture(40, false)] }),
  conversation('groups of pictures', { media: [avcConfig, aacConfig, ...groups] }),
  conversation('commands and metadata in AMF3', {
    request: [
      amf3(0, writeAmf('connect', 1), object3),
      amf3(0, writeAmf('createStream', 2, null)),
      amf3(1, writeAmf('publish', 3, null, 'movie')),
    ],
    media: [
      data(MESSAGE.dataAmf3, Buffer.concat([Buffer.of(0), writeAmf('onMetaData'), object3])),
      ...[avcConfig, picture(0, true), picture(33, false)],
    ],
    end: [amf3(1, writeAmf('closeStream', 0, null))],
  }),
  conversation('aggregates', {
    media: [
      aggregate(0, setMetadata, avcConfig, aacConfig, picture(0, true)),
      aggregate(40, sound(0, 9), picture(20, false), sound(20, 9)),
      aggregate(2100, picture(2100, true), sound(2110, 9)),
    ],
  }),
  conversation('short headers', {
    media: [
      avcConfig,
      chunk(0, 0, 0, 0, 0, 0, 11, MESSAGE.video, 1, 0, 0, 0, ...key),
      chunk(1, 0, 0, 40, 0, 0, 9, MESSAGE.video, 0x27, 1, 0, 0, 0, 0, 0, 0, 0),
      chunk(2, 0, 0, 40, 0x27, 1, 0, 0, 0, 0, 0, 0, 0),
      chunk(3, 0x27, 1, 0, 0, 0, 0, 0, 0, 0),
      chunk(1, 0xff, 0xff, 0xff, 0, 0, 11, MESSAGE.video, 0, 0, 8, 0, ...key),
      chunk(3, 0, 0, 8, 0, ...key),
    ],
  }),
  conversation('messages between the chunks of others', {
    habits: { chunkBytes: 64 },
    media: [
      ...[avcConfig, aacConfig],
      chunk(0, 0, 0, 0, 0, 0, 80, MESSAGE.video, 1, 0, 0, 0, ...key, ...Array<number>(53).fill(0)),
      ...[sound(0, 20), sound(20, 20)],
      chunk(3, ...Array<number>(16).fill(0)),
      chunk(0, 0, 0, 90, 0, 0, 80, MESSAGE.video, 1, 0, 0, 0, ...key, ...Array<number>(53).fill(0)),
      control(MESSAGE.abort, 0, 0, 0, 6),
      picture(2200, true),
    ],
  }),
  conversation('times that wrap', {
    habits: { chunkBytes: 40 },
    media: [
      ...[avcConfig, aacConfig],
      ...[picture(0xfffff800, true), sound(0xfffff810, 60), picture(0xffffff00, false)],
      ...[picture(100, true), sound(110, 60), picture(5_000_000, false), picture(5_002_500, true)],
    ],
  }),
  conversation('enhanced H.264 and MP3', {
    media: [
      media(MESSAGE.video, 0, 0x90, ...Buffer.from('avc1'), ...avcConfig.payload.subarray(5)),
      media(MESSAGE.video, 0, 0x91, ...Buffer.from('avc1'), 0, 0, 40, ...key.slice(5)),
      media(MESSAGE.audio, 20, 0x2f, 0xff, 0xfb, 0x90, 0),
      media(MESSAGE.video, 40, 0xa3, ...Buffer.from('avc1'), 0, 0, 0, 2, 0x41, 0x9a),
      media(MESSAGE.audio, 60, 0x91, ...Buffer.from('.mp3'), 0xff, 0xfb, 0x90, 0),
    ],
  }),
  conversation('sound alone', {
    media: [aacConfig, ...Array.from({ length: 9 }, (_, i) => sound(i * 600, 10 + i))],
  }),
  conversation('orders about the connection', {
    media: [
      control(MESSAGE.windowAckSize, 0, 0, 0x40, 0),
      control(MESSAGE.setPeerBandwidth, 0, 0x4c, 0x4b, 0x40, 2),
      control(MESSAGE.userControl, 0, 6, 1, 2, 3, 4),
      control(MESSAGE.acknowledgement, 0, 0, 12, 0),
      ...[avcConfig, picture(0, true), setChunkSize(200), picture(40, false)],
    ],
  }),
  conversation('a player', {
    request: [...briefly.slice(0, 2), command(1, 'play', 3, null, 'movie', -1000)],
    media: [control(MESSAGE.userControl, 0, 3, 0, 0, 0, 1, 0, 0, 3, 0xe8), picture(0, true)],
    end: ends.slice(1),
  }),
]

const nested = (levels: number): { a: unknown } => ({ a: levels === 1 ? 1 : nested(levels - 1) })
const config = (...bytes: readonly number[]) => media(MESSAGE.video, 0, 0x17, 0, 0, 0, 0, ...bytes)
/** Messages in one chunk each, whatever chunks the client has announced. */
const whole = (...messages: readonly Message[]): Uint8Array =>
  Buffer.concat([
    chunksOf(setChunkSize(70_000), { chunkStream: 2 }),
    ...messages.map((message) => chunksOf(message, { chunkBytes: 70_000 })),
  ])

/** What must end a connection wherever a client says it. */
export interface Forbidden {
  readonly what: string
  readonly bytes: Uint8Array
  readonly code: RtmpFault
}

/** Refused of every client. */
export const forbidden: readonly Forbidden[] = [
  { what: 'a chunk size of 0', code: 'protocol', bytes: whole(setChunkSize(0)) },
  { what: 'a chunk size of 2^31', code: 'protocol', bytes: whole(setChunkSize(2 ** 31)) },
  {
    ...{ what: 'a message of more than 8 MB', code: 'limit' },
    bytes: Buffer.of(9, 0, 0, 0, 0x7a, 0x12, 0x01, MESSAGE.video, 1, 0, 0, 0),
  },
  {
    ...{ what: 'too many chunk streams', code: 'limit' },
    bytes: Buffer.concat(Array.from({ length: 65 }, (_, i) => [basic(0, 500 + i), Buffer.alloc(11)]).flat()),
  },
  {
    ...{ what: 'too many streams', code: 'limit' },
    bytes: whole(...Array<Message>(17).fill(command(0, 'createStream', 9, null))),
  },
  { what: 'a second connect', code: 'protocol', bytes: whole(command(0, 'connect', 1, { app: 'live' })) },
  { what: 'a chunk that nothing began', code: 'protocol', bytes: basic(3, 1_000) },
  { what: 'a message without a length', code: 'protocol', bytes: Buffer.of(0x8c, 0, 0, 0) },
  {
    ...{ what: 'too many values', code: 'limit' },
    bytes: whole({ ...command(0), payload: new Uint8Array(4_001).fill(5) }),
  },
  {
    ...{ what: 'objects in too many objects', code: 'limit' },
    bytes: whole(command(0, 'onFCPublish', 0, nested(9) as { a: number })),
  },
  { what: 'an unknown value', code: 'protocol', bytes: whole({ ...command(0), payload: Buffer.of(14) }) },
  {
    ...{ what: 'a long command', code: 'limit' },
    bytes: whole(command(0, 'x', 0, 'x'.repeat(65_500), 'x'.repeat(100))),
  },
]

/** Refused of publishers. */
export const forbiddenWhilePublishing: readonly Forbidden[] = [
  { what: 'a second request', code: 'limit', bytes: whole(command(2, 'publish', 9, null, 'another')) },
  {
    ...{ what: 'an aggregate of aggregates', code: 'protocol' },
    bytes: whole(aggregate(0, aggregate(0, aacConfig))),
  },
  {
    ...{ what: 'a command in an aggregate', code: 'protocol' },
    bytes: whole(aggregate(0, command(0, 'createStream', 9, null))),
  },
  {
    ...{ what: 'an aggregate that ends too early', code: 'protocol' },
    bytes: whole(media(MESSAGE.aggregate, 0, ...tag(aacConfig).slice(0, -6))),
  },
  { what: 'HEVC', code: 'media', bytes: whole(media(MESSAGE.video, 0, 0x90, ...Buffer.from('hvc1'))) },
  { what: 'Speex', code: 'media', bytes: whole(media(MESSAGE.audio, 0, 0xb6, 1)) },
  { what: 'AAC of no known kind', code: 'media', bytes: whole(media(MESSAGE.audio, 0, 0xaf, 0, 0xff, 0xff)) },
  {
    ...{ what: 'too many parameter sets', code: 'limit' },
    bytes: whole(config(1, 0x42, 0xc0, 10, 0xff, 0xe0, 33, ...Array<number>(66).fill(0))),
  },
  {
    ...{ what: 'parameters that are too long', code: 'limit' },
    bytes: whole(config(...Array<number>(16_385).fill(0))),
  },
]
