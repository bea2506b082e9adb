import assert from 'node:assert/strict'
import { createSecureServer, connect as http2Connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { rawRequest, TRANSPORTS } from '../../../test/fakes/endpoint.ts'
import { FakeDesk } from '../../../test/fakes/redeemer-desk.ts'
import { grpcFrame } from '../../../test/net/grpc.ts'
import { serveRoutes } from '../../../test/net/routes.ts'
import { eventually } from '../../../test/tools/until.ts'
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import { HandedTicketError } from '../../domain/handed-ticket.ts'
import { parseHex } from '../../lib/bytes.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { systemDice } from '../../lib/dice.ts'
import { NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { readTicket } from './convert-payment.ts'
import { TicketSchema } from './gen/redeemer_pb.ts'
import { RedeemerClient } from './redeemer-client.ts'
import { RedeemerEndpoint, type RedeemerLimits } from './redeemer-endpoint.ts'
import { makeIdentity } from './tls.ts'

const SENDER: Address = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const TICKETS = recorded.queueTicket.map(({ request }) =>
  readTicket(fromBinary(TicketSchema, parseHex(request))),
)

async function serve(
  t: TestContext,
  options: {
    secret?: string
    recipient?: Address
    port?: number
    limits?: RedeemerLimits
    maxMessageBytes?: number
  } = {},
) {
  const desk = new FakeDesk()
  const { limits, maxMessageBytes, recipient, secret = '' } = options
  const causes = new RecordingCauses()
  const calls = new RedeemerEndpoint(
    { secret, ...(recipient && { recipient }), ...(limits && { limits }) },
    { api: desk, log: silentLog, causes },
  )
  const { port, stop, url } = await serveRoutes(t, calls, {
    ...{ name: 'redeemer', port: options.port ?? 0, maxStreams: 1_000, drainMs: 2_000 },
    ...(maxMessageBytes && { maxMessageBytes }),
  })
  const connect = (secret = '', recipient?: Address) => {
    const client = new RedeemerClient({ url, secret, own: null, ...(recipient && { recipient }) })
    t.after(() => client.reset())
    return client
  }
  return { causes, desk, port, connect, stop }
}

const never = () => new AbortController().signal

/** A call with the bytes and headers of a Go orchestrator. */
function goCall(port: number, method: string, message: Uint8Array) {
  return rawRequest(port, TRANSPORTS['HTTP/2'], {
    method: 'POST',
    path: `/net.TicketRedeemer/${method}`,
    headers: {
      'content-type': 'application/grpc',
      'user-agent': 'grpc-go/1.68.1',
      te: 'trailers',
      'grpc-timeout': '7999950u',
    },
    body: grpcFrame(message),
  })
}

const statusOf = (answer: Awaited<ReturnType<typeof goCall>>) => [
  Number(answer.trailers['grpc-status'] ?? answer.headers['grpc-status']),
  decodeURIComponent(String(answer.trailers['grpc-message'] ?? answer.headers['grpc-message'] ?? '')),
]

test('recorded tickets of a Go orchestrator are accepted and answered as by a Go redeemer', async (t) => {
  const { desk, port } = await serve(t)
  for (const { request } of recorded.queueTicket) {
    const answer = await goCall(port, 'QueueTicket', parseHex(request))
    assert.deepEqual(statusOf(answer), [0, ''])
    assert.equal(answer.body.toString('hex'), '0000000000')
  }
  assert.deepEqual(desk.queued, TICKETS)
  assert.equal(desk.queued.length, 8)
})

test('a recorded float request gets the recorded bytes', async (t) => {
  const { port } = await serve(t)
  const [call] = recorded.maxFloat
  const answer = await goCall(port, 'MaxFloat', parseHex(call!.request))
  assert.equal(answer.body.toString('hex'), grpcFrame(parseHex(call!.responses[0]!)).toString('hex'))
})

test('a recorded float subscription gets the recorded bytes', async (t) => {
  const { desk, port } = await serve(t)
  const [call] = recorded.monitorMaxFloat
  const session = http2Connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  t.after(() => session.destroy())
  const stream = session.request({
    ':method': 'POST',
    ':path': '/net.TicketRedeemer/MonitorMaxFloat',
    ...{ 'content-type': 'application/grpc', 'user-agent': 'grpc-go/1.68.1', te: 'trailers' },
  })
  stream.on('error', () => {})
  stream.end(grpcFrame(parseHex(call!.request)))
  const said: Buffer[] = []
  stream.on('data', (chunk: Buffer) => said.push(chunk))
  const expected = grpcFrame(parseHex(call!.responses[0]!))
  await eventually('the float is told', () => Buffer.concat(said).length >= expected.length)
  assert.deepEqual(Buffer.concat(said), expected)
  desk.tell(0n)
  await eventually('no float is told', () => Buffer.concat(said).length > expected.length)
  assert.equal(Buffer.concat(said).subarray(expected.length).toString('hex'), '0000000000')
})

test('the orchestrator sends the recorded bytes to a recorded Go redeemer and understands its answers', async (t) => {
  const asked: { path: string; body: string }[] = []
  const server = createSecureServer(makeIdentity('localhost', { clock: systemClock, dice: systemDice }))
  const answers: Record<string, string> = {
    MaxFloat: recorded.maxFloat[0]!.responses[0]!,
    MonitorMaxFloat: recorded.monitorMaxFloat[0]!.responses[0]!,
    QueueTicket: recorded.queueTicket[0]!.responses[0]!,
  }
  server.on('stream', async (stream, headers) => {
    const body: Buffer[] = []
    for await (const chunk of stream) body.push(chunk)
    const path = String(headers[':path'])
    asked.push({ path, body: Buffer.concat(body).toString('hex') })
    const answer = grpcFrame(parseHex(answers[path.split('/').at(-1)!]!))
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': '' }))
    // Go's redeemer repeats the same float.
    if (path.includes('Monitor')) for (let i = 0; i < 3; i++) stream.write(answer)
    stream.end(path.includes('Monitor') ? undefined : answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const client = new RedeemerClient({ url: `https://127.0.0.1:${port}`, secret: '', own: null })
  t.after(() => client.reset())
  for (const ticket of TICKETS) await client.queue(ticket, never())
  assert.equal(await client.maxFloat(SENDER, never()), 100n * 10n ** 18n)
  const told: bigint[] = []
  for await (const value of client.floats(SENDER, never())) told.push(value)
  assert.deepEqual(told, new Array(3).fill(100n * 10n ** 18n))
  assert.deepEqual(
    asked,
    [...recorded.queueTicket, ...recorded.maxFloat, ...recorded.monitorMaxFloat].map(({ path, request }) => ({
      path,
      body: grpcFrame(parseHex(request)).toString('hex'),
    })),
  )
})

test('an orchestrator’s tickets arrive at the redeemer unchanged', async (t) => {
  const { desk, connect } = await serve(t)
  const client = connect()
  await Promise.all(TICKETS.map((ticket) => client.queue(ticket, never())))
  assert.deepEqual(new Set(desk.queued.map(({ sig }) => Buffer.from(sig).toString('hex'))).size, 8)
  assert.equal(await client.maxFloat(SENDER, never()), desk.value)
})

test('refusals have the codes that Go peers know', async (t) => {
  const { desk, port, connect } = await serve(t)
  const client = connect()
  const cases = [
    [new HandedTicketError('wrong-recipient', 'invalid ticket recipient 0xab, expected 0xCD'), 7, 'refused'],
    [new HandedTicketError('not-winning', 'the ticket did not win'), 3, 'refused'],
    [new NodeError('no-room', 'later'), 8, 'unable'],
    [new NodeError('store-unavailable', 'disk full'), 13, 'unable'],
    [new Error('a secret path'), 13, 'unable'],
  ] as const
  for (const [failure, code, fault] of cases) {
    desk.failure = failure
    const answer = await goCall(port, 'QueueTicket', parseHex(recorded.queueTicket[0]!.request))
    const text = failure instanceof NodeError ? failure.message : 'internal error'
    assert.deepEqual(statusOf(answer), [code, text])
    await assert.rejects(client.queue(TICKETS[0]!, never()), { code: fault })
  }
})

test('a ticket that a Go redeemer already has counts as delivered', async (t) => {
  const { desk, connect } = await serve(t)
  desk.failure = new NodeError('internal', 'UNIQUE constraint failed: ticketQueue.sig')
  await connect().queue(TICKETS[0]!, never())
})

test('a message that is not a ticket is refused without side effects', async (t) => {
  const { desk, port } = await serve(t)
  const tooWide = `2a21${'ff'.repeat(33)}`
  for (const [text, status] of [
    ['0aff', 13],
    [tooWide, 3],
  ] as const) {
    const [code] = statusOf(await goCall(port, 'QueueTicket', parseHex(text)))
    assert.equal(code, status, text)
  }
  assert.equal(desk.queued.length, 0)
  await goCall(port, 'QueueTicket', parseHex(recorded.queueTicket[0]!.request))
  assert.deepEqual(desk.queued.at(-1), TICKETS[0])
})

test('with a secret only clients that send it are served', async (t) => {
  const { desk, port, connect } = await serve(t, { secret: 'swordfish' })
  const [code, text] = statusOf(await goCall(port, 'QueueTicket', parseHex(recorded.queueTicket[0]!.request)))
  assert.deepEqual([code, /-redeemerSecret/.test(String(text))], [16, true])
  await assert.rejects(connect('swordfisH').queue(TICKETS[0]!, never()), { code: 'refused' })
  await assert.rejects(async () => {
    for await (const _ of connect().floats(SENDER, never())) assert.fail('told a float')
  })
  assert.equal(desk.queued.length, 0)
  await connect('swordfish').queue(TICKETS[0]!, never())
  assert.equal(desk.queued.length, 1)
})

test('a call for another recipient is refused, whatever it is; one that names none is served', async (t) => {
  const { desk, connect } = await serve(t, { recipient: SENDER, secret: 'swordfish' })
  const other = connect('swordfish', '0x70997970C51812dc3A010C7d01b50e0d17dc79C8')
  const refused = {
    ...{ code: 'refused', refusal: 'recipient' },
    message: new RegExp(
      `redeems for ${SENDER.toLowerCase()}, not for 0x70997970C51812dc3A010C7d01b50e0d17dc79C8$`,
    ),
  }
  await assert.rejects(other.maxFloat(SENDER, never()), refused)
  await assert.rejects(other.queue(TICKETS[0]!, never()), refused)
  await assert.rejects(async () => {
    for await (const _ of other.floats(SENDER, never())) assert.fail('told a float')
  }, refused)
  assert.equal(desk.queued.length, 0)
  assert.equal(await connect('swordfish', SENDER).maxFloat(SENDER, never()), desk.value)
  assert.equal(await connect('swordfish').maxFloat(SENDER, never()), desk.value, 'as a Go orchestrator')
  const stranger = connect('wrong', '0x70997970C51812dc3A010C7d01b50e0d17dc79C8')
  await assert.rejects(stranger.maxFloat(SENDER, never()), { refusal: 'secret' }, 'the secret comes first')
})

test('a wrong secret, and a port that serves no redeemer, are told apart', async (t) => {
  const { causes, connect } = await serve(t, { secret: 'swordfish' })
  await assert.rejects(connect('wrong').maxFloat(SENDER, never()), { code: 'refused', refusal: 'secret' })
  assert.deepEqual(causes.sentences, [
    'calls from 127.0.0.1 are refused (wrong secret: orchestrator and redeemer need the same -redeemerSecret): give both the same -redeemerSecret, if the orchestrator is yours',
  ])
  const port = await serveRoutes(t, { grpc: () => {} })
  const client = new RedeemerClient({ url: port.url, secret: '', own: null })
  t.after(() => client.reset())
  await assert.rejects(client.maxFloat(SENDER, never()), { code: 'refused', refusal: 'not-a-redeemer' })
})

const FEW_FLOATS = { callsPerSecond: 0.001, burst: 5, streams: 1 }

test('float requests of one host are limited', async (t) => {
  const limits = { tickets: { callsPerSecond: 1, burst: 1 }, floats: FEW_FLOATS }
  const { connect } = await serve(t, { limits })
  for (let i = 0; i < 5; i++) assert.ok(await connect().maxFloat(SENDER, never()))
  const refused = { code: 'unable', message: /127\.0\.0\.1 asks for floats too fast: try again later$/ }
  await assert.rejects(connect().maxFloat(SENDER, never()), refused)
  await assert.rejects(async () => {
    for await (const _ of connect().floats(SENDER, never())) assert.fail('told a float')
  }, refused)
})

test('tickets of one host are limited over all its connections', async (t) => {
  const limits = { tickets: { callsPerSecond: 0.001, burst: 3 }, floats: FEW_FLOATS }
  const { desk, connect } = await serve(t, { limits })
  const outcomes = await Promise.allSettled(TICKETS.map((ticket) => connect().queue(ticket, never())))
  const refused = outcomes.filter(({ status }) => status === 'rejected')
  assert.deepEqual([desk.queued.length, refused.length], [3, 5])
  for (const outcome of refused) {
    const { reason } = outcome as PromiseRejectedResult
    assert.equal(reason.code, 'unable', 'it is tried again')
    assert.match(reason.message, /: 127\.0\.0\.1 hands in tickets too fast: try again later$/)
  }
})

test('float streams of one host are limited, and one that ends makes room', async (t) => {
  const { desk, connect } = await serve(t, {
    limits: { tickets: { callsPerSecond: 1, burst: 1 }, floats: { ...FEW_FLOATS, streams: 2 } },
  })
  const listen = () => {
    const stop = new AbortController()
    const told: bigint[] = []
    const ended = (async () => {
      for await (const value of connect().floats(SENDER, stop.signal)) told.push(value)
    })()
    ended.catch(() => {})
    return { stop, told, ended }
  }
  const [first, second] = [listen(), listen()]
  await eventually('both are told', () => first.told.length === 1 && second.told.length === 1)
  const refused = { code: 'unable', message: /127\.0\.0\.1 listens to too many floats already$/ }
  await assert.rejects(listen().ended, refused)
  first.stop.abort()
  await eventually('the redeemer forgets it', () => desk.listeners === 1)
  const third = listen()
  await eventually('there is room', () => third.told.length === 1)
  for (const { stop } of [second, third]) stop.abort()
})

test('a message larger than any ticket is not read', async (t) => {
  const { desk, port } = await serve(t, { maxMessageBytes: 16 * 1024 })
  const ticket = parseHex(recorded.queueTicket[0]!.request)
  // An unknown field of 20 kB.
  const padding = Buffer.concat([Buffer.from('fa7fa09c01', 'hex'), Buffer.alloc(20_000)])
  const [code] = statusOf(await goCall(port, 'QueueTicket', Buffer.concat([ticket, padding])))
  assert.equal(code, 8)
  assert.equal(desk.queued.length, 0)
})

test('float changes for hundreds of senders are reported over one connection', async (t) => {
  const { desk, connect } = await serve(t)
  const client = connect()
  const stop = new AbortController()
  const last = new Map<number, bigint>()
  const streams = Array.from({ length: 400 }, async (_, i) => {
    for await (const value of client.floats(SENDER, stop.signal)) last.set(i, value)
  })
  await eventually('all are told', () => last.size === 400)
  desk.tell(5n)
  await eventually('all are told the change', () => [...last.values()].every((value) => value === 5n))
  stop.abort()
  await Promise.allSettled(streams)
  await eventually('the redeemer forgets them', () => desk.listeners === 0)
})

test('a stopping redeemer ends its streams properly and at once, and is found again after a restart', async (t) => {
  const { desk, port, connect, stop } = await serve(t)
  const client = connect()
  const told: bigint[] = []
  const ended = (async () => {
    for await (const value of client.floats(SENDER, never())) told.push(value)
  })()
  await eventually('the stream is open', () => told.length === 1 && desk.listeners === 1)
  const started = performance.now()
  await stop()
  await ended
  assert.ok(performance.now() - started < 1_500)
  await assert.rejects(client.queue(TICKETS[0]!, never()), { code: 'away' })
  const again = await serve(t, { port })
  await client.queue(TICKETS[0]!, never())
  assert.equal(again.desk.queued.length, 1)
})

test('a call on a dead connection fails on reset, and is cancelled by its signal', async (t) => {
  const { desk, connect } = await serve(t)
  const client = connect()
  desk.queue = () => new Promise(() => {})
  const waiting = client.queue(TICKETS[0]!, never())
  const failed = assert.rejects(waiting, { code: 'away' })
  await eventually('the call is on its way', async () => (await client.maxFloat(SENDER, never())) > 0n)
  client.reset()
  await failed
  const stop = new AbortController()
  const calledOff = assert.rejects(client.queue(TICKETS[0]!, stop.signal), { name: 'AbortError' })
  setTimeout(() => stop.abort(), 50)
  await calledOff
})
