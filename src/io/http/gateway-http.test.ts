import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { FakeOrchestrator } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { seededDice } from '../../lib/dice.ts'
import { NodeError } from '../../lib/errors.ts'
import type { PushedSegment } from '../../services/gateway/pushed-segment.ts'

const configHeader = (config: unknown) => ({ 'Livepeer-Transcode-Configuration': JSON.stringify(config) })

const refusals: readonly [
  claim: string,
  request: { path: string; headers?: Record<string, string>; body?: string; method?: string },
  status: number,
  text: string | RegExp,
][] = [
  ['another method', { path: '/live/m/0.ts', method: 'GET' }, 405, 'http push request wrong method=GET\n'],
  [
    'another method before a bad header',
    { path: '/live/m/0.ts', method: 'DELETE', headers: { 'Livepeer-Transcode-Configuration': '{' } },
    405,
    'http push request wrong method=DELETE\n',
  ],
  [
    'a bad header before a bad extension',
    { path: '/live/m/0.m3u8', headers: { 'Livepeer-Transcode-Configuration': '{' } },
    400,
    /^failed to parse transcode config header: .+\n$/,
  ],
  [
    'a body over the limit before a bad extension',
    { path: '/live/m/0.m3u8', body: 'x'.repeat(2000) },
    500,
    'Error reading http request body: input bigger than max buffer size\n',
  ],
  [
    'a bad extension before a bad slice',
    {
      path: '/live/m/0.m3u8',
      headers: { 'Content-Slice-From': '100', 'Content-Slice-To': '10' },
    },
    400,
    'ignoring file extension: .m3u8\n',
  ],
  ['an extension in another case', { path: '/live/m/0.TS' }, 400, 'ignoring file extension: .TS\n'],
  [
    'a bad slice before an empty name',
    { path: '/live/.ts', headers: { 'Content-Slice-From': '100', 'Content-Slice-To': '10' } },
    400,
    'Invalid slice config from=100ms to=10ms\n',
  ],
  ['an empty name', { path: '/live/.ts' }, 400, 'Bad URL url=/live/.ts\n'],
  [
    'an unsupported codec',
    { path: '/live/m/0.ts', body: 'codec=mpeg2video' },
    422,
    'Unknown input stream codec=mpeg2video\n',
  ],
  [
    'no room for the stream',
    { path: '/live/other/0.ts' },
    500,
    /^Could not create stream ID: url=\/live\/other\/0\.ts err=.*-maxSessions/,
  ],
  [
    'an unsupported pixel format',
    { path: '/live/deep/0.ts', body: 'pixels=yuv444p12le' },
    500,
    /^http push error url=\/live\/deep\/0\.ts err=capability: unsupported pixel format/,
  ],
  [
    'a duration beyond bounds',
    { path: '/live/m/0.ts', headers: { 'Content-Duration': '-1000' } },
    500,
    'http push error processing segment url=/live/m/0.ts err=invalid duration -1\n',
  ],
  [
    'the query is not part of the URL in the text',
    { path: '/live/.ts?token=secret' },
    400,
    'Bad URL url=/live/.ts\n',
  ],
]

test('a pushed segment is refused with the right status and text, and checks run in the right order', async (t) => {
  for (const [claim, { path, headers, body, method }, status, text] of refusals) {
    await t.test(claim, async () => {
      const full = claim.startsWith('no room')
      await using set = await startGatewayPort({ maxBodyBytes: 1000, maxSessions: full ? 0 : 10 })
      const answer = await set.push(path, headers, body, method)
      assert.equal(answer.status, status)
      assert.match(answer.headers.get('content-type')!, /^text\/plain/)
      const said = await answer.text()
      if (typeof text === 'string') assert.equal(said, text)
      else assert.match(said, text)
    })
  }
})

test('one failing orchestrator: 503 while tries are left, then 422 with its text, and the cause after it', async () => {
  const cause = `the only orchestrator is suspended: https://o1:8935 for 30 s, since unknown error (test): see what these orchestrators say, or add others\n`
  for (const [maxAttempts, status, text] of [
    [3, 503, 'No sessions available\n'],
    [
      1,
      422,
      'http push error processing segment url=/live/m/0.ts err=hit max transcode attempts: unknown error (test)\n',
    ],
  ] as const) {
    const orchestrator = new FakeOrchestrator('https://o1:8935')
    orchestrator.outcome = { kind: 'error', text: 'unknown error (test)' }
    await using set = await startGatewayPort({ maxAttempts }, [orchestrator])
    const answer = await set.push('/live/m/0.ts')
    assert.equal(answer.status, status)
    assert.equal(await answer.text(), `${text}${cause}`)
  }
})

test('an error about the input is answered with 422 at once', async () => {
  const orchestrator = new FakeOrchestrator('https://o1:8935')
  orchestrator.outcome = { kind: 'error', text: 'No keyframes in input' }
  await using set = await startGatewayPort({}, [orchestrator])
  const answer = await set.push('/live/m/0.ts')
  assert.equal(answer.status, 422)
  assert.match(await answer.text(), /No keyframes in input/)
})

test('without orchestrators: 503; with ingest off: 404', async () => {
  await using empty = await startGatewayPort({}, [])
  const answer = await empty.push('/live/name/0.ts')
  assert.equal(answer.status, 503)
  assert.equal(
    await answer.text(),
    'No sessions available\nno orchestrator is listed: name orchestrators with -orchAddr\n',
  )
  await using off = await startGatewayPort({ httpIngest: false })
  assert.equal((await off.push('/live/name/0.ts')).status, 404)
})

test('renditions are returned as multipart/mixed only to a client that accepts exactly that', async () => {
  await using set = await startGatewayPort()
  const answer = await set.push('/live/movie/12.ts', { Accept: 'multipart/mixed' })
  assert.equal(answer.status, 200)
  const type = answer.headers.get('content-type')!
  const boundary = /^multipart\/mixed; boundary=([0-9a-f]{20})$/.exec(type)?.[1]
  assert.ok(boundary, type)
  assert.equal(answer.headers.get('transfer-encoding'), 'chunked')
  const rendition = (name: string) => `${name} of segment 12 by https://o1:8935`
  const part = (name: string) =>
    `--${boundary}\r\n` +
    `Content-Disposition: attachment; filename="${name}_12.ts"\r\n` +
    `Content-Length: ${rendition(name).length}\r\n` +
    `Content-Type: video/mp2t; name="${name}_12.ts"\r\n` +
    `Rendition-Name: ${name}\r\n\r\n${rendition(name)}\r\n`
  assert.equal(await answer.text(), `${part('P240p30fps4x3')}${part('P144p30fps16x9')}--${boundary}--\r\n`)
  for (const accept of ['multipart/mixed, */*', 'Multipart/Mixed', '*/*']) {
    const plain = await set.push('/live/movie/13.ts', { Accept: accept })
    assert.equal(plain.status, 200)
    assert.equal(await plain.text(), '')
  }
  const none = await set.push('/live/none/1.ts', {
    Accept: 'multipart/mixed',
    ...configHeader({ profiles: [] }),
  })
  assert.equal(none.status, 200)
  assert.equal(await none.text(), '')
})

test('an mp4 is stored only as mp4 and returned as mp4', async () => {
  await using set = await startGatewayPort()
  const answer = await set.push('/live/name/1.mp4', { Accept: 'multipart/mixed' }, 'codec=h264', 'POST')
  const text = await answer.text()
  assert.match(text, /Content-Type: video\/mp4; name="P144p30fps16x9_1\.mp4"/)
  assert.equal((await fetch(`${set.base}/stream/name/P144p30fps16x9/1.mp4`)).status, 200)
  assert.equal((await fetch(`${set.base}/stream/name/P144p30fps16x9/1.ts`)).status, 404)
})

test('headers of a pushed segment are read, and unreadable ones are ignored', async () => {
  await using set = await startGatewayPort()
  const table: readonly [string, Record<string, string>, Partial<PushedSegment>][] = [
    [
      '/live/movie/12.ts?x=1',
      {},
      { externalId: 'movie', sequence: 12n, durationMs: 2000, resolution: '0x0', clip: null, config: null },
    ],
    [
      '/live/m/x.ts',
      { 'Content-Duration': '4004', 'Content-Resolution': '1280x720' },
      { sequence: 0n, durationMs: 4004, resolution: '1280x720' },
    ],
    [
      '/live/m/1.ts',
      { 'Content-Duration': '2.5', 'Content-Resolution': '1x1\t#EXT' },
      { durationMs: 2000, resolution: '0x0' },
    ],
    [
      '/live/m/1.ts',
      { 'Content-Slice-From': '100', 'Content-Slice-To': '900' },
      { clip: { fromMs: 100n, toMs: 900n } },
    ],
    ['/live/m/1.ts', { 'Content-Slice-From': '100' }, { clip: { fromMs: 100n, toMs: 0n } }],
    ['/live/m/1.ts', { 'Content-Slice-From': '-1', 'Content-Slice-To': 'x' }, { clip: null }],
    ['/live/a%20b/1.ts', {}, { externalId: 'a b' }],
  ]
  for (const [path, headers, expected] of table) {
    await (await set.push(path, headers)).text()
    const segment = set.served.at(-1)!
    for (const [field, value] of Object.entries(expected)) {
      assert.deepEqual(segment[field as keyof PushedSegment], value, `${path} ${field}`)
    }
  }
})

test('a stream renamed by its header is played under the new name only', async () => {
  await using set = await startGatewayPort()
  const headers = configHeader({ manifestID: 'm1', presets: ['P144p30fps16x9'] })
  await set.push('/live/x/0.ts', headers)
  const master = await fetch(`${set.base}/stream/m1.m3u8`)
  assert.equal(master.status, 200)
  assert.match(await master.text(), /m1\/P144p30fps16x9\.m3u8/)
  assert.equal((await fetch(`${set.base}/stream/x.m3u8`)).status, 404)
})

test('players get playlists and segments with the headers they need', async () => {
  await using set = await startGatewayPort({ currentManifest: true })
  for (let i = 0; i < 3; i++) {
    await set.push(`/live/movie/${i}.ts`, { 'Content-Duration': '2000', 'Content-Resolution': '1280x720' })
  }
  const table: readonly [string, string, RegExp | string][] = [
    ['/stream/movie.m3u8', 'application/x-mpegURL', /RESOLUTION=1280x720\nmovie\/source\.m3u8\n/],
    ['/stream/current.m3u8', 'application/x-mpegURL', /movie\/source\.m3u8\n/],
    [
      '/stream/movie/source.m3u8',
      'application/x-mpegURL',
      /#EXTINF:2\.000,\n\/stream\/movie\/source\/2\.ts\n$/,
    ],
    ['/stream/movie/P144p30fps16x9.m3u8', 'application/x-mpegURL', /#EXT-X-MEDIA-SEQUENCE:0\n/],
    ['/stream/movie/source/1.ts', 'video/mp2t', 'codec=h264'],
    ['/stream/movie/P144p30fps16x9/1.ts?x=y', 'video/mp2t', 'P144p30fps16x9 of segment 1 by https://o1:8935'],
  ]
  for (const [path, type, body] of table) {
    const headers = { Origin: 'http://elsewhere', 'Accept-Encoding': 'identity' }
    const answer = await fetch(`${set.base}${path}`, { headers })
    assert.equal(answer.status, 200, path)
    assert.equal(answer.headers.get('content-type'), type)
    assert.equal(answer.headers.get('access-control-allow-origin'), '*')
    assert.equal(answer.headers.get('access-control-expose-headers'), 'Content-Length')
    // Players would stall on a playlist that is cached for longer than its newest segment lasts.
    const isPlaylist = path.endsWith('.m3u8')
    assert.equal(answer.headers.get('cache-control'), isPlaylist ? 'max-age=1' : 'max-age=5')
    const text = await answer.text()
    assert.equal(answer.headers.get('content-length'), String(text.length))
    if (typeof body === 'string') assert.equal(text, body)
    else assert.match(text, body)
    const head = await fetch(`${set.base}${path}`, { method: 'HEAD', headers })
    assert.equal(head.headers.get('content-length'), String(text.length))
    assert.equal(await head.text(), '')
  }
})

test('a missing file is 404 ErrNotFound, for pages of other sites too', async () => {
  await using set = await startGatewayPort()
  await set.push('/live/movie/0.ts')
  for (const path of [
    '/stream/none.m3u8',
    '/stream/movie/none.m3u8',
    '/stream/movie/source/9.ts',
    '/stream/current.m3u8',
    '/stream/movie/source/0.mp4',
    '/stream/movie/source/0',
    '/stream/',
    '/stream/../stream/movie/source/%2e%2e.ts',
  ]) {
    const answer = await fetch(`${set.base}${path}`)
    assert.equal(answer.status, 404, path)
    assert.equal((await answer.text()).trim(), 'ErrNotFound', path)
    assert.equal(answer.headers.get('access-control-allow-origin'), '*')
  }
})

test('health, unknown paths, other methods and broken escapes', async () => {
  await using set = await startGatewayPort()
  for (const [method, path, status, body] of [
    ['GET', '/healthz', 200, ''],
    ['GET', '/', 404, '404 page not found\n'],
    ['GET', '/recordings/x/index.m3u8', 404, '404 page not found\n'],
    ['GET', '/vod/etc/passwd', 404, '404 page not found\n'],
    ['PUT', '/stream/movie.m3u8', 405, 'only GET and HEAD\n'],
    ['OPTIONS', '/stream/movie.m3u8', 200, ''],
    ['GET', '/stream/%ff.m3u8', 400, 'the path is not percent-encoded UTF-8\n'],
  ] as const) {
    const answer = await fetch(`${set.base}${path}`, { method })
    assert.equal(answer.status, status, path)
    assert.equal(await answer.text(), body)
  }
})

test('a body over the limit is refused while it is being sent, with or without a length', async () => {
  await using set = await startGatewayPort({ maxBodyBytes: 100_000 })
  for (const headers of [{ 'Content-Length': '50000000' }, { 'Transfer-Encoding': 'chunked' }]) {
    const { status, body } = await new Promise<{ status: number; body: string }>((resolve, reject) => {
      const request = httpRequest(`${set.base}/live/m/0.ts`, { method: 'PUT', headers }, (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('end', () => {
          request.destroy()
          resolve({ status: response.statusCode!, body: text })
        })
      })
      request.on('error', reject)
      for (let i = 0; i < 10; i++) request.write(Buffer.alloc(50_000))
    })
    assert.equal(status, 500)
    assert.equal(body, 'Error reading http request body: input bigger than max buffer size\n')
  }
  assert.equal(set.http.bytesHeld, 0)
  assert.equal(set.served.length, 0)
})

test('all bodies together are limited, and their room is released', async () => {
  const orchestrator = new FakeOrchestrator('https://o1:8935')
  orchestrator.workMs = 300
  await using set = await startGatewayPort({ maxBytesAtOnce: 15_000 }, [orchestrator])
  const body = `codec=h264 ${'x'.repeat(10_000)}`
  const first = set.push('/live/m/0.ts', {}, body)
  while (set.http.bytesHeld === 0) await new Promise((resolve) => setImmediate(resolve))
  const second = await set.push('/live/m/1.ts', {}, body)
  assert.equal(second.status, 503)
  assert.equal(
    await second.text(),
    'Error reading http request body: too many bytes are being received at once\n',
  )
  assert.equal((await first).status, 200)
  assert.equal(set.http.bytesHeld, 0)
  assert.equal((await set.push('/live/m/1.ts', {}, body)).status, 200)
})

test('a sender that falls silent is told so and disconnected', async () => {
  await using set = await startGatewayPort({ silenceMs: 100 })
  const socket = connect(set.http.port, '127.0.0.1')
  socket.write('PUT /live/m/0.ts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', () => {})
  await once(socket, 'close')
  assert.match(text, /^HTTP\/1\.1 500 /)
  assert.match(text, /Error reading http request body: nothing came for 0\.1 s\n$/)
  assert.equal(set.http.bytesHeld, 0)
})

test('a client that disconnects within a body leaves nothing behind', async () => {
  await using set = await startGatewayPort()
  for (let i = 0; i < 20; i++) {
    const socket = connect(set.http.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(
      `PUT /live/m/0.ts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(i * 20)}`,
    )
    await new Promise((resolve) => setTimeout(resolve, 2))
    socket.destroy()
  }
  assert.equal((await set.push('/live/m/0.ts')).status, 200)
  assert.equal(set.http.bytesHeld, 0)
  assert.equal(set.served.length, 1)
})

test('malformed requests neither stop the port nor leave bytes behind', async () => {
  await using set = await startGatewayPort({ silenceMs: 50 })
  const dice = seededDice('mutilated')
  const whole =
    'PUT /live/m/0.ts HTTP/1.1\r\nHost: localhost\r\nAccept: multipart/mixed\r\nContent-Duration: 2000\r\n' +
    'Livepeer-Transcode-Configuration: {"presets":["P144p30fps16x9"]}\r\nTransfer-Encoding: chunked\r\n\r\n' +
    'a\r\ncodec=h264\r\n0\r\n\r\n'
  const send = async () => {
    const bytes = Buffer.from(whole)
    for (let i = Math.floor(dice.fraction() * 4); i > 0; i--) {
      bytes[Math.floor(dice.fraction() * bytes.length)] = dice.bytes(1)[0]!
    }
    const length = dice.fraction() < 0.3 ? Math.floor(dice.fraction() * bytes.length) : bytes.length
    const socket = connect(set.http.port, '127.0.0.1')
    socket.on('error', () => {}).resume()
    socket.end(bytes.subarray(0, length))
    await once(socket, 'close')
  }
  for (let batch = 0; batch < 10; batch++) await Promise.all(Array.from({ length: 30 }, send))
  assert.equal((await set.push('/live/m/1.ts')).status, 200)
  assert.equal(set.http.bytesHeld, 0)
})

test('a client that disconnects while its segment is processed stops further tries', async () => {
  const orchestrators = [1, 2, 3].map((i) => new FakeOrchestrator(`https://o${i}:8935`))
  for (const orchestrator of orchestrators) {
    orchestrator.workMs = 100
    orchestrator.outcome = { kind: 'error', text: 'x' }
  }
  await using set = await startGatewayPort({}, orchestrators)
  const leave = new AbortController()
  const pushed = fetch(`${set.base}/live/m/0.ts`, { method: 'PUT', body: 'x', signal: leave.signal })
  const tries = () => orchestrators.reduce((sum, { submissions }) => sum + submissions.length, 0)
  while (tries() === 0) await new Promise((resolve) => setImmediate(resolve))
  leave.abort()
  await assert.rejects(pushed)
  await new Promise((resolve) => setTimeout(resolve, 250))
  assert.equal(tries(), 1)
})

test('stopping ends running requests and frees the port', async () => {
  const orchestrator = new FakeOrchestrator('https://o1:8935')
  orchestrator.workMs = 60_000
  const set = await startGatewayPort({}, [orchestrator])
  const pushed = set.push('/live/m/0.ts').then(
    () => 'answered',
    () => 'cut',
  )
  while (orchestrator.submissions.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const started = performance.now()
  await set[Symbol.asyncDispose]()
  assert.ok(performance.now() - started < 2_000)
  assert.equal(await pushed, 'cut')
  await assert.rejects(fetch(`${set.base}/healthz`))
})

test('a port in use is reported with the flag to change', async () => {
  await using set = await startGatewayPort()
  await assert.rejects(startGatewayPort({ port: set.http.port }), (error) => {
    assert.ok(error instanceof NodeError)
    assert.equal(error.code, 'cannot-listen')
    assert.match(error.message, /another process uses that port; choose another -httpAddr$/)
    return true
  })
})
