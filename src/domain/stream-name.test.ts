import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  encodePath,
  isMisleading,
  objectPath,
  parseStreamPath,
  pathExtension,
  sequenceOf,
} from './stream-name.ts'

const names: readonly [string, string, string][] = [
  ['/live/movie/12.ts', 'movie', '12'],
  ['/stream/abc/def.m3u8', 'abc', 'def'],
  ['/live/seg.ts', 'seg', ''],
  ['/live/.ts', '', ''],
  ['/', '', ''],
  ['', '', ''],
  ['/stream/', '', ''],
  ['/movie.v2', 'movie', ''],
  ['/movie.v2/key', 'movie.v2', 'key'],
  ['/alive/foo', 'afoo', ''],
  ['/stream/stream/stream', 'stream', 'stream'],
  ['  //stream/a/b/c.ts', 'a', 'b/c'],
  ['/stream/live/a.m3u8', 'a', ''],
  ['app/k1/k2', 'app', 'k1/k2'],
  ['live/x', 'live', 'x'],
  ['live/live/x', 'live', 'x'],
  ['alive/foo', 'afoo', ''],
  ['/lilive/ve/x', 'live', 'x'],
  ['.ts', '', ''],
]

for (const [path, manifestId, rest] of names) {
  test(`the path ${JSON.stringify(path)} names the stream ${JSON.stringify(manifestId)}`, () => {
    assert.deepEqual(parseStreamPath(path), { manifestId, rest })
  })
}

test('a path is misleading where readers of URLs find another one in it', () => {
  const here = 'http://gw.example'
  for (const path of [
    '/live/a/../b',
    '/live/./b',
    '/live/a/%2e%2E/b',
    '/live/a/..\\b',
    '/live/a/.\t./b',
    '/live/..',
  ]) {
    assert.notEqual(new URL(here + path).pathname, path)
    assert.equal(isMisleading(path), true, path)
  }
  for (const path of ['/live/a..b/0.ts', '/live/.../1.ts', '/live/..a', '/live/a/.ts'])
    assert.equal(isMisleading(path), false, path)
})

test('a sequence number is the digits of the last element; any other name is 0', () => {
  const cases: readonly [string, bigint][] = [
    ['/live/movie/12.ts', 12n],
    ['/live/seg.ts', 0n],
    ['/live/movie/007.mp4', 7n],
    ['/live/movie/-3.ts', 0n],
    ['/live/movie/1e3.ts', 0n],
    ['/live/movie/9223372036854775807.ts', 9223372036854775807n],
    ['/live/movie/9223372036854775808.ts', 0n],
    ['/live/movie/12', 12n],
    ['/live/movie/1.2.ts', 0n],
  ]
  for (const [path, sequence] of cases) assert.equal(sequenceOf(path), sequence, path)
})

test('an extension is what follows the last dot of the last element, in its own case', () => {
  for (const [path, extension] of [
    ['/live/a/1.ts', '.ts'],
    ['/live/a/1.TS', '.TS'],
    ['/live/a.b/1', ''],
    ['/live/.mp4', '.mp4'],
  ] as const)
    assert.equal(pathExtension(path), extension)
})

test('encoding leaves ordinary names unchanged and escapes line breaks', () => {
  assert.equal(encodePath(objectPath('movie', 'P240p30fps16x9', 3n, '.ts')), 'movie/P240p30fps16x9/3.ts')
  assert.equal(encodePath('a\n#EXT/b c'), 'a%0A%23EXT/b%20c')
  assert.equal(encodePath('\ud800'), '%EF%BF%BD')
})
