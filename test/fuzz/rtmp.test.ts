import assert from 'node:assert/strict'
import { test } from 'node:test'
import { writeAmf } from '../../src/io/rtmp/amf.ts'
import { MAX_BYTES_BEGUN, MESSAGE, type Message } from '../../src/io/rtmp/chunks.ts'
import { RtmpError } from '../../src/io/rtmp/rtmp-error.ts'
import { RtmpSession } from '../../src/io/rtmp/rtmp-session.ts'
import { SegmentCutter } from '../../src/io/rtmp/segment-cutter.ts'
import type { Dice } from '../../src/lib/dice.ts'
import { quickDice } from '../fakes/quick-dice.ts'
import {
  chunksOf,
  command,
  plainHello,
  plainReply,
  publishing,
  setChunkSize,
  signedHello,
} from '../net/rtmp.ts'

/** Environment: how many connections, and the seed that repeats a run. */
const CONNECTIONS = Number(process.env.RTMP_CONNECTIONS ?? 5_000)
const SEED = process.env.RTMP_SEED ?? 'rtmp'
/** What the handshake and the commands of a connection may hold beside messages that have begun. */
const MAX_HELD = MAX_BYTES_BEGUN + 4_096
/** An answer for each command, however many there are. */
const MAX_SENT_PER_BYTE = 40

const media = (type: number, timestamp: number, ...payload: readonly number[]): Message => ({
  ...{ type, streamId: 1, timestamp, payload: Uint8Array.from(payload) },
})
const metadata = { width: 160, height: 120, videocodecid: 7, audiocodecid: 10, encoder: 'none' }

/** Connections as encoders open them, whole. */
const specimens: readonly Uint8Array[] = [
  [plainHello(), 128, 3] as const,
  [signedHello(8), 4096, 70] as const,
  [signedHello(772), 60, 400] as const,
].map(([hello, chunkBytes, chunkStream]) =>
  Buffer.concat([
    ...[hello, plainReply, ...publishing('live', 'movie').map((message) => chunksOf(message))],
    chunksOf(setChunkSize(chunkBytes), { chunkStream: 2 }),
    ...[
      {
        ...{ type: MESSAGE.dataAmf0, streamId: 1, timestamp: 0 },
        payload: writeAmf('@setDataFrame', 'onMetaData', metadata),
      },
      media(
        MESSAGE.video,
        0,
        0x17,
        0,
        0,
        0,
        0,
        1,
        0x42,
        0xc0,
        10,
        0xff,
        0xe1,
        0,
        2,
        0x67,
        0x42,
        1,
        0,
        1,
        0x68,
      ),
      media(MESSAGE.audio, 0, 0xaf, 0, 0x12, 0x08),
      media(MESSAGE.video, 0, 0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0x88),
      media(MESSAGE.audio, 20, 0xaf, 1, ...Buffer.alloc(150, 1)),
      media(MESSAGE.video, 0x1000000, 0x27, 1, 0, 0, 40, 0, 0, 0, 2, 0x41, 0x9a),
      command(1, 'FCUnpublish', 6, null, 'movie'),
      command(1, 'deleteStream', 7, null, 1),
    ].map((message) => chunksOf(message, { chunkBytes, chunkStream })),
  ]),
)

test(`${CONNECTIONS} mutated connections, split anywhere, end by themselves or with a reason`, () => {
  const dice = quickDice(SEED)
  const reasons = new Map<string, number>()
  for (let i = 0; i < CONNECTIONS; i++) {
    const bytes = mutated(specimens[i % specimens.length]!, dice)
    const reason = run(bytes, dice)
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  // Mutations must get past the handshake, and both outcomes must occur.
  assert.ok((reasons.get('none') ?? 0) > CONNECTIONS / 20, JSON.stringify([...reasons]))
  assert.ok(reasons.size > 2, JSON.stringify([...reasons]))
})

function run(bytes: Uint8Array, dice: Dice): string {
  let sent = 0
  let cutBytes = 0
  const cutter = new SegmentCutter({ maxDurationMs: 60_000 }, (segment) => {
    cutBytes += segment.bytes.length
    assert.ok(segment.durationMs > 0 && segment.bytes.length % 188 === 0)
  })
  const session: RtmpSession = new RtmpSession({
    send: (answer) => {
      sent += answer.length
    },
    emit: (event) => {
      if (event.kind === 'publish' || event.kind === 'play') session.accept()
      else if (event.kind === 'metadata') cutter.metadata(event.metadata)
      else if (event.kind === 'audio') cutter.audio(event.timestamp, event.payload)
      else if (event.kind === 'video') cutter.video(event.timestamp, event.payload)
    },
    random: () => new Uint8Array(3072),
  })
  const piece = [1, 7, 100, 1_000, 100_000][below(5, dice)]!
  try {
    for (let at = 0; at < bytes.length; ) {
      const length = at < 3_000 ? 3_000 : 1 + below(piece, dice)
      session.push(bytes.subarray(at, at + length))
      at += length
      assert.ok(session.bytesHeld <= MAX_HELD, `${session.bytesHeld} bytes held`)
    }
    cutter.end()
    assert.equal(cutter.bytesHeld, 0)
    return 'none'
  } catch (error) {
    if (!(error instanceof RtmpError)) throw error
    return error.code
  } finally {
    // Small frames fill packets of 188 bytes, and each segment has its tables.
    assert.ok(cutBytes <= bytes.length * 200, `${cutBytes} bytes of segments`)
    assert.ok(sent <= 4_000 + bytes.length * MAX_SENT_PER_BYTE, `${sent} bytes sent`)
  }
}

/** Mostly behind the handshake, whose content matters little. */
function mutated(original: Uint8Array, dice: Dice): Uint8Array {
  let bytes = Buffer.from(original)
  for (let n = 1 + below(6, dice); n > 0; n--) {
    const at = dice.fraction() < 0.05 ? below(bytes.length, dice) : 3_073 + below(bytes.length - 3_073, dice)
    const length = 1 + below(12, dice)
    const [before, part, after] = [
      bytes.subarray(0, at),
      bytes.subarray(at, at + length),
      bytes.subarray(at + length),
    ]
    const random = dice.bytes(length)
    bytes = [
      () => Buffer.concat([before, random, after]),
      () => Buffer.concat([before, random, part, after]),
      () => Buffer.concat([before, after]),
      () => Buffer.concat([before, part, part, after]),
      () => Buffer.concat([before, Buffer.alloc(part.length, 0xff), after]),
      () => Buffer.from(bytes.fill(bytes[at]! ^ (1 << below(8, dice)), at, at + 1)),
    ][below(6, dice)]!()
    if (bytes.length <= 3_100) return bytes
  }
  return bytes
}

function below(limit: number, dice: Dice): number {
  return Math.floor(dice.fraction() * limit)
}
