import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock, settle } from '../../lib/clock.ts'
import { PatientRead } from './patient-read.ts'

function world() {
  const clock = new ManualClock()
  const read = { count: 0, answer: async (): Promise<number> => read.count }
  const patient = new PatientRead(() => {
    read.count++
    return read.answer()
  }, clock)
  return { clock, patient, read }
}

test('it is read anew each time', async () => {
  const { patient } = world()
  assert.deepEqual([await patient.look(), await patient.look()], [1, 2])
})

test('a store that fails, or does not answer for a second, leaves what was read last, and is not asked twice at once', async () => {
  const { clock, patient, read } = world()
  read.answer = () => Promise.reject(new Error('connection refused'))
  assert.equal(await patient.look(), null)
  read.answer = async () => 7
  assert.equal(await patient.look(), 7)
  assert.equal(patient.oldSinceMs, null)
  const readMs = clock.now()
  await clock.wind(42_000)
  read.answer = () => Promise.reject(new Error('connection refused'))
  assert.equal(await patient.look(), 7)
  assert.equal(patient.oldSinceMs, readMs)

  const frozen = Promise.withResolvers<number>()
  read.answer = () => frozen.promise
  const before = read.count
  for (let request = 0; request < 5; request++) {
    const looked = patient.look()
    await clock.wind(999)
    assert.equal(await looked, 7)
  }
  assert.equal(patient.oldSinceMs, readMs)
  assert.equal(read.count, before + 1)
  frozen.resolve(8)
  await settle()
  read.answer = async () => 9
  assert.equal(await patient.look(), 9)
  assert.equal(patient.oldSinceMs, null)
})
