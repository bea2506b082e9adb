import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { FakeOrchestrator } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { type Leaving, openRaw, sendRaw } from '../../../test/net/raw-http.ts'
import { eventually } from '../../../test/tools/until.ts'

const SEGMENT = 'codec=h264 of a publisher'
const CHUNKED = `5\r\n${SEGMENT.slice(0, 5)}\r\n${(SEGMENT.length - 5).toString(16)}\r\n${SEGMENT.slice(5)}\r\n0\r\n\r\n`
const LENGTH = `Content-Length: ${SEGMENT.length}`

type GatewayPort = Awaited<ReturnType<typeof startGatewayPort>>

/** Resolves when a segment has been transcoded and can be played. */
async function transcoded(set: GatewayPort, sequence: bigint, manifestId = 'movie'): Promise<void> {
  await eventually(`segment ${sequence} of ${manifestId}`, () =>
    set.events.some(
      (event) =>
        event.kind === 'segment-done' &&
        event.side === 'gateway' &&
        event.sequence === sequence &&
        event.manifestId === manifestId,
    ),
  )
  const path = `/stream/${manifestId}/P144p30fps16x9/${sequence}.ts`
  const expected = `P144p30fps16x9 of segment ${sequence} by https://o1:8935`
  await eventually(`${path} can be played`, async () => {
    const answer = await fetch(`${set.base}${path}`)
    return (await answer.text()) === expected
  })
}

interface Habit {
  readonly says: readonly string[]
  readonly leaves: Leaving
  /** 0 if the publisher does not read its answer. */
  readonly status: number
  readonly answer?: RegExp
  readonly manifestId?: string
}

const CLOSE = 'Connection: close'
const request = (line: string, ...headers: string[]) => `${[line, ...headers].join('\r\n')}\r\n\r\n`
const PUT = 'PUT /live/movie/7.ts HTTP/1.1'
const HOST = 'Host: 127.0.0.1'

const habits: Readonly<Record<string, Habit>> = {
  'waits, with a length': {
    says: [request(PUT, HOST, CLOSE, LENGTH), SEGMENT],
    leaves: 'waits',
    status: 200,
    answer: /\r\nContent-Length: 0\r\n/,
  },
  'POST instead of PUT': {
    says: [request('POST /live/movie/7.ts HTTP/1.1', HOST, CLOSE, LENGTH), SEGMENT],
    leaves: 'waits',
    status: 200,
  },
  'half-closes after a body with a length': {
    says: [request(PUT, HOST, LENGTH), SEGMENT],
    leaves: 'half-closes',
    status: 200,
  },
  'half-closes after a chunked body': {
    says: [request(PUT, HOST, 'Transfer-Encoding: chunked'), CHUNKED],
    leaves: 'half-closes',
    status: 200,
  },
  'half-closes and wants renditions': {
    says: [request(PUT, HOST, LENGTH, 'Accept: multipart/mixed'), SEGMENT],
    leaves: 'half-closes',
    status: 200,
    answer:
      /P144p30fps16x9 of segment 7 by https:\/\/o1:8935\r\n(?:[0-9a-f]+\r\n\r\n)?--[0-9a-f]{20}--\r\n\r\n0\r\n\r\n$/,
  },
  'closes at once after a body with a length': {
    says: [request(PUT, HOST, LENGTH), SEGMENT],
    leaves: 'closes',
    status: 0,
  },
  'closes at once after a chunked body': {
    says: [request(PUT, HOST, 'Transfer-Encoding: chunked'), CHUNKED],
    leaves: 'closes',
    status: 0,
  },
  'sends everything in one piece and closes': {
    says: [`${request(PUT, HOST, LENGTH)}${SEGMENT}`],
    leaves: 'closes',
    status: 0,
  },
  'HTTP/1.0 without a host': {
    says: [request('PUT /live/movie/7.ts HTTP/1.0', LENGTH), SEGMENT],
    leaves: 'waits',
    status: 200,
  },
  'HTTP/1.0, wants renditions, which cannot come in chunks': {
    says: [request('PUT /live/movie/7.ts HTTP/1.0', LENGTH, 'Accept: multipart/mixed'), SEGMENT],
    leaves: 'waits',
    status: 200,
    answer: /\r\n\r\n--[0-9a-f]{20}\r\nContent-Disposition: .*\r\n--[0-9a-f]{20}--\r\n$/s,
  },
  'HTTP/1.0 and half-closes': {
    says: [request('PUT /live/movie/7.ts HTTP/1.0', LENGTH), SEGMENT],
    leaves: 'half-closes',
    status: 200,
  },
  'sends Expect: 100-continue and waits for the answer': {
    says: [request(PUT, HOST, CLOSE, LENGTH, 'Expect: 100-continue'), SEGMENT],
    leaves: 'waits',
    status: 200,
    answer: /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
  },
  'sends Expect: 100-continue and closes without reading the answer': {
    says: [request(PUT, HOST, 'Transfer-Encoding: chunked', 'Expect: 100-continue'), CHUNKED],
    leaves: 'closes',
    status: 0,
  },
  'an absolute request line, as through a proxy': {
    says: [request('PUT http://127.0.0.1:9935/live/movie/7.ts HTTP/1.1', HOST, CLOSE, LENGTH), SEGMENT],
    leaves: 'waits',
    status: 200,
  },
  'an absolute request line in capitals with a query': {
    says: [request('PUT HTTP://LOCALHOST/live/movie/7.ts?token=a/b HTTP/1.1', HOST, CLOSE, LENGTH), SEGMENT],
    leaves: 'waits',
    status: 200,
  },
  'a name with folders': {
    says: [request('PUT /live/movie/hd/high/7.ts HTTP/1.1', HOST, CLOSE, LENGTH), SEGMENT],
    leaves: 'waits',
    status: 200,
  },
  'a double slash, as from a base URL that ends in one': {
    says: [request('PUT //live//movie//7.ts HTTP/1.1', HOST, CLOSE, LENGTH), SEGMENT],
    leaves: 'waits',
    status: 200,
  },
  'a name with spaces and other letters, encoded': {
    says: [request('PUT /live/m%C3%B8vie%20one/7.ts HTTP/1.1', HOST, CLOSE, LENGTH), SEGMENT],
    leaves: 'waits',
    status: 200,
    manifestId: 'møvie one',
  },
  'headers in lower case': {
    says: [
      request(PUT, 'host: localhost', 'connection: close', LENGTH.toLowerCase(), 'accept: multipart/mixed'),
      SEGMENT,
    ],
    leaves: 'waits',
    status: 200,
    answer: /P144p30fps16x9 of segment 7/,
  },
  'headers in upper case': {
    says: [
      request(PUT, 'HOST: localhost', 'CONNECTION: close', LENGTH.toUpperCase(), 'ACCEPT: multipart/mixed'),
      SEGMENT,
    ],
    leaves: 'waits',
    status: 200,
    answer: /P144p30fps16x9 of segment 7/,
  },
  'several Accept lines, of which the first one counts': {
    says: [request(PUT, HOST, CLOSE, LENGTH, 'Accept: multipart/mixed', 'Accept: */*'), SEGMENT],
    leaves: 'waits',
    status: 200,
    answer: /P144p30fps16x9 of segment 7/,
  },
  'a body in many small pieces': {
    says: [request(PUT, HOST, CLOSE, LENGTH), ...SEGMENT],
    leaves: 'waits',
    status: 200,
  },
}

test('a complete segment is transcoded, however its publisher speaks and disconnects', async (t) => {
  for (const [habit, { says, leaves, status, answer, manifestId }] of Object.entries(habits)) {
    await t.test(habit, async () => {
      // The publisher is gone long before an orchestrator is found.
      const orchestrator = new FakeOrchestrator('https://o1:8935')
      orchestrator.infoDelayMs = 100
      await using set = await startGatewayPort({}, [orchestrator])
      const reply = await sendRaw(set.http, says, leaves)
      assert.equal(reply.status, status, reply.text)
      if (answer) assert.match(reply.text, answer)
      await transcoded(set, 7n, manifestId)
      assert.equal(Buffer.from(set.served[0]!.bytes).toString(), SEGMENT)
      assert.equal(set.served.length, 1)
      await eventually('the room of the segment is given back', () => set.http.bytesHeld === 0)
    })
  }
})

test('a publisher that resets its connection after a complete body gets its segment transcoded', async () => {
  await using set = await startGatewayPort()
  // A reset drops data still in transit, so it is sent once the body has arrived.
  const socket = await openRaw(set.http)
  socket.write(`${request(PUT, HOST, LENGTH)}${SEGMENT}`)
  await eventually('the body', () => set.served.length === 1)
  socket.resetAndDestroy()
  await transcoded(set, 7n)
})

test('what a publisher saw of its segment is told: the answer, or that it left before', async () => {
  await using set = await startGatewayPort()
  const seen = () =>
    set.events.flatMap((event) => {
      if (event.kind === 'publisher-answered') {
        assert.ok(event.tookMs >= 0 && event.tookMs < 10_000)
        return [`${event.kind} ${event.manifestId} ${event.durationMs} ${event.clientIp}`]
      }
      return event.kind === 'publisher-left' ? [`${event.kind} ${event.manifestId} ${event.before}`] : []
    })
  assert.equal((await set.push('/live/movie/7.ts', { 'Content-Duration': '3000' })).status, 200)
  assert.deepEqual(seen(), ['publisher-answered movie 3000 127.0.0.1'])
  for (const orchestrator of set.orchestrators) orchestrator.workMs = 100
  const socket = await openRaw(set.http)
  socket.write(`${request('PUT /live/other/7.ts HTTP/1.1', HOST, LENGTH)}${SEGMENT}`)
  await eventually('the body', () => set.served.length === 2)
  socket.resetAndDestroy()
  await eventually('the end', () => seen().length === 2)
  assert.equal(seen()[1], 'publisher-left other result')
})

test('a publisher that disconnects within a body has sent no segment', async () => {
  for (const leaves of ['closes', 'half-closes'] as const) {
    await using set = await startGatewayPort()
    await sendRaw(set.http, [request(PUT, HOST, LENGTH), SEGMENT.slice(0, 9)], leaves)
    await sendRaw(set.http, [request(PUT, HOST, 'Transfer-Encoding: chunked'), CHUNKED.slice(0, -5)], leaves)
    assert.equal((await set.push('/live/movie/8.ts')).status, 200)
    assert.equal(set.served.length, 1)
    assert.equal(set.http.bytesHeld, 0)
  }
})

test('FFmpeg’s other uploads are refused without disturbing its connection or stream', async () => {
  await using set = await startGatewayPort()
  const playlist = '#EXTM3U\n'
  const list = ['Host: 127.0.0.1:9935', 'User-Agent: Lavf/59.27.100', 'Accept: */*', 'Icy-MetaData: 1']
  const chunked = 'Transfer-Encoding: chunked'
  const put = (path: string, body: string) =>
    `${request(`PUT ${path} HTTP/1.1`, ...list, chunked)}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  const reply = await sendRaw(
    set.http,
    [
      put('/live/movie/7.ts', SEGMENT),
      put('/live/movie/index.m3u8', playlist),
      request('DELETE /live/movie/1.ts HTTP/1.1', ...list),
      put('/live/movie/8.ts', SEGMENT),
      put('/live/movie/index.m3u8', playlist),
    ],
    'half-closes',
  )
  const statuses = [...reply.text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status))
  assert.deepEqual(statuses, [200, 400, 405, 200, 400])
  assert.match(reply.text, /\r\n\r\nignoring file extension: \.m3u8\n/)
  assert.match(reply.text, /\r\n\r\nhttp push request wrong method=DELETE\n/)
  for (const sequence of [7n, 8n]) await transcoded(set, sequence)
  const media = await (await fetch(`${set.base}/stream/movie/P144p30fps16x9.m3u8`)).text()
  assert.match(media, /MEDIA-SEQUENCE:0.*\/7\.ts\n.*\/8\.ts\n$/s)
})

test('a kept connection waits for the next segment, however long that is', async () => {
  await using set = await startGatewayPort()
  const answer = await set.push('/live/movie/7.ts')
  // A segment lasts five minutes at most.
  assert.ok(Number(/timeout=(\d+)/.exec(answer.headers.get('keep-alive') ?? '')?.[1]) >= 300)
})

test('if all connections are taken, idle ones make room', async () => {
  await using set = await startGatewayPort({ maxConnections: 2 })
  const kept = [await openRaw(set.http), await openRaw(set.http)]
  for (const socket of kept) {
    socket.write(request('GET /healthz HTTP/1.1', HOST))
    await once(socket, 'data')
  }
  const refused = await sendRaw(set.http, [])
  assert.deepEqual(refused, { text: '', status: 0 })
  await Promise.all(kept.map((socket) => (socket.closed ? null : once(socket, 'close'))))
  const { status } = await sendRaw(set.http, [request(PUT, HOST, CLOSE, LENGTH), SEGMENT])
  assert.equal(status, 200)
})

test('a segment gets one try if its publisher is gone, and all of them if it waits', async () => {
  for (const [leaves, tries] of [
    ['closes', 1],
    ['half-closes', 1],
    ['waits', 3],
  ] as const) {
    const orchestrators = [1, 2, 3].map((i) => new FakeOrchestrator(`https://o${i}:8935`))
    for (const orchestrator of orchestrators) {
      orchestrator.infoDelayMs = 50
      orchestrator.workMs = 50
      orchestrator.outcome = { kind: 'error', text: 'x' }
    }
    await using set = await startGatewayPort({}, orchestrators)
    await sendRaw(set.http, [request(PUT, HOST, CLOSE, LENGTH), SEGMENT], leaves)
    await eventually('the end of the segment', () => set.events.some(({ kind }) => kind === 'segment-failed'))
    assert.equal(
      orchestrators.reduce((sum, { submissions }) => sum + submissions.length, 0),
      tries,
      leaves,
    )
  }
})
