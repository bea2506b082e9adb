import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { FakeOrchestrator } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { FakeRecordStore } from '../../../test/fakes/record-store.ts'
import { sendRaw } from '../../../test/net/raw-http.ts'
import { recordedRendition } from '../../../test/vectors/renditions.ts'
import { parseStoreAddress } from '../../domain/store-address.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { RecordStores } from '../../services/recordings/record-store.ts'
import { Recorder } from '../../services/recordings/recorder.ts'
import {
  type RecordingAuthority,
  type RecordingGrant,
  Recordings,
} from '../../services/recordings/recordings.ts'

const PLAIN: RecordingGrant = { store: null, publicUrl: null, previousSessions: [] }
const HOUR_MS = 3_600_000

async function setUp(grant: ((url: string) => RecordingGrant | null) | null = null) {
  const clock = new ManualClock()
  const store = new FakeRecordStore({ baseUrl: 'https://store.example/', now: () => clock.now() })
  const other = new FakeRecordStore()
  const asked: string[] = []
  const authority: RecordingAuthority | null = grant && {
    judge: async (url) => {
      asked.push(new URL(url).pathname)
      return { kind: 'allowed', grant: grant(url) }
    },
  }
  const needs = { clock, log: silentLog, causes: new RecordingCauses(), events: { tell: () => {} } }
  const stores = new RecordStores({ own: store, open: () => other })
  const recorder = new Recorder({ nodeId: 'n', stores }, needs)
  const recordings = new Recordings({ ...needs, stores, authority, recorder })
  const port = await startGatewayPort({ profiles: [] }, [new FakeOrchestrator('https://o1:8935')], {
    ...{ clock, recorder, recordings },
  })
  const settled = async () => {
    for (let turns = 0; turns < 1_000 && !recorder.isSaved; turns++) await settle()
    for (let turns = 0; turns < 40; turns++) await settle()
  }
  const push = async (name: string, config = '{"profiles":[]}') => {
    const headers = { 'Livepeer-Transcode-Configuration': config, 'Content-Resolution': '160x120' }
    assert.equal((await port.push(`/live/${name}.ts`, headers, 'codec=h264 width=0')).status, 200)
    await settled()
  }
  /** Puts what a segment really holds in its place. */
  const fill = async (session: string, count: number) => {
    for (let n = 0; n < count; n++) {
      await store.save(`${session}/n/source/${n}.ts`, recordedRendition(`tiny-${n % 3}`))
    }
  }
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${port.base}/recordings/${path}`, { headers })
  return { clock, store, other, asked, port, recordings, push, fill, get, settled }
}

test('any part of a movie or a segment can be fetched, and what a client has is not sent again', async () => {
  const set = await setUp()
  await using _ = set.port
  for (let n = 0; n < 3; n++) await set.push(`a/${n}`)
  await set.fill('a', 3)
  for (const path of ['a/source.mp4', 'a/n/source/1.ts']) {
    const whole = await set.get(path)
    const bytes = Buffer.from(await whole.arrayBuffer())
    const etag = whole.headers.get('etag')!
    assert.equal(whole.headers.get('accept-ranges'), 'bytes')
    assert.equal(whole.headers.get('content-length'), String(bytes.length))
    const part = await set.get(path, { Range: 'bytes=1000-1999', 'If-Range': etag })
    assert.equal(part.status, 206)
    assert.equal(part.headers.get('content-range'), `bytes 1000-1999/${bytes.length}`)
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(1000, 2000)))
    const end = await set.get(path, { Range: 'bytes=-10' })
    assert.ok(Buffer.from(await end.arrayBuffer()).equals(bytes.subarray(-10)))
    const beyond = await set.get(path, { Range: `bytes=${bytes.length}-` })
    assert.equal(beyond.status, 416)
    const changed = await set.get(path, { Range: 'bytes=0-9', 'If-Range': '"other"' })
    assert.equal(changed.status, 200)
    await changed.arrayBuffer()
    assert.equal((await set.get(path, { 'If-None-Match': etag })).status, 304)
  }
})

test('a part of a movie is made of the segments in it alone', async () => {
  const set = await setUp()
  await using _ = set.port
  for (let n = 0; n < 9; n++) await set.push(`a/${n}`)
  await set.fill('a', 9)
  const size = Number(
    (await set.get('a/source.mp4', { Range: 'bytes=0-0' })).headers.get('content-range')!.split('/')[1],
  )
  set.store.asked.length = 0
  const part = await set.get('a/source.mp4', { Range: `bytes=${size - 1000}-` })
  assert.equal((await part.arrayBuffer()).byteLength, 1000)
  const segments = set.store.asked.filter((line) => line.endsWith('.ts'))
  assert.deepEqual([...new Set(segments)], ['GET a/n/source/8.ts', 'GET a/n/source/0.ts'])
})

test('no path leads out of the recording', async () => {
  const set = await setUp()
  await using _ = set.port
  await set.push('a/0')
  set.store.asked.length = 0
  const paths = [
    ...[
      '%2e%2e/secret.ts',
      'a/%2e%2e/%2e%2e/secret.ts',
      'a/..%2f..%2fsecret.ts',
      'a/x%00.ts',
      'a%5c..%5cb.ts',
    ],
    ...[
      'a/./0.ts',
      '../a/0.ts',
      '.ts',
      'a/.ts',
      `${'x'.repeat(600)}/index.m3u8`,
      'a/%0d%0aX: 1.ts',
      '%ff/0.ts',
    ],
    ...['a/index.m3u8/', 'a/0.TS', 'a/0.json', 'a/playlist_1.json'],
  ]
  for (const path of paths) {
    const head = `GET /recordings/${path} HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n`
    const { status } = await sendRaw({ port: set.port.http.port }, [head])
    assert.ok(status === 400 || status === 404, `${path}: ${status}`)
  }
  assert.deepEqual(set.store.asked, [])
})

test('what the webhook grants counts for an hour, and lets in the segments of joined sessions', async () => {
  const set = await setUp((url) =>
    url.includes('/b/') ? { ...PLAIN, previousSessions: ['a', '../x', 'b'] } : null,
  )
  await using _ = set.port
  await set.push('a/0')
  await set.push('b/0')
  const playlist = await (await set.get('b/source.m3u8')).text()
  const uris = playlist.split('\n').filter((line) => line.endsWith('.ts'))
  assert.deepEqual(uris, ['../a/n/source/0.ts', 'n/source/0.ts'])
  for (const uri of uris)
    assert.equal((await fetch(new URL(uri, `${set.port.base}/recordings/b/`))).status, 200)
  assert.deepEqual(set.asked, ['/recordings/b/source.m3u8'])
  await set.get('a/index.m3u8')
  assert.equal(set.asked.length, 2)
  await set.clock.wind(HOUR_MS)
  await set.get('b/index.m3u8')
  assert.equal(set.asked.length, 3)
})

test('a stream is recorded under the name in its URL, in the store that the webhook names', async () => {
  const set = await setUp()
  await using _ = set.port
  await set.push('outside/0', '{"profiles":[],"manifestID":"inside"}')
  assert.equal((await set.get('outside/index.m3u8')).status, 200)
  assert.equal((await set.get('inside/index.m3u8')).status, 404)
  const config = { manifestId: 'shown', profiles: [], timeoutMultiplier: 1, forceSessionReinit: false }
  const recording = { ...PLAIN, store: parseStoreAddress('/some/folder') }
  const publication = set.port.gateway.publish('typed', { config, sessionId: null, recording })
  const never = new AbortController().signal
  await set.port.gateway.serve(
    {
      ...{ externalId: publication.manifestId, sequence: 0n, format: 'mpegts', durationMs: 2_000 },
      ...{ bytes: Buffer.from('codec=h264'), resolution: '0x0', clip: null, config: null, isPublished: true },
    },
    never,
  )
  await set.settled()
  assert.deepEqual(
    (await set.other.paths()).filter((path) => path.endsWith('.ts')),
    ['typed/n/source/0.ts'],
  )
})

test('playlists of a recording that is a day old are saved when they are asked for, unless it is said otherwise', async () => {
  const set = await setUp()
  await using _ = set.port
  await set.push('a/0')
  await set.clock.wind(23 * HOUR_MS)
  await set.get('a/index.m3u8')
  assert.equal(
    (await set.store.paths('a/')).some((path) => path.endsWith('.m3u8')),
    false,
  )
  await set.clock.wind(2 * HOUR_MS)
  await set.get('a/index.m3u8?finalize=false')
  assert.equal(
    (await set.store.paths('a/')).some((path) => path.endsWith('.m3u8')),
    false,
  )
  await set.get('a/source.m3u8')
  assert.deepEqual(
    (await set.store.paths('a/')).filter((path) => path.endsWith('.m3u8')),
    ['a/index.m3u8', 'a/source.m3u8'],
  )
})

test('a recording that goes on after its playlists were saved is shown whole', async () => {
  const set = await setUp()
  await using _ = set.port
  await set.push('a/0')
  await set.get('a/index.m3u8?finalize=true')
  await set.push('a/1')
  const playlist = await (await set.get('a/source.m3u8')).text()
  assert.deepEqual(playlist.match(/\d\.ts/g), ['0.ts', '1.ts'])
})

test('a broken index is left out, and one that another gateway wrote is read', async () => {
  const set = await setUp()
  await using _ = set.port
  await set.push('a/0')
  await set.store.save('a/go/source/1.ts', new Uint8Array(1))
  const tracks = [{ name: 'source', bandwidth: 4_000_000, resolution: '160x120' }]
  const source = [
    { seq_no: 1, uri: 'https://elsewhere.example/bucket/recs/a/go/source/1.ts', duration_ms: 2_500 },
  ]
  const index = { duration_ms: 2_500, tracks, segments: { source } }
  await set.store.save('a/go/playlist_1800000000000000001.json', Buffer.from(JSON.stringify(index)))
  await set.store.save('a/go/playlist_1800000000000000002.json', Buffer.from('{"tracks":['))
  const playlist = await (await set.get('a/source.m3u8')).text()
  assert.match(
    playlist,
    /#EXT-X-TARGETDURATION:3\n#EXTINF:2\.000,\nn\/source\/0\.ts\n#EXTINF:2\.500,\ngo\/source\/1\.ts\n/,
  )
})

test('bytes of answers are bounded, and free again when they are sent', async () => {
  const set = await setUp()
  await using _ = set.port
  for (let n = 0; n < 3; n++) await set.push(`a/${n}`)
  await set.fill('a', 3)
  const gone = new AbortController()
  const held = () => set.recordings.bytesHeld
  const ask = (path: string) => set.recordings.answer({ path, url: '', finalize: null }, gone.signal)
  assert.equal((await ask('a/n/source/0.ts')).kind, 'file')
  assert.equal(held(), recordedRendition('tiny-0').length)
  let movies = 0
  while ((await ask('a/source.mp4')).kind === 'movie') movies++
  assert.ok(movies > 1_000 && held() <= 1_000_000_000)
  assert.deepEqual(await ask('a/n/source/0.ts'), { kind: 'refused', why: 'too-many-requests' })
  gone.abort()
  assert.equal(held(), 0)
  const answer = await set.get('a/source.mp4')
  await answer.arrayBuffer()
  await set.settled()
  assert.equal(held(), 0)
})

test('a store that is down, or hangs, holds up neither publishers nor live playback', async () => {
  for (const fault of ['hangs', 'store-unreachable', 'store-refused'] as const) {
    const set = await setUp()
    set.store.fault = fault
    for (let n = 0; n < 3; n++) await set.push(`a/${n}`)
    const playlist = await (await fetch(`${set.port.base}/stream/a/source.m3u8`)).text()
    assert.equal(playlist.split('#EXTINF').length, 4)
    const stopped = set.port[Symbol.asyncDispose]()
    await set.clock.wind(5_000)
    await stopped
  }
})

test('requests at once are bounded', async () => {
  const set = await setUp()
  await using _ = set.port
  set.store.fault = 'hangs'
  const over = new AbortController()
  const requests = Array.from({ length: 64 }, (_, n) =>
    set.recordings.answer({ path: `a${n}/index.m3u8`, url: '', finalize: null }, over.signal),
  )
  const more = await set.recordings.answer({ path: 'b/index.m3u8', url: '', finalize: null }, over.signal)
  assert.deepEqual(more, { kind: 'refused', why: 'too-many-requests' })
  for (const request of requests) request.catch(() => {})
})
