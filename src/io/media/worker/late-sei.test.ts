import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { look, makeSegment, ptsOf } from '../../../../test/media/media.ts'
import { remade } from '../../../../test/media/remade.ts'
import { frames, make } from '../../../../test/media/renditions.ts'
import { moveLateSei } from './late-sei.ts'

const VIDEO_PID = 0x100
const SEI = Buffer.from([0, 0, 0, 1, 6, 5, 16, ...Buffer.from('an unknown mark!'), 3, 1, 2, 3, 0x80])

/** A segment in which every access unit has an SEI after its slice. */
async function withLateSei(): Promise<{ good: Uint8Array; late: Uint8Array }> {
  const good = await makeSegment({ encoderOptions: { 'x264-params': 'aud=1' } })
  const late = await remade(good, (packet) => {
    if (packet.isVideo) packet.data = Buffer.concat([packet.data, SEI])
    return true
  })
  return { good, late }
}

/** The layout of each TS packet's payload. */
function layoutOf(ts: Uint8Array): string[] {
  const layout: string[] = []
  for (let at = 0; at < ts.length; at += 188) {
    const head = Buffer.from(ts.subarray(at, at + 4)).toString('hex')
    const adaptation = ts[at + 3]! & 0x20 ? ts.subarray(at + 4, at + 5 + ts[at + 4]!) : new Uint8Array(0)
    layout.push(`${head} ${Buffer.from(adaptation).toString('hex')}`)
  }
  return layout
}

test('timestamps of pictures followed by an SEI survive', async () => {
  const { good, late } = await withLateSei()
  const expected = ptsOf((await look(good)).video)
  const seen = await look(late)
  assert.ok(
    ptsOf(seen.video).length !== expected.length || String(ptsOf(seen.video)) !== String(expected),
    'the parser loses timestamps without the reordering',
  )
  const { renditions } = await make(late, [{ fps: 0 }])
  assert.deepEqual(ptsOf(renditions[0]!.video), expected)
  assert.deepEqual(await frames(late, [{ fps: 30 }]), [60])
})

test('the SEI moves before the slice, and size and layout of the packets stay', async () => {
  const { late } = await withLateSei()
  const moved = moveLateSei(late, VIDEO_PID)
  assert.notDeepEqual(moved, late)
  assert.equal(moved.length, late.length)
  assert.deepEqual(layoutOf(moved), layoutOf(late))
  const { video, audio } = await look(moved)
  assert.equal(video.length, 60)
  assert.deepEqual(audio, (await look(late)).audio)
  assert.equal(moveLateSei(moved, VIDEO_PID), moved, 'ordered data stays unchanged')
})

test('a segment in order, and one without the stream, is returned unchanged', async () => {
  const good = await makeSegment({ encoderOptions: { 'x264-params': 'aud=1' } })
  assert.equal(moveLateSei(good, VIDEO_PID), good)
  assert.equal(moveLateSei(good, 0x1ff), good)
})

test('several SEIs keep their order, and so do the other units', () => {
  const unit = (type: number, mark: number) => [0, 0, 1, type, 0xff, mark]
  const inside = (parts: number[][]) => tsOf(Buffer.from(parts.flat()))
  const [aud, slice, sei] = [9, 1, 6]
  const before = [
    unit(aud, 1),
    unit(slice, 2),
    unit(sei, 3),
    unit(slice, 4),
    unit(12, 5),
    unit(sei, 6),
    unit(aud, 7),
    unit(sei, 8),
    unit(slice, 9),
  ]
  const after = [
    unit(aud, 1),
    unit(sei, 3),
    unit(sei, 6),
    unit(slice, 2),
    unit(slice, 4),
    unit(12, 5),
    unit(aud, 7),
    unit(sei, 8),
    unit(slice, 9),
  ]
  assert.deepEqual(Buffer.from(moveLateSei(inside(before), VIDEO_PID)), inside(after))
})

test('nothing is ever added or lost, for any bytes', () => {
  const piece = fc.constantFrom([0, 0, 1], [0, 0, 0, 1], [6], [9], [1, 0x80], [5, 0x80], [7], [0], [0xff])
  const sorted = (bytes: Uint8Array) => Buffer.from(bytes).sort()
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 400 }), fc.integer({ min: 0, max: 40 }), (pieces, lead) => {
      const ts = tsOf(Buffer.from([...Array<number>(lead).fill(0xff), ...pieces.flat()]))
      const moved = moveLateSei(ts, VIDEO_PID)
      assert.deepEqual(sorted(moved), sorted(ts))
      assert.deepEqual(layoutOf(moved), layoutOf(ts))
      // There is nothing left to do.
      assert.deepEqual(moveLateSei(moved, VIDEO_PID), moved)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 0, max: 8191 }), (noise, pid) => {
      assert.equal(moveLateSei(noise, pid).length, noise.length)
    }),
  )
})

/** TS packets of one PES packet with a timestamp, cut at uneven places by stuffing. */
function tsOf(data: Buffer): Buffer {
  const packets: Buffer[] = []
  const pes = Buffer.concat([Buffer.from([0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1]), data])
  for (let at = 0; at < pes.length; ) {
    const room = 20 + ((packets.length * 37) % 160)
    const chunk = pes.subarray(at, at + room)
    const stuffing = 184 - chunk.length
    const head = [0x47, (at === 0 ? 0x40 : 0) | (VIDEO_PID >> 8), VIDEO_PID & 0xff]
    packets.push(
      Buffer.from([...head, 0x30 | (packets.length & 15), stuffing - 1]),
      stuffing > 1 ? Buffer.from([0, ...Array<number>(stuffing - 2).fill(0xff)]) : Buffer.alloc(0),
      chunk,
    )
    at += chunk.length
  }
  return Buffer.concat(packets)
}
