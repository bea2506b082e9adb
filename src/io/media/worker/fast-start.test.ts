import assert from 'node:assert/strict'
import { test } from 'node:test'
import { look, makeSegment } from '../../../../test/media/media.ts'
import { moveIndexFirst } from './fast-start.ts'

function orderOf(mp4: Uint8Array): string[] {
  const view = new DataView(mp4.buffer, mp4.byteOffset, mp4.byteLength)
  const types: string[] = []
  for (let at = 0; at < mp4.length; at += view.getUint32(at)) {
    types.push(Buffer.from(mp4.subarray(at + 4, at + 8)).toString('latin1'))
  }
  return types
}

test('the index moves before the data, and every packet is still found', async () => {
  const written = await makeSegment({ format: 'mp4' })
  assert.deepEqual(orderOf(written), ['ftyp', 'free', 'mdat', 'moov'])
  const moved = moveIndexFirst(written)
  assert.deepEqual(orderOf(moved), ['ftyp', 'free', 'moov', 'mdat'])
  assert.equal(moved.length, written.length)
  const [before, after] = [await look(written), await look(moved)]
  assert.deepEqual(after.video, before.video)
  assert.deepEqual(after.audio, before.audio)
  assert.equal(moveIndexFirst(moved), moved)
})

test('bytes that are not an MP4 are refused', () => {
  assert.throws(() => moveIndexFirst(new Uint8Array(100)), { code: 'media' })
})
