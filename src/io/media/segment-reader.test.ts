import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ChosenPictures, evenly, makePictures } from '../../../test/remade-media.ts'
import { MemoryInput } from './ffmpeg.ts'
import { bestStreams } from './probe.ts'
import { SegmentReader } from './segment-reader.ts'

async function frameRateOf(settings: ChosenPictures) {
  await using input = await MemoryInput.open(makePictures(settings))
  using reader = new SegmentReader(input, { video: bestStreams(input).video!, audio: null })
  for await (const _ of reader.parts(AbortSignal.timeout(10_000)));
  return reader.frameRate
}

test('the frame rate is what the stream itself states, however often pictures come', async () => {
  const every = (step: bigint) => frameRateOf({ times: evenly(30, step), unit: { num: 1, den: 30 } })
  assert.deepEqual([await every(1n), await every(2n)], Array(2).fill({ num: 30, den: 1 }))
})

test('where it states none it is what the times make likely, unless that is absurd', async () => {
  const silent = (den: number, times = evenly(40)) =>
    frameRateOf({ ...{ times, unit: { num: 1, den } }, encoder: 'libvpx', container: 'webm' })
  assert.deepEqual(await silent(30), { num: 30, den: 1 })
  assert.deepEqual(await silent(200), { num: 200, den: 1 })
  assert.equal(await silent(500), null)
})
