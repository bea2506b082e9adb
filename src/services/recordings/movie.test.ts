import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tinyMp4 } from '../../../test/media/tiny-mp4.ts'
import type { RecordedRun } from '../../domain/recording.ts'
import { silentLog } from '../../lib/log.ts'
import { MAX_OBJECT_BYTES, type ObjectStore } from '../../lib/object-store.ts'
import { layOut } from './movie.ts'

test('a file that a store says to be larger than any that is loaded has no place in a movie', async () => {
  const bytes = tinyMp4()
  const sizes = new Map([
    ['s/n/low/0.mp4', bytes.length],
    ['s/n/low/1.mp4', MAX_OBJECT_BYTES + 1],
    ['s/n/low/2.mp4', 2 ** 45],
  ])
  const objects: Pick<ObjectStore, 'list' | 'load'> = {
    list: async () => ({
      files: [...sizes].map(([path, size]) => ({ path, bytes: size, savedMs: 0 })),
      ...{ folders: [], next: null },
    }),
    load: async () => bytes,
  }
  const segments = [...sizes.keys()].map((path, at) => ({ path, sequence: BigInt(at), durationMs: 2_000 }))
  const run: RecordedRun = { tracks: [], segments: new Map([['low', segments]]) }
  const needs = { objects: objects as ObjectStore, log: silentLog }
  const signal = new AbortController().signal
  const movie = await layOut('low', [run], needs, signal)
  let length = 0
  for await (const part of movie.read(0, movie.size, signal)) length += part.length
  assert.equal(length, movie.size)
  assert.ok(movie.size < 100_000, `${movie.size}`)
})
