import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cutTo, escaped, quoted, quotedIfNeeded } from './printable.ts'

test('control characters are escaped', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['plain text, ümläute, 日本, 🎥', 'plain text, ümläute, 日本, 🎥'],
    ['\u001b[2J\u001b]0;title\u0007', '\\u001b[2J\\u001b]0;title\\u0007'],
    ['a\nb\r\tc', 'a\\nb\\r\\tc'],
    ['\u009b31m', '\\u009b31m'],
    ['abc\u202edcba', 'abc\\u202edcba'],
    ['\u2066x\u2069\u200f\u061c', '\\u2066x\\u2069\\u200f\\u061c'],
    ['a\u2028b\u2029', 'a\\u2028b\\u2029'],
    ['\ufeffa\u200bb\u00ad', '\\ufeffa\\u200bb\\u00ad'],
    ['\u{e0041}', '\\udb40\\udc41'],
    ['\ud83d', '\\ud83d'],
    ['\u007f\u0000', '\\u007f\\u0000'],
  ]
  for (const [text, expected] of cases) assert.equal(escaped(text), expected)
})

test('a quoted text is JSON for the same text, without unprintable characters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.equal(JSON.parse(quoted(text)), text)
      assert.doesNotMatch(quoted(text), /[\p{C}\p{Zl}\p{Zp}]/u)
    }),
  )
})

test('quotes are added only where needed', () => {
  assert.equal(quotedIfNeeded('stream/one two'), 'stream/one two')
  assert.equal(quotedIfNeeded('a\nERROR b'), '"a\\nERROR b"')
  assert.equal(quotedIfNeeded('"a" level=error'), '"\\"a\\" level=error"')
})

test('a long text is cut and its length is told', () => {
  assert.equal(cutTo(3, 'abc'), 'abc')
  assert.equal(cutTo(3, 'abcd'), 'abc… (4 characters)')
})
