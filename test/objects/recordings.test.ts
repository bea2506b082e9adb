import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseStoreAddress } from '../../src/domain/store-address.ts'
import { openStore } from '../../src/io/objects/open-store.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { RecordStores } from '../../src/services/recordings/record-store.ts'
import { Recorder, type Recording } from '../../src/services/recordings/recorder.ts'
import { type RecordingGrant, Recordings } from '../../src/services/recordings/recordings.ts'
import { RecordingRetention } from '../../src/services/recordings/retention.ts'
import { RecordingCauses } from '../fakes/causes.ts'
import { look } from '../media/media.ts'
import { NO_S3_SERVER, S3Server } from '../net/s3-server.ts'
import { eventually } from '../tools/until.ts'
import { recordedRendition } from '../vectors/renditions.ts'

/** Recordings in a real S3 server. STORE_OUTAGE_MS: for how long it is away. */

const OUTAGE_MS = Number(process.env.STORE_OUTAGE_MS ?? 3_000)
const skip = NO_S3_SERVER
const never = new AbortController().signal
const TRACK = { name: 'source', bandwidth: 4_000_000, resolution: '160x120' }
const server = skip ? null : await S3Server.open()

/** The way to its bucket, which is private: nobody passes without a signature. It can be cut. */
const gate = {
  isCut: false,
  server: createServer((asked, answer) => {
    asked.on('error', () => {})
    if (gate.isCut) return void asked.socket.destroy()
    if (!asked.headers.authorization?.startsWith('AWS4-HMAC-SHA256')) return void answer.writeHead(403).end()
    const { headers, method, url } = asked
    const [host, port] = server!.at.split(':')
    const further = request({ host, port, method, path: url, headers }, (reply) => {
      answer.writeHead(reply.statusCode!, reply.headers)
      reply.pipe(answer)
    })
    further.on('error', () => answer.destroy())
    asked.pipe(further)
  }),
}
gate.server.listen(0, '127.0.0.1')
await once(gate.server, 'listening')
const supervisor = new Supervisor()
after(async () => {
  await supervisor.stop()
  gate.server.close()
  gate.server.closeAllConnections()
  await server?.[Symbol.asyncDispose]()
})

async function setUp(folder: string) {
  // Each test has a folder of its own, without a slash at its end.
  const address = parseStoreAddress(
    server!
      .addressOf(`/${folder}`)
      .replace(server!.at, `127.0.0.1:${(gate.server.address() as AddressInfo).port}`),
  )
  const env = { clock: systemClock, dice: systemDice }
  const own = openStore(address, { isPublic: false }, env)
  const stores = new RecordStores({ own, open: () => own })
  const causes = new RecordingCauses()
  const needs = { ...env, log: silentLog, causes, events: { tell: () => {} } }
  const recorder = new Recorder({ nodeId: 'n', stores }, needs)
  const grants = new Map<string, RecordingGrant>()
  const judge = async (url: string) => ({ kind: 'allowed', grant: grants.get(url) ?? null }) as const
  const recordings = new Recordings({ ...needs, stores, authority: { judge }, recorder })
  await supervisor.start(recorder)
  const saved = async (session: string, count: number) => {
    await eventually(`${count} segments of ${session}`, async () => {
      const answer = await recordings.answer(
        { path: `${session}/source.m3u8`, url: '', finalize: null },
        never,
      )
      return answer.kind === 'playlist' && answer.text.split('.ts\n').length === count + 1
    })
  }
  return { own, causes, recorder, recordings, grants, saved, needs }
}

function add(recording: Recording, number: number): void {
  const bytes = recordedRendition(`tiny-${number % 3}`)
  recording.add(TRACK, { sequence: BigInt(number), format: 'mpegts', bytes, durationMs: 2_000 })
}

test('sessions in a private bucket are joined, below a folder, in playlists and in one MP4', {
  skip,
}, async () => {
  const { grants, recorder, recordings, own, saved } = await setUp('recs')
  for (const session of ['a', 'b']) {
    const recording = recorder.begin(session, session, null)!
    for (let number = 0; number < 3; number++) add(recording, number)
    recording.end()
    await saved(session, 3)
  }
  const { files } = await own.list('a/n/')
  const uri = JSON.parse(Buffer.from((await own.load(files[0]!.path))!).toString()).segments.source[0]
    .uri as string
  assert.match(uri, /\/bucket\/recs\/a\/n\/source\/0\.ts$/)
  assert.equal((await fetch(uri)).status, 403, 'nobody reads it without a key')
  grants.set('joined', { store: null, publicUrl: null, previousSessions: ['a'] })
  const ask = (path: string) => recordings.answer({ path, url: 'joined', finalize: null }, never)
  const list = await ask('b/source.m3u8')
  assert.ok(list.kind === 'playlist')
  assert.equal(list.text.split('#EXT-X-DISCONTINUITY').length, 2)
  assert.match(
    list.text,
    /\.\.\/a\/n\/source\/2\.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2\.000,\nn\/source\/0\.ts/,
  )
  const answer = await ask('b/source.mp4')
  assert.ok(answer.kind === 'movie')
  const parts: Uint8Array[] = []
  for await (const part of answer.movie.read(0, answer.movie.size, never)) parts.push(part)
  const { audio, video } = await look(Buffer.concat(parts))
  assert.equal(video.length, 6 * 20)
  assert.ok(audio.length > 6 * 80)
  const segment = await ask('a/n/source/1.ts')
  assert.ok(segment.kind === 'file' && Buffer.from(segment.bytes).equals(recordedRendition('tiny-1')))
})

test('a recording catches up with a bucket that was away, and says meanwhile that it is', {
  skip,
}, async () => {
  const { causes, recorder, saved } = await setUp('outage')
  const recording = recorder.begin('live', 'live', null)!
  add(recording, 0)
  await saved('live', 1)
  gate.isCut = true
  const until = Date.now() + OUTAGE_MS
  let number = 1
  for (; Date.now() < until; number++) {
    add(recording, number)
    await sleep(Math.min(500, OUTAGE_MS / 4))
  }
  assert.deepEqual(causes.codes, ['recording-failing'])
  gate.isCut = false
  await saved('live', number)
  await eventually('it is over', () => causes.codes.length === 0)
  recording.end()
})

test('old recordings are deleted from a bucket', { skip }, async () => {
  const { needs, own, recorder, saved } = await setUp('old')
  const recording = recorder.begin('x', 'x', null)!
  add(recording, 0)
  recording.end()
  await saved('x', 1)
  const clock = { ...systemClock, now: () => Date.now() + 3_600_000 }
  const retention = new RecordingRetention({ store: own, keptMs: 60_000 }, { ...needs, clock })
  assert.equal(await retention.sweep(never), 2)
  assert.deepEqual((await own.list('')).files, [])
})
