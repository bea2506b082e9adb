import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { StoreError } from '../../lib/object-store.ts'
import type { RefutedResult } from './fast-verification.ts'
import { RefutedStore } from './refuted-store.ts'

const RESULT: RefutedResult = {
  ...{ manifestId: 'movie', sequence: 7n, orchestrator: 'https://O.example:8935/x', fault: 'pictures' },
  ...{ rendition: 'low', extension: '.ts', bytes: new Uint8Array([1, 2]) },
}

function setUp(
  save: (path: string, bytes: Uint8Array, options?: { signal?: AbortSignal }) => Promise<string>,
) {
  const clock = new ManualClock()
  const log = new RecordingLog()
  return { clock, log, refuted: new RefutedStore({ clock, log, store: { save } }) }
}

test('a refuted rendition is saved under its stream, number, fault and orchestrator', async () => {
  const objects = new MemoryObjects()
  const { log, refuted } = setUp((path, bytes) => objects.save(path, bytes))
  refuted.keep(RESULT)
  await settle()
  const { files } = await objects.list('movie/')
  assert.deepEqual(
    files.map(({ path }) => path),
    ['movie/low/7-pictures-o.example_8935.ts'],
  )
  assert.deepEqual(log.lines, [])
})

test('what the store does not take is dropped with a reason; eight wait for it at most, half a minute each', async () => {
  const refusing = setUp(() => Promise.reject(new StoreError('store-refused', 'gs://b answers 403')))
  refusing.refuted.keep(RESULT)
  await settle()
  assert.match(inspect(refusing.log.lines), /was not saved[\s\S]*answers 403/)
  let running = 0
  const hanging = setUp((_path, _bytes, options) => {
    running++
    return new Promise((_resolve, reject) =>
      options!.signal!.addEventListener('abort', () => reject(new Error('x'))),
    )
  })
  for (let i = 0; i < 10; i++) hanging.refuted.keep(RESULT)
  assert.equal(running, 8)
  assert.equal(hanging.log.lines.length, 2)
  await hanging.clock.wind(30_000)
  assert.equal(hanging.log.lines.length, 10)
  assert.match(inspect(hanging.log.lines.at(-1)), /no answer in 30 s/)
  hanging.refuted.keep(RESULT)
  assert.equal(running, 9)
})
