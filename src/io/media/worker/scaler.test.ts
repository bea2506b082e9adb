import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AV_BUFFERSRC_FLAG_KEEP_REF } from 'node-av/constants'
import { FilterGraph, Frame } from 'node-av/lib'
import { profileOf } from '../../../../test/fakes/profile.ts'
import { lastFrameOf, planeOf } from '../../../../test/media/media.ts'
import { evenly, makePictures } from '../../../../test/media/remade.ts'
import { cpu } from './device.ts'
import { check } from './ffmpeg.ts'
import type { Size } from './output-size.ts'
import { Pictures } from './pictures.ts'

const SOURCE: Size = { width: 320, height: 180 }
const SIZES: readonly Size[] = [
  { width: 256, height: 144 },
  { width: 426, height: 240 },
  { width: 320, height: 180 },
]

for (const pixelFormat of ['yuv420p', 'yuvj420p', 'yuv422p', 'yuv444p', 'yuv420p10le', 'yuv422p10le']) {
  test(`${pixelFormat} is scaled to the same pixels as FFmpeg’s own filter, which peers use`, async () => {
    const source = makePictures({ ...SOURCE, times: evenly(1), unit: { num: 1, den: 30 }, pixelFormat })
    using frame = await lastFrameOf(source)
    using pictures = new Pictures(SIZES.map(profileOf), cpu, { inSteps: false })
    using picture = pictures.of(frame)
    for (const [index, size] of SIZES.entries()) {
      using expected = filtered(frame, pixelFormat, size)
      using shown = picture.forRendition(index)
      using scaled = await shown.scaled()
      assert.equal(scaled.colorRange, expected.colorRange)
      for (const plane of [0, 1, 2]) assert.deepEqual(planeOf(scaled, plane), planeOf(expected, plane))
    }
  })
}

function filtered(frame: Frame, pixelFormat: string, size: Size): Frame {
  using graph = new FilterGraph()
  graph.alloc()
  const source = `buffer@in=video_size=${SOURCE.width}x${SOURCE.height}:pix_fmt=${pixelFormat}:time_base=1/90000:range=${frame.colorRange}`
  const scale = `scale=${size.width}:${size.height},format=yuv420p`
  check(graph.parsePtr(`${source},${scale},buffersink@out`, null, null))
  check(graph.configSync())
  check(graph.getFilter('buffer@in')!.buffersrcAddFrameSync(frame, AV_BUFFERSRC_FLAG_KEEP_REF))
  const scaled = new Frame()
  scaled.alloc()
  check(graph.getFilter('buffersink@out')!.buffersinkGetFrameSync(scaled))
  return scaled
}
