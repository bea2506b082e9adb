import assert from 'node:assert/strict'
import { test } from 'node:test'
import { profileOf } from '../../../../test/fakes/profile.ts'
import { lastFrameOf } from '../../../../test/media/media.ts'
import { evenly, makePictures } from '../../../../test/media/remade.ts'
import type { Profile } from '../../../domain/rendition.ts'
import { VideoEncoder } from './video-encoder.ts'

async function settingsOf(changes: Partial<Profile>, name = 'libx264') {
  const source = makePictures({ times: evenly(1), unit: { num: 1, den: 30 } })
  using like = await lastFrameOf(source)
  const profile = profileOf({ fps: 30, bitrate: 400_000, ...changes })
  const timeBase = { num: 1, den: 30 }
  using encoder = new VideoEncoder({
    ...{ name, profile, timeBase, like, size: profile, frameRate: { num: 30, den: 1 } },
    ...{ globalHeader: false, threads: 1 },
  })
  const { bitRate, gopSize, maxBFrames, rcBufferSize, rcMaxRate, rcMinRate } = encoder.context
  return { bitRate, gopSize, maxBFrames, rcBufferSize, rcMaxRate, rcMinRate }
}

test('the requested bitrate is the average, minimum and maximum, with a buffer of one second', async () => {
  const rate = { bitRate: 400_000n, rcMinRate: 400_000n, rcMaxRate: 400_000n, rcBufferSize: 400_000 }
  assert.partialDeepStrictEqual(await settingsOf({}), rate)
  assert.partialDeepStrictEqual(await settingsOf({ encoder: 'vp8' }, 'libvpx'), rate)
  assert.partialDeepStrictEqual(await settingsOf({ bitrate: 0 }), {
    rcMinRate: 0n,
    rcMaxRate: 0n,
    rcBufferSize: 0,
  })
})

test('there are three B-frames, or none if the profile has none', async () => {
  const asked = ['none', 'baseline', 'main', 'high', 'constrained-high'] as const
  const seen = []
  for (const profile of asked) seen.push((await settingsOf({ profile })).maxBFrames)
  assert.deepEqual(seen, [3, 0, 3, 3, 0])
})
