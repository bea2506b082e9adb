import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { boxesIn, inside } from '../../src/domain/mp4/box-reader.ts'
import { fragmentBytes, writeFragment, writeHead } from '../../src/domain/mp4/fragments.ts'
import type { MediaSegment } from '../../src/domain/mp4/media-segment.ts'
import { readMp4 } from '../../src/domain/mp4/mp4-segment.ts'
import { readTransportStream } from '../../src/domain/mp4/transport-stream.ts'
import { CLOCK_WRAP } from '../../src/domain/mpegts-clock.ts'
import { readSignature, showSame } from '../../src/domain/perceptual-hash.ts'
import { segmentFacts } from '../../src/domain/segment-facts.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { signatureOf } from '../fakes/signature.ts'
import { tinyMp4 } from '../media/tiny-mp4.ts'
import { mutate, mutation } from '../tools/byte-mutations.ts'

/** Damaged segments; FUZZ_RUNS changes it. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 2_000)
/** The longest that an index of a recording says of a segment. */
const LONGEST_MS = 300_000
const FEW_PACKETS = 80

const mp4 = tinyMp4()
const INDEX_BYTES = Buffer.from(mp4).indexOf('mdat', 0, 'latin1')
const clip = readFileSync(new URL('../vectors/renditions/tiny-0.mpegts', import.meta.url))
const transportStream = new Uint8Array(clip.subarray(0, FEW_PACKETS * 188))

/** What players are told of a segment, whatever it is. */
function describe(bytes: Uint8Array, format: 'mpegts' | 'mp4'): void {
  const facts = segmentFacts(bytes, format)
  if (!facts) return
  const { audio, pictures, picturesMs, size, span, video } = facts
  assert.ok(Number.isSafeInteger(pictures) && pictures >= 0 && Number.isFinite(picturesMs) && picturesMs >= 0)
  for (const codec of [video, audio]) assert.match(codec ?? '', /^[\w.-]*$/)
  assert.ok(!size || (size.width > 0 && size.height > 0 && size.width <= 65_535 && size.height <= 65_535))
  assert.ok(!span || (span.start >= 0 && span.start < CLOCK_WRAP && span.end >= 0 && span.end < CLOCK_WRAP))
}

/** What a recording does with a segment that came from an orchestrator, or lies in somebody's store. */
function record(bytes: Uint8Array, read: (bytes: Uint8Array) => MediaSegment): 'read' | 'refused' {
  describe(bytes, read === readMp4 ? 'mp4' : 'mpegts')
  let segment: MediaSegment
  try {
    segment = read(bytes)
  } catch (error) {
    assert.ok(error instanceof NodeError && error.code === 'unreadable-media', String(error))
    assert.ok(error.message.length < 200, error.message)
    return 'refused'
  }
  const { startTicks, tracks } = segment
  assert.ok(startTicks === null || (startTicks >= 0 && startTicks < CLOCK_WRAP))
  assert.ok(tracks.length >= 1 && tracks.length <= 2)
  for (const { samples, timescale } of tracks) {
    assert.ok(Number.isSafeInteger(timescale) && timescale > 0)
    for (const { bytes, data, decode, duration } of samples) {
      assert.ok(Number.isSafeInteger(decode) && Number.isSafeInteger(duration) && duration >= 0)
      assert.equal(
        data.reduce((sum, { length }) => sum + length, 0),
        bytes,
      )
    }
  }
  const size = fragmentBytes(bytes.length, { durationMs: 2_000, isMp4: read === readMp4 })
  const head = writeHead(tracks, [{ bytes: size, durationMs: LONGEST_MS }])
  assert.deepEqual(
    boxesIn(head).map(({ type }) => type),
    ['ftyp', 'moov', 'sidx'],
  )
  const fragment = writeFragment(segment, tracks, { bytes: size, number: 1, startMs: LONGEST_MS })
  assert.ok(fragment === null || fragment.length === size)
  return 'read'
}

test('damaged segments in MP4 become a part of a recording or are left out, nothing else', () => {
  assert.equal(record(mp4, readMp4), 'read')
  const seen = { read: 0, refused: 0 }
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
      seen[record(mutations.reduce(mutate, mp4), readMp4)]++
    }),
    { numRuns: RUNS, endOnFailure: true },
  )
  // The index byte by byte, at its limits: lengths, counts, scales and places.
  for (let at = 0; at < INDEX_BYTES; at++) {
    for (const bytes of [[0xff], [0xff, 0xff, 0xff, 0xff], [0, 0, 0, 0]]) {
      const changed = mp4.slice()
      changed.set(bytes, at)
      seen[record(changed, readMp4)]++
    }
  }
  assert.ok(seen.read > RUNS / 10 && seen.refused > RUNS / 10, JSON.stringify(seen))
})

test('damaged segments in MPEG-TS become a part of a recording or are left out, nothing else', () => {
  assert.equal(record(transportStream, readTransportStream), 'read')
  const seen = { read: 0, refused: 0 }
  const inPackets = fc.array(fc.tuple(fc.nat(FEW_PACKETS - 1), fc.nat(40), fc.nat(255)), {
    minLength: 1,
    maxLength: 12,
  })
  fc.assert(
    fc.property(inPackets, fc.array(mutation, { maxLength: 2 }), (early, mutations) => {
      const bytes = transportStream.slice()
      // The first bytes of packets are tables, headers and parameter sets.
      for (const [packet, at, byte] of early) bytes[packet * 188 + 1 + at] = byte
      seen[record(mutations.reduce(mutate, bytes), readTransportStream)]++
    }),
    { numRuns: Math.ceil(RUNS / 4), endOnFailure: true },
  )
  assert.ok(seen.read > RUNS / 20, JSON.stringify(seen))
})

test('any bytes are boxes, or none', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      let length = 0
      for (const { body, type } of boxesIn(bytes)) {
        assert.equal(type.length, 4)
        length += body.length + 8
      }
      assert.ok(length <= bytes.length)
      assert.ok((inside(bytes, 'moov', 'trak', 'mdia')?.length ?? 0) <= bytes.length)
      record(bytes, readMp4)
      record(bytes, readTransportStream)
    }),
    { numRuns: RUNS },
  )
  // Boxes of no content, as many as fit, and boxes in boxes.
  assert.ok(boxesIn(Buffer.concat(Array(100_000).fill(Buffer.of(0, 0, 0, 8, 1, 1, 1, 1)))).length <= 1_000)
  let nested = Buffer.alloc(0)
  for (let i = 0; i < 2_000; i++) {
    const head = Buffer.from('\0\0\0\0moov', 'latin1')
    head.writeUInt32BE(nested.length + 8)
    nested = Buffer.concat([head, nested])
  }
  assert.equal(record(nested, readMp4), 'refused')
})

test('signatures of pictures are read and compared, or refused', () => {
  const [whole, other] = [signatureOf(1, 2, 3), readSignature(signatureOf(1, 2, 3, 4, 5))]
  const seen = { read: 0, refused: 0 }
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 2 }), (mutations) => {
      try {
        const pictures = readSignature(mutations.reduce(mutate, whole))
        assert.ok(pictures.count > 0 && pictures.values.length === pictures.count * 76)
        assert.equal(showSame(pictures, other), showSame(other, pictures))
        seen.read++
      } catch (error) {
        assert.ok(error instanceof NodeError && error.code === 'bad-signature', String(error))
        seen.refused++
      }
    }),
    { numRuns: RUNS, endOnFailure: true },
  )
  assert.ok(seen.read > RUNS / 20 && seen.refused > RUNS / 20, JSON.stringify(seen))
})
