import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { chunksOf, command, plainHello, plainReply } from '../../../test/net/rtmp.ts'
import { recordsIn, Verdicts } from '../../../test/vectors/recorded.ts'
import { ChunkReader, MESSAGE, type Message } from './chunks.ts'
import { type RtmpEvent, RtmpSession, type StreamRequest } from './rtmp-session.ts'
import { type CutSegment, SegmentCutter } from './segment-cutter.ts'
import { manifestIdOf } from './stream-request.ts'

/**
 * Every recorded exchange of a Go gateway with publishers and players over RTMP, against this one: `same`, `better` with the
 * defect that is avoided, or `out of scope`. What a record needs sockets for is shown by the test that is named.
 */

interface Recorded {
  readonly case: string
  readonly input?: StreamRequest
  readonly manifestID?: string
  /** Seconds of each segment. */
  readonly segments?: readonly number[]
  readonly code?: string
  readonly url?: string
}

type Verdict = 'same' | 'better' | 'out of scope'
type Row = readonly [cases: RegExp, verdict: Verdict, why: string, check: (record: Recorded) => void]

const folder = new URL('../../../', import.meta.url)
const records = recordsIn<Recorded>('rtmp.json')

/** The test that shows it, which must exist. */
const shown = (file: string, name: string) => () => {
  const text = readFileSync(new URL(file, folder), 'utf8')
  assert.ok(text.includes(name), `${file} has no test "${name}"`)
}
const PORT = 'src/io/rtmp/rtmp-port.test.ts'
const SESSION = 'src/io/rtmp/rtmp-session.test.ts'
const GATEWAY = 'src/services/gateway/gateway.test.ts'
const CUT = 'test/media/rtmp-segments.test.ts'
const REAL = 'test/e2e/rtmp.test.ts'

const hexOf = (...bytes: readonly number[]) => Uint8Array.from(bytes)
const CONFIG = hexOf(0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 10, 0xff, 0xe1, 0, 2, 0x67, 0x42, 1, 0, 1, 0x68)
const KEY = hexOf(0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0x88)
const FRAME = hexOf(0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, 0x9a)

/** Seconds of the segments of pictures at 10 a second with key frames at these; `timeOf` moves their timestamps. */
function cut(
  seconds: number,
  isKey: (ms: number) => boolean,
  timeOf = (ms: number) => ms,
): readonly number[] {
  const segments: CutSegment[] = []
  const cutter = new SegmentCutter({ maxDurationMs: 60_000 }, (segment) => segments.push(segment))
  cutter.video(timeOf(0) % 2 ** 32, CONFIG)
  for (let ms = 0; ms < seconds * 1000; ms += 100) {
    cutter.video(timeOf(ms) % 2 ** 32, isKey(ms) ? KEY : FRAME)
  }
  cutter.end()
  return segments.map(({ durationMs }) => durationMs / 1000)
}

const every = (seconds: number) => (ms: number) => ms % (seconds * 1000) === 0
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)

/** All of the stream is there, in segments as long as recorded or shorter, and more of them. */
function keepsAll(seconds: number, isKey: (ms: number) => boolean, timeOf?: (ms: number) => number) {
  return ({ segments = [] }: Recorded) => {
    const ours = cut(seconds, isKey, timeOf)
    assert.ok(Math.abs(sum(ours) - seconds) < 0.15, `${ours}`)
    assert.ok(ours.length > segments.length, `${ours.length} segments, recorded ${segments.length}`)
    assert.ok(Math.max(...ours) <= Math.max(2.2, ...segments), `${ours}`)
  }
}

/** What a session makes of messages behind `connect`. */
function heard(...messages: readonly Message[]): { events: RtmpEvent[]; codes: string } {
  const events: RtmpEvent[] = []
  const answers: string[] = []
  const reader = new ChunkReader(({ payload, type }) => {
    if (type === MESSAGE.commandAmf0) answers.push(Buffer.from(payload).toString('latin1'))
  })
  let isFirst = true
  const session: RtmpSession = new RtmpSession({
    send: (bytes) => {
      if (!isFirst) reader.push(bytes)
      isFirst = false
    },
    emit: (event) => {
      events.push(event)
      if (event.kind === 'publish') session.accept()
    },
    random: () => new Uint8Array(3072),
  })
  session.push(Buffer.concat([plainHello(), plainReply]))
  for (const message of messages) session.push(chunksOf(message))
  return { events, codes: answers.join() }
}

function publishes({ case: name }: Recorded): void {
  const type = /publish type (\w+)/.exec(name)![1]!
  const { codes, events } = heard(
    command(0, 'connect', 1, { app: 'live' }),
    command(0, 'createStream', 2, null),
    command(1, 'publish', 5, null, `t${type}`, type),
  )
  assert.equal(events[0]?.kind, 'publish')
  assert.match(codes, /NetStream\.Publish\.Start/)
}

function hasName({ input, manifestID, case: name }: Recorded): void {
  const ours = manifestIdOf(input!)
  if (name.endsWith('empty app and name')) assert.equal(ours, '')
  else assert.equal(ours, manifestID)
}

function isPlayed({ url }: Recorded): void {
  const [app = '', ...name] = url!.slice('rtmp://HOST/'.length).split('/')
  assert.equal(manifestIdOf({ app, tcUrl: '', name: name.join('/') }), 'pl')
}

const irregular = new Set([0, 700, 3100, 3600, 9900, 12_000, 12_100, 17_300, 19_000])
const jump = (byMs: number, atMs: number) => (ms: number) => 40_000 + (ms < atMs ? ms : ms + byMs)

const rows: readonly Row[] = [
  [
    /^RTMP dialogue/,
    'better',
    'S2 echoes C1; a C1 with a version but no digest is answered; releaseStream and FCPublish too',
    shown(SESSION, 'connect, releaseStream, FCPublish, createStream and publish are answered as peers do'),
  ],
  [
    /^↳ FCUnpublish and deleteStream without/,
    'better',
    'they are answered and end the stream',
    shown(PORT, 'of which the last is served when the client ends it'),
  ],
  [
    /^↳ after the TCP close/,
    'same',
    'nothing is there to play',
    shown(GATEWAY, 'a published stream ends with its publication'),
  ],
  [/^publish type/, 'same', 'every type is live', publishes],
  [
    /^publish before connect/,
    'better',
    'the connection is closed, not left without an answer',
    () => assert.throws(() => heard(command(1, 'publish', 5, null, 'x')), /before it connects/),
  ],
  [
    /^HTTP to the RTMP port/,
    'better',
    'closed at the first byte',
    shown(SESSION, 'another protocol is refused at its first byte'),
  ],
  [
    /^TCP connection that never says a word/,
    'better',
    'closed after 10 s',
    shown(PORT, 'silent clients are disconnected'),
  ],
  [
    /^play of an unknown stream|^rtmp play after the publisher left/,
    'better',
    'refused by name, not silent',
    shown(PORT, 'a player of an unknown stream is told so'),
  ],
  [/^publish path with media/, 'same', 'the same name', hasName],
  [
    /^rtmp: 2 s GOP, 12 s/,
    'better',
    'neither the first GOP nor the last segments are lost',
    keepsAll(12, every(2)),
  ],
  [
    /^rtmp: 1 s GOP/,
    'better',
    'neither the first GOP nor the last segments are lost',
    keepsAll(12, every(1)),
  ],
  [
    /^rtmp: (8|30) s GOP/,
    'better',
    'delivered',
    ({ case: name }) => {
      const gop = Number.parseInt(name.slice('rtmp: '.length), 10)
      assert.deepEqual(cut(2 * gop, every(gop)), [gop, gop])
    },
  ],
  [
    /^rtmp: irregular GOP/,
    'better',
    'no segment of 0.1 s; nothing is lost',
    () =>
      assert.deepEqual(
        cut(20, (ms) => irregular.has(ms)),
        [3.1, 6.8, 2.1, 5.3, 2.7],
      ),
  ],
  [/^rtmp: killed/, 'better', 'all that arrived is served', keepsAll(9, every(2))],
  [
    /^rtmp: B-frames/,
    'better',
    'neither the first GOP nor the last segments are lost',
    shown(CUT, "'B-frames': {"),
  ],
  [
    /^rtmp: timestamps start at 16770000/,
    'better',
    'the same as from 0',
    keepsAll(14, every(2), (ms) => 16_770_000 + ms),
  ],
  [
    /^rtmp: timestamps start at 2147480000/,
    'better',
    'the same as from 0',
    keepsAll(14, every(2), (ms) => 2_147_480_000 + ms),
  ],
  [
    /^rtmp: timestamps start at 4294960000/,
    'better',
    'the same as from 0',
    keepsAll(16, every(2), (ms) => 4_294_960_000 + ms),
  ],
  [/^rtmp: jump \+100 s/, 'better', 'no segment of 102 s', keepsAll(16, every(2), jump(100_000, 6000))],
  [/^rtmp: jump -4 s/, 'better', 'nothing is dropped', keepsAll(20, every(2), jump(-4000, 8000))],
  [
    /timestamps jump \+400 s/,
    'better',
    'no segment of 402 s, which would be refused',
    keepsAll(16, every(2), jump(400_000, 6000)),
  ],
  [
    /timestamps jump back to 0 at 30 s/,
    'better',
    'the stream goes on',
    keepsAll(50, every(2), jump(-30_000, 30_000)),
  ],
  [
    /^rtmp: TCP half-close|^rtmp: TCP reset/,
    'better',
    'the last segment is served first',
    shown(PORT, 'its end'),
  ],
  [
    /closeStream, TCP stays open|deleteStream.*TCP stays open/,
    'better',
    'ends the stream',
    shown(PORT, 'the client ended it'),
  ],
  [
    /^rtmp: goes silent/,
    'better',
    'ended after 10 s with a reason',
    shown(PORT, 'silent clients are disconnected'),
  ],
  [/^rtmp play by ffmpeg/, 'same', 'any key plays; from a key frame on', isPlayed],
  [
    /^rtmp play dialogue/,
    'better',
    'begins with a key frame, not within a GOP',
    shown(PORT, 'a player gets the parameters and then frames from a key frame on'),
  ],
  [
    /^rtmp play: the publisher closes/,
    'same',
    'NetStream.Play.Stop, then closed',
    shown(PORT, 'NetStream.Play.Stop'),
  ],
  [
    /second publisher of a live name|then a second, then a third/,
    'better',
    'the second is refused, the first goes on',
    shown(PORT, 'a second publisher of a name is told so, and the first goes on'),
  ],
  [
    /^rtmp: which source frames/,
    'better',
    'segment 0 begins with the first frame',
    shown(CUT, 'every frame is in a segment, each begins with a key frame'),
  ],
  [
    /^rtmp: \d s GOP$/,
    'better',
    'neither the first GOP nor the last segments are lost',
    (record) => {
      const gop = Number.parseInt(record.case.slice('rtmp: '.length), 10)
      keepsAll(36, every(gop))(record)
    },
  ],
  [/no audio track/, 'better', 'served', shown(REAL, "'no sound': {")],
  [/audio only/, 'better', 'served', shown(CUT, 'sound without pictures is cut every 2 s')],
  [/H\.264 \+ MP3/, 'better', 'served, and transcoded', shown(REAL, "'MP3 sound': {")],
  [
    /^publish by gstreamer rtmp2sink/,
    'better',
    'with the first GOP and the last segment',
    shown(REAL, "'GStreamer with rtmp2sink': {"),
  ],
  [
    /^publish by gstreamer rtmpsink/,
    'better',
    'with the first GOP and the last segment',
    shown(REAL, "'GStreamer with rtmpsink, B-frames': {"),
  ],
  [/HEVC \+ AAC/, 'better', 'refused by name at once', shown(PORT, 'is refused by name at once')],
  [
    /no orchestrator configured/,
    'better',
    'the source is served, with the first GOP and the last segment',
    keepsAll(13, every(2)),
  ],
  [
    /^push into a name that an RTMP publisher holds|^↳ 4 s later/,
    'same',
    'the push joins the stream',
    shown(GATEWAY, 'await push({ sequence: 1n, isPublished: true })'),
  ],
  [
    /^RTMP publisher of a name that a push stream holds/,
    'better',
    'refused, and the pushes go on',
    shown(GATEWAY, 'a name that segments are pushed to is not published, and the pushes go on'),
  ],
  [
    /^-maxSessions 1 reached/,
    'better',
    'refused before Publish.Start, with the reason',
    shown(GATEWAY, 'a publisher has its place among -maxSessions from the start'),
  ],
]

test('every recorded exchange over RTMP is the same here, better, or out of scope', (t) => {
  const verdicts = new Verdicts(rows)
  for (const record of records) {
    const [, , , check] = verdicts.about(record.case)
    try {
      check(record)
    } catch (error) {
      throw new Error(`${record.case}: ${error}`, { cause: error })
    }
  }
  verdicts.conclude(t, 81)
})
