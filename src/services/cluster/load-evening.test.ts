import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { LoadEvening } from './load-evening.ts'

test('a node with more than its share moves connections, waits until that shows, and none while it drains or has no store', async () => {
  const clock = new ManualClock()
  const work = { takesSegments: true, maxSessions: 40, sessions: 20, segments: 0 }
  const sibling = { work: { ...work, sessions: 0 } }
  const moved: number[][] = []
  const loads = [1, 2, 3, 4].map((id) => ({ id, segments: 5, ageMs: 60_000 }))
  const port = { loads, move: (ids: readonly number[]) => void moved.push([...ids]) }
  let isWell = true
  await using supervisor = new Supervisor()
  const members = { siblings: [sibling] }
  await supervisor.start(
    new LoadEvening({
      ...{ work: () => work, members, mayMove: () => isWell, port: () => port, clock },
      log: silentLog,
    }),
  )
  await clock.wind(1_900)
  assert.deepEqual(moved, [])
  await clock.wind(10_000)
  assert.deepEqual(moved, [[1]])
  await clock.wind(2_000)
  assert.deepEqual(moved, [[1], [1]])
  isWell = false
  await clock.wind(60_000)
  assert.equal(moved.length, 2, 'the sessions would not be known there')
  isWell = true
  work.takesSegments = false
  await clock.wind(60_000)
  assert.equal(moved.length, 2)
  work.takesSegments = true
  sibling.work.sessions = 20
  await clock.wind(60_000)
  assert.equal(moved.length, 2)
})
