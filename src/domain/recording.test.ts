import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type IndexFile, runsOf } from './recording.ts'
import { GrowingIndex, readIndex } from './recording-index.ts'

const SOURCE = { name: 'source', bandwidth: 4_000_000, resolution: '160x120' }
const LOW = { name: 'low', bandwidth: 100_000, resolution: '160x120' }

/** An index of these numbers, each also in a rendition. */
function indexFile(folder: string, startedNs: bigint, sequences: readonly number[]): IndexFile {
  const index = new GrowingIndex()
  for (const sequence of sequences) {
    for (const track of [SOURCE, LOW]) {
      const uri = `https://store.example/bucket/s1/${folder}/${track.name}/${sequence}.ts`
      index.add(track, { sequence: BigInt(sequence), uri, durationMs: 2_000 })
    }
  }
  return { folder, startedNs, index: readIndex(index.text()) }
}

function shownOf(files: readonly IndexFile[]) {
  return runsOf('s1', files).map(({ segments }) =>
    segments.get('low')!.map(({ path }) => path.replace('s1/', '')),
  )
}

test('the indexes of a long recording are one run', () => {
  const files = [indexFile('a', 2n, [3, 4]), indexFile('a', 1n, [0, 1, 2])]
  assert.deepEqual(shownOf(files), [['a/low/0.ts', 'a/low/1.ts', 'a/low/2.ts', 'a/low/3.ts', 'a/low/4.ts']])
})

test('numbers that several nodes took in turns are one run, each number once', () => {
  const files = [indexFile('a', 1n, [0, 2, 4]), indexFile('b', 2n, [1, 3, 5])]
  assert.deepEqual(shownOf(files)[0]!.length, 6)
  const moved = [indexFile('a', 1n, [0, 1, 2]), indexFile('b', 2n, [2, 3])]
  assert.deepEqual(shownOf(moved), [['a/low/0.ts', 'a/low/1.ts', 'a/low/2.ts', 'b/low/3.ts']])
})

test('numbers that begin again are another run, which follows', () => {
  const files = [indexFile('b', 2n, [0, 1]), indexFile('a', 1n, [0, 1, 2])]
  assert.deepEqual(shownOf(files), [
    ['a/low/0.ts', 'a/low/1.ts', 'a/low/2.ts'],
    ['b/low/0.ts', 'b/low/1.ts'],
  ])
  const lower = [indexFile('a', 1n, [100, 101]), indexFile('b', 2n, [0, 1])]
  assert.deepEqual(shownOf(lower).length, 2)
})

test('segments are in the order of their numbers, a repeated one once', () => {
  assert.deepEqual(shownOf([indexFile('a', 1n, [10, 11, 12, 11, 20])]), [
    ['a/low/10.ts', 'a/low/11.ts', 'a/low/12.ts', 'a/low/20.ts'],
  ])
})

test('an index leads to no file but those beside it', () => {
  const entry = (uri: string) => ({ uri, duration_ms: 2_000 })
  const index = readIndex(
    JSON.stringify({
      tracks: [{ name: 'source' }, { name: '..' }, { name: 'a/b' }, { name: 'x\n' }, { name: 'low' }],
      segments: {
        source: [
          'http://evil.example/../../etc/passwd',
          '/etc/1.ts',
          'http://169.254.169.254/2.ts?x',
          '3.key',
          '',
        ].map(entry),
        '..': [entry('1.ts')],
      },
    }),
  )
  assert.deepEqual([...index.segments.keys()], ['source'])
  assert.deepEqual(shownOf([]), [])
  const runs = runsOf('s1', [{ folder: 'a', startedNs: 1n, index }])
  assert.deepEqual(
    runs[0]!.segments.get('source')!.map(({ path }) => path),
    ['s1/a/source/1.ts', 's1/a/source/2.ts'],
  )
})

test('what is no index is refused, and what it claims is bounded', () => {
  for (const text of ['', 'null', '[]', '{"tracks":{}}', '{"tracks":[],"segments":[]}', '{"tracks":[1]}']) {
    assert.throws(() => readIndex(text), { code: 'bad-recording-index' }, text)
  }
  const endless = { tracks: [{ name: 'a' }], segments: { a: [{ uri: '1.ts', duration_ms: 1e12 }] } }
  assert.equal(readIndex(JSON.stringify(endless)).segments.get('a')![0]!.durationMs, 300_000)
  const many = { tracks: Array.from({ length: 65 }, (_, at) => ({ name: `t${at}` })), segments: {} }
  assert.throws(() => readIndex(JSON.stringify(many)), { code: 'bad-recording-index' })
})
