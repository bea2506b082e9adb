import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { FakeOrchestrator } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { FakeRecordStore } from '../../../test/fakes/record-store.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { sendRaw } from '../../../test/net/raw-http.ts'
import { WebhookServer } from '../../../test/net/webhook-server.ts'
import { eventually } from '../../../test/tools/until.ts'
import { recordsIn, Verdicts } from '../../../test/vectors/recorded.ts'
import { recordedRendition } from '../../../test/vectors/renditions.ts'
import { parseProfiles } from '../../domain/rendition.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import type { RecordStore } from '../../services/recordings/record-store.ts'
import { Recorder } from '../../services/recordings/recorder.ts'
import { listAll } from '../../services/recordings/recording-library.ts'
import { Recordings } from '../../services/recordings/recordings.ts'
import { FolderObjects } from '../objects/folder-objects.ts'
import { AuthWebhook } from './auth-webhook.ts'

/**
 * Every recorded exchange of a Go gateway about recordings, against this one: `same`, `better` or `out of scope`, with the
 * reason. Segments are pushed as they were; what they hold are recorded renditions.
 */

interface Recorded {
  readonly case: string
  /** Segments that are pushed first, and those whose answer has the status. */
  readonly before?: readonly string[]
  readonly push?: readonly string[]
  /** What the webhook answers from here on. */
  readonly answer?: { readonly status: number; readonly body: string }
  readonly request?: string
  /** 0: the connection was closed without an answer. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Paths in the store that were written by this, and all that there were. */
  readonly saved?: readonly string[]
  readonly files?: readonly string[]
  readonly content?: string | Readonly<Record<string, string>>
  readonly streams?: readonly { readonly codec_name: string; readonly duration?: string }[]
  readonly boxes?: readonly string[]
}

type Verdict = 'same' | 'better' | 'out of scope'
interface Instead {
  readonly status?: number
  readonly body?: string | RegExp
}
type Row = readonly [cases: RegExp, verdict: Verdict, why: string, instead?: Instead]

const records = recordsIn<Recorded>('recordings.json')

const END = '#EXT-X-ENDLIST\n'
const HEAD = '#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-TARGETDURATION:2\n'
const BREAK = '#EXT-X-DISCONTINUITY\n'
const listed = (...uris: readonly string[]) => uris.map((uri) => `#EXTINF:2.000,\n${uri}\n`).join('')
const joined = (track: string, ...parts: readonly (readonly [folder: string, ...sequences: number[]])[]) =>
  HEAD +
  parts
    .map(([folder, ...sequences]) => listed(...sequences.map((n) => `${folder}/HOST/${track}/${n}.ts`)))
    .join(BREAK) +
  END
const REC3 = (track: string) =>
  joined(track, ['../rec1', 0, 1, 2], ['../rec2', 3, 4]).replace(END, '') +
  BREAK +
  listed(`HOST/${track}/5.ts`, `HOST/${track}/6.ts`) +
  END
const CDN = 'https://cdn.example/rec'
const REC2 = joined('low', [`${CDN}/rec1`, 0, 1, 2], [`${CDN}/rec2`, 3, 4])
const MASTER = /^#EXTM3U\n#EXT-X-VERSION:3\n(#EXT-X-STREAM-INF:.*\n(source|low|tiny)\.m3u8\n){3}$/
const EVERYWHERE = 'sessions are joined on every store'
const BY_NAME = 'a path in the address of a store is a folder, and its recordings are found'

const MOVIE = /^.{4}ftyp/s
const FILE_STORE =
  joined('low', ['../f1', 0, 1]).replace(END, '') + BREAK + listed('HOST/low/2.ts', 'HOST/low/3.ts') + END

/** By case and request; the first that fits counts. */
const rows: readonly Row[] = [
  [/^recordings: mp4 GET/, 'better', 'the MP4 of a private bucket is not empty', { body: MOVIE }],
  [/^recordOb.*: mp4 GET/, 'better', 'the MP4 of a private bucket is not empty', { body: MOVIE }],
  [/^recordings: mp4(, segments| source)/, 'same', 'in other boxes', { body: MOVIE }],
  [/^↳ that mp4/, 'better', 'a player finds any time by its index, and any part can be fetched'],
  [
    /^recordings: path GET \/recordings\/(\/index|\.\.)/,
    'better',
    'refused without a detour',
    { status: 400 },
  ],
  [
    /^recordings: finalize=true with empty/,
    'better',
    'the connection is not cut',
    { status: 200, body: MASTER },
  ],
  [/^joined sessions: track .*source/, 'better', EVERYWHERE, { body: REC3('source') }],
  [/^(joined sessions: track|↳ track) .*rec3\/low/, 'better', EVERYWHERE, { body: REC3('low') }],
  [/^↳ objects that finalize wrote/, 'better', EVERYWHERE],
  [
    /^recordObjectStoreUrl: (master|finalize)/,
    'better',
    'tracks are not in an order of chance',
    { body: MASTER },
  ],
  [/^(recordObjectStoreUrl: track|↳ track after that)/, 'better', EVERYWHERE, { body: REC2 }],
  [/^file store: joined sessions, master/, 'better', EVERYWHERE, { status: 200, body: MASTER }],
  [/^file store: joined sessions, track/, 'better', EVERYWHERE, { status: 200, body: FILE_STORE }],
  [/^↳ its recording( by the external name)? GET/, 'better', BY_NAME, { status: 200, body: MASTER }],
  [/^↳ objects in the other bucket/, 'better', BY_NAME],
  [/^webhook recordObjectStore with path/, 'better', BY_NAME],
  [/^stream end/, 'same', 'nothing is saved then'],
  [/^note: /, 'same', 'the store is new'],
  [/./, 'same', ''],
]

/** An orchestrator whose renditions are those that were recorded. */
class RecordedOrchestrator extends FakeOrchestrator {
  override work(...given: Parameters<FakeOrchestrator['work']>) {
    const [{ segment }] = given
    const result = super.work(...given)
    for (const { name } of segment.profiles) {
      const url = [...this.files.keys()].findLast((one) => one.endsWith(`/${name}/${segment.seq}.ts`))!
      this.files.set(url, rendition(name, Number(segment.seq)))
    }
    return result
  }
}

function rendition(track: string, sequence: number): Uint8Array {
  return recordedRendition(`${track === 'tiny' ? 'half' : 'tiny'}-${sequence % 3}`)
}

async function setUp() {
  const webhook = await WebhookServer.open()
  const clock = new ManualClock()
  const log = new RecordingLog()
  const causes = new RecordingCauses()
  const folder = await mkdtemp(join(tmpdir(), 'recordings-'))
  const told = { tell: () => {} }
  const authority = new AuthWebhook({ url: `${webhook.url}/h` }, { clock, log, causes, events: told })
  const other = new FakeRecordStore({ baseUrl: 'http://127.0.0.1:9001/osbucket/recs/' })
  const files = new FolderObjects({ folder }, { dice: seededDice('files') })
  const stores: { own: RecordStore | null } = { own: null }
  const of = { of: (address: unknown) => (address === null ? stores.own : other) }
  const recorder = new Recorder({ nodeId: 'HOST', stores: of }, { clock, log, causes, events: told })
  const recordings = new Recordings({ clock, log, stores: of, authority, recorder })
  const profiles = parseProfiles([
    { name: 'low', width: 160, height: 120, bitrate: 100_000, fps: 10 },
    { name: 'tiny', width: 80, height: 60, bitrate: 50_000, fps: 10 },
  ])
  const orchestrator = new RecordedOrchestrator('https://o1:8935')
  const given = { authority, clock, recorder, recordings }
  const port = await startGatewayPort({ maxSessions: 50, profiles }, [orchestrator], given)
  const renew = () => {
    stores.own = new FakeRecordStore({ baseUrl: 'http://127.0.0.1:9001/recbucket/' })
    return stores.own as FakeRecordStore
  }
  return {
    ...{ webhook, clock, port, recorder, orchestrator, stores, renew, other, files },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** The last answer. */
const last = { body: '' }

type World = Awaited<ReturnType<typeof setUp>>

async function push({ port, recorder, stores }: World, name: string): Promise<number> {
  const headers = { Accept: 'multipart/mixed', 'Content-Duration': '2000', 'Content-Resolution': '160x120' }
  const { status } = await port.push(`/live/${name}.ts`, headers, 'codec=h264 width=0')
  const isDown = stores.own instanceof FakeRecordStore && stores.own.fault !== null
  if (!isDown) await eventually('the segment is recorded', () => recorder.isSaved)
  for (let turns = 0; turns < 10; turns++) await settle()
  return status
}

const BOXES = ['ftyp', 'moov', 'sidx', 'moof', 'mdat', 'free']

function boxesOf(latin1: string): string[] {
  const bytes = Buffer.from(latin1, 'latin1')
  const types: string[] = []
  for (let at = 0; at + 8 <= bytes.length; at += bytes.readUInt32BE(at))
    types.push(latin1.slice(at + 4, at + 8))
  return types
}

const shown = (path: string) => path.replace(/playlist_\d+/, 'playlist_N').replace(/^recs\/?/, '')

async function compareAnswer({ port, webhook }: World, record: Recorded, instead: Instead): Promise<void> {
  const [method, path] = record.request!.split(' ') as [string, string]
  webhook.requests.length = 0
  const head = `${method} ${path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n`
  const { status, text } = await sendRaw({ port: port.http.port }, [head])
  assert.equal(status, instead.status ?? record.status, text)
  for (const { body, path: asked } of webhook.requests) {
    assert.deepEqual([asked, JSON.parse(body)], ['/h', { url: `http://gateway${path}` }])
  }
  const [lines = '', body = ''] = text.split('\r\n\r\n', 2)
  last.body = body
  const expected = instead.body ?? (status === record.status ? record.body : '') ?? ''
  if (expected instanceof RegExp) assert.match(body, expected)
  else if (expected !== '') assert.equal(body, expected)
  if (status !== 200 || record.status !== 200) return
  for (const [name, value] of Object.entries(record.headers ?? {})) {
    assert.ok(
      lines.toLowerCase().includes(`\r\n${name}: ${value}`.toLowerCase()),
      `${name}: ${value}\n${lines}`,
    )
  }
}

async function compareStore(store: RecordStore, record: Recorded, world: World): Promise<void> {
  if (record.saved && store instanceof FakeRecordStore) {
    const target = record.case.startsWith('webhook recordObjectStore') ? world.other : store
    const saved = target.asked.filter((line) => line.startsWith('PUT ')).map((line) => shown(line.slice(4)))
    assert.deepEqual([...new Set(saved)].sort(), [...new Set(record.saved.map(shown))].sort())
  }
  if (record.files) {
    const from = record.case.startsWith('↳ objects in the other') ? world.other : store
    const { files } = await listAll((after) => from.list('', after))
    const there = files.map(({ path }) => shown(path))
    const recorded = record.files.map(shown).filter((path) => /\/HOST\/|m3u8$/.test(path))
    const sessions = new Set(recorded.map((path) => path.split('/')[0]))
    const isOfThese = (path: string) =>
      sessions.has(path.split('/')[0]) && (!record.content || path.endsWith('.m3u8'))
    assert.deepEqual(there.filter(isOfThese).sort(), recorded.sort())
  }
  if (typeof record.content === 'string' && store instanceof FakeRecordStore) {
    const session = record.content.includes('/rec1/') ? 'rec1' : 'recgap'
    const [name] = (await store.paths(`${session}/`)).filter((path) => path.includes('/playlist_'))
    assert.equal(await store.text(name!), record.content)
  }
}

test('every recorded exchange about recordings is the same here, better, or out of scope', async (t) => {
  const world = await setUp()
  const { clock, orchestrator, port, stores, webhook } = world
  await using _port = port
  await using _webhook = webhook
  const verdicts = new Verdicts(rows)
  world.renew()
  for (const record of records) {
    const [, , , instead = {}] = verdicts.about(`${record.case} ${record.request ?? ''}`)
    if (record.answer) webhook.answer = record.answer
    if (/\(ingest port\)/.test(record.case)) stores.own = null
    if (/^note: |^record store not|^store URLs/.test(record.case)) {
      // Streams go on in the store in which they began.
      await clock.wind(200_000)
      world.renew()
    }
    if (record.case.startsWith('-recordStore with a path')) stores.own = world.files
    const own = stores.own
    const asked = own instanceof FakeRecordStore ? own.asked : []
    try {
      for (const name of record.before ?? []) assert.equal(await push(world, name), 200)
      asked.length = 0
      world.other.asked.length = 0
      if (record.case.startsWith('record store not listening'))
        (own as FakeRecordStore).fault = 'store-unreachable'
      const hasFailed = record.case.startsWith('recordings: segment 1 failed')
      orchestrator.outcome = hasFailed ? { kind: 'error', text: 'TranscoderInvalidVideo' } : null
      for (const name of record.push ?? []) assert.equal(await push(world, name), record.status)
      orchestrator.outcome = null
      if (record.case.startsWith('stream end')) {
        await clock.wind(200_000)
        assert.deepEqual(asked, [])
      }
      if (record.request?.endsWith('/source.mp4')) {
        for (let n = 0; n < 3; n++) await own!.save(`rec1/HOST/source/${n}.ts`, rendition('low', n))
      }
      if (record.request) await compareAnswer(world, record, instead)
      if (own) await compareStore(own, record, world)
      if (record.case === '↳ that mp4') assert.deepEqual(boxesOf(last.body).slice(0, 6), BOXES)
      for (let turns = 0; turns < 10; turns++) await settle()
    } catch (error) {
      throw new Error(`${record.case} ${record.request ?? ''}: ${error}`, { cause: error })
    }
  }
  verdicts.conclude(t, 79)
  await world.remove()
})
