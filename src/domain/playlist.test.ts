import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addSegment,
  EMPTY_PLAYLIST,
  type MediaPlaylist,
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
