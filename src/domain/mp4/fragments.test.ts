import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fragmentBytes, MAX_FRAGMENTS, writeFragment, writeGap, writeHead } from './fragments.ts'

const TRACK = {
  ...({ kind: 'video', timescale: 90_000, width: 16, height: 16, describesItself: true } as const),
  entry: Buffer.from('\0\0\0\x08avc1', 'latin1'),
}

/** Type and size of each box in a row. */
function boxesOf(bytes: Uint8Array): [string, number][] {
  const buffer = Buffer.from(bytes)
  const boxes: [string, number][] = []
  for (let at = 0; at < buffer.length; at += buffer.readUInt32BE(at)) {
    boxes.push([buffer.toString('latin1', at + 4, at + 8), buffer.readUInt32BE(at)])
  }
  return boxes
}

test('the head of the longest file has a place for each fragment, and that of a longer one no index', () => {
  const fragments = Array.from({ length: MAX_FRAGMENTS }, () => ({ bytes: 1_000_000, durationMs: 300_000 }))
  const head = writeHead([TRACK], fragments)
  assert.deepEqual(boxesOf(head).at(-1), ['sidx', 40 + 12 * MAX_FRAGMENTS])
  const more = writeHead([TRACK], [...fragments, fragments[0]!])
  assert.deepEqual(
    boxesOf(more).map(([type]) => type),
    ['ftyp', 'moov'],
  )
})

test('a fragment has the size that was announced, or is a gap of it', () => {
  const sample = { data: [Buffer.alloc(10)], bytes: 10, decode: 0, duration: 3_000, delay: 0, isKey: true }
  const segment = { startTicks: 0, tracks: [{ ...TRACK, samples: [sample] }] }
  const size = fragmentBytes(300, { durationMs: 2_000, isMp4: false })
  const fragment = writeFragment(segment, [TRACK], { bytes: size, number: 1, startMs: 0 })!
  assert.equal(fragment.length, 316)
  assert.deepEqual(
    boxesOf(fragment).map(([type]) => type),
    ['moof', 'mdat', 'free'],
  )
  assert.equal(writeFragment(segment, [TRACK], { bytes: 100, number: 1, startMs: 0 }), null)
  assert.equal(
    writeFragment(segment, [{ ...TRACK, timescale: 1 }], { bytes: size, number: 1, startMs: 0 }),
    null,
  )
  assert.deepEqual(boxesOf(writeGap(size)), [['free', 316]])
})
