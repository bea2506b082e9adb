import assert from 'node:assert/strict'
import { test } from 'node:test'
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
} from '../../../test/net/rtmp.ts'
import { type AmfValue, readAmf, type WrittenValue, writeAmf } from './amf.ts'
import { ByteReader } from './byte-reader.ts'
import { ChunkReader, MAX_BYTES_BEGUN, MESSAGE, type Message } from './chunks.ts'
import { digestOf } from './handshake.ts'
import { RtmpError } from './rtmp-error.ts'
import { type RtmpEvent, RtmpSession } from './rtmp-session.ts'

/** A session that accepts everything, and what it said. */
function world({ accepts = true } = {}) {
  const events: RtmpEvent[] = []
  const sent: Uint8Array[] = []
  const session: RtmpSession = new RtmpSession({
    send: (bytes) => sent.push(bytes),
    emit: (event) => {
      events.push(event)
      if (accepts && (event.kind === 'publish' || event.kind === 'play')) session.accept()
    },
    random: () => new Uint8Array(3072).fill(9),
  })
  const say = (messages: readonly Message[], habits?: ChunkHabits) =>
    messages.forEach((message) => void session.push(chunksOf(message, habits)))
  /** Answers to commands, after the handshake's. */
  const answers = () => {
    const messages: Message[] = []
    const reader = new ChunkReader((message) => messages.push(message))
    for (const bytes of sent.slice(1)) reader.push(bytes)
    return messages.map((message) => ({
      ...message,
      amf: message.type === MESSAGE.commandAmf0 ? readAmf(new ByteReader(message.payload)) : [],
    }))
  }
  return { session, events, sent, say, answers }
}

function shaken(options?: { accepts: boolean }) {
  const opened = world(options)
  opened.session.push(plainHello())
  opened.session.push(plainReply)
  return opened
}

const bytesOf = (length: number) => Uint8Array.from({ length }, (_, i) => i % 251)
const media = (type: number, timestamp: number, length: number): Message => ({
  ...{ type, streamId: 1, timestamp, payload: bytesOf(length) },
})
const code = (value: AmfValue | undefined) => (value instanceof Map ? value.get('code') : null)

test('a client that does not sign gets its own bytes back', () => {
  const { sent, session } = world()
  session.push(plainHello())
  assert.equal(sent[0]!.length, 1 + 2 * 1536)
  assert.deepEqual(Buffer.from(sent[0]!.subarray(1537)), Buffer.from(plainHello().subarray(1)))
})

for (const block of [8, 772] as const) {
  test(`a client that signs in the block at ${block} gets a signed answer`, () => {
    const { sent, session } = world()
    session.push(signedHello(block))
    const s1 = sent[0]!.subarray(1, 1537)
    assert.equal(digestOf(s1, Buffer.from('Genuine Adobe Flash Media Server 001'))?.block, block)
    session.push(plainReply)
    assert.ok(session.isOpen)
  })
}

test('a client that names a version but does not sign is answered, where peers stay silent', () => {
  const hello = Buffer.from(plainHello())
  hello.set([9, 0, 124, 2], 5)
  const { sent, session } = world()
  session.push(hello)
  assert.deepEqual(Buffer.from(sent[0]!.subarray(1537)), Buffer.from(hello.subarray(1)))
})

test('another protocol is refused at its first byte', () => {
  assert.throws(
    () => world().session.push(Buffer.from('GET / HTTP/1.1')),
    (error) =>
      error instanceof RtmpError && error.message === 'the first byte is 71, not 3: this is not plain RTMP',
  )
})

test('connect, releaseStream, FCPublish, createStream and publish are answered as peers do', () => {
  const { answers, events, say } = shaken()
  say(publishing('live', 'movie?token=x'))
  assert.deepEqual(events, [
    { kind: 'publish', request: { app: 'live', tcUrl: 'rtmp://127.0.0.1/live', name: 'movie?token=x' } },
  ])
  const [chunkSize, window, bandwidth, connected, , , created, published] = answers()
  assert.equal(Buffer.from(chunkSize!.payload).toString('hex'), '00a00000')
  assert.equal(Buffer.from(window!.payload).toString('hex'), '004c4b40')
  assert.equal(Buffer.from(bandwidth!.payload).toString('hex'), '004c4b4002')
  assert.equal(connected!.amf[0], '_result')
  assert.equal(code(connected!.amf[3]), 'NetConnection.Connect.Success')
  assert.deepEqual(created!.amf, ['_result', 4, null, 1])
  assert.equal(published!.streamId, 1)
  assert.deepEqual(published!.amf.slice(0, 2), ['onStatus', 5])
  assert.equal(code(published!.amf[3]), 'NetStream.Publish.Start')
})

test('commands in AMF3 are understood', () => {
  const { events, say } = shaken()
  const object = Buffer.from([0x11, 10, 11, 1, 7, 0x61, 0x70, 0x70, 6, 7, 0x61, 0x62, 0x63, 1])
  const amf3 = (...parts: readonly Uint8Array[]): Message => ({
    ...{ type: MESSAGE.commandAmf3, streamId: 0, timestamp: 0 },
    payload: Buffer.concat([Buffer.from([0]), ...parts]),
  })
  say([amf3(writeAmf('connect', 1), object), command(0, 'createStream', 2, null)])
  say([amf3(writeAmf('publish', 3, null, 'n'))])
  assert.deepEqual(events, [{ kind: 'publish', request: { app: 'abc', tcUrl: '', name: 'n' } }])
})

test('every split of a conversation gives the same events', () => {
  const whole = Buffer.concat([
    ...[plainHello(), plainReply, ...publishing('live', 'movie').map((message) => chunksOf(message))],
    chunksOf(setChunkSize(60)),
    chunksOf(media(MESSAGE.video, 0x1000000, 333), { chunkBytes: 60, chunkStream: 70 }),
    chunksOf(media(MESSAGE.audio, 40, 61), { chunkBytes: 60, chunkStream: 400 }),
    chunksOf(command(0, 'deleteStream', 6, null, 1), { chunkBytes: 60 }),
  ])
  const expected = world()
  expected.session.push(whole)
  assert.deepEqual(
    expected.events.map(({ kind }) => kind),
    ['publish', 'video', 'audio', 'end'],
  )
  assert.equal(expected.session.bytesHeld, 0)
  for (let at = 3000; at < whole.length; at++) {
    const { events, session } = world()
    session.push(whole.subarray(0, at))
    session.push(whole.subarray(at))
    assert.deepEqual(events, expected.events, `split at ${at}`)
  }
  const bytewise = world()
  for (const byte of whole) bytewise.session.push(Uint8Array.of(byte))
  assert.deepEqual(bytewise.events, expected.events)
})

test('headers of types 1, 2 and 3 take what they leave out from the last one', () => {
  const messages: Message[] = []
  const reader = new ChunkReader((message) => messages.push(message))
  const header = (format: number, ...bytes: readonly number[]) => [...basic(format, 6), ...bytes]
  reader.push(Uint8Array.from(header(0, 0, 0, 100, 0, 0, 1, 9, 1, 0, 0, 0).concat(11)))
  reader.push(Uint8Array.from(header(1, 0, 0, 20, 0, 0, 2, 8).concat(22, 23)))
  reader.push(Uint8Array.from(header(2, 0, 0, 5).concat(33, 34)))
  reader.push(Uint8Array.from(header(3).concat(44, 45)))
  assert.deepEqual(
    messages.map(({ payload, timestamp, ...rest }) => ({ ...rest, timestamp, payload: [...payload] })),
    [
      { type: 9, streamId: 1, timestamp: 100, payload: [11] },
      { type: 8, streamId: 1, timestamp: 120, payload: [22, 23] },
      { type: 8, streamId: 1, timestamp: 125, payload: [33, 34] },
      { type: 8, streamId: 1, timestamp: 130, payload: [44, 45] },
    ],
  )
})

for (const bareContinuation of [false, true]) {
  test(`extended timestamps ${bareContinuation ? 'left out of' : 'repeated in'} later chunks are read`, () => {
    const { events, say } = shaken()
    say(publishing('live', 'movie'))
    say([media(MESSAGE.video, 0xfffffffe, 500)], { bareContinuation })
    assert.deepEqual(events.at(-1), { kind: 'video', timestamp: 0xfffffffe, payload: bytesOf(500) })
  })
}

test('aggregates are taken apart, with times counted from the first tag', () => {
  const { events, say } = shaken()
  say(publishing('live', 'movie'))
  const tag = (type: number, time: number, body: number) => [
    ...[type, 0, 0, 1, 0, 0, time, 0, 0, 0, 0, body, 0, 0, 0, 12],
  ]
  const payload = Uint8Array.from([...tag(8, 10, 1), ...tag(9, 33, 2)])
  say([{ type: MESSAGE.aggregate, streamId: 1, timestamp: 5000, payload }])
  assert.deepEqual(events.slice(1), [
    { kind: 'audio', timestamp: 5000, payload: Uint8Array.of(1) },
    { kind: 'video', timestamp: 5023, payload: Uint8Array.of(2) },
  ])
})

test('a tag of an aggregate is a copy, which does not keep the rest of the aggregate in memory', () => {
  const { events, say } = shaken()
  say(publishing('live', 'movie'))
  const unread = [8, 0, 0x0f, 0xa0, 0, 0, 0, 0, 0, 0, 0, ...bytesOf(4_000), 0, 0, 0, 0]
  const payload = Uint8Array.from([9, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 12, ...unread])
  say([{ type: MESSAGE.aggregate, streamId: 1, timestamp: 0, payload }])
  const video = events[1]
  assert.ok(video?.kind === 'video' && video.payload.buffer.byteLength === 1)
})

test('an aggregate of a client that does not publish is not taken apart', () => {
  const { events, say } = shaken()
  const payload = Uint8Array.from([22, 0xff, 0xff, 0xff])
  say([{ type: MESSAGE.aggregate, streamId: 1, timestamp: 0, payload }])
  assert.deepEqual(events, [])
})

test('a refused publisher is told the reason, and its media is dropped', () => {
  const { answers, events, say, session } = shaken({ accepts: false })
  say(publishing('live', 'movie'))
  session.refuse('NetStream.Publish.BadName', 'movie is being published by another connection')
  say([media(MESSAGE.video, 0, 10)])
  assert.equal(events.length, 1)
  const status = answers().at(-1)!.amf
  assert.equal(code(status[3]), 'NetStream.Publish.BadName')
})

test('metadata is read with and without the order to keep it', () => {
  const { events, say } = shaken()
  say(publishing('live', 'movie'))
  const data = (...values: readonly WrittenValue[]): Message => ({
    ...{ type: MESSAGE.dataAmf0, streamId: 1, timestamp: 0, payload: writeAmf(...values) },
  })
  say([data('@setDataFrame', 'onMetaData', { width: 160 }), data('onMetaData', { width: 160 })])
  const [, first, second] = events
  assert.deepEqual(first, second)
  assert.ok(first?.kind === 'metadata' && first.metadata.get('width') === 160)
  assert.deepEqual(Buffer.from(first.payload), Buffer.from(writeAmf('onMetaData', { width: 160 })))
})

test('pings are answered and bytes acknowledged', () => {
  const { answers, say } = shaken()
  say(publishing('live', 'movie'))
  const ping = Uint8Array.of(0, 6, 1, 2, 3, 4)
  say([{ type: MESSAGE.userControl, streamId: 0, timestamp: 0, payload: ping }])
  assert.deepEqual([...answers().at(-1)!.payload], [0, 7, 1, 2, 3, 4])
  say([{ type: MESSAGE.windowAckSize, streamId: 0, timestamp: 0, payload: Uint8Array.of(0, 0, 0, 1) }])
  say([media(MESSAGE.video, 0, 20_000)])
  assert.equal(answers().filter(({ type }) => type === MESSAGE.acknowledgement).length, 1)
})

const refused: readonly (readonly [what: string, messages: readonly Message[], text: RegExp])[] = [
  ['a chunk size of 0', [setChunkSize(0)], /^a chunk size of 0 bytes$/],
  [
    'publish before connect',
    [command(1, 'publish', 5, null, 'x')],
    /^the client asks to publish before it connects$/,
  ],
  ['a second connect', [command(0, 'connect', 1, {}), command(0, 'connect', 1, {})], /connects twice/],
  [
    'two streams at once',
    [...publishing('a', 'b'), command(2, 'publish', 6, null, 'c')],
    /one stream at a time/,
  ],
  [
    'a command of 70 kB',
    [command(0, 'connect', 1, 'x'.repeat(65_000), 'x'.repeat(5_000))],
    /more than 65536/,
  ],
  [
    'a name of 2,000 characters',
    [command(0, 'connect', 1, { app: 'x'.repeat(2_000) })],
    /^a name has 2000 characters, more than 1024$/,
  ],
  [
    'objects in objects',
    [command(0, 'connect', 1, { a: { a: { a: { a: { a: { a: { a: { a: { a: 1 } } } } } } } } })],
    /more than 8 levels/,
  ],
  [
    'a command in an aggregate',
    [
      ...publishing('a', 'b'),
      {
        ...{ type: MESSAGE.aggregate, streamId: 1, timestamp: 0 },
        payload: Uint8Array.of(20, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5),
      },
    ],
    /^an aggregate holds a message of type 20, which is neither media nor metadata$/,
  ],
  [
    'seventeen streams',
    [command(0, 'connect', 1, {}), ...Array.from({ length: 17 }, () => command(0, 'createStream', 2, null))],
    /more than 16 streams/,
  ],
]
for (const [what, messages, text] of refused) {
  test(`${what} ends the connection with a reason`, () => {
    const { say } = shaken()
    assert.throws(
      () => say(messages),
      (error) => error instanceof RtmpError && text.test(error.message),
    )
  })
}

test('a declared length takes no memory, and begun messages are bounded together', () => {
  const { say, session } = shaken()
  const begin = (id: number, length: number) =>
    Buffer.concat([
      basic(0, id),
      Buffer.from([0, 0, 0, length >> 16, (length >> 8) & 255, length & 255, 9, 1, 0, 0, 0]),
    ])
  const ids = Array.from({ length: 57 }, (_, i) => i + 3)
  for (const id of ids) session.push(Buffer.concat([begin(id, 8_000_000), bytesOf(128)]))
  assert.ok(session.bytesHeld < 300_000)
  say([setChunkSize(50_000)], { chunkStream: 2 })
  const part = bytesOf(50_000)
  assert.throws(() => {
    for (let round = 0; round < 100; round++) {
      for (const id of ids) session.push(Buffer.concat([basic(3, id), part]))
      assert.ok(session.bytesHeld <= MAX_BYTES_BEGUN)
    }
  }, /messages of more than 12000000 bytes have begun/)
})
