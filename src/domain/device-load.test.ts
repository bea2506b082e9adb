import assert from 'node:assert/strict'
import { test } from 'node:test'
import { profileOf } from '../../test/fakes/profile.ts'
import { leastLoaded, sessionCost } from './device-load.ts'

test('a session costs its pixels per second, in whole frames; a kept frame rate counts as 30', () => {
  const p144 = { width: 256, height: 144 }
  const cost = sessionCost([
    profileOf({ ...p144, fps: 1, fpsDen: 1 }),
    profileOf({ ...p144, fps: 0, fpsDen: 0 }),
    profileOf({ ...p144, fps: 30_000, fpsDen: 1001 }),
  ])
  assert.equal(cost, 2_211_840)
})

const cases: readonly [claim: string, loads: number[], start: number, device: number][] = [
  ['a single device is always chosen', [5], 3, 0],
  ['the least loaded is chosen', [5, 2, 7], 0, 1],
  ['among equals the first after the start is chosen', [2, 2, 2], 1, 1],
  ['the search wraps around', [1, 2, 1], 1, 2],
]

for (const [claim, loads, start, device] of cases) {
  test(claim, () => assert.equal(leastLoaded(loads, start), device))
}
