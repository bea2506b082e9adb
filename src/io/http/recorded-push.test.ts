import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { FastClock } from '../../../test/fakes/fast-clock.ts'
import { FakeOrchestrator, profileNamed } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { type Leaving, type RawReply, sendRaw } from '../../../test/net/raw-http.ts'
import { eventually } from '../../../test/tools/until.ts'
import { recordsIn, Verdicts } from '../../../test/vectors/recorded.ts'
import { bitsOf, bitstringOf, capability, defaultCapabilities } from '../../domain/capabilities.ts'
import { MAX_SEGMENT_BYTES } from '../../domain/segment.ts'
import { silentLog } from '../../lib/log.ts'
import { Recordings } from '../../services/recordings/recordings.ts'

/**
 * Every recorded exchange of a Go gateway with publishers over HTTP, against this one: `same`, `better` with what is better,
 * or `out of scope` with the reason. What a body holds is told to the engine in words; what an orchestrator said of it is said
 * by the one here. What a record needs more than a port for is shown by the test that is named.
 */

interface Recorded {
  readonly case: string
  /** Method and path, or what was done. */
  readonly request?: string
  /** All headers, where they are not the usual ones; or those beside them. */
  readonly headers?: readonly string[]
  readonly more?: readonly string[]
  readonly body?: string
  /** 0: the connection was closed without an answer. */
  readonly status?: number
  readonly text?: string
  /** File, type and rendition of each part. */
  readonly parts?: readonly (readonly string[])[]
  /** Several answers. */
  readonly lists?: readonly Answer[]
}

type Answer = Pick<Recorded, 'status' | 'text' | 'parts'>
type Verdict = 'same' | 'better' | 'out of scope'
type Act = (record: Recorded, world: World) => unknown
type Row = readonly [cases: RegExp, verdict: Verdict, why: string, act: Act]

const folder = new URL('../../../', import.meta.url)
const records = recordsIn<Recorded>('push.json')

const USUAL = ['Accept: multipart/mixed', 'Content-Duration: 2000', 'Content-Resolution: 160x120']
const VIDEO = 'codec=h264 width=160'
/** What the engine finds in the bodies that are no plain H.264 with sound. */
const BODIES: Readonly<Record<string, string>> = {
  ...{ empty: '', 'garbage (10000 random bytes)': 'garbage=1', text: 'garbage=2', 'audio only': 'garbage=3' },
  ...{ 'zero-frame.ts': 'zero=1', 'no key frame: 4 s, key packets dropped': 'zero=2' },
  ...{ 'tables + second half of a GOP': 'zero=3', mpeg2video: 'codec=mpeg2video', HEVC: 'codec=hevc' },
  ...{ 'VP8 webm as .ts': 'codec=vp8', 'H.264 4:2:2': 'pixels=yuv422p', 'H.264 4:4:4': 'pixels=yuv444p' },
  ...{ 'H.264 10 bit': 'pixels=yuv420p10le', '320x240': 'codec=h264 width=320' },
}
/** What the recorded orchestrator said of these. */
const REFUSED: readonly (readonly [cases: RegExp, text: string])[] = [
  [/^body: (empty|garbage|text|audio only)|an empty body$|^300000000 bytes/, 'TranscoderInvalidVideo'],
  [/vertical 16x4000/, 'Generic error in an external library'],
  [/^slice from=5000/, 'ZeroSegments'],
]

const headOf = ({ text }: RawReply) => text.slice(0, text.indexOf('\r\n\r\n'))

/** The body of the only answer, put together from its chunks. */
function bodyOf(reply: RawReply): string {
  let rest = reply.text.slice(reply.text.indexOf('\r\n\r\n') + 4)
  if (!/^Transfer-Encoding: chunked\r?$/im.test(headOf(reply))) return rest
  let body = ''
  for (;;) {
    const [line = ''] = rest.split('\r\n', 1)
    const length = Number.parseInt(line, 16)
    if (!(length > 0)) return body
    body += rest.slice(line.length + 2, line.length + 2 + length)
    rest = rest.slice(line.length + 2 + length + 2)
  }
}

function partsOf(body: string): string[][] {
  const pattern =
    /filename=("[^"]*")\r\nContent-Length: \d+\r\nContent-Type: ([^;]*); .*\r\nRendition-Name: (.*)\r\n/g
  return [...body.matchAll(pattern)].map(([, file, type, name]) => [file!, type!, name!])
}

/** Names and lengths, or variants, and how they are counted. */
function listing(text: string): readonly string[] {
  return text.match(/^(#EXT(INF|-X-MEDIA-SEQUENCE|-X-TARGETDURATION).*|[^#\n].*)$/gm) ?? []
}

/** What is said of a fault, without the host and the names that this gateway leaves out, and without another's own words. */
function faultIn(text: string): string {
  return text
    .replace(/(transcode config header:|Could not create stream ID: url=\S*|required Host header).*/s, '$1')
    .replace(/ manifestID=\S+/, '')
    .replace(/(url=)http:\/\/HOST/, '$1')
    .replace(/(wrong method=\w+).*/s, '$1')
    .replace(/err="(.*)"/, 'err=$1')
    .replace(/(invalid duration )(\S+e\+\d+)/, (_, what, number) => what + Number(number))
    .trim()
}

function agrees(expected: Answer, reply: RawReply): void {
  assert.equal(reply.status, expected.status, reply.text)
  const body = bodyOf(reply)
  const { parts, text = '' } = expected
  if (parts) assert.deepEqual(partsOf(body), parts)
  else if (text.startsWith('#EXTM3U')) assert.deepEqual(listing(body), listing(text))
  else if (text !== '') assert.ok(body.startsWith(faultIn(text)), `${body} instead of ${faultIn(text)}`)
  else assert.equal(body, '')
}

/** The bytes of a request as it was recorded. */
function requestOf({ body = '', headers, more = [], request = '' }: Recorded): string {
  const bytes = bytesOf(body)
  const isChunked = headers?.some((line) => /^transfer-encoding/i.test(line))
  const length = isChunked || bytes === '' ? [] : [`Content-Length: ${bytes.length}`]
  const lines = ['Host: 127.0.0.1', 'Connection: close', ...(headers ?? USUAL), ...more, ...length]
  const content = isChunked ? `${bytes.length.toString(16)}\r\n${bytes}\r\n0\r\n\r\n` : bytes
  return `${[`${request} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n${content}`
}

/** Sources differ from each other. */
function bytesOf(body: string): string {
  return BODIES[body] ?? (body === '' ? '' : `${VIDEO} of=${body.replaceAll(' ', '_')}`)
}

async function setUp() {
  const profiles = ['low', 'tiny'].map(profileNamed)
  const orchestrator = new FakeOrchestrator('https://o1:8935')
  const usual = defaultCapabilities('0.9.1')
  const { h264Decode420Deep, h264Decode422, h264Decode444, hevcDecode } = capability
  const decodes = [h264Decode420Deep, h264Decode422, h264Decode444, hevcDecode]
  orchestrator.capabilities = { ...usual, bitstring: bitstringOf([...bitsOf(usual.bitstring), ...decodes]) }
  const clock = new FastClock(100)
  const stores = { of: () => null }
  const recordings = new Recordings({
    ...{ clock, log: silentLog, stores, authority: null, recorder: { underWay: () => [] } },
  })
  const given = { clock, recordings }
  const port = await startGatewayPort({ maxSessions: 500, profiles }, [orchestrator], given)
  const lone = await startGatewayPort({ maxSessions: 2, profiles, maxBodyBytes: 1_000 }, [], { clock })
  return {
    ...{ orchestrator, port, lone },
    [Symbol.asyncDispose]: async () => {
      await port[Symbol.asyncDispose]()
      await lone[Symbol.asyncDispose]()
    },
  }
}

type World = Awaited<ReturnType<typeof setUp>>

async function asked(record: Recorded, { orchestrator, port }: World, leaving?: Leaving): Promise<RawReply> {
  const text = REFUSED.find(([cases]) => cases.test(record.case))?.[1]
  orchestrator.outcome = text ? { kind: 'error', text } : null
  return await sendRaw(port.http, [Buffer.from(requestOf(record), 'latin1')], leaving)
}

const same: Act = async (record, world) => agrees(record, await asked(record, world))

/** Another answer than the recorded one; its text is how it begins. */
const instead =
  (status: number, answer: Omit<Answer, 'status'> = {}): Act =>
  async (record, world) => {
    const reply = await asked(record, world)
    if (answer.parts || answer.text?.startsWith('#EXTM3U')) return agrees({ status, ...answer }, reply)
    assert.equal(reply.status, status, reply.text)
    assert.ok(bodyOf(reply).startsWith(answer.text ?? ''), bodyOf(reply))
  }

/** A request beside those that are recorded as such. */
const says =
  (request: string, more: Partial<Recorded> = {}, leaving?: Leaving): Act =>
  async (record, world) =>
    agrees(record, await asked({ ...record, request, body: 't0.ts', ...more }, world, leaving))

/** A gateway without orchestrators, for two streams. */
const atLone: Act = async (record, { lone }) => agrees(record, await sendRaw(lone.http, [requestOf(record)]))

/** The test that shows it, which must exist. */
const shown = (file: string, name: string) => () => {
  const text = readFileSync(new URL(file, folder), 'utf8')
  assert.ok(text.includes(name), `${file} has no test "${name}"`)
}

const partsNamed = (sequence: number, extension = 'ts') =>
  ['low', 'tiny'].map((name) => [`"${name}_${sequence}.${extension}"`, 'video/mp2t', name])
const RENDITIONS = { parts: partsNamed(0) }
/** Pushed 100 to 107, then 107, 104 and 99 again. */
const WINDOW = `#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:2\n#EXT-X-TARGETDURATION:2\n${[102, 103, 104, 105, 106, 107]
  .map((number) => `#EXTINF:2.000,\n/stream/seq2/source/${number}.ts\n`)
  .join('')}`

const PUBLISHERS = 'src/io/http/publishers.test.ts'
const HTTP = 'src/io/http/gateway-http.test.ts'
const REAL = 'test/e2e/publishers.test.ts'
const SETTINGS = 'src/config/settings.test.ts'
const HEADER = 'failed to parse transcode config header: '
const NO_CRASH = 'an orchestrator’s failure is told; the connection is not cut'

const rows: readonly Row[] = [
  [/^name: no slash|\/live$/, 'better', 'there is nothing, which is said without a detour', instead(404)],
  [/^name: double slash/, 'better', 'served at once, without a detour that loses the body', instead(200)],
  [/^name: dot segments/, 'better', 'a path with dot segments names no stream', instead(400)],
  [
    /^name: number max uint64/,
    'better',
    'a number that peers cannot be told counts as none',
    instead(200, RENDITIONS),
  ],
  [/^name: push to \/stream/, 'better', 'that only reading is served there is said', instead(405)],
  [/^name: NUL/, 'better', NO_CRASH, instead(200)],
  [/^name: absolute-form/, 'better', 'a web page cannot name a host that is not the gateway', instead(403)],
  [/^name of 3000/, 'better', 'refused with the reason', instead(500)],
  [
    /^↳ master playlist after/,
    'better',
    'the size is that of the pictures, and bit rates are measured',
    measured,
  ],
  [/^slice from=5000/, 'better', NO_CRASH, instead(503)],
  [/^method (CONNECT|FOO)/, 'out of scope', 'Node’s server has no such method', () => {}],
  [
    /^PUT with Origin|^OPTIONS with CORS|^OPTIONS \(ingest port\) \/live\/m1/,
    'better',
    'no page of another site may spend the operator’s money',
    instead(403, { text: 'pages of another site may not publish here' }),
  ],
  [/^OPTIONS \*/, 'out of scope', 'nobody asks for it', () => {}],
  [/^OPTIONS \(ingest port\) \/stream/, 'better', 'answered as browsers ask', instead(200)],
  [/^HEAD \(ingest port\) \/stream/, 'same', '', instead(200)],
  [
    /profile bad/,
    'better',
    'refused as a header that cannot be read, by name',
    instead(400, { text: HEADER }),
  ],
  [/profile name with/, 'better', 'no name breaks out of a path or a header', instead(400, { text: HEADER })],
  [/two profiles of one name/, 'better', 'no rendition replaces another', instead(400, { text: HEADER })],
  [
    /^CLI \/status/,
    'same',
    'shown with the other calls',
    shown('test/chain/control-records.test.ts', 'every call of a node'),
  ],
  [/^↳ playlists after that/, 'same', '', playlists],
  [
    /^body: mpeg2video/,
    'better',
    'the codec is named',
    instead(422, { text: 'Unknown input stream codec=mpeg2video' }),
  ],
  [/^body: HEVC/, 'better', 'HEVC is transcoded', instead(200, RENDITIONS)],
  [/^body: VP8/, 'better', 'VP8 goes to who decodes it', instead(503, { text: 'No sessions available' })],
  [/^body: vertical/, 'better', NO_CRASH, instead(503)],
  [
    /^↳ source playlist after (107 again|104 again|99)/,
    'better',
    'a number that comes again evicts nothing, and an older one renumbers nothing',
    instead(200, { text: WINDOW }),
  ],
  [/^no orchestrator|^↳ source is still|streams? of 2 allowed|^known stream still/, 'same', '', atLone],
  [/^two sources push/, 'same', '', twoSources],
  [/^↳ bytes of source\/0/, 'same', 'those of one of the two', instead(200, { text: VIDEO })],
  [/^Expect: 100-continue/, 'same', '', says('PUT /live/cl1/0.ts', { more: ['Expect: 100-continue'] })],
  [
    /^client half-closes \(FIN\)|^client half-closes right after/,
    'better',
    'it gets its renditions',
    halfClosed,
  ],
  [/^client closes right after/, 'same', 'it reads nothing', leftWith('closes')],
  [
    /^client resets/,
    'same',
    '',
    shown(PUBLISHERS, 'a publisher that resets its connection after a complete body'),
  ],
  [/^↳ rendition playlist after that$/, 'same', '', stillListed],
  [
    /^client closes in the middle/,
    'same',
    '',
    shown(PUBLISHERS, 'a publisher that disconnects within a body'),
  ],
  [
    /^client half-closes in the middle/,
    'same',
    '',
    cutShort(
      ['PUT /live/cl4/0.ts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n', 'codec'],
      'half-closes',
    ),
  ],
  [/^broken chunk size/, 'same', '', cutShort([chunkedTo('cl5'), '5\r\nhello\r\nzz\r\n'])],
  [/^chunked body ends without/, 'same', '', cutShort([chunkedTo('cl5'), '5\r\nhello\r\n'], 'half-closes')],
  [/an empty body$/, 'same', '', says('PUT /live/cl6/0.ts', { body: 'empty' })],
  [
    /^HTTP\/1.0 without Host/,
    'same',
    '',
    raw([
      `PUT /live/cl7/0.ts HTTP/1.0\r\nAccept: multipart/mixed\r\nContent-Length: ${VIDEO.length}\r\n\r\n${VIDEO}`,
    ]),
  ],
  [/^HTTP\/1.1 without Host/, 'same', '', refusedByNode],
  [/^two pipelined/, 'same', '', pipelined],
  [/^300000001 bytes/, 'same', 'with a limit of 1,000', overLimit],
  [/^300000000 bytes/, 'better', NO_CRASH, atLimit],
  [
    /^idle connections/,
    'better',
    'they are told so, and make room',
    shown(HTTP, 'a sender that falls silent is told so and disconnected'),
  ],
  [/^idle keep-alive/, 'same', '', shown(PUBLISHERS, 'a kept connection waits for the next segment')],
  [
    /^publisher: ffmpeg -f hls$/,
    'out of scope',
    'that FFmpeg makes a wrong URL of a path with a slash at its end',
    () => {},
  ],
  [
    /^publisher: ffmpeg -f hls/,
    'same',
    '',
    shown(REAL, 'FFmpeg publishes over HTTP, and every segment is transcoded'),
  ],
  [/^publisher: ffmpeg -f segment/, 'same', '', shown(REAL, 'segments without a playlist')],
  [/^player: /, 'out of scope', 'what these programs ask for is compared with the other players', () => {}],
  [/^push ingest: /, 'same', '', shown(SETTINGS, "['-httpAddr 0.0.0.0 -httpIngest', true, false]")],
  [/^number 0 pushed twice/, 'same', '', pushedTwice],
  [/./, 'same', '', same],
]

async function measured(record: Recorded, world: World): Promise<void> {
  const reply = await asked(record, world)
  agrees(record, reply)
  assert.match(bodyOf(reply), /RESOLUTION=160x720\n\w+\/source\.m3u8\n/)
}

async function playlists({ lists, request }: Recorded, { port }: World): Promise<void> {
  const [, name] = /\/stream\/(\w+)/.exec(request!)!
  for (const [index, path] of ['', '/source', '/low'].entries()) {
    const head = `GET /stream/${name}${path}.m3u8 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`
    agrees(lists![index]!, await sendRaw(port.http, [head]))
  }
}

async function twoSources({ lists, ...record }: Recorded, world: World): Promise<void> {
  const pushed = [0, 1, 2, 3].map(async (n) => {
    const one = { ...record, request: `PUT /live/two/${n >> 1}.ts`, body: `t${n}.ts` }
    agrees(lists![n]!, await asked(one, world))
  })
  await Promise.all(pushed)
}

async function halfClosed(record: Recorded, world: World): Promise<void> {
  const reply = await asked({ ...record, request: 'PUT /live/cl2/0.ts', body: 't0.ts' }, world, 'half-closes')
  agrees({ status: 200, ...RENDITIONS }, reply)
}

function leftWith(leaving: Leaving): Act {
  return async (record, world) => {
    const reply = await asked({ ...record, request: 'PUT /live/cl3/0.ts', body: 't0.ts' }, world, leaving)
    assert.equal(reply.text, '')
  }
}

/** What a client that leaves has sent is served all the same, once it is there. */
async function stillListed(record: Recorded, world: World): Promise<void> {
  const first = { ...record, text: record.text!.replace(/#EXTINF.*\n.*1\.ts\n/, '') }
  const isThere = async () => {
    const reply = await asked(first, world)
    return reply.status === 200 && listing(bodyOf(reply)).includes('/stream/cl3/low/0.ts')
  }
  if (record.request!.startsWith('GET /stream/cl3')) await eventually('the rendition', isThere)
  agrees(first, await asked(first, world))
}

function chunkedTo(name: string): string {
  return `PUT /live/${name}/0.ts HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`
}

/** A body that is cut or broken makes no segment; the answer, if there is one, says so. */
function cutShort(pieces: readonly string[], leaving?: Leaving): Act {
  return async (_, { port }) => {
    const { text } = await sendRaw(port.http, pieces, leaving)
    assert.match(text, /^(HTTP\/1\.1 (500|400) |$)/)
  }
}

function raw(pieces: readonly string[]): Act {
  return async (record, { port }) => agrees(record, await sendRaw(port.http, pieces))
}

async function refusedByNode({ status }: Recorded, { port }: World): Promise<void> {
  const reply = await sendRaw(port.http, [`PUT /live/x/0.ts HTTP/1.1\r\nConnection: close\r\n\r\n`])
  assert.equal(reply.status, status)
}

async function pipelined(_: Recorded, { port }: World): Promise<void> {
  const put = (number: number, more: string) =>
    `PUT /live/cl8/${number}.ts HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: multipart/mixed\r\nContent-Length: ${VIDEO.length}\r\n${more}\r\n${VIDEO}`
  const { text } = await sendRaw(port.http, [put(0, '') + put(1, 'Connection: close\r\n')])
  assert.deepEqual(
    [...text.matchAll(/HTTP\/1\.1 (\d+)|filename="(\w+)\./g)].map(([, status, file]) => status ?? file),
    ['200', 'low_0', 'tiny_0', '200', 'low_1', 'tiny_1'],
  )
}

async function pushedTwice(record: Recorded, world: World): Promise<void> {
  for (const body of ['t0.ts', 't1.ts']) {
    agrees(record, await asked({ ...record, request: 'PUT /live/again/0.ts', body }, world))
  }
  const stored = await world.port.gateway.stored('again/source/0.ts')
  assert.equal(Buffer.from(stored!).toString(), bytesOf('t1.ts'))
}

/** Pushes a body of this size to a gateway whose limit is 1,000 bytes instead of 300,000,000. */
async function pushBytes({ lone }: World, length: number): Promise<RawReply> {
  const head = `PUT /live/n1/9.ts HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n`
  return await sendRaw(lone.http, [head, 'garbage=1'.padEnd(length, ' ')])
}

async function overLimit(record: Recorded, world: World): Promise<void> {
  assert.equal(MAX_SEGMENT_BYTES, 300_000_000)
  agrees(record, await pushBytes(world, 1_001))
}

async function atLimit(_: Recorded, world: World): Promise<void> {
  assert.equal((await pushBytes(world, 1_000)).status, 503)
}

test('every recorded exchange with publishers over HTTP is the same here, better, or out of scope', async (t) => {
  await using world = await setUp()
  const verdicts = new Verdicts(rows)
  const wrong: string[] = []
  for (const record of records) {
    const [, , , act] = verdicts.about(record.case)
    world.orchestrator.outcome = null
    const one = record.case.startsWith('name of 3000')
      ? { ...record, request: `PUT /live/${'x'.repeat(3_000)}/0.ts`, body: 't0.ts' }
      : record
    try {
      await act(one, world)
    } catch (error) {
      wrong.push(`${record.case}: ${error}`)
    }
  }
  assert.deepEqual(wrong, [])
  verdicts.conclude(t, 248)
  assert.equal(world.port.http.bytesHeld, 0)
})
