import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import { INFO, openRaw, rawRequest, startEndpoint, TRANSPORTS } from '../../../test/fakes/endpoint.ts'
import { grpcFrame } from '../../../test/net/grpc.ts'
import { withOrderedMaps } from '../../../test/net/protobuf.ts'
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import { parseHex } from '../../lib/bytes.ts'
import { NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { readInfo } from './convert-info.ts'
import { OrchestratorInfoSchema, PingPongSchema } from './gen/lp_rpc_pb.ts'
import { Endpoint } from './server.ts'

const H2 = TRANSPORTS['HTTP/2']

/** A call as a Go client sends it. */
function call(port: number, path: string, message: Uint8Array, headers: Record<string, string> = {}) {
  return rawRequest(port, H2, {
    method: 'POST',
    path,
    headers: {
      'content-type': 'application/grpc',
      'user-agent': 'grpc-go/1.68.1',
      te: 'trailers',
      ...headers,
    },
    body: grpcFrame(message),
  })
}

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  test(`results are fetched over ${name}`, async () => {
    await using endpoint = await startEndpoint({ plain: !transport.tls })
    const bytes = Buffer.alloc(3_000_000, 'x')
    endpoint.api.files.set('abcd/P 1/0.ts', bytes)
    const answer = await rawRequest(endpoint.port, transport, {
      path: '/stream/abcd/P%201/0.ts',
      headers: { 'accept-encoding': 'gzip' },
    })
    assert.equal(answer.status, 200)
    assert.ok(answer.body.equals(bytes))
    const { date: _, connection: __, 'keep-alive': ___, ...headers } = answer.headers
    assert.deepEqual(
      { ...headers },
      {
        'access-control-allow-origin': '*',
        'access-control-expose-headers': 'Content-Length',
        'cache-control': 'max-age=5',
        'content-length': '3000000',
        'content-type': 'video/MP2T',
      },
    )
  })

  test(`missing paths are answered over ${name}`, async () => {
    await using endpoint = await startEndpoint({ plain: !transport.tls })
    const missing = await rawRequest(endpoint.port, transport, { path: '/stream/abcd/P/0.ts' })
    assert.deepEqual([missing.status, missing.body.toString()], [404, 'ErrNotFound\n'])
    assert.equal(missing.headers['content-type'], 'text/plain; charset=utf-8')
    const malformed = await rawRequest(endpoint.port, transport, { path: '/stream/%ff' })
    assert.equal(malformed.status, 404)
    const unknown = await rawRequest(endpoint.port, transport, { path: '/nothing?a=b' })
    assert.deepEqual([unknown.status, unknown.body.toString()], [404, '404 page not found\n'])
  })
}

test('a recorded ping gets the recorded answer and trailers, byte for byte', async () => {
  await using endpoint = await startEndpoint()
  const [vector] = recorded.ping
  const answer = fromBinary(PingPongSchema, parseHex(vector!.responses[0]!)).value
  endpoint.api.ping = async () => answer
  const { status, body, headers, trailers } = await call(
    endpoint.port,
    vector!.path,
    parseHex(vector!.request),
    { 'grpc-timeout': vector!.timeout! },
  )
  assert.equal(status, 200)
  assert.equal(body.toString('hex'), grpcFrame(parseHex(vector!.responses[0]!)).toString('hex'))
  assert.deepEqual({ ...trailers }, vector!.trailers)
  assert.equal(headers['content-type'], 'application/grpc')
  assert.equal(headers.trailer, vector!.trailer)
})

test('recorded requests for info get the recorded answers, except for the order of map entries', async () => {
  await using endpoint = await startEndpoint()
  for (const vector of recorded.getOrchestrator) {
    const expected = parseHex(vector.responses[0]!)
    endpoint.api.onInfo = async () => readInfo(fromBinary(OrchestratorInfoSchema, expected))
    const { body, trailers } = await call(
      endpoint.port,
      vector.path,
      parseHex(vector.request),
      vector.timeout ? { 'grpc-timeout': vector.timeout } : {},
    )
    assert.equal(body.readUInt32BE(1), expected.length)
    assert.deepEqual(
      withOrderedMaps(OrchestratorInfoSchema, body.subarray(5)),
      withOrderedMaps(OrchestratorInfoSchema, expected),
    )
    assert.deepEqual({ ...trailers }, vector.trailers)
  }
})

test('a refused call ends with UNKNOWN and its text, and internal errors are not revealed', async () => {
  await using endpoint = await startEndpoint()
  const request = parseHex(recorded.getOrchestrator[0]!.request)
  const path = '/net.Orchestrator/GetOrchestrator'
  const statusOf = async (error: Error) => {
    endpoint.api.onInfo = async () => Promise.reject(error)
    const { headers, trailers } = await call(endpoint.port, path, request)
    const fields = { ...headers, ...trailers }
    return [fields['grpc-status'], decodeURIComponent(String(fields['grpc-message']))]
  }
  const capped = 'Invalid orchestrator request: OrchestratorCapped'
  assert.deepEqual(await statusOf(new NodeError('x', capped)), ['2', capped])
  assert.deepEqual(await statusOf(new TypeError('secret')), ['2', 'internal error'])
})

test('EndTranscodingSession passes on the token, or its absence', async () => {
  await using endpoint = await startEndpoint()
  const path = '/net.Orchestrator/EndTranscodingSession'
  await call(endpoint.port, path, parseHex('0a051203626172'))
  const { trailers, body } = await call(endpoint.port, path, new Uint8Array(0))
  assert.deepEqual(endpoint.api.ended, ['bar', 'none'])
  assert.deepEqual([trailers['grpc-status'], body.toString('hex')], ['0', '0000000000'])
})

test('calls of unknown services are UNIMPLEMENTED', async () => {
  await using endpoint = await startEndpoint()
  const { status, headers } = await call(endpoint.port, '/net.AIWorker/RegisterAIWorker', new Uint8Array(0))
  assert.deepEqual([status, headers['grpc-status']], [200, '12'])
})

test('a call’s time limit is read in every unit, and an invalid one is ignored', async () => {
  await using endpoint = await startEndpoint()
  const path = '/net.Orchestrator/GetOrchestrator'
  const statusWithin = async (timeout: string) => {
    const { headers, trailers } = await call(endpoint.port, path, new Uint8Array(0), {
      'grpc-timeout': timeout,
    })
    return { ...headers, ...trailers }['grpc-status']
  }
  for (const long of ['99999999n', '7999960u', '8000m', '8S', '1M', '1H']) {
    assert.equal(await statusWithin(long), '0', long)
  }
  endpoint.api.onInfo = (signal) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
  for (const short of ['50000000n', '50000u', '50m']) assert.equal(await statusWithin(short), '4', short)
  endpoint.api.onInfo = async () => INFO
  for (const nonsense of ['', '8', 's', '-1S', '999999999S']) {
    assert.ok((await statusWithin(nonsense)) !== undefined, nonsense)
  }
})

test('a message above the limit is refused, and the port continues to serve', async () => {
  await using endpoint = await startEndpoint()
  const { headers, trailers } = await call(endpoint.port, '/net.Orchestrator/Ping', Buffer.alloc(5_000_000))
  assert.equal({ ...headers, ...trailers }['grpc-status'], '8')
  const { trailers: after } = await call(endpoint.port, '/net.Orchestrator/Ping', new Uint8Array(0))
  assert.equal(after['grpc-status'], '0')
})

test('invalid bytes end the call, and the port continues to serve', async () => {
  await using endpoint = await startEndpoint()
  const { headers, trailers } = await call(endpoint.port, '/net.Orchestrator/Ping', parseHex('0aff'))
  assert.notEqual({ ...headers, ...trailers }['grpc-status'], '0')
  const { trailers: after } = await call(endpoint.port, '/net.Orchestrator/Ping', new Uint8Array(0))
  assert.equal(after['grpc-status'], '0')
})

test('a connection whose headers never end is closed', async () => {
  await using endpoint = await startEndpoint({ headersMs: 300 })
  const socket = await openRaw(endpoint.port, TRANSPORTS['HTTP/1.1 without ALPN'])
  socket.write('POST /segment HTTP/1.1\r\nhost: x\r\nlivepeer-segment: ')
  const closed = new Promise<string>((resolve) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('close', () => resolve(text))
  })
  assert.match(await closed, /^HTTP\/1.1 408 /)
})

test('bytes that are not HTTP have no effect on others', async () => {
  await using tls = await startEndpoint()
  await using plain = await startEndpoint({ plain: true })
  for (const [endpoint, transport] of [
    [tls, TRANSPORTS['HTTP/1.1 without ALPN']],
    [tls, H2],
    [plain, TRANSPORTS['plain HTTP/1.1']],
  ] as const) {
    const socket = await openRaw(endpoint.port, transport)
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.on('error', () => {})
    socket.resume()
    socket.end(Buffer.from('PRX * HTTP/9\r\n\r\n\0\0\0'.repeat(10)))
    await closed
    assert.equal((await rawRequest(endpoint.port, transport, { path: '/nothing' })).status, 404)
  }
})

test('a port in use is reported in one sentence', async () => {
  const blocker = createServer()
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = blocker.address() as { port: number }
    const endpoint = new Endpoint(
      { name: 'service endpoint', host: '127.0.0.1', port, tls: null },
      { routes: [], log: silentLog },
    )
    await assert.rejects(new Supervisor().start(endpoint), {
      code: 'cannot-listen',
      message: `the service endpoint cannot listen on 127.0.0.1:${port}: another process uses that port; choose another -httpAddr`,
    })
  } finally {
    blocker.close()
  }
})

test('a stop finishes running answers, then closes every connection', async () => {
  const endpoint = await startEndpoint()
  const busy = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  endpoint.api.onInfo = async () => {
    begun.resolve()
    await busy.promise
    throw new NodeError('x', 'late')
  }
  const idle = await openRaw(endpoint.port, TRANSPORTS['HTTP/1.1 without ALPN'])
  const idleClosed = new Promise((resolve) => idle.on('close', resolve))
  idle.resume()
  const answer = call(endpoint.port, '/net.Orchestrator/GetOrchestrator', new Uint8Array(0))
  await begun.promise
  const stopped = endpoint[Symbol.asyncDispose]()
  busy.resolve()
  const { headers, trailers } = await answer
  assert.equal({ ...headers, ...trailers }['grpc-message'], 'late')
  await stopped
  await idleClosed
  await assert.rejects(openRaw(endpoint.port, H2))
})
