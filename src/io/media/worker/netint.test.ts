import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Codec } from 'node-av/lib'

test('the bundled FFmpeg has no codecs for NETINT cards, which is why -netint is refused', () => {
  assert.notEqual(Codec.findEncoderByName('libx264' as never), null, 'it finds codecs by name')
  const names = ['h264', 'h265'].flatMap((codec) =>
    ['', '_quadra', '_logan'].map((card) => `${codec}_ni${card}`),
  )
  const found = names.filter(
    (name) =>
      Codec.findEncoderByName(`${name}_enc` as never) !== null ||
      Codec.findDecoderByName(`${name}_dec` as never) !== null,
  )
  assert.deepEqual(found, [])
})
