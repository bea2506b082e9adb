import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type LintedMedia, lintMaster, lintMedia, lintReload } from '../../../test/tools/playlist-lint.ts'
import { StreamPlaylists } from './stream-playlists.ts'

const NOW = 1_700_000_000_000
const [first, second, third] = [0, 1, 2].map(
  (n) =>
    new Uint8Array(
      readFileSync(new URL(`../../../test/vectors/renditions/tiny-${n}.mpegts`, import.meta.url)),
    ),
) as [Uint8Array, Uint8Array, Uint8Array]
const VARIANTS = ['source', 'tiny'].map((name) => ({ name, bandwidth: 4_000_000, resolution: '0x0' }))

function segmentOf(number: number, bytes: Uint8Array, rendition = 'source') {
  const path = `movie/${rendition}/${number}.ts`
  return { sequence: BigInt(number), path, format: 'mpegts' as const, bytes, durationMs: 2000 }
}

/** A stream's source, of which every segment arrives when it has been made. */
function pushed(...all: readonly Uint8Array[]): StreamPlaylists {
  const playlists = new StreamPlaylists('source')
  for (const [number, bytes] of all.entries()) push(playlists, number, bytes)
  return playlists
}

function push(playlists: StreamPlaylists, number: number, bytes: Uint8Array): void {
  const segment = segmentOf(number, bytes)
  playlists.addSource(segment, playlists.arrived(segment, NOW + 2000 * (number + 1)))
}

const listOf = (playlists: StreamPlaylists, rendition: string, isEnded = false): LintedMedia =>
  lintMedia(playlists.media(rendition, { isEnded })!)
const numbersOf = (playlists: StreamPlaylists, rendition = 'tiny') =>
  playlists.has(rendition)
    ? listOf(playlists, rendition)
        .segments.map(({ uri }) => Number(/(\d+)\.ts$/.exec(uri)![1]))
        .join()
    : ''

test('lists of real segments say their codecs, their size, their rate and that each stands by itself', () => {
  const playlists = pushed(first, second, third)
  const [source] = lintMaster(playlists.master('movie', VARIANTS)!).variants
  const bits = [first, second, third].map(({ length }) => length * 4)
  assert.deepEqual(Object.fromEntries(source!.attributes), {
    'PROGRAM-ID': '0',
    BANDWIDTH: String(Math.max(...bits)),
    'AVERAGE-BANDWIDTH': String(Math.ceil((bits[0]! + bits[1]! + bits[2]!) / 3)),
    CODECS: '"avc1.4d500b,mp4a.40.2"',
    'FRAME-RATE': '10.000',
    RESOLUTION: '160x120',
  })
  const list = listOf(playlists, 'source')
  assert.equal(list.isIndependent, true)
  assert.deepEqual(
    list.segments.map(({ startsAtMs, stretch }) => [startsAtMs! - NOW, stretch]),
    [
      [0, 0],
      [2000, 0],
      [4000, 0],
    ],
  )
})

test('where the source jumps, every rendition says so at the same segment', () => {
  const playlists = pushed(first, second, first, second, third)
  for (const [number, bytes] of [second, third, first, third].entries())
    if (number !== 2) playlists.add('tiny', segmentOf(number, bytes, 'tiny'))
  playlists.add('tiny', segmentOf(4, first, 'tiny'))
  assert.deepEqual(
    listOf(playlists, 'source').segments.map(({ stretch }) => stretch),
    [0, 0, 1, 1, 1],
  )
  const source = listOf(playlists, 'source')
  for (const { startsAtMs, stretch, uri } of listOf(playlists, 'tiny').segments) {
    const same = source.segments.find((segment) => segment.uri === uri.replace('tiny', 'source'))!
    assert.deepEqual([stretch, startsAtMs], [same.stretch, same.startsAtMs])
  }
  assert.equal(numbersOf(playlists), '0,1,3,4')
})

test('a rendition waits for those before it while they are in work, and no list is renumbered', () => {
  const playlists = pushed(first, second, third, first, second)
  const work = [0, 1, 2, 3, 4].map((number) => playlists.begin(BigInt(number)))
  const loaded: LintedMedia[] = []
  const done = (number: number, isDone = true) => {
    if (isDone) playlists.add('tiny', segmentOf(number, first, 'tiny'))
    work[number]![Symbol.dispose]()
    if (!playlists.has('tiny')) return ''
    const list = listOf(playlists, 'tiny')
    if (loaded.length > 0) lintReload(loaded.at(-1)!, list)
    loaded.push(list)
    return numbersOf(playlists)
  }
  assert.equal(done(1), '')
  assert.equal(done(0), '0,1')
  assert.equal(done(4), '0,1')
  assert.equal(done(3), '0,1')
  assert.equal(done(2, false), '0,1,3,4', 'the one that failed is left out')
})

test('one that takes too long holds up only a few, and is listed in its place if it still comes', () => {
  const playlists = pushed(...Array.from({ length: 9 }, () => first))
  const slow = playlists.begin(1n)
  for (const number of [0, 2, 3, 4, 5]) playlists.add('tiny', segmentOf(number, first, 'tiny'))
  assert.equal(numbersOf(playlists), '0')
  playlists.add('tiny', segmentOf(6, first, 'tiny'))
  assert.equal(numbersOf(playlists), '0,2,3,4,5,6')
  playlists.add('tiny', segmentOf(1, first, 'tiny'))
  slow[Symbol.dispose]()
  assert.equal(numbersOf(playlists), '1,2,3,4,5,6')
})

test('one number in work twice, an older one, and the end of a stream hold up nothing for ever', () => {
  const playlists = pushed(first, second, third)
  const [once, again] = [playlists.begin(0n), playlists.begin(0n)]
  playlists.add('tiny', segmentOf(1, first, 'tiny'))
  once[Symbol.dispose]()
  assert.equal(numbersOf(playlists), '')
  again[Symbol.dispose]()
  assert.equal(numbersOf(playlists), '1')
  // A segment that is pushed again long after is not waited for: it would be listed before what players have seen.
  const late = playlists.begin(0n)
  playlists.add('tiny', segmentOf(2, first, 'tiny'))
  assert.equal(numbersOf(playlists), '1,2')
  late[Symbol.dispose]()
  const never = playlists.begin(3n)
  playlists.add('tiny', segmentOf(4, first, 'tiny'))
  playlists.end()
  assert.equal(numbersOf(playlists), '1,2,4')
  never[Symbol.dispose]()
})

test('the source waits for a segment that is still being saved, and not for its renditions', () => {
  const playlists = new StreamPlaylists('source')
  const [early, late] = [0, 1].map((number) => {
    playlists.begin(BigInt(number))
    const segment = segmentOf(number, first)
    return { segment, facts: playlists.arrived(segment, NOW) }
  })
  playlists.addSource(late!.segment, late!.facts)
  assert.equal(playlists.has('source'), false)
  playlists.addSource(early!.segment, early!.facts)
  assert.equal(numbersOf(playlists, 'source'), '0,1')
  const failed = playlists.begin(2n)
  const after = segmentOf(3, first)
  playlists.addSource(after, playlists.arrived(after, NOW))
  assert.equal(numbersOf(playlists, 'source'), '0,1')
  failed[Symbol.dispose]()
  assert.equal(numbersOf(playlists, 'source'), '0,1,3')
})

test('a length that nobody said is read from the pictures, for the source and its renditions', () => {
  for (const [isDurationGuessed, seconds] of [
    [true, 2],
    [false, 5],
  ] as const) {
    const playlists = new StreamPlaylists('source')
    const segment = { ...segmentOf(0, first), durationMs: 5000 }
    playlists.addSource(segment, playlists.arrived({ ...segment, isDurationGuessed }, NOW))
    playlists.add('tiny', { ...segmentOf(0, second, 'tiny'), durationMs: 5000 })
    for (const rendition of ['source', 'tiny']) {
      const [listed] = listOf(playlists, rendition).segments
      assert.deepEqual([listed!.seconds, listed!.startsAtMs! - NOW], [seconds, -1000 * seconds])
    }
  }
})
