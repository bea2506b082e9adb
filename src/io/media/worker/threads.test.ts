import assert from 'node:assert/strict'
import { test } from 'node:test'
import { profileOf } from '../../../../test/fakes/profile.ts'
import { decoderThreads, encoderThreads } from './threads.ts'

const p240 = profileOf({ width: 426, height: 240, fps: 30 })
const p360 = profileOf({ width: 640, height: 360, fps: 30 })
const p720 = profileOf({ width: 1280, height: 720, fps: 30 })

const cases = [
  [
    'a single segment on two cores: the largest rendition gets most threads',
    [p240, p360, p720],
    2,
    [1, 1, 3],
  ],
  ['two small renditions', [p240, p360], 2, [2, 3]],
  ['as many segments as cores: one thread each', [p240, p360, p720], 1, [1, 1, 1]],
  ['a large machine: shares, up to a limit', [p240, p360, p720], 16, [3, 6, 6]],
  ['a kept frame rate counts as 30', [profileOf({ width: 1280, height: 720, fps: 0 }), p720], 4, [4, 4]],
] as const

for (const [claim, profiles, cores, expected] of cases) {
  test(claim, () => assert.deepEqual(encoderThreads(profiles, cores), expected))
}

test('the decoder has a thread for each core, up to a limit', () => {
  assert.deepEqual([1, 2, 64].map(decoderThreads), [1, 2, 4])
})
