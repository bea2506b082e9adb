import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeOutsideStore } from '../../../test/fakes/outside-store.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { settle } from '../../lib/clock.ts'
import { FailedSegments } from './failed-segments.ts'

const refuted = (sequence: bigint, orchestrator = 'https://o.example:8935', first = 0x47) => ({
  ...{ manifestId: 'movie', sequence, rendition: 'low', orchestrator, fault: 'signature' as const },
  bytes: Uint8Array.of(first, 1, 2),
})

test('a result that was refuted is kept by stream, rendition, number, fault and whose it is', async () => {
  const store = new FakeOutsideStore()
  const failed = new FailedSegments(store, { log: new RecordingLog() })
  failed.keep(refuted(7n))
  failed.keep(refuted(8n, '../../x', 0))
  await settle()
  assert.deepEqual(
    (await store.files.list('')).files.map(({ path }) => path),
    ['movie/low/7-signature-https_o.example_8935.ts', 'movie/low/8-signature-.._.._x.mp4'],
  )
})

test('a bucket that fails is told for each result, and one that hangs holds four of them at most', async () => {
  const store = new FakeOutsideStore()
  const log = new RecordingLog()
  const failed = new FailedSegments(store, { log })
  store.state = 'refusing'
  failed.keep(refuted(1n))
  await settle()
  assert.deepEqual(log.of('warn'), ['failed segment was not kept'])
  store.state = 'deaf'
  const before = store.asked
  for (let i = 0n; i < 20n; i++) failed.keep(refuted(i))
  await settle()
  assert.equal(store.asked - before, 4)
})
