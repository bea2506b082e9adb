import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { OpenSessions } from './open-sessions.ts'

const OPENING = { gateway: null, host: null, profiles: [] }

function shared(maxSessions: number) {
  const clock = new ManualClock()
  const rested: string[] = []
  const sessions = new OpenSessions({
    ...{ clock, areShared: true, maxSessions: () => maxSessions },
    ...{ ended: () => {}, begun: () => {}, closed: () => {} },
    rested: (id) => void rested.push(id),
  })
  const doOne = async (id: string) => {
    const { release, session } = sessions.admit(id, 2_000, OPENING)
    await sessions.takeTurn(session, 2_000, async () => {})
    sessions.finished(session)
    release()
  }
  return { clock, sessions, rested, doOne }
}

test('a shared session has a place while its segment arrives or runs, and until its next one would be due', async () => {
  const { clock, doOne, sessions } = shared(1)
  const { release } = sessions.admit('a', 2_000, OPENING)
  assert.deepEqual(
    [sessions.placed, sessions.hasPlace, sessions.goesOn('a'), sessions.goesOn('b')],
    [1, false, true, false],
  )
  await clock.wind(8_000)
  assert.deepEqual([sessions.placed, sessions.goesOn('a')], [0, false], 'its segment is too slow to come')
  release()
  await doOne('b')
  await clock.wind(2_999)
  assert.equal(sessions.goesOn('b'), true)
  await clock.wind(1)
  assert.deepEqual([sessions.goesOn('b'), sessions.hasPlace, sessions.count], [false, true, 1])
})

test('ten shared sessions whose segments come by turns need as few places as work at once, and give their transcoders back', async () => {
  const { clock, doOne, rested, sessions } = shared(2)
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 10; n++) {
      assert.ok(sessions.goesOn(`s${n}`) || sessions.hasPlace, `round ${round}, session ${n}`)
      await doOne(`s${n}`)
      await clock.wind(2_000)
    }
  }
  assert.equal(sessions.count, 10)
  assert.ok(sessions.placed <= 2, `${sessions.placed}`)
  assert.ok(rested.length >= 27, `${rested.length}`)
  assert.equal(new Set(rested).size, 10)
})
