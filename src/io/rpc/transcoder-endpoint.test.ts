import assert from 'node:assert/strict'
import { connect as http2Connect } from 'node:http2'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { rawRequest, TRANSPORTS } from '../../../test/fakes/endpoint.ts'
import { eventsTo } from '../../../test/fakes/events.ts'
import { countingDice, decodeResult, jobOf, outputOf } from '../../../test/fakes/transcoder.ts'
import { grpcFrame } from '../../../test/net/grpc.ts'
import { withOrderedMaps } from '../../../test/net/protobuf.ts'
import { serveRoutes } from '../../../test/net/routes.ts'
import { eventually } from '../../../test/tools/until.ts'
import { recordedRendition } from '../../../test/vectors/renditions.ts'
import recordedResult from '../../../test/vectors/transcode-result.json' with { type: 'json' }
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import { defaultCapabilities } from '../../domain/capabilities.ts'
import { forTranscoder, type Notice } from '../../domain/transcoder-notice.ts'
import { parseHex } from '../../lib/bytes.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { TranscoderPool } from '../../services/transcoding/transcoder-pool.ts'
import { MemoryObjects } from '../objects/memory-objects.ts'
import { readNotice, readRegistration, writeNotice, writeRegistration } from './convert-transcoder.ts'
import { NotifySegmentSchema, RegisterRequestSchema } from './gen/lp_rpc_pb.ts'
import { TranscoderClient } from './transcoder-client.ts'
import { AUTHORIZATION, TranscoderEndpoint } from './transcoder-endpoint.ts'
import { encodeResult, parseContentType } from './transcoder-result.ts'

const SECRET = 's3cret'
const BOUNDARY = '4c7b7cd30459fb442d90'
const never = () => new AbortController().signal
/** Eight tasks and the end of the session. */
const NOTICES = 9
const REGISTRATION = { secret: SECRET, capacity: 5, capabilities: defaultCapabilities('1.0.0') }

/** An orchestrator's port for transcoders, with a real pool behind it. */
async function serve(t: TestContext, options: { port?: number; maxResultBytes?: number } = {}) {
  const env = { clock: systemClock, log: silentLog }
  const pool = new TranscoderPool(
    {
      serviceUri: 'https://127.0.0.1:1',
      secret: SECRET,
      orchestrator: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
      capabilities: defaultCapabilities('1.0.0'),
    },
    {
      ...{ ...env, dice: countingDice(), local: null, sources: new MemoryObjects() },
      events: eventsTo(),
    },
  )
  const routes = new TranscoderEndpoint(options, { ...env, api: pool })
  const { port, stop, url } = await serveRoutes(t, routes, { port: options.port ?? 0, drainMs: 2_000 })
  return { pool, url, port, stop }
}

/** This project's transcoder client, registered; its notices are recorded. */
function register(t: TestContext, url: string, registration = REGISTRATION) {
  const client = new TranscoderClient({
    dice: systemDice,
    download: async () => new Uint8Array(0),
    own: null,
  })
  const told: Notice[] = []
  const stop = new AbortController()
  const line = client.line(url)
  const ended = (async () => {
    for await (const notice of line.notices(registration, stop.signal)) told.push(notice)
  })()
  ended.catch(() => {})
  t.after(() => {
    stop.abort()
    line.close()
  })
  return { client, told, ended, stop, line }
}

/** A link to a port that can be frozen: it forwards nothing and closes nothing. */
async function freezable(t: TestContext, port: number) {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    const onward = connect(port, '127.0.0.1')
    sockets.push(socket, onward)
    for (const each of [socket, onward]) each.on('error', () => {})
    socket.pipe(onward).pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    port: (server.address() as AddressInfo).port,
    freeze() {
      for (const socket of sockets) socket.unpipe().pause()
    },
  }
}

/** A registration as gRPC frames it (wire.md §3). */
function framed(registration: typeof REGISTRATION): Buffer {
  const request = create(RegisterRequestSchema, writeRegistration(registration))
  return grpcFrame(toBinary(RegisterRequestSchema, request))
}

/** A result as a Go transcoder posts it. */
function post(port: number, body: Uint8Array, headers: Record<string, string>) {
  return rawRequest(port, TRANSPORTS['HTTP/2'], {
    method: 'POST',
    path: '/transcodeResults',
    headers: {
      authorization: 'Livepeer-Transcoder-1.0',
      credentials: SECRET,
      'content-type': `multipart/mixed; boundary=${BOUNDARY}`,
      taskid: '1',
      pixels: '384000',
      'user-agent': 'Go-http-client/2.0',
      ...headers,
    },
    body,
  })
}

test('a name and hardware follow the fields that Go nodes know, and are cleaned when they are read', () => {
  const bytes = (registration: typeof REGISTRATION & { name?: string; hardware?: string }) =>
    toBinary(RegisterRequestSchema, create(RegisterRequestSchema, writeRegistration(registration)))
  const plain = bytes(REGISTRATION)
  const named = bytes({ ...REGISTRATION, name: 'atelier\n3', hardware: 'GPU 0' })
  assert.deepEqual(named.subarray(0, plain.length), plain, 'a Go orchestrator reads the same')
  const read = (wire: Uint8Array) => readRegistration(fromBinary(RegisterRequestSchema, wire))
  const { hardware, name } = read(named)
  assert.deepEqual({ hardware, name }, { hardware: 'GPU 0', name: 'atelier3' })
  assert.deepEqual([read(plain).name, read(plain).hardware], ['', ''])
})

test('recorded registrations and tasks of Go nodes are read and written to the same bytes', () => {
  for (const { request } of [...recorded.registerTranscoder, ...recorded.wrongSecret]) {
    const registration = readRegistration(fromBinary(RegisterRequestSchema, parseHex(request)))
    assert.equal(registration.capacity, 5)
    const written = toBinary(
      RegisterRequestSchema,
      create(RegisterRequestSchema, writeRegistration(registration)),
    )
    assert.deepEqual(
      withOrderedMaps(RegisterRequestSchema, written),
      withOrderedMaps(RegisterRequestSchema, parseHex(request)),
    )
  }
  const notices = recorded.registerTranscoder.flatMap(({ responses }) => responses)
  for (const [i, text] of notices.entries()) {
    const notice = readNotice(fromBinary(NotifySegmentSchema, parseHex(text)))
    const isTeardown = i === notices.length - 1
    assert.equal(notice.kind, isTeardown ? 'teardown' : 'task')
    if (notice.kind === 'task') {
      assert.equal(notice.taskId, BigInt(i))
      assert.equal(notice.orchestrator, '0x70997970C51812dc3A010C7d01b50e0d17dc79C8')
      assert.deepEqual(forTranscoder(notice.segment), notice.segment)
    }
    const written = toBinary(NotifySegmentSchema, create(NotifySegmentSchema, writeNotice(notice)))
    assert.deepEqual(
      withOrderedMaps(NotifySegmentSchema, written),
      withOrderedMaps(NotifySegmentSchema, parseHex(text)),
    )
  }
  assert.equal(notices.length, NOTICES)
})

test('a teardown has the bytes that peers know, and an empty task is an error', () => {
  const teardown = { kind: 'teardown', sessionId: 'bar' } as const
  const bytes = toBinary(NotifySegmentSchema, create(NotifySegmentSchema, writeNotice(teardown)))
  assert.equal(Buffer.from(bytes).toString('hex'), '1a0742051203626172')
  assert.deepEqual(readNotice(fromBinary(NotifySegmentSchema, bytes)), teardown)
  const empty = readNotice(create(NotifySegmentSchema, { url: 'https://x', taskId: 3n }))
  assert.deepEqual(empty, { kind: 'unreadable', taskId: 3n, text: 'empty seg data' })
})

test('a result has the form of Go nodes', () => {
  const part = (text: string, pixels: bigint) => ({ bytes: Buffer.from(text), pixels, perceptualHash: null })
  const body = encodeResult([part('body1', 777n), part('body2', 888n)], [false, true], 'B')
  assert.equal(
    Buffer.from(body).toString(),
    '--B\r\nContent-Length: 5\r\nContent-Type: video/mp2t\r\nPixels: 777\r\n\r\nbody1\r\n' +
      '--B\r\nContent-Length: 5\r\nContent-Type: video/mp4\r\nPixels: 888\r\n\r\nbody2\r\n--B--\r\n',
  )
  assert.deepEqual(
    decodeResult(body, 'B').map(({ bytes, pixels }) => [Buffer.from(bytes).toString(), pixels]),
    [
      ['body1', 777n],
      ['body2', 888n],
    ],
  )
})

test('hashes belong to the rendition before them, and other parts are skipped', () => {
  const hash = Uint8Array.of(1, 2, 3)
  const body = encodeResult([{ ...outputOf('a').renditions[0]!, perceptualHash: hash }], [false], 'B')
  const text = Buffer.from(body).toString('latin1')
  const other = '--B\r\nContent-Type: text/plain\r\n\r\nnothing\r\n'
  const [rendition] = decodeResult(Buffer.from(other + text, 'latin1'), 'B')
  assert.deepEqual([...rendition!.perceptualHash!], [...hash])
  const orphan = '--B\r\nContent-Type: application/octet-stream\r\n\r\nhash\r\n--B--\r\n'
  assert.throws(() => decodeResult(Buffer.from(orphan), 'B'), { message: 'Unknown perceptual hash' })
})

test('the recorded result of a Go transcoder is parsed and written to the same bytes', () => {
  const { boundary, type } = parseContentType(recordedResult.contentType)!
  assert.equal(type, 'multipart/mixed')
  const body = Buffer.concat(
    recordedResult.body.map(({ text, rendition }) =>
      rendition ? recordedRendition(rendition) : Buffer.from(text!),
    ),
  )
  const renditions = decodeResult(body, boundary!)
  assert.deepEqual(
    renditions.map(({ bytes, pixels }) => [bytes.length > 50_000, pixels > 0n]),
    [
      [true, true],
      [true, true],
    ],
  )
  assert.ok(Buffer.from(encodeResult(renditions, [false, false], boundary!)).equals(body))
})

test('transcoder and orchestrator work together: registration, task, result', async (t) => {
  const { pool, url } = await serve(t)
  const { client, told } = register(t, url)
  await eventually('it is registered', () => pool.capacity === 5)
  const asked = pool.transcode(jobOf('aaaa'), never())
  await eventually('it is told', () => told.length === 1)
  const [task] = told
  assert.ok(task?.kind === 'task')
  const result = { secret: SECRET, taskId: task.taskId, outcome: outputOf('done'), isMp4: [false] }
  await client.deliver(url, result, never())
  const { decodedPixels, renditions } = await asked
  assert.equal(decodedPixels, 100n)
  assert.deepEqual(
    renditions.map(({ pixels }) => pixels),
    [50n],
  )
  // A duplicate has no effect.
  await client.deliver(url, result, never())
})

test('sources are fetched from the orchestrator under any name, and from no host of the own network', async (t) => {
  const { pool, url, port } = await serve(t)
  const { client, line } = register(t, url)
  await eventually('it is registered', () => pool.capacity === 5)
  const task = { orchestrator: url, maxBytes: 1_000 }
  const elsewhere = createServer(() => assert.fail('was asked'))
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
  t.after(() => elsewhere.close())
  const inside = (elsewhere.address() as AddressInfo).port
  for (const host of ['127.0.0.1', 'localhost', '[::1]']) {
    await assert.rejects(
      client.download(`http://${host}:${inside}/x`, task, never()),
      /is not a public address/,
    )
  }
  // It does not exist, but the orchestrator was asked.
  const sameHost = `https://localhost:${port}/stream/aaaa/0.tempfile`
  await assert.rejects(client.download(sameHost, task, never()), { message: '404 Not Found' })
  assert.equal((await client.download(`${url}/stream/aaaa/0.tempfile`, task, never())).length, 0)
  line.close()
})

test('a failure arrives with its text', async (t) => {
  const { pool, url } = await serve(t)
  const { client, told } = register(t, url)
  await eventually('it is registered', () => pool.capacity === 5)
  const failed = assert.rejects(pool.transcode(jobOf('aaaa'), never()), { message: 'No keyframes in input' })
  await eventually('it is told', () => told.length === 1)
  const outcome = { error: 'No keyframes in input' }
  await client.deliver(url, { secret: SECRET, taskId: 1n, outcome, isMp4: [] }, never())
  await failed
})

test('a wrong secret is answered with the text that ends a transcoder', async (t) => {
  const { url } = await serve(t)
  await assert.rejects(register(t, url, { ...REGISTRATION, secret: 'wrong' }).ended, {
    code: 'refused',
    message: 'invalid secret',
  })
  await assert.rejects(register(t, url, { ...REGISTRATION, capacity: 0 }).ended, {
    code: 'refused',
    message: 'zero capacity',
  })
})

test('a stopping orchestrator ends registrations with OK at once', async (t) => {
  const { pool, port, stop } = await serve(t)
  const session = http2Connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  t.after(() => session.destroy())
  session.on('error', () => {})
  const stream = session.request({
    ...{ ':method': 'POST', ':path': '/net.Transcoder/RegisterTranscoder' },
    ...{ 'content-type': 'application/grpc', te: 'trailers' },
  })
  stream.end(framed(REGISTRATION))
  stream.resume()
  const trailers = new Promise<Record<string, unknown>>((resolve) => stream.once('trailers', resolve))
  await eventually('it is registered', () => pool.capacity === 5)
  const started = performance.now()
  await stop()
  assert.equal((await trailers)['grpc-status'], '0')
  assert.ok(performance.now() - started < 1_500)
})

test('a transcoder that vanishes leaves the pool', async (t) => {
  const { pool, url } = await serve(t)
  const { stop } = register(t, url)
  await eventually('it is registered', () => pool.capacity === 5)
  stop.abort()
  await eventually('it is gone', () => pool.capacity === 0)
})

test('results are checked in the order of Go nodes and get their answers', async (t) => {
  const { pool, port, url } = await serve(t)
  register(t, url)
  await eventually('it is registered', () => pool.capacity === 5)
  const body = encodeResult(outputOf('x').renditions, [false], BOUNDARY)
  const cases: [Record<string, string>, number, string][] = [
    [{ authorization: 'Basic' }, 401, 'Unauthorized\n'],
    [{ credentials: 's3creT' }, 401, 'Unauthorized\n'],
    [{ credentials: 'wrong', 'content-type': 'nonsense' }, 401, 'Unauthorized\n'],
    [{ 'content-type': 'nonsense', taskid: 'x' }, 415, 'mime: invalid media type\n'],
    [{ taskid: 'x', pixels: 'y' }, 400, 'Invalid Task ID\n'],
    [{ taskid: '-1' }, 400, 'Invalid Task ID\n'],
    [{ pixels: 'many' }, 400, 'Invalid Pixels\n'],
    [{ taskid: '77' }, 200, 'OK'],
    [{ 'content-type': 'text/plain' }, 200, 'OK'],
  ]
  for (const [headers, status, text] of cases) {
    const answer = await post(port, body, headers)
    assert.deepEqual([answer.status, answer.body.toString()], [status, text], JSON.stringify(headers))
  }
  const asked = pool.transcode(jobOf('aaaa'), never())
  const answer = await post(port, body, { taskid: '1' })
  assert.deepEqual([answer.status, answer.body.toString()], [200, 'OK'])
  assert.equal((await asked).decodedPixels, 384_000n)
})

test('a broken or oversized result fails its task with a text, and the next one is accepted', async (t) => {
  const { pool, port, url } = await serve(t, { maxResultBytes: 10_000 })
  register(t, url)
  await eventually('it is registered', () => pool.capacity === 5)
  const fails = async (seq: number, body: Uint8Array, text: RegExp) => {
    const failed = assert.rejects(pool.transcode(jobOf(`s${seq}`), never()), text)
    const answer = await post(port, body, { taskid: String(seq + 1) })
    assert.equal(answer.status, 500)
    await failed
  }
  await fails(0, Buffer.from('no parts at all'), /the result has no parts/)
  await fails(1, Buffer.alloc(20_000), /input bigger than max buffer size/)
  const good = encodeResult(outputOf('x').renditions, [false], BOUNDARY)
  await fails(2, good.subarray(0, -30), /not complete/)
  const asked = pool.transcode(jobOf('s3'), never())
  assert.equal((await post(port, good, { taskid: '4' })).status, 200)
  await asked
})

test('a result that broke off may be sent again', async (t) => {
  const { pool, port, url } = await serve(t)
  register(t, url)
  await eventually('it is registered', () => pool.capacity === 5)
  const asked = pool.transcode(jobOf('aaaa'), never())
  const body = encodeResult(outputOf('x').renditions, [false], BOUNDARY)
  const session = http2Connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  session.on('error', () => {})
  const stream = session.request({
    ...{ ':method': 'POST', ':path': '/transcodeResults', authorization: AUTHORIZATION, credentials: SECRET },
    ...{ 'content-type': `multipart/mixed; boundary=${BOUNDARY}`, taskid: '1', pixels: '7' },
  })
  stream.on('error', () => {})
  await new Promise<void>((resolve) => stream.write(body.subarray(0, 50), () => resolve()))
  session.destroy()
  await delay(50)
  assert.deepEqual(pool.wanted(1n, null)?.over.aborted, false)
  assert.equal((await post(port, body, { taskid: '1' })).status, 200)
  assert.equal((await asked).decodedPixels, 384_000n)
})

test('a result that is no longer expected is not read further', async (t) => {
  const { pool, port, url } = await serve(t)
  register(t, url)
  await eventually('it is registered', () => pool.capacity === 5)
  const stop = new AbortController()
  const asked = assert.rejects(pool.transcode(jobOf('aaaa'), stop.signal), { name: 'AbortError' })
  const session = http2Connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  t.after(() => session.destroy())
  const stream = session.request({
    ...{ ':method': 'POST', ':path': '/transcodeResults', authorization: AUTHORIZATION, credentials: SECRET },
    ...{ 'content-type': `multipart/mixed; boundary=${BOUNDARY}`, taskid: '1', pixels: '7' },
  })
  stream.on('error', () => {})
  const answered = new Promise<unknown>((resolve) =>
    stream.once('response', ({ ':status': status }) => resolve(status)),
  )
  stream.write(Buffer.alloc(1_000))
  await delay(50)
  stop.abort()
  await asked
  assert.equal(await answered, 200)
})

test('a transcoder whose stream ended still delivers its result while its connection lasts', async (t) => {
  const { pool, url } = await serve(t)
  const first = register(t, url)
  await eventually('it is registered', () => pool.capacity === 5)
  const asked = pool.transcode(jobOf('aaaa'), never())
  await eventually('it is told', () => first.told.length === 1)
  const second = register(t, url)
  await eventually('the other is registered', () => pool.capacity === 10)
  first.stop.abort()
  await eventually('it is leaving', () =>
    pool.status().some(({ outOfRotation }) => outOfRotation === 'leaving'),
  )
  await first.client.deliver(
    url,
    { secret: SECRET, taskId: 1n, outcome: outputOf('done'), isMp4: [false] },
    never(),
  )
  assert.equal((await asked).decodedPixels, 100n)
  assert.equal(second.told.length, 0)
})

test('when a transcoder’s connection breaks, its segment goes to another at once', async (t) => {
  const { pool, url } = await serve(t)
  const first = register(t, url)
  await eventually('it is registered', () => pool.capacity === 5)
  const asked = pool.transcode(jobOf('aaaa'), never())
  await eventually('it is told', () => first.told.length === 1)
  const second = register(t, url)
  await eventually('the other is registered', () => pool.capacity === 10)
  first.line.close()
  await eventually('the other is told', () => second.told.length === 1, 2_000)
  const result = { secret: SECRET, taskId: 2n, outcome: outputOf('done'), isMp4: [false] }
  await second.client.deliver(url, result, never())
  await asked
})

test('a hung transcoder is detected by its silence, and its segment is done in time', async (t) => {
  const { pool, port, url } = await serve(t)
  const path = await freezable(t, port)
  register(t, `https://127.0.0.1:${path.port}`)
  await eventually('it is registered', () => pool.capacity === 5)
  const asked = pool.transcode(jobOf('aaaa'), never())
  await eventually('it has the task', () => pool.status()[0]!.running === 1)
  const other = register(t, url)
  await eventually('the other is registered', () => pool.capacity === 10)
  path.freeze()
  const frozen = performance.now()
  await eventually('the other is told', () => other.told.length === 1, 6_000)
  assert.ok(performance.now() - frozen < 4_500, 'the deadline is 8 s')
  const result = { secret: SECRET, taskId: 2n, outcome: outputOf('done'), isMp4: [false] }
  await other.client.deliver(url, result, never())
  await asked
  assert.deepEqual(
    pool.status().map(({ outOfRotation }) => outOfRotation),
    ['silent', null],
  )
})

test('a transcoder detects a dead connection to its orchestrator', async (t) => {
  const { pool, port } = await serve(t)
  const path = await freezable(t, port)
  const { ended } = register(t, `https://127.0.0.1:${path.port}`)
  await eventually('it is registered', () => pool.capacity === 5)
  path.freeze()
  await assert.rejects(ended, { code: 'unreachable' })
})

test('a transcoder does not wait forever for an orchestrator that stays silent', async (t) => {
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.after(() => silent.close())
  const { port } = silent.address() as AddressInfo
  await assert.rejects(register(t, `https://127.0.0.1:${port}`).ended, {
    code: 'unreachable',
    message: /no connection within 3000 ms/,
  })
})
