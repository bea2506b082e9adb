import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { FakeRecordStore } from '../../../test/fakes/record-store.ts'
import type { NodeEvent } from '../../domain/events.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { RecordStores } from './record-store.ts'
import { Recorder, type Recording } from './recorder.ts'

const SOURCE = { name: 'source', bandwidth: 4_000_000, resolution: '160x120' }
const LOW = { name: 'low', bandwidth: 100_000, resolution: '160x120' }

async function setUp(options: { maxWaitingBytes?: number } = {}) {
  const clock = new ManualClock()
  const store = new FakeRecordStore()
  const causes = new RecordingCauses()
  const events: NodeEvent[] = []
  const needs = {
    clock,
    causes,
    log: silentLog,
    events: { tell: (event: NodeEvent) => void events.push(event) },
  }
  const stores = new RecordStores({ own: store, open: () => store })
  const recorder = new Recorder({ nodeId: 'HOST', stores, ...options }, needs)
  const supervisor = new Supervisor()
  await supervisor.start(recorder)
  const begin = (session: string) => recorder.begin(session, `${session}-played`, null)!
  const settled = async () => {
    for (let i = 0; i < 20; i++) await settle()
  }
  return { clock, store, causes, events, recorder, supervisor, begin, settled }
}

function add(recording: Recording, track: typeof SOURCE, sequence: number, bytes = 1_000): void {
  const segment = {
    sequence: BigInt(sequence),
    format: 'mpegts',
    bytes: new Uint8Array(bytes),
    durationMs: 2_000,
  } as const
  recording.add(track, segment)
}

const indexes = async (store: FakeRecordStore, prefix = '') =>
  (await store.paths(prefix)).filter((path) => path.includes('/playlist_'))

test('a segment is saved before the index that lists it, and the index at once', async () => {
  const { begin, settled, store } = await setUp()
  const recording = begin('s1')
  add(recording, SOURCE, 0)
  add(recording, LOW, 0)
  await settled()
  assert.deepEqual(
    store.asked.map((line) => line.replace(/playlist_\d+/, 'playlist_N')),
    [
      'LIST s1/HOST/playlist_',
      'PUT s1/HOST/source/0.ts',
      'PUT s1/HOST/low/0.ts',
      'PUT s1/HOST/playlist_N.json',
    ],
  )
  add(recording, SOURCE, 1)
  await settled()
  assert.equal((await indexes(store)).length, 1)
  assert.match(await store.text((await indexes(store))[0]!), /"seq_no":1,"uri":"\/s1\/HOST\/source\/1.ts"/)
})

test('an index goes on for an hour of the source', async () => {
  const { begin, settled, store } = await setUp()
  const recording = begin('s1')
  for (let sequence = 0; sequence < 1_803; sequence++) add(recording, SOURCE, sequence, 1)
  for (let i = 0; i < 60; i++) await settled()
  const names = await indexes(store)
  assert.equal(names.length, 2)
  const [first, second] = await Promise.all(names.map(async (name) => JSON.parse(await store.text(name))))
  assert.deepEqual([first.segments.source.length, second.segments.source.length], [1_801, 2])
})

test('while its store is down a recording waits, says so, and then catches up in order', async () => {
  const { begin, causes, clock, events, settled, store } = await setUp()
  const recording = begin('s1')
  add(recording, SOURCE, 0)
  await settled()
  store.fault = 'store-unreachable'
  for (let sequence = 1; sequence <= 15; sequence++) {
    add(recording, SOURCE, sequence)
    add(recording, LOW, sequence)
    await clock.wind(2_000)
  }
  assert.deepEqual(causes.codes, ['recording-failing'])
  assert.match(
    causes.sentences[0]!,
    /^the store of recordings s3\+https:\/\/store.example\/bucket does not take segments \(connection refused\)/,
  )
  assert.ok(events.some(({ kind }) => kind === 'recording-save-failed'))
  store.fault = null
  await clock.wind(8_000)
  await settled()
  assert.deepEqual(causes.codes, [])
  const index = JSON.parse(await store.text((await indexes(store))[0]!))
  assert.deepEqual(
    index.segments.source.map(({ seq_no = 0 }) => seq_no),
    Array.from({ length: 16 }, (_, at) => at),
  )
  assert.equal(index.segments.low.length, 15)
  assert.equal(events.filter(({ kind }) => kind === 'recording-saved').length, 31)
  assert.equal(
    events.some(({ kind }) => kind === 'recording-lost'),
    false,
  )
})

test('a store that hangs is given up after half a minute, each time', async () => {
  const { begin, causes, clock, settled, store } = await setUp()
  store.fault = 'hangs'
  const recording = begin('s1')
  add(recording, SOURCE, 0)
  await clock.wind(30_000)
  await clock.wind(30_000)
  assert.match(causes.sentences[0]!, /no answer in 30 s/)
  store.fault = null
  await clock.wind(10_000)
  await settled()
  assert.equal((await indexes(store)).length, 1)
})

test('what waits is bounded: the oldest segments of the largest recording are lost, and it is said', async () => {
  const { begin, causes, clock, events, recorder, settled, store } = await setUp({ maxWaitingBytes: 20_000 })
  store.fault = 'store-unreachable'
  const [small, large] = [begin('small'), begin('large')]
  add(small, SOURCE, 0)
  for (let sequence = 0; sequence < 20; sequence++) {
    add(large, SOURCE, sequence)
    assert.ok(recorder.waitingBytes <= 20_000)
  }
  await clock.wind(1_000)
  assert.ok(causes.sentences.some((text) => /^11 segments of "large-played" are in no recording/.test(text)))
  assert.equal(events.filter(({ kind }) => kind === 'recording-lost').length, 11)
  store.fault = null
  await clock.wind(10_000)
  await settled()
  assert.equal(recorder.waitingBytes, 0)
  const sources = (await store.paths('large/')).filter((path) => path.endsWith('.ts'))
  assert.equal(sources.length, 9)
  assert.equal((await store.paths('small/')).filter((path) => path.endsWith('.ts')).length, 1)
})

test('a file that no store takes is left out, and holds nothing up', async () => {
  const { begin, events, clock, settled, store } = await setUp()
  store.refused = (path) => path.endsWith('/1.ts')
  const recording = begin('s1')
  for (let sequence = 0; sequence < 3; sequence++) add(recording, SOURCE, sequence)
  await clock.wind(1_000)
  await settled()
  const index = JSON.parse(await store.text((await indexes(store))[0]!))
  assert.equal(index.segments.source.length, 2)
  assert.equal(events.filter(({ kind }) => kind === 'recording-lost').length, 1)
})

test('a recording ends when all of it is saved, and is given up a minute after its stream', async () => {
  const { begin, clock, events, recorder, settled, store } = await setUp()
  const recording = begin('s1')
  add(recording, SOURCE, 0)
  recording.end()
  add(recording, SOURCE, 1)
  await settled()
  assert.equal(recorder.underWay('s1').length, 0)
  assert.equal((await store.paths()).length, 2)
  store.fault = 'store-refused'
  const other = begin('s2')
  add(other, SOURCE, 0)
  other.end()
  await clock.wind(59_000)
  assert.equal(recorder.underWay('s2').length, 1)
  await clock.wind(10_000)
  assert.equal(recorder.underWay('s2').length, 0)
  assert.deepEqual(events.at(-1), { kind: 'recording-lost', manifestId: 's2-played', segments: 1 })
})

test('another recording of a name replaces no file of an earlier one', async () => {
  const { begin, clock, settled, store } = await setUp()
  for (let time = 0; time < 3; time++) {
    const recording = begin('s1')
    add(recording, SOURCE, 0)
    if (time > 0) recording.end()
    await settled()
    await clock.wind(1_000)
  }
  const folders = new Set((await store.paths('s1/')).map((path) => path.split('/')[1]))
  assert.equal(folders.size, 3)
  assert.ok(folders.has('HOST'))
})

test('numbers that begin again in one stream go to a folder of their own, and late renditions to the first', async () => {
  const { begin, settled, store } = await setUp()
  const recording = begin('s1')
  for (let sequence = 100; sequence < 103; sequence++) add(recording, SOURCE, sequence)
  add(recording, SOURCE, 0)
  add(recording, LOW, 102)
  add(recording, LOW, 0)
  await settled()
  const files = (await store.paths('s1/')).filter((path) => path.endsWith('.ts'))
  const first = files.filter((path) => path.startsWith('s1/HOST/'))
  assert.deepEqual(first.map((path) => path.slice('s1/HOST/'.length)).sort(), [
    ...['low/102.ts', 'source/100.ts', 'source/101.ts', 'source/102.ts'],
  ])
  assert.equal(files.length, 6)
})

test('a name that leads out of its folder is not recorded', async () => {
  const { begin, recorder, store, settled } = await setUp()
  for (const name of ['..', '.', '', 'a/b', 'a\\b', 'x\n'])
    assert.equal(recorder.begin(name, 'played', null), null)
  const recording = begin('s1')
  add(recording, { ...LOW, name: '..' }, 0)
  await settled()
  assert.deepEqual(await store.paths(), [])
})

test('what waits is still saved when the node stops, for five seconds', async () => {
  const { begin, clock, store, supervisor } = await setUp()
  const recording = begin('s1')
  add(recording, SOURCE, 0)
  await supervisor.stop()
  assert.equal((await store.paths()).length, 2)
  const other = await setUp()
  other.store.fault = 'store-unreachable'
  add(other.begin('s1'), SOURCE, 0)
  const stopped = other.supervisor.stop()
  await other.clock.wind(5_000)
  await stopped
  assert.equal(clock.sleepers, 0)
})

test('playlists that were saved too early are deleted when the recording goes on', async () => {
  const { begin, settled, store } = await setUp()
  const recording = begin('s1')
  add(recording, SOURCE, 0)
  await settled()
  await store.save('s1/index.m3u8', new Uint8Array(1))
  recording.finalized(['s1/index.m3u8'])
  add(recording, SOURCE, 1)
  await settled()
  assert.equal((await store.paths()).includes('s1/index.m3u8'), false)
})
