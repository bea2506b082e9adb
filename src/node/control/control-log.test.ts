import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import type { ControlChangeRecord } from '../../io/store/control-rows.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import type { NodeProgress } from './context.ts'
import { ControlLog } from './control-log.ts'

const CHANGE = {
  path: '/drain',
  by: 'token',
  from: '127.0.0.1',
  params: {},
  status: 200,
  result: '',
} as const

function logOn(records: { addControlChange(record: ControlChangeRecord): Promise<void> }) {
  const clock = new ManualClock()
  const log = new RecordingLog()
  const running = { parts: { core: { store: { records } } }, live: { hasStore: true } }
  const progress = { waitingFor: null, hasStarted: true, running } as unknown as NodeProgress
  return { clock, log, controlLog: new ControlLog({ clock, log, progress }) }
}

test('the answer to a change waits for its record, but not for a database that is away', async () => {
  const writes: PromiseWithResolvers<void>[] = []
  const store = {
    addControlChange: () => {
      const write = Promise.withResolvers<void>()
      writes.push(write)
      return write.promise
    },
  }
  const { clock, controlLog, log } = logOn(store)
  let isAnswered = false
  const added = controlLog.add(CHANGE).then(() => {
    isAnswered = true
  })
  await settle()
  assert.equal(isAnswered, false)
  writes[0]!.resolve()
  await added

  const late = controlLog.add(CHANGE)
  await clock.wind(2_000)
  await late
  assert.deepEqual(log.of('error'), [])
  writes[1]!.reject(new Error('connection refused'))
  await settle()
  assert.deepEqual(log.of('error'), ['a change could not be recorded'])
})

test('a store that refuses a record at once fails the call that adds it', async () => {
  const { controlLog } = logOn({ addControlChange: () => Promise.reject(new Error('the disk is full')) })
  await assert.rejects(controlLog.add(CHANGE), /the disk is full/)
})
