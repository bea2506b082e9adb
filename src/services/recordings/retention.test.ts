import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeRecordStore } from '../../../test/fakes/record-store.ts'
import { GrowingIndex, indexName } from '../../domain/recording-index.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { RecordingRetention } from './retention.ts'

const HOUR_MS = 3_600_000
const never = new AbortController().signal

function setUp(keptMs = 24 * HOUR_MS) {
  const clock = new ManualClock()
  const store = new FakeRecordStore({ now: () => clock.now() })
  const retention = new RecordingRetention({ store, keptMs }, { clock, log: silentLog })
  /** Records segments now, in one index. */
  const record = async (folder: string, sequences: readonly number[]) => {
    const index = new GrowingIndex()
    for (const sequence of sequences) {
      const uri = await store.save(`${folder}/source/${sequence}.ts`, new Uint8Array(9))
      const track = { name: 'source', bandwidth: 1, resolution: '1x1' }
      index.add(track, { sequence: BigInt(sequence), uri, durationMs: 2_000 })
    }
    const name = indexName(BigInt(clock.now()) * 1_000_000n)
    await store.save(`${folder}/${name}`, Buffer.from(index.text()))
  }
  return { clock, store, retention, record }
}

test('what was recorded longer ago than it is kept is deleted, the index last', async () => {
  const { clock, record, retention, store } = setUp()
  await record('old/HOST', [0, 1])
  await store.save('old/HOST/source/7.ts', new Uint8Array(1))
  await store.save('old/index.m3u8', new Uint8Array(1))
  await clock.wind(20 * HOUR_MS)
  await record('new/HOST', [0, 1])
  assert.equal(await retention.sweep(never), 0)
  await clock.wind(5 * HOUR_MS)
  const deletedFrom = store.asked.length
  assert.equal(await retention.sweep(never), 5)
  const deleted = store.asked.slice(deletedFrom).filter((line) => line.startsWith('DELETE'))
  assert.match(deleted.at(-2)!, /playlist_\d+\.json$/)
  assert.deepEqual(
    (await store.paths()).filter((path) => path.startsWith('old/')),
    [],
  )
  assert.equal((await store.paths('new/')).length, 3)
})

test('of a stream that goes on for days the old hours are deleted, but no number that was replaced since', async () => {
  const { clock, record, retention, store } = setUp()
  await record('day/HOST', [0, 1, 2])
  await clock.wind(10 * HOUR_MS)
  await record('day/HOST', [2, 3])
  await clock.wind(15 * HOUR_MS)
  await retention.sweep(never)
  const left = await store.paths('day/')
  assert.deepEqual(
    left.filter((path) => path.endsWith('.ts')),
    ['day/HOST/source/2.ts', 'day/HOST/source/3.ts'],
  )
  assert.equal(left.filter((path) => path.includes('playlist_')).length, 1)
})

test('what has no name of a recording is left alone', async () => {
  const { clock, record, retention, store } = setUp()
  const others = [
    'a/b/c/0.ts',
    'a/HOST/notes.txt',
    'a/HOST/source/x.ts',
    'a/HOST/deep/source/1.ts',
    'b/index.m3u8',
    'top.ts',
  ]
  for (const path of others) await store.save(path, new Uint8Array(1))
  await record('a/HOST', [0])
  await clock.wind(48 * HOUR_MS)
  assert.equal(await retention.sweep(never), 2)
  assert.deepEqual(await store.paths(), [...others].sort())
})

test('it goes through the store by itself, and a store that is down is tried again', async () => {
  const { clock, record, retention, store } = setUp()
  await record('old/HOST', [0])
  await using supervisor = new Supervisor()
  await supervisor.start(retention)
  store.fault = 'store-unreachable'
  await clock.wind(30 * HOUR_MS)
  assert.equal((await store.paths()).length, 2)
  store.fault = null
  await clock.wind(6 * HOUR_MS)
  assert.deepEqual(await store.paths(), [])
})

test('a store that lists recordings without end ends a sweep all the same', async () => {
  const { retention, store } = setUp()
  let pages = 0
  store.list = async () => ({ files: [], folders: [], next: String(pages++) })
  assert.equal(await retention.sweep(never), 0)
  assert.equal(pages, 1_000)
})
