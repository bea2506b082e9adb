import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { sendRaw } from '../../../test/net/raw-http.ts'

const SEGMENT = '/stream/movie/P144p30fps16x9/1.ts'
const LIST = '/stream/movie/P144p30fps16x9.m3u8'
const MASTER = '/stream/movie.m3u8'

async function withSegments(count = 3) {
  const set = await startGatewayPort()
  for (let i = 0; i < count; i++) await set.push(`/live/movie/${i}.ts`)
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`${set.base}${path}`, { headers: { 'Accept-Encoding': 'identity', ...headers }, method })
  return { set, get, [Symbol.asyncDispose]: () => set[Symbol.asyncDispose]() }
}

test('who has a playlist or a segment already is told so, without its bytes', async () => {
  await using world = await withSegments()
  const { get, set } = world
  for (const path of [SEGMENT, LIST, MASTER]) {
    const first = await get(path)
    const tag = first.headers.get('etag')!
    await first.arrayBuffer()
    for (const method of ['GET', 'HEAD']) {
      const again = await get(path, { 'If-None-Match': `"other", ${tag}` }, method)
      assert.equal(again.status, 304, path)
      assert.equal(await again.text(), '')
      assert.equal(again.headers.get('etag'), tag)
      assert.equal(again.headers.get('content-length'), null)
      assert.equal(again.headers.get('access-control-allow-origin'), '*')
      assert.equal(again.headers.get('cache-control'), path === SEGMENT ? 'max-age=5' : 'max-age=1')
    }
    assert.equal((await get(path, { 'If-None-Match': '"other"' })).status, 200)
  }
  // A list that has grown is another one.
  const before = (await get(LIST)).headers.get('etag')!
  await set.push('/live/movie/3.ts')
  const grown = await get(LIST, { 'If-None-Match': before })
  assert.equal(grown.status, 200)
  assert.notEqual(grown.headers.get('etag'), before)
  assert.equal((await get('/stream/movie/source/99.ts', { 'If-None-Match': '*' })).status, 404)
})

test('a part of a segment is sent to who asks for it; a list is sent whole', async () => {
  await using world = await withSegments()
  const { get } = world
  const whole = await get(SEGMENT)
  const text = await whole.text()
  assert.equal(whole.headers.get('accept-ranges'), 'bytes')
  const table: readonly (readonly [range: string, status: number, part: string, of: string | null])[] = [
    ['bytes=0-4', 206, text.slice(0, 5), `bytes 0-4/${text.length}`],
    ['bytes=5-', 206, text.slice(5), `bytes 5-${text.length - 1}/${text.length}`],
    ['bytes=-3', 206, text.slice(-3), `bytes ${text.length - 3}-${text.length - 1}/${text.length}`],
    ['bytes=9999-', 416, `there are ${text.length} bytes\n`, `bytes */${text.length}`],
    ['bytes=0-1,3-4', 200, text, null],
  ]
  for (const [range, status, part, of] of table) {
    const answer = await get(SEGMENT, { Range: range })
    assert.equal(answer.status, status, range)
    assert.equal(answer.headers.get('content-range'), of)
    assert.equal(await answer.text(), part)
    assert.equal(answer.headers.get('content-length'), String(part.length))
    assert.equal(answer.headers.get('access-control-allow-origin'), '*')
  }
  const tag = whole.headers.get('etag')!
  const asked = { Range: 'bytes=0-4' }
  assert.equal((await get(SEGMENT, { ...asked, 'If-Range': tag })).status, 206)
  assert.equal((await get(SEGMENT, { ...asked, 'If-Range': '"old"' })).status, 200)
  assert.equal((await get(SEGMENT, { ...asked, 'If-None-Match': tag })).status, 304)
  const head = await get(SEGMENT, asked, 'HEAD')
  assert.deepEqual([head.status, head.headers.get('content-length')], [200, String(text.length)])
  assert.equal((await get(LIST, asked)).status, 200)
})

test('lists are compressed for who takes that, and caches are told', async () => {
  await using world = await withSegments(6)
  const { get, set } = world
  const plain = await get(LIST)
  assert.equal(plain.headers.get('content-encoding'), null)
  assert.equal(plain.headers.get('vary'), 'Accept-Encoding')
  const text = await plain.text()
  const reply = await sendRaw(set.http, [
    `GET ${LIST} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n`,
  ])
  const [head, body] = reply.text.split(/\r\n\r\n(.*)/s, 2) as [string, string]
  assert.match(head, /^Content-Encoding: gzip\r$/m)
  assert.match(head, /^Vary: Accept-Encoding\r$/m)
  assert.ok(head.includes(`ETag: ${plain.headers.get('etag')}\r\n`), 'it is the same list')
  assert.match(head, new RegExp(`^Content-Length: ${body.length}\\r$`, 'm'))
  assert.ok(body.length < text.length / 2)
  assert.equal(gunzipSync(Buffer.from(body, 'latin1')).toString(), text)
  const segment = await get(SEGMENT, { 'Accept-Encoding': 'gzip' })
  assert.deepEqual([segment.headers.get('content-encoding'), segment.headers.get('vary')], [null, null])
})

test('a page of another site may ask as players do', async () => {
  await using world = await withSegments(1)
  const { get } = world
  const asked = { Origin: 'http://elsewhere', 'Access-Control-Request-Headers': 'range,if-none-match' }
  for (const path of [MASTER, '/stream/nothing.m3u8']) {
    const answer = await get(path, asked, 'OPTIONS')
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('access-control-allow-origin'), '*')
    assert.equal(answer.headers.get('access-control-allow-headers'), '*')
  }
  const refused = await get(MASTER, {}, 'DELETE')
  assert.deepEqual([refused.status, refused.headers.get('allow')], [405, 'GET, HEAD, OPTIONS'])
})
