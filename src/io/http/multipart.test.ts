import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concatBytes } from '../../lib/bytes.ts'
import { multipartBody, renditionPart } from './multipart.ts'

const part = (name: string, text: string) =>
  renditionPart({
    name,
    sequence: 7n,
    extension: '.ts',
    mimeType: 'video/mp2t',
    bytes: new TextEncoder().encode(text),
  })

test('renditions are written byte for byte as clients of the Go node expect', () => {
  const body = concatBytes(...multipartBody([part('low', 'abc'), part('high', '')], 'b0'))
  assert.equal(
    new TextDecoder().decode(body),
    '--b0\r\n' +
      'Content-Disposition: attachment; filename="low_7.ts"\r\n' +
      'Content-Length: 3\r\n' +
      'Content-Type: video/mp2t; name="low_7.ts"\r\n' +
      'Rendition-Name: low\r\n' +
      '\r\n' +
      'abc' +
      '\r\n--b0\r\n' +
      'Content-Disposition: attachment; filename="high_7.ts"\r\n' +
      'Content-Length: 0\r\n' +
      'Content-Type: video/mp2t; name="high_7.ts"\r\n' +
      'Rendition-Name: high\r\n' +
      '\r\n' +
      '\r\n--b0--\r\n',
  )
})

test('a name cannot break out of its header', () => {
  const text = new TextDecoder().decode(concatBytes(...multipartBody([part('a"\r\nX: y', '')], 'b0')))
  assert.ok(!text.includes('\r\nX: y'))
  assert.ok(text.includes('filename="a___X: y_7.ts"'))
})
