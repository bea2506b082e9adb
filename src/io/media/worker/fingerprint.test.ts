import assert from 'node:assert/strict'
import { test } from 'node:test'
import { profileOf } from '../../../../test/fakes/profile.ts'
import { makeSegment } from '../../../../test/media/media.ts'
import { evenly, makePictures } from '../../../../test/media/remade.ts'
import { PROVIDER } from '../../../../test/media/renditions.ts'
import { readSignature, showSame } from '../../../domain/perceptual-hash.ts'
import type { Profile } from '../../../domain/rendition.ts'
import { differenceOf, SOUND_HASH_BYTES } from '../../../domain/result-comparison.ts'
import { fingerprint } from './fingerprint.ts'
import { transcode } from './transcode.ts'

const signal = AbortSignal.timeout(120_000)

async function transcoded(source: Uint8Array, profile: Partial<Profile>) {
  const profiles = [profileOf(profile)]
  const request = { source, profiles, provider: PROVIDER, clip: null, calcPerceptualHash: true }
  return (await transcode(request, signal)).renditions[0]!
}

const LADDER: readonly Partial<Profile>[] = [
  { width: 256, height: 144, bitrate: 400_000, fps: 30 },
  { width: 640, height: 360, bitrate: 1_200_000, fps: 0 },
  { width: 256, height: 144, bitrate: 60_000, fps: 30 },
]

test('a rendition shows what its stated hash says, at any bitrate, and sounds like its source', async () => {
  const source = await makeSegment({ width: 640, height: 360 })
  for (const profile of LADDER) {
    const { bytes, perceptualHash } = await transcoded(source, profile)
    const found = await fingerprint(bytes, signal)
    assert.deepEqual([found.width, found.height], [profile.width, profile.height])
    assert.ok(showSame(readSignature(perceptualHash!), readSignature(found.signature)))
    assert.ok(found.sound.length > 20 * SOUND_HASH_BYTES)
    assert.deepEqual(found.sound, (await fingerprint(source, signal)).sound)
  }
})

test('encoders with other settings make the same of a segment; another source, size or sound is told', async () => {
  const source = await makeSegment({ width: 640, height: 360 })
  const usual = await fingerprint((await transcoded(source, LADDER[0]!)).bytes, signal)
  for (const other of [{ bitrate: 150_000 }, { profile: 'baseline' }, { gopMs: -1 }] as const) {
    const { bytes } = await transcoded(source, { ...LADDER[0], ...other })
    assert.equal(differenceOf(usual, await fingerprint(bytes, signal)), null, JSON.stringify(other))
  }
  const larger = await fingerprint((await transcoded(source, LADDER[1]!)).bytes, signal)
  assert.equal(differenceOf(usual, larger), 'size')
  const mute = await makeSegment({ width: 640, height: 360, audio: false })
  const silent = await fingerprint((await transcoded(mute, LADDER[0]!)).bytes, signal)
  assert.equal(differenceOf(usual, silent), 'sound')
})

test('pictures of another source are told apart', async () => {
  const of = async (kind: string) => {
    const times = evenly(60)
    const unit = { num: 1, den: 30 }
    const source = makePictures({ times, unit, source: kind, width: 640, height: 360 })
    return fingerprint((await transcoded(source, LADDER[0]!)).bytes, signal)
  }
  const sources = ['testsrc2', 'mandelbrot', 'smptebars', 'rgbtestsrc']
  const all = []
  for (const one of sources) all.push(await of(one))
  for (const [i, one] of all.entries()) {
    for (const [j, other] of all.entries()) {
      assert.equal(differenceOf(one, other), i === j ? null : 'pictures', `${sources[i]}, ${sources[j]}`)
    }
  }
})

test('pictures of full range and of another pixel format are looked at too; what has none is refused', async () => {
  for (const pixelFormat of ['yuvj420p', 'yuv444p', 'yuv420p10le']) {
    const source = makePictures({ times: evenly(10), unit: { num: 1, den: 30 }, pixelFormat })
    assert.equal(readSignature((await fingerprint(source, signal)).signature).count, 10, pixelFormat)
  }
  await assert.rejects(fingerprint(new Uint8Array(1000), signal), { name: 'MediaError' })
})
