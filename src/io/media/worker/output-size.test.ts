import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outputSize } from './output-size.ts'

/** Source, requested, result: measured with the network's nodes (transcoding.md §13). */
const measured = [
  ['150x200', '0x250', '188x250'],
  ['200x300', '0x427', '284x426'],
  ['123x456', '0x426', '146x542'],
  ['400x456', '0x40', '146x166'],
  ['456x123', '426x0', '426x114'],
  ['456x123', '0x301', '300x80'],
  ['456x400', '100x0', '146x128'],
  ['500x100', '0x200', '250x50'],
  ['456x120', '0x400', '400x106'],
  ['123x123', '426x0', '426x426'],
  ['1280x720', '960x720', '960x540'],
  ['1080x1920', '1280x720', '720x1280'],
  ['640x480', '1280x720', '1280x960'],
  ['1920x800', '1280x720', '1280x534'],
  ['1280x720', '5000x2812', '4096x2304'],
] as const

function sizeOf(text: string) {
  const [width, height] = text.split('x').map(Number)
  return { width: width!, height: height! }
}

for (const [source, requested, result] of measured) {
  test(`${source} asked for as ${requested} becomes ${result}`, () => {
    assert.deepEqual(outputSize('h264', sizeOf(requested), sizeOf(source)), sizeOf(result))
  })
}

test('HEVC has its own limits', () => {
  assert.deepEqual(outputSize('h265', sizeOf('0x0'), sizeOf('1600x900')), sizeOf('132x74'))
  assert.deepEqual(outputSize('h265', sizeOf('0x9000'), sizeOf('900x1600')), sizeOf('4608x8192'))
  assert.deepEqual(outputSize('h265', sizeOf('0x0'), sizeOf('1600x400')), sizeOf('160x40'))
  assert.deepEqual(outputSize('h265', sizeOf('9000x0'), sizeOf('1600x800')), sizeOf('8192x4096'))
})

test('VP8 and VP9 keep the size of the source', () => {
  for (const codec of ['vp8', 'vp9'] as const) {
    assert.deepEqual(outputSize(codec, sizeOf('320x180'), sizeOf('123x77')), sizeOf('123x77'))
  }
})
