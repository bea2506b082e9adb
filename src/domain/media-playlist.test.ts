import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { NodeError } from '../lib/errors.ts'
import { readMediaPlaylist } from './media-playlist.ts'
import { addSegment, EMPTY_PLAYLIST, writeMediaPlaylist } from './playlist.ts'

suite('reading a media playlist', () => {
  test('returns names and durations in order and skips other lines', () => {
    const text = [
      '\uFEFF#EXTM3U',
      '#EXT-X-VERSION:3',
      '#EXT-X-KEY:METHOD=NONE',
      '#EXTINF:2.000000,',
      'a.ts',
      '',
      '#EXTINF:1.5,a title, with a comma',
      '#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:00Z',
      '  sub folder/b.ts  ',
      '#EXTINF:10',
      'c%20d.ts',
      '#EXT-X-ENDLIST',
    ].join('\r\n')
    assert.deepEqual(readMediaPlaylist(text), [
      { uri: 'a.ts', durationMs: 2000 },
      { uri: 'sub folder/b.ts', durationMs: 1500 },
      { uri: 'c%20d.ts', durationMs: 10_000 },
    ])
  })

  test('reads playlists as written for players', () => {
    const written = writeMediaPlaylist(
      addSegment(EMPTY_PLAYLIST, { sequence: 7n, path: 'id/source/7.ts', durationMs: 1999.5 }),
    )
    assert.deepEqual(readMediaPlaylist(written), [{ uri: '/stream/id/source/7.ts', durationMs: 2000 }])
  })

  const refused: [text: string, sentence: string][] = [
    ['', 'the playlist does not begin with #EXTM3U, so it is not a playlist'],
    ['a.ts', 'the playlist does not begin with #EXTM3U, so it is not a playlist'],
    ['#EXTM3U\n', 'the playlist has no segments'],
    ['#EXTM3U\na.ts', 'the playlist has a segment without #EXTINF before it in line 2'],
    ['#EXTM3U\n#EXTINF:2,\na.ts\nb.ts', 'the playlist has a segment without #EXTINF before it in line 4'],
    ['#EXTM3U\n#EXTINF:0,\na.ts', 'the playlist has no duration above 0 in line 2'],
    ['#EXTM3U\n#EXTINF:-2,\na.ts', 'the playlist has no duration above 0 in line 2'],
    ['#EXTM3U\n#EXTINF:two,\na.ts', 'the playlist has no duration above 0 in line 2'],
    [
      '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8',
      'the playlist lists other playlists instead of segments: give one of those (line 2)',
    ],
    [
      '#EXTM3U\n#EXT-X-MAP:URI="i.mp4"\n',
      'the playlist has segments that need an initialisation section: give one with MPEG-TS segments (line 2)',
    ],
    [
      '#EXTM3U\n#EXTINF:2,\n#EXT-X-BYTERANGE:10@0\na.ts',
      'the playlist has segments that are parts of files: give one with a file for each segment (line 3)',
    ],
    [
      '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n',
      'the playlist has encrypted segments: give one without a key (line 2)',
    ],
    [
      `#EXTM3U\n#EXTINF:2,\n${'a'.repeat(4097)}`,
      'the playlist has a name of more than 4096 letters in line 3',
    ],
    [`#EXTM3U\n${'#EXTINF:2,\na\n'.repeat(86_401)}`, 'the playlist has more than 86400 segments'],
  ]
  for (const [text, sentence] of refused) {
    test(`refuses ${JSON.stringify(text.slice(0, 40))}: ${sentence}`, () =>
      assert.throws(() => readMediaPlaylist(text), { message: sentence, code: 'bad-playlist' }))
  }

  test('any text is either read or refused with a sentence', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom('#EXTM3U', '#EXTINF:2,', '#EXTINF:', 'a.ts', '#EXT-X-KEY:'),
    )
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        try {
          const segments = readMediaPlaylist(['#EXTM3U', ...lines].join('\n'))
          assert.ok(segments.every(({ uri, durationMs }) => uri !== '' && durationMs > 0))
        } catch (error) {
          assert.ok(error instanceof NodeError && error.code === 'bad-playlist', String(error))
        }
      }),
    )
  })
})
