import assert from 'node:assert/strict'
import { test } from 'node:test'
import { segmentFacts } from '../../src/domain/segment-facts.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { look, makeSegments, ptsOf, type SegmentSettings } from './media.ts'

/** What a segment says of itself, beside what FFmpeg reads from it. */

const WRAP = 2n ** 33n

const kinds: Readonly<Record<string, SegmentSettings & { readonly independent?: boolean }>> = {
  'one key frame': {},
  'B-frames': { bFrames: 2, gop: 15 },
  portrait: { width: 144, height: 256, fps: 60 },
  'an odd size': { width: 426, height: 240, fps: 25 },
  '29.97 a second': { fps: 30_000, fpsDen: 1001 },
  'high profile': { encoderOptions: { profile: 'high', preset: 'medium' }, pixelFormat: 'yuv420p' },
  'no sound': { audio: false },
  'around the wrap of the clock': { startMs: 95_442_000 },
  'a single picture': { frames: 1 },
  'an MP4 file': { format: 'mp4', bFrames: 2, gop: 15 },
  'an MP4 file of sound and pictures of a kind without a name': {
    format: 'mp4',
    encoder: 'mpeg4',
    bFrames: 0,
  },
  'pictures of a kind without a name': { encoder: 'mpeg4' },
}

for (const [kind, settings] of Object.entries(kinds)) {
  test(`of a segment with ${kind} the size, the codecs, the rate and the time are those that FFmpeg reads`, async () => {
    const segments = await makeSegments(2, settings)
    let end: number | null = null
    for (const bytes of segments) {
      const facts = segmentFacts(bytes, settings.format ?? 'mpegts')
      const seen = await look(bytes)
      assert.ok(facts)
      const isNamed = settings.encoder !== 'mpeg4'
      assert.equal(facts.audio, seen.audio.length > 0 ? 'mp4a.40.2' : null)
      assert.equal(facts.hasOtherCodecs, !isNamed)
      assert.equal(facts.pictures, seen.video.length)
      const shown = ptsOf(seen.video)
      const unitMs = (1000 * seen.videoUnit.num) / seen.videoUnit.den
      const ms = Number(shown.at(-1)! - shown[0]!) * unitMs
      assert.ok(Math.abs(facts.picturesMs - ms) < 0.1, `${facts.picturesMs} ms, not ${ms}`)
      if (isNamed) {
        assert.match(facts.video!, /^avc1\.[0-9a-f]{6}$/)
        // The first byte is the profile, as FFmpeg numbers it without its flags.
        assert.equal(Number.parseInt(facts.video!.slice(5, 7), 16), seen.profile & 0xff)
        assert.deepEqual(facts.size, { width: seen.width, height: seen.height })
        assert.equal(facts.isIndependent, true)
      }
      if (settings.format === 'mp4') {
        assert.equal(facts.span, null)
        continue
      }
      assert.equal(BigInt(facts.span!.start), ((shown[0]! % WRAP) + WRAP) % WRAP)
      const frame = (90_000 * (settings.fpsDen ?? 1)) / (settings.fps ?? 30)
      if (end !== null && settings.frames !== 1) {
        assert.ok(Math.abs(facts.span!.start - end) < 2, `${facts.span!.start} behind ${end}, ${frame} apart`)
      }
      end = facts.span!.end
    }
  })
}

test('a segment that begins within a group of pictures does not stand by itself', async () => {
  const [whole] = await makeSegments(1, { audio: false })
  const packets = Array.from({ length: whole!.length / 188 }, (_, i) =>
    whole!.subarray(188 * i, 188 * (i + 1)),
  )
  const isPicture = ([, high = 0, low = 0]: Uint8Array) => (((high & 0x1f) << 8) | low) === 0x100
  const second = packets.filter((packet) => isPicture(packet) && (packet[1]! & 0x40) !== 0)[1]!
  const late = packets.filter((packet, i) => !isPicture(packet) || i >= packets.indexOf(second))
  const facts = segmentFacts(Uint8Array.from(late.flatMap((packet) => [...packet])), 'mpegts')
  assert.deepEqual([facts?.pictures, facts?.isIndependent], [59, false])
})

test('a damaged MP4 file is read without harm', async () => {
  const [whole] = await makeSegments(1, { format: 'mp4', durationMs: 500 })
  const dice = seededDice('mp4')
  const index = Buffer.from(whole!).indexOf('moov')
  for (let run = 0; run < 3_000; run++) {
    const bytes = whole!.slice(
      0,
      dice.fraction() < 0.2 ? Math.floor(dice.fraction() * whole!.length) : undefined,
    )
    for (let i = 0; i < 5; i++) {
      const at = index + Math.floor(dice.fraction() * 1_500)
      if (at < bytes.length) bytes[at] = dice.bytes(1)[0]!
    }
    const facts = segmentFacts(bytes, 'mp4')
    assert.match(`${facts?.video ?? ''}${facts?.audio ?? ''}`, /^[\w.-]*$/)
    assert.ok(Number.isFinite(facts?.picturesMs ?? 0))
  }
})
