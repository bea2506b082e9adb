import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lintMaster, lintMedia, lintReload } from '../../test/tools/playlist-lint.ts'
import {
  addSegment,
  EMPTY_PLAYLIST,
  type MediaPlaylist,
  type PlaylistEntry,
  writeMasterPlaylist,
  writeMediaPlaylist,
} from './playlist.ts'

function pushed(...sequences: number[]): MediaPlaylist {
  return sequences.reduce(
    (list, n) => addSegment(list, { sequence: BigInt(n), path: `movie/p/${n}.ts`, durationMs: 2000 }),
    EMPTY_PLAYLIST,
  )
}

test('a window shows the newest six, and the media sequence counts evictions from 0', () => {
  const table: readonly [number[], string, number][] = [
    [[], '', 0],
    [[100], '100', 0],
    [[100, 101, 102, 103, 104, 105], '100 101 102 103 104 105', 0],
    [[100, 101, 102, 103, 104, 105, 106, 107], '102 103 104 105 106 107', 2],
    [[3, 1, 2], '1 2 3', 0],
    [[5, 5, 5], '5', 0],
  ]
  for (const [sequences, shown, mediaSequence] of table) {
    const list = pushed(...sequences)
    assert.equal(list.entries.map((entry) => entry.sequence).join(' '), shown)
    assert.equal(list.mediaSequence, mediaSequence)
  }
})

test('a duplicate of a segment in a full window evicts nothing', () => {
  const full = pushed(100, 101, 102, 103, 104, 105, 106, 107)
  assert.equal(addSegment(full, { sequence: 107n, path: 'x', durationMs: 9000 }), full)
})

test('a segment older than a full window is refused, and a missing one inside it is inserted', () => {
  const full = pushed(10, 12, 13, 14, 15, 16)
  assert.equal(addSegment(full, { sequence: 9n, path: 'x', durationMs: 2000 }), full)
  const list = addSegment(full, { sequence: 11n, path: 'x', durationMs: 2000 })
  assert.equal(list.entries.map((entry) => entry.sequence).join(' '), '11 12 13 14 15 16')
})

test('a media playlist is written byte for byte as players expect it', () => {
  const list = addSegment(EMPTY_PLAYLIST, {
    sequence: 0n,
    path: 'movie/P240p30fps16x9/0.ts',
    durationMs: 2000,
  })
  assert.equal(
    writeMediaPlaylist(list),
    '#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-TARGETDURATION:2\n' +
      '#EXTINF:2.000,\n/stream/movie/P240p30fps16x9/0.ts\n',
  )
})

test('the target duration is the longest duration so far, rounded up, even if that segment is gone', () => {
  let list = addSegment(EMPTY_PLAYLIST, { sequence: 0n, path: 'a', durationMs: 4001 })
  for (let n = 1n; n < 10n; n++) list = addSegment(list, { sequence: n, path: 'a', durationMs: 2000 })
  assert.match(writeMediaPlaylist(list), /^#EXT-X-TARGETDURATION:5$/m)
})

test('a master playlist lists its variants with relative addresses', () => {
  assert.equal(
    writeMasterPlaylist('movie', [
      { name: 'source', bandwidth: 4_000_000, resolution: '1280x720' },
      { name: 'P240p30fps16x9', bandwidth: 600_000, resolution: '426x240' },
    ]),
    '#EXTM3U\n#EXT-X-VERSION:3\n' +
      '#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=4000000,RESOLUTION=1280x720\nmovie/source.m3u8\n' +
      '#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=600000,RESOLUTION=426x240\nmovie/P240p30fps16x9.m3u8\n',
  )
})

const facts = { video: null, audio: null, hasOtherCodecs: false, size: null, pictures: 0, picturesMs: 0 }
const entry = (sequence: number, more: Partial<PlaylistEntry> = {}): PlaylistEntry => ({
  ...{ sequence: BigInt(sequence), path: `movie/p/${sequence}.ts`, durationMs: 2000 },
  ...more,
})
const listOf = (...entries: readonly PlaylistEntry[]) => entries.reduce(addSegment, EMPTY_PLAYLIST)

test('a list says when each segment began, and where the source jumped', () => {
  const at = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
  const list = listOf(...[0, 1, 2].map((n) => entry(n, { startsAtMs: at + 2000 * n, jumps: n < 2 ? 0 : 1 })))
  assert.equal(
    writeMediaPlaylist(list, { isEnded: true }),
    [
      ...['#EXTM3U', '#EXT-X-VERSION:3', '#EXT-X-MEDIA-SEQUENCE:0', '#EXT-X-TARGETDURATION:2'],
      ...['#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z', '#EXTINF:2.000,', '/stream/movie/p/0.ts'],
      ...['#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.678Z', '#EXTINF:2.000,', '/stream/movie/p/1.ts'],
      '#EXT-X-DISCONTINUITY',
      ...['#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:09.678Z', '#EXTINF:2.000,', '/stream/movie/p/2.ts'],
      ...['#EXT-X-ENDLIST', ''],
    ].join('\n'),
  )
})

test('jumps are counted on when their segments have left the window, and where segments are missing', () => {
  let before = lintMedia(writeMediaPlaylist(EMPTY_PLAYLIST))
  let list = EMPTY_PLAYLIST
  // Segments 3 and 4, each behind a jump, were lost in this rendition.
  for (const n of [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12]) {
    list = addSegment(list, entry(n, { jumps: n < 3 ? 0 : 2 }))
    const read = lintMedia(writeMediaPlaylist(list))
    lintReload(before, read)
    before = read
    assert.equal(read.segments.at(-1)!.stretch, n < 3 ? 0 : 2, `${n}`)
  }
  assert.match(writeMediaPlaylist(list), /^#EXT-X-DISCONTINUITY-SEQUENCE:2$/m)
  assert.doesNotMatch(writeMediaPlaylist(list), /^#EXT-X-DISCONTINUITY$/m)
})

test('only a window in which every segment stands by itself says so', () => {
  const whole = entry(0, { facts: { ...facts, span: null, isIndependent: true } })
  const part = entry(1, { facts: { ...facts, span: null, isIndependent: false } })
  const saysSo = (...entries: readonly PlaylistEntry[]) =>
    lintMedia(writeMediaPlaylist(listOf(...entries))).isIndependent
  assert.equal(saysSo(whole), true)
  assert.equal(saysSo(whole, part), false)
  assert.equal(saysSo(whole, entry(1)), false)
  assert.equal(saysSo(), false)
})

test('a variant says what is known of it', () => {
  const text = writeMasterPlaylist('movie', [
    {
      ...{ name: 'source', bandwidth: 900_000, averageBandwidth: 700_000, resolution: '1280x720' },
      ...{ codecs: 'avc1.64001f,mp4a.40.2', frameRate: 29.97 },
    },
    { name: 'sound', bandwidth: 1, averageBandwidth: null, codecs: null, frameRate: null, resolution: null },
  ])
  assert.equal(
    text,
    '#EXTM3U\n#EXT-X-VERSION:3\n' +
      '#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=900000,AVERAGE-BANDWIDTH=700000,' +
      'CODECS="avc1.64001f,mp4a.40.2",FRAME-RATE=29.970,RESOLUTION=1280x720\nmovie/source.m3u8\n' +
      '#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=1\nmovie/sound.m3u8\n',
  )
  assert.equal(lintMaster(text).variants.length, 2)
})
