import assert from 'node:assert/strict'
import { test } from 'node:test'
import { look, makeSegment } from '../../../../test/media/media.ts'
import { inspect } from './probe.ts'

const signal = AbortSignal.timeout(60_000)
const SIZE = { width: 160, height: 90, fps: 10, durationMs: 1_000 }
const PIXELS = 10n * 160n * 90n

/** The payload bytes of the packets of a track of MPEG-TS, behind their headers. */
function* payloadsOf(bytes: Uint8Array, pid: number): Generator<Uint8Array> {
  for (let at = 0; at + 188 <= bytes.length; at += 188) {
    const packet = bytes.subarray(at, at + 188)
    if ((((packet[1]! & 0x1f) << 8) | packet[2]!) !== pid || (packet[1]! & 0x40) !== 0) continue
    yield packet.subarray((packet[3]! & 0x20) === 0 ? 4 : 5 + packet[4]!)
  }
}

test('the sound of a segment is decoded with its pictures', async () => {
  const whole = await makeSegment(SIZE)
  assert.deepEqual(await inspect(whole, signal), { pixels: PIXELS, sound: 'whole' })
  const mp4 = await makeSegment({ ...SIZE, format: 'mp4' })
  assert.deepEqual(await inspect(mp4, signal), { pixels: PIXELS, sound: 'whole' })
  const mute = await makeSegment({ ...SIZE, audio: false })
  assert.deepEqual(await inspect(mute, signal), { pixels: PIXELS, sound: 'none' })
})

test('sound that is damaged is found, and its pictures are counted all the same', async () => {
  const bytes = await makeSegment(SIZE)
  assert.ok((await look(bytes)).audio.length > 10)
  let count = 0
  // Behind the headers of frames, of which every second is overwritten.
  for (const payload of payloadsOf(bytes, 0x101)) if (count++ % 2 === 0) payload.fill(0xa5, 20)
  assert.deepEqual(await inspect(bytes, signal), { pixels: PIXELS, sound: 'damaged' })
})
