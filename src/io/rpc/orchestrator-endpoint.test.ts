import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as http2Connect } from 'node:http2'
import { test } from 'node:test'
import {
  INFO,
  openRaw,
  type RawAnswer,
  type RunningEndpoint,
  rawRequest,
  segmentOf,
  startEndpoint,
  TRANSPORTS,
  type Transport,
} from '../../../test/fakes/endpoint.ts'
import { eventually } from '../../../test/tools/until.ts'
import type { Payment } from '../../domain/ticket.ts'
import { ZERO_ADDRESS } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'
import { decodePaymentResult, decodeTranscodeResult } from './convert-result.ts'
import { formatPaymentHeader, formatSegmentHeader } from './headers.ts'

const BOTH = [
  ['HTTP/2', TRANSPORTS['HTTP/2']],
  ['HTTP/1.1', TRANSPORTS['HTTP/1.1 by ALPN']],
] as const
const SOURCE = Buffer.from('the segment')

function headersOf(source: Uint8Array, payment: Payment | null = null): Record<string, string> {
  return {
    'livepeer-segment': formatSegmentHeader(segmentOf(source)),
    'livepeer-payment': formatPaymentHeader(payment),
    'content-type': 'video/MP2T',
  }
}

function post(
  endpoint: RunningEndpoint,
  transport: Transport,
  body: Uint8Array,
  headers: Record<string, string> = headersOf(body),
  path = '/segment',
): Promise<RawAnswer> {
  return rawRequest(endpoint.port, transport, { method: 'POST', path, headers, body })
}

for (const [name, transport] of BOTH) {
  test(`a segment is admitted, transcoded and answered over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    const answer = await post(endpoint, transport, SOURCE)
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['content-type'], undefined)
    assert.deepEqual(decodeTranscodeResult(answer.body), {
      seq: 7n,
      info: INFO,
      outcome: { kind: 'error', text: 'OrchestratorBusy' },
    })
    assert.deepEqual(Buffer.from(endpoint.api.sources[0]!), SOURCE)
    assert.equal(endpoint.api.admitted[0]?.payment, null)
    assert.equal(endpoint.api.released, 0)
  })

  test(`the status is sent before the transcoding is done, over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    const done = Promise.withResolvers<void>()
    endpoint.api.onTranscode = () => done.promise
    setTimeout(done.resolve, 500)
    const answer = await post(endpoint, transport, SOURCE)
    assert.equal(answer.status, 200)
    assert.ok(answer.headersMs < 450, `headers after ${answer.headersMs} ms`)
  })

  test(`a payment of 600 tickets fits into the headers over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    const payment: Payment = {
      sender: ZERO_ADDRESS,
      ticketParams: null,
      expirationParams: null,
      tickets: Array.from({ length: 600 }, (_, index) => ({
        senderNonce: index + 1,
        sig: Buffer.alloc(65, index),
      })),
      expectedPrice: { pricePerUnit: 1n, pixelsPerUnit: 1n },
    }
    const headers = headersOf(SOURCE, payment)
    assert.ok(headers['livepeer-payment']!.length > 55_000)
    const answer = await post(endpoint, transport, SOURCE, headers)
    assert.equal(answer.status, 200)
    assert.equal(endpoint.api.admitted[0]?.payment?.tickets.length, 600)
  })

  test(`bad credentials are answered before 50 MB are sent, over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    endpoint.api.onAdmit = async () => Promise.reject(new NodeError('forbidden', 'ErrSegSig'))
    const answer = await post(endpoint, transport, Buffer.alloc(50_000_000), headersOf(SOURCE))
    assert.deepEqual([answer.status, answer.body.toString()], [403, 'ErrSegSig\n'])
  })

  test(`a body above the limit is refused and its slot released, over ${name}`, async () => {
    await using endpoint = await startEndpoint({ maxSegmentBytes: 100_000 })
    const body = Buffer.alloc(5_000_000)
    const answer = await post(endpoint, transport, body)
    assert.deepEqual([answer.status, answer.body.toString()], [500, 'Internal Server Error\n'])
    assert.deepEqual([endpoint.api.released, endpoint.api.sources.length], [1, 0])
    const exact = Buffer.alloc(100_000)
    assert.equal((await post(endpoint, transport, exact)).status, 200)
  })

  test(`bytes other than announced are refused and their slot released, over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    const answer = await post(endpoint, transport, SOURCE, headersOf(Buffer.from('another')))
    assert.deepEqual([answer.status, answer.body.toString()], [403, 'Forbidden\n'])
    assert.deepEqual([endpoint.api.released, endpoint.api.sources.length], [1, 0])
  })

  test(`bodies beyond the memory budget are refused, and room is released, over ${name}`, async () => {
    // A session may hold a quarter of it.
    await using endpoint = await startEndpoint({ maxBufferedBytes: 4_000_000 })
    const held = Promise.withResolvers<void>()
    endpoint.api.onTranscode = () => held.promise
    const body = Buffer.alloc(700_000)
    const first = post(endpoint, transport, body)
    await eventually('a source', () => endpoint.api.sources.length === 1)
    const second = await post(endpoint, transport, body)
    assert.deepEqual([second.status, second.body.toString()], [503, 'OrchestratorBusy\n'])
    assert.equal(endpoint.api.released, 1)
    held.resolve()
    assert.equal((await first).status, 200)
    assert.equal((await post(endpoint, transport, body)).status, 200)
  })

  test(`a sender that disconnects within its body releases its slot, over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    const gone = await halfSent(endpoint, transport, 1_000_000, Buffer.alloc(300_000))
    await eventually('an admission', () => endpoint.api.admitted.length === 1)
    gone()
    await eventually('a release', () => endpoint.api.released === 1)
    assert.equal(endpoint.api.sources.length, 0)
    assert.equal((await post(endpoint, transport, SOURCE)).status, 200)
  })

  test(`a sender that falls silent within its body is disconnected, over ${name}`, async () => {
    await using endpoint = await startEndpoint({ bodyStallMs: 200 })
    const gone = await halfSent(endpoint, transport, 1_000_000, Buffer.alloc(300_000))
    await eventually('a release', () => endpoint.api.released === 1)
    assert.equal(endpoint.api.sources.length, 0)
    await eventually('an answer', () => gone.heard() !== '')
    assert.equal(gone.heard(), transport.version === 1 ? 'closed' : 'reset 8')
    gone()
  })

  test(`a gateway that disconnects during the transcoding ends the work, over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    endpoint.api.onTranscode = (_, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
    const gone = await halfSent(endpoint, transport, SOURCE.length, SOURCE, headersOf(SOURCE))
    await eventually('a source', () => endpoint.api.sources.length === 1)
    gone()
    await eventually('an abort', () => endpoint.api.aborted === 1)
    assert.equal(endpoint.api.released, 0)
  })

  test(`each fault has its own status and text, over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    const good = headersOf(SOURCE)
    const bytes = (hex: string) => Buffer.from(hex, 'hex').toString('base64')
    const malformed = 'cannot parse the message'
    const cases: [string, Record<string, string>, number, string][] = [
      ['payment not base64', { 'livepeer-payment': '!' }, 402, 'base64 decode error: illegal base64 data'],
      ['payment not padded', { 'livepeer-payment': 'QUI' }, 402, 'base64 decode error: illegal base64 data'],
      [
        'payment no message',
        { 'livepeer-payment': bytes('0aff') },
        402,
        `protobuf unmarshal error: ${malformed}`,
      ],
      [
        'payment before segment',
        { 'livepeer-payment': '!', 'livepeer-segment': '!' },
        402,
        'base64 decode error: illegal base64 data',
      ],
      ['segment not base64', { 'livepeer-segment': '!' }, 403, 'ErrorSegEncoding'],
      ['segment no message', { 'livepeer-segment': bytes('0aff') }, 403, malformed],
      ['duration −1', { 'livepeer-segment': bytes('30ffffffffffffffffff01') }, 403, 'invalid duration'],
      ['format 2', { 'livepeer-segment': bytes('8a0203a80102') }, 403, 'unrecognized profile output format'],
      ['profile 9', { 'livepeer-segment': bytes('8a0203b80109') }, 403, 'unrecognized encoder profile'],
      ['codec 9', { 'livepeer-segment': bytes('8a0203c80109') }, 403, 'unrecognized video codec'],
    ]
    for (const path of ['/segment', '/payment']) {
      for (const [what, headers, status, text] of cases) {
        const answer = await post(endpoint, transport, SOURCE, { ...good, ...headers }, path)
        assert.deepEqual([answer.status, answer.body.toString()], [status, `${text}\n`], `${what} at ${path}`)
        assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
      }
    }
    assert.equal(endpoint.api.admitted.length, 0)
  })

  test(`refusals of the orchestrator have the status of their code, over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    const cases: [Error, number, string][] = [
      [new NodeError('forbidden', 'expired auth token'), 403, 'expired auth token'],
      [new NodeError('payment-refused', 'Insufficient balance'), 400, 'Insufficient balance'],
      [new NodeError('bad-request', 'BadRequest'), 400, 'BadRequest'],
      [new NodeError('internal', 'a secret'), 500, 'Internal Server Error'],
      [new NodeError('of another kind', 'a secret'), 500, 'Internal Server Error'],
      [new TypeError('a secret'), 500, 'Internal Server Error'],
    ]
    for (const [error, status, text] of cases) {
      endpoint.api.onAdmit = async () => Promise.reject(error)
      endpoint.api.onPay = async () => Promise.reject(error)
      for (const path of ['/segment', '/payment']) {
        const answer = await post(endpoint, transport, SOURCE, headersOf(SOURCE), path)
        assert.deepEqual([answer.status, answer.body.toString()], [status, `${text}\n`], path)
      }
    }
  })

  test(`a payment without a segment is answered with the info, over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    const answer = await post(endpoint, transport, new Uint8Array(0), headersOf(SOURCE), '/payment')
    assert.equal(answer.status, 200)
    assert.deepEqual(decodePaymentResult(answer.body), INFO)
  })

  test(`unexpected failures are an error in the body, without details, over ${name}`, async () => {
    await using endpoint = await startEndpoint()
    for (const [error, text] of [
      [new TypeError('a secret'), 'Internal Server Error'],
      [new NodeError('x', 'No keyframes in input'), 'No keyframes in input'],
    ] as const) {
      endpoint.api.onTranscode = async () => Promise.reject(error)
      const answer = await post(endpoint, transport, SOURCE)
      assert.equal(answer.status, 200)
      const result = decodeTranscodeResult(answer.body)
      assert.deepEqual(result, { seq: 7n, info: null, outcome: { kind: 'error', text } })
    }
  })
}

test('a segment sent as a URI is fetched', async () => {
  const asked: string[] = []
  await using endpoint = await startEndpoint({
    fetchSource: async (url, { maxBytes, room }) => {
      asked.push(url)
      if (url.endsWith('missing')) throw new Error('404 Not Found')
      assert.equal(maxBytes, 41_000_000)
      assert.ok(room.take(SOURCE.length))
      return SOURCE
    },
  })
  const headers = { ...headersOf(SOURCE), 'content-type': 'application/vnd+livepeer.uri' }
  const send = (uri: string, fields = headers) =>
    post(endpoint, TRANSPORTS['HTTP/2'], Buffer.from(uri), fields)
  assert.equal((await send('https://store/0.ts')).status, 200)
  assert.deepEqual(Buffer.from(endpoint.api.sources[0]!), SOURCE)
  const missing = await send('https://store/missing')
  assert.deepEqual([missing.status, missing.body.toString()], [400, 'BadRequest\n'])
  const wrong = await send('https://store/0.ts', {
    ...headersOf(Buffer.from('another')),
    'content-type': headers['content-type'],
  })
  assert.deepEqual([wrong.status, wrong.body.toString()], [403, 'Forbidden\n'])
  const long = await send(`https://store/${'x'.repeat(9000)}`)
  assert.equal(long.status, 500)
  assert.deepEqual(asked, ['https://store/0.ts', 'https://store/missing', 'https://store/0.ts'])
  assert.equal(endpoint.api.released, 3)
})

test('by default a segment sent as a URI is refused before it is paid', async () => {
  await using endpoint = await startEndpoint()
  const headers = { ...headersOf(SOURCE), 'content-type': 'application/vnd+livepeer.uri' }
  const answer = await post(endpoint, TRANSPORTS['HTTP/2'], Buffer.from('https://store/0.ts'), headers)
  assert.deepEqual(
    [answer.status, answer.body.toString()],
    [400, 'this orchestrator does not fetch segments that come as a URI: send their bytes\n'],
  )
  assert.equal(endpoint.api.admitted.length, 0)
})

test('the method of a segment’s request is ignored', async () => {
  await using endpoint = await startEndpoint()
  const empty = new Uint8Array(0)
  const answer = await rawRequest(endpoint.port, TRANSPORTS['HTTP/2'], {
    path: '/segment',
    headers: headersOf(empty),
  })
  assert.equal(answer.status, 200)
})

/** Sends the start of a request; the returned function closes the connection, and `heard` is what came back. */
async function halfSent(
  endpoint: RunningEndpoint,
  transport: Transport,
  announced: number,
  sent: Uint8Array,
  headers = headersOf(Buffer.alloc(announced)),
): Promise<(() => void) & { heard: () => string }> {
  const socket = await openRaw(endpoint.port, transport)
  let heard = ''
  socket.on('error', () => {})
  if (transport.version === 1) {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.on('data', (chunk) => {
      heard += chunk
    })
    socket.on('close', () => {
      heard += 'closed'
    })
    socket.write(`POST /segment HTTP/1.1\r\nhost: x\r\ncontent-length: ${announced}\r\n${lines.join('')}\r\n`)
    socket.write(sent)
    return Object.assign(() => void socket.destroy(), { heard: () => heard })
  }
  const session = http2Connect('https://127.0.0.1', { createConnection: () => socket })
  session.on('error', () => {})
  const stream = session.request({ ':method': 'POST', ':path': '/segment', ...headers })
  stream.on('error', () => {})
  stream.on('response', (fields) => {
    heard += `status ${fields[':status']} `
  })
  stream.on('close', () => {
    heard += `reset ${stream.rstCode}`
  })
  if (sent.length === announced) stream.end(sent)
  else stream.write(sent)
  await once(session, 'connect')
  return Object.assign(() => session.destroy(), { heard: () => heard })
}
