import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { FakeOrchestrator, profileNamed } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { type RawReply, sendRaw } from '../../../test/net/raw-http.ts'
import { lintMedia, lintPlaylist } from '../../../test/tools/playlist-lint.ts'
import { recordsIn, Verdicts } from '../../../test/vectors/recorded.ts'

/**
 * Every recorded exchange of a Go gateway with players, against this one: `same`, `better` with what is better, or `out of
 * scope`. What a record needs more than a port for is shown by the test that is named.
 */

interface Recorded {
  readonly case: string
  /** Method, path and headers. */
  readonly request?: string
  readonly status?: number
  /** The Content-Type. */
  readonly type?: string
  /** Absent for bytes. */
  readonly body?: string
}

type Verdict = 'same' | 'better' | 'out of scope'
type Check = (record: Recorded, reply: RawReply) => void
/** Of the case and the request. */
type Row = readonly [of: RegExp, verdict: Verdict, why: string, check: Check]

const folder = new URL('../../../', import.meta.url)
const records = recordsIn<Recorded>('playback.json')

const headOf = ({ text }: RawReply) => text.slice(0, text.indexOf('\r\n\r\n'))
const bodyOf = ({ text }: RawReply) => text.slice(text.indexOf('\r\n\r\n') + 4)
const headerOf = (reply: RawReply, name: string) =>
  new RegExp(`^${name}: (.*?)\\r?$`, 'im').exec(headOf(reply))?.[1]

/** What every answer to a player has. */
function forPlayers(record: Recorded, reply: RawReply, status = record.status): void {
  assert.equal(reply.status, status, reply.text)
  assert.equal(headerOf(reply, 'Access-Control-Allow-Origin'), '*')
  assert.equal(headerOf(reply, 'Access-Control-Expose-Headers'), 'Content-Length')
}

function notFound(record: Recorded, reply: RawReply): void {
  forPlayers(record, reply)
  assert.deepEqual(
    [bodyOf(reply), headerOf(reply, 'Content-Type'), headerOf(reply, 'X-Content-Type-Options')],
    [record.body, record.type, 'nosniff'],
  )
}

/** Names and lengths, or variants, and how they are counted. */
function listing(text: string): readonly string[] {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#') || /^#EXT(INF|-X-MEDIA-SEQUENCE|-X-TARGETDURATION)/.test(line))
}

function playlist(record: Recorded, reply: RawReply): void {
  forPlayers(record, reply)
  assert.equal(headerOf(reply, 'Content-Type'), record.type)
  lintPlaylist(bodyOf(reply))
  assert.deepEqual(listing(bodyOf(reply)), listing(record.body!))
}

function bytes(record: Recorded, reply: RawReply): void {
  forPlayers(record, reply)
  assert.equal(headerOf(reply, 'Content-Type'), record.request?.includes('.mp4') ? 'video/mp4' : 'video/mp2t')
  assert.ok(bodyOf(reply).length > 0)
}

const status =
  (expected: number, body = ''): Check =>
  (_, reply) => {
    assert.equal(reply.status, expected)
    assert.ok(bodyOf(reply).includes(body), bodyOf(reply))
  }
const noBody =
  (check: (record: Recorded, reply: RawReply) => void): Check =>
  (record, reply) => {
    check(record, reply)
    assert.equal(bodyOf(reply), '')
  }
const lengthOnly = noBody((record, reply) => {
  forPlayers(record, reply)
  assert.ok(Number(headerOf(reply, 'Content-Length')) > 0)
})
/** The test that shows it, which must exist. */
const shown =
  (file: string, name: string): Check =>
  () => {
    const text = readFileSync(new URL(file, folder), 'utf8')
    assert.ok(text.includes(name), `${file} has no test "${name}"`)
  }

const GATEWAY = 'src/services/gateway/gateway.test.ts'
const CONTROL = 'test/chain/control-records.test.ts'
const ENDED = 'a pushed stream that ends can be played for a minute longer'
const FRESH = 'a list is cached for a second, not five, and tells times and jumps'
const ONE_SLASH = 'served at once, without a detour that loses the body of a push'

const rows: readonly Row[] = [
  [
    /^CLI port/,
    'same',
    'shown with the other calls of the control API',
    shown(CONTROL, 'every call of a node'),
  ],
  [/^during the first segment/, 'same', '', shown(GATEWAY, 'the source is listed before its renditions are')],
  [
    /^push stream left alone/,
    'better',
    'players are told the end and have a minute for it',
    shown(GATEWAY, ENDED),
  ],
  [/^next segment after the end starts/, 'same', '', shown(GATEWAY, ENDED)],
  [/^after the (end|new start)/, 'same', '', shown(GATEWAY, ENDED)],
  [/^current after its stream ended/, 'same', '', shown(GATEWAY, ENDED)],
  [/tables: push/, 'same', '', status(200)],
  [/GET \/stream$/, 'same', 'there is nothing at either path', status(404)],
  [/GET \/stream\/\/s1/, 'better', ONE_SLASH, (record, reply) => playlist({ ...record, ...listed() }, reply)],
  [
    /\.\.\//,
    'better',
    'a path that leads upwards is not found, where peers send the client elsewhere',
    status(404),
  ],
  [/GET \/s1\.m3u8/, 'same', '', status(404, '404 page not found\n')],
  [/GET \/live\/s1/, 'same', '', status(405, 'http push request wrong method=GET')],
  [/GET \/vod\/x/, 'out of scope', 'files of the machine are not served (gateway.md §17, 22)', status(404)],
  [
    /^range request/,
    'better',
    'the part is sent',
    (_, reply) => {
      status(206)(_, reply)
      const [, size] = /^bytes 0-9\/(\d+)$/.exec(headerOf(reply, 'Content-Range') ?? '') ?? []
      assert.ok(Number(size) > 10)
      assert.equal(bodyOf(reply).length, 10)
    },
  ],
  [/^HEAD /, 'same', '', lengthOnly],
  [/^(POST list|DELETE segment)/, 'better', 'only reading is answered', status(405)],
  [/^If-None-Match/, 'better', 'who has it is told so', noBody(status(304))],
  [
    /^gzip/,
    'better',
    'it is sent compressed',
    (record, reply) => {
      forPlayers(record, reply)
      assert.equal(headerOf(reply, 'Content-Encoding'), 'gzip')
      assert.equal(headerOf(reply, 'Vary'), 'Accept-Encoding')
      assert.equal(bodyOf(reply).length, Number(headerOf(reply, 'Content-Length')))
    },
  ],
  [
    / GET \/\S+\.m3u8/i,
    'better',
    FRESH,
    (record, reply) => (record.status === 404 ? notFound : playlist)(record, reply),
  ],
  [
    / GET \/\S+\.mp4$/,
    'same',
    '',
    (record, reply) => (record.status === 404 ? notFound : bytes)(record, reply),
  ],
  [
    / GET \/\S+\.ts$/,
    'better',
    'with the type of MPEG-TS on every host (gateway.md §17, 6)',
    (record, reply) => (record.status === 404 ? notFound : bytes)(record, reply),
  ],
  [/ GET \/stream\//, 'same', '', notFound],
]

/** The master playlist while the first stream runs. */
function listed(): Pick<Recorded, 'status' | 'type' | 'body'> {
  const { body, status, type } = records.find(
    ({ body, request }) => request === 'GET /stream/s1.m3u8' && body?.includes('tiny'),
  )!
  return { status: status!, type: type!, body: body! }
}

/** Durations of the segments from 100 on. */
const DURATIONS = [2000, 2000, 1999, 2001, 2500, 1500, 3333, 2000, 100, 2000, 2000, 2000, 2000, 2000]

async function setUp() {
  const profiles = ['low', 'tiny'].map(profileNamed)
  const orchestrator = new FakeOrchestrator('https://o1:8935')
  const port = await startGatewayPort({ currentManifest: true, profiles }, [orchestrator])
  let next = 100
  const to = async (last: number) => {
    for (; next <= last; next++) {
      const headers = { 'Content-Duration': String(DURATIONS[next - 100]) }
      assert.equal((await port.push(`/live/s1/${next}.ts`, headers)).status, 200)
    }
  }
  /** What happens before a case. */
  const before: readonly (readonly [cases: RegExp, act: () => Promise<unknown>])[] = [
    [/^after 1 segment/, () => to(100)],
    [/^after segment 104/, () => to(104)],
    [/^after segment 105/, () => to(105)],
    [/^after segment 106/, () => to(106)],
    [/^after segment 109/, () => to(109)],
    [/^memory store/, () => to(113)],
    [
      /^segment 2 failed/,
      async () => {
        for (const number of [0, 1, 2, 3]) {
          const failure = { kind: 'error', text: 'TranscoderInvalidVideo' } as const
          orchestrator.outcome = number === 2 ? failure : null
          await port.push(`/live/s2/${number}.ts`)
        }
      },
    ],
    [/^mp4 push/, () => port.push('/live/s3/0.mp4')],
    [
      /^host without/,
      async () => {
        await port.push('/live/nm/0.ts')
        await port.push('/live/nm4/0.mp4')
      },
    ],
  ]
  const done = new Set<RegExp>()
  const prepare = async (name: string) => {
    const step = before.find(([cases]) => cases.test(name))
    if (!step || done.has(step[0])) return
    done.add(step[0])
    await step[1]()
  }
  return { port, prepare }
}

/** A request as it was recorded: method and path, then headers. */
function requestOf({ request }: Recorded): string {
  const [, line, rest = ''] = /^(\S+ \S+)(?: (.*))?$/.exec(request!)!
  const range = rest.replace('bytes=0-99', 'bytes=0-9')
  const headers = [
    ...range.split('; ').filter((header) => header !== ''),
    'Host: 127.0.0.1',
    'Connection: close',
  ]
  return `${[`${line} HTTP/1.1`, ...headers].join('\r\n')}\r\n\r\n`
}

test('every recorded exchange with players is the same here, better, or out of scope', async (t) => {
  const { port, prepare } = await setUp()
  await using _port = port
  const verdicts = new Verdicts(rows)
  for (const record of records) {
    const what = `${record.case} ${record.request ?? ''}`.trim()
    const [, , , check] = verdicts.about(what)
    await prepare(record.case)
    const isAsked = record.request?.includes('/') && !record.case.startsWith('CLI port')
    const reply = isAsked ? await sendRaw(port.http, [requestOf(record)]) : { text: '\r\n\r\n', status: 200 }
    try {
      check(record, reply)
    } catch (error) {
      throw new Error(`${what}: ${error}`, { cause: error })
    }
  }
  verdicts.conclude(t, 86)
  assert.equal(verdicts.count('out of scope'), 1)
  const last = await (await fetch(`${port.base}/stream/s1/low.m3u8`)).text()
  assert.equal(lintMedia(last).segments[0]!.number, 8)
})
