import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingLog } from '../../test/fakes/recording-log.ts'
import { ManualClock } from './clock.ts'
import { PassingFailure } from './passing-failure.ts'

function failing() {
  const log = new RecordingLog()
  const clock = new ManualClock()
  const failure = new PassingFailure(
    { message: 'cannot read it', over: 'read again', afterMs: 60_000 },
    { clock, log },
  )
  return { log, clock, failure }
}

test('a failure that passes in time is no warning, however often it comes back', async () => {
  const { clock, failure, log } = failing()
  for (let i = 0; i < 100; i++) {
    failure.failed({ i })
    await clock.wind(59_999)
    failure.failed({ i })
    failure.passed()
  }
  assert.deepEqual([log.of('warn'), log.of('info'), log.of('debug').length], [[], [], 200])
})

test('the first one is told where the operator waits for something', async () => {
  const log = new RecordingLog()
  const clock = new ManualClock()
  const failure = new PassingFailure(
    { message: 'not there yet', over: 'there', first: 'info' },
    { clock, log },
  )
  failure.passed()
  for (let i = 0; i < 3; i++) failure.failed({})
  failure.passed()
  failure.passed()
  assert.deepEqual(log.of('info'), ['not there yet', 'there'])
  assert.deepEqual(log.of('warn'), [])
})

test('one that lasts is one warning, and its end is told', async () => {
  const { clock, failure, log } = failing()
  for (let i = 0; i < 100; i++) {
    failure.failed({ i })
    await clock.wind(5_000)
  }
  failure.passed()
  failure.passed()
  const told = log.lines.filter(({ level }) => level !== 'debug')
  assert.deepEqual(told, [
    { level: 'warn', message: 'cannot read it', fields: { i: 12, lastedSeconds: 60 } },
    { level: 'info', message: 'read again', fields: {} },
  ])
  failure.failed({})
  assert.deepEqual(log.of('warn').length, 1)
})
