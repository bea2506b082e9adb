import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { isKnown, rangeOf, tagOfBytes, tagOfText, takesGzip, ZippedTexts } from './entity.ts'

test('a client that names the tag, in any of its forms, has what has it', () => {
  const strong = tagOfBytes(Uint8Array.of(1, 2, 3))
  const weak = tagOfText('a list')
  assert.match(strong, /^"[\w-]{16}"$/)
  assert.match(weak, /^W\/"[\w-]{16}"$/)
  assert.equal(tagOfBytes(Uint8Array.of(1, 2, 3)), strong)
  assert.notEqual(tagOfBytes(Uint8Array.of(1, 2, 4)), strong)
  for (const tag of [strong, weak]) {
    const opaque = tag.replace('W/', '')
    for (const header of [tag, opaque, `W/${opaque}`, `"other", ${tag}`, ' * ', `"a",W/${opaque} ,"b"`])
      assert.equal(isKnown({ 'if-none-match': header }, tag), true, header)
    for (const header of ['', '"other"', opaque.slice(1, -1), '"*"'])
      assert.equal(isKnown({ 'if-none-match': header }, tag), false, header)
    assert.equal(isKnown({}, tag), false)
  }
})

test('a part is what a single range of bytes names; anything else is all or nothing', () => {
  const tag = '"v1"'
  const table: readonly (readonly [range: string | undefined, expected: unknown])[] = [
    [undefined, 'all'],
    ['bytes=0-99', { from: 0, to: 99 }],
    ['bytes=900-', { from: 900, to: 999 }],
    ['bytes=900-5000', { from: 900, to: 999 }],
    ['bytes=-100', { from: 900, to: 999 }],
    ['bytes=-5000', { from: 0, to: 999 }],
    ['bytes=999-999', { from: 999, to: 999 }],
    ['bytes=1000-', null],
    ['bytes=1000-2000', null],
    ['bytes=-0', null],
    // Of what is not understood no notice is taken.
    ['bytes=5-4', 'all'],
    ['bytes=0-1,5-6', 'all'],
    ['bytes=-', 'all'],
    ['lines=0-9', 'all'],
    ['bytes=0x1-9', 'all'],
    ['bytes=99999999999999999999-', 'all'],
  ]
  for (const [range, expected] of table) {
    assert.deepEqual(rangeOf({ range }, { size: 1000, tag }), expected, range)
  }
  assert.equal(rangeOf({ range: 'bytes=0-' }, { size: 0, tag }), null)
  const range = 'bytes=0-9'
  assert.deepEqual(rangeOf({ range, 'if-range': '"v1"' }, { size: 99, tag }), { from: 0, to: 9 })
  for (const version of ['"v0"', 'W/"v1"', 'Wed, 21 Oct 2099 07:28:00 GMT'])
    assert.equal(rangeOf({ range, 'if-range': version }, { size: 99, tag }), 'all')
})

test('gzip goes to those that take it', () => {
  for (const [accepted, expected] of [
    ['gzip', true],
    ['deflate, GZIP;q=0.5, br', true],
    ['*', true],
    ['*;q=0, gzip;q=1', true],
    ['gzip;q=0, *', false],
    ['gzip; q=0.0', false],
    ['identity', false],
    ['xgzip', false],
    ['', false],
  ] as const)
    assert.equal(takesGzip({ 'accept-encoding': accepted }), expected, accepted)
  assert.equal(takesGzip({}), false)
})

test('a text is compressed once while it is in use, and no more are kept than are in use', () => {
  const texts = new ZippedTexts()
  const text = (number: number) => `${number} ${'a list '.repeat(50)}`
  const first = texts.of(text(0))!
  assert.equal(gunzipSync(first).toString(), text(0))
  assert.equal(texts.of(text(0)), first)
  assert.equal(texts.of('short'), null)
  for (let number = 1; number < 1_000; number++) texts.of(text(number))
  assert.equal(texts.of(text(0)), first)
  // The one that was not asked for longest makes room.
  const second = texts.of(text(1))
  texts.of(text(1_000))
  texts.of(text(1_001))
  assert.equal(texts.of(text(0)), first)
  assert.equal(texts.of(text(1)), second)
  for (let number = 2_000; number < 3_000; number++) texts.of(text(number))
  assert.notEqual(texts.of(text(0)), first)
})
