import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock, settle } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { PerfScores } from './perf-scores.ts'

const [A, B] = ['0xAbC', '0xdEf'] as [Address, Address]

test('scores are read every ten minutes, the last ones stay while they cannot be read, and who has none has 0', async () => {
  const clock = new ManualClock()
  let fetches = 0
  let answer: ReadonlyMap<string, number> | null = null
  const stats = {
    fetch: async () => {
      fetches++
      if (answer) return answer
      throw new NodeError<'unusable'>('unusable', 'it answers 500')
    },
  }
  const scores = new PerfScores({ stats, clock, log: silentLog })
  assert.equal(scores.scoreOf(A), null)
  const supervisor = new Supervisor()
  await supervisor.start(scores)
  await settle()
  assert.equal(scores.scoreOf(A), null, 'no scores yet')
  answer = new Map([['0xabc', 0.7]])
  await clock.wind(60_000)
  assert.deepEqual([scores.scoreOf(A), scores.scoreOf(B)], [0.7, 0])
  await clock.wind(9 * 60_000)
  assert.equal(fetches, 2)
  answer = null
  await clock.wind(60_000)
  assert.equal(fetches, 3)
  assert.equal(scores.scoreOf(A), 0.7)
  answer = new Map([['0xdef', 0.2]])
  await clock.wind(60_000)
  assert.deepEqual([scores.scoreOf(A), scores.scoreOf(B)], [0, 0.2])
  await supervisor.stop()
})
