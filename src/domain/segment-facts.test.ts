import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { readAvcParameters, readHevcParameters } from './parameter-sets.ts'
import { segmentFacts } from './segment-facts.ts'

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/ /g, ''), 'hex'))

const recorded = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../../test/vectors/renditions/${name}.mpegts`, import.meta.url)))

test('a recorded rendition says its codecs, its size, its pictures and its time', () => {
  const half = { video: 'avc1.42c00a', size: { width: 146, height: 110 }, pictures: 30, picturesMs: 1935.267 }
  const tiny = { video: 'avc1.4d500b', size: { width: 160, height: 120 }, pictures: 20, picturesMs: 1900 }
  const table = [
    ['half-0', half, 144_144, 324_324],
    ['half-1', half, 324_324, 504_504],
    ['tiny-0', tiny, 144_000, 324_000],
    ['tiny-2', tiny, 504_000, 684_000],
  ] as const
  for (const [name, expected, start, end] of table) {
    const facts = segmentFacts(recorded(name), 'mpegts')!
    assert.deepEqual(
      { ...facts, picturesMs: Math.round(facts.picturesMs * 1000) / 1000 },
      {
        ...{ ...expected, audio: 'mp4a.40.2', hasOtherCodecs: false, isIndependent: true },
        span: { start, end },
      },
      name,
    )
  }
})

test('codec and size are read from parameter sets of H.264 and HEVC, as pictures are shown', () => {
  const avc: readonly (readonly [set: string, codec: string, width: number, height: number])[] = [
    // Interlaced, cropped from 1088 lines; 4:4:4 with sizes that are no multiples of 16.
    ['67640028acd94078044fde022000000300200000030283e2c5b2c0', 'avc1.640028', 1920, 1080],
    ['67f4000c919b282a33c7c5e022000003000200000300281e28532c', 'avc1.f4000c', 322, 182],
  ]
  for (const [set, codec, width, height] of avc)
    assert.deepEqual(readAvcParameters(hex(set)), { codec, size: { width, height } })
  const hevc: readonly (readonly [set: string, codec: string])[] = [
    [
      '4201010408000003009e0800000300003c9001410173b9f2cacd24995e02dc08080010000003001000000300a080',
      'hvc1.4.10.L60.9E.8',
    ],
    [
      '42010101600000030090000003000003003ca00a080b9d4996566924caf0168080000003008000000504',
      'hvc1.1.6.L60.90',
    ],
  ]
  for (const [set, codec] of hevc)
    assert.deepEqual(readHevcParameters(hex(set)), { codec, size: { width: 318, height: 178 } })
  for (const length of [0, 1, 4, 6]) {
    assert.equal(readAvcParameters(hex(avc[0]![0]).subarray(0, length))?.size ?? null, null)
    assert.equal(readHevcParameters(hex(hevc[0]![0]).subarray(0, length)), null)
  }
  assert.equal(readHevcParameters(hex(hevc[1]![0]).subarray(0, 22))?.size, null)
})

test('what is no segment, or is cut or damaged, says nothing that is false', () => {
  const bytes = recorded('tiny-0')
  assert.equal(segmentFacts(new Uint8Array(0), 'mpegts'), null)
  assert.equal(segmentFacts(new TextEncoder().encode('codec=h264'), 'mpegts'), null)
  assert.equal(segmentFacts(new Uint8Array(188 * 10), 'mpegts'), null)
  const damaged = Uint8Array.from(bytes)
  damaged[188 * 5] = 0
  assert.equal(segmentFacts(damaged, 'mpegts'), null)
})
