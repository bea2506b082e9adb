import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingLog } from '../../test/fakes/recording-log.ts'
import { EventStream } from './event-stream.ts'

test('every listener hears an event, in the order of joining, also after one that fails', () => {
  const log = new RecordingLog()
  const events = new EventStream({ log })
  const heard: string[] = []
  events.listen(({ kind }) => void heard.push(`first ${kind}`))
  events.listen(() => {
    throw new Error('broken')
  })
  events.listen(({ kind }) => void heard.push(`last ${kind}`))
  events.tell({ kind: 'round-begun', round: 7n })
  assert.deepEqual(heard, ['first round-begun', 'last round-begun'])
  assert.equal(log.of('error').length, 1)
})
