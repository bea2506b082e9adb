import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeOutsideStore } from '../../../test/fakes/outside-store.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { settle } from '../../lib/clock.ts'
import { FailedSegments } from './failed-segments.ts'

const segment = (sequence: bigint, of = 'https://o:8935') => ({
  ...{ manifestId: 'movie', sequence, rendition: 'low', of, format: 'mpegts' as const },
  bytes: new Uint8Array(5),
})

test('a failed segment is kept by stream, rendition, number and whose it is', async () => {
  const store = new FakeOutsideStore()
  const failed = new FailedSegments(store, { log: new RecordingLog() })
  await failed.keep(segment(7n))
  await failed.keep(segment(7n, 'trusted'))
  await failed.keep(segment(8n, '../../x'))
  assert.deepEqual(
    (await store.files.list('')).files.map(({ path }) => path),
    ['movie/low/7-https___o_8935.ts', 'movie/low/7-trusted.ts', 'movie/low/8-.._.._x.ts'],
  )
  await new FailedSegments(null, { log: new RecordingLog() }).keep(segment(9n))
})

test('a bucket that fails is told once for each, and one that hangs holds four segments at most', async () => {
  const store = new FakeOutsideStore()
  const log = new RecordingLog()
  const failed = new FailedSegments(store, { log })
  store.state = 'refusing'
  await failed.keep(segment(1n))
  assert.equal(log.lines.length, 1)
  store.state = 'deaf'
  const before = store.asked
  for (let i = 0n; i < 20n; i++) void failed.keep(segment(i))
  await settle()
  assert.equal(store.asked - before, 4)
})
