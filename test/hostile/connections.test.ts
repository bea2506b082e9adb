import assert from 'node:assert/strict'
import { type ClientHttp2Session, connect as http2Connect } from 'node:http2'
import { type Socket, connect as tcpConnect } from 'node:net'
import { test } from 'node:test'
import { connect as tlsConnect } from 'node:tls'
import { openRaw, rawRequest, TRANSPORTS } from '../fakes/endpoint.ts'
import { countAnswers } from '../net/grpc.ts'
import { eventually } from '../tools/until.ts'
import { serveHonest, startVictim, tokenOf, type Victim } from './victim.ts'

const H2 = TRANSPORTS['HTTP/2']
const CALL = {
  ':method': 'POST',
  ':path': '/net.Orchestrator/GetOrchestrator',
  'content-type': 'application/grpc',
  te: 'trailers',
}

/** Opens a connection over HTTP/2 from a loopback address. */
async function openHttp2(
  victim: Victim,
  localAddress = '127.0.0.1',
): Promise<{ session: ClientHttp2Session; isClosed: () => boolean }> {
  const socket = tlsConnect({
    ...{ port: victim.port, host: '127.0.0.1', localAddress },
    ...{ ALPNProtocols: ['h2'], rejectUnauthorized: false },
  })
  const session = http2Connect('https://127.0.0.1', { createConnection: () => socket })
  session.on('error', () => {})
  await new Promise((resolve) => session.once('connect', resolve).once('close', resolve))
  return { session, isClosed: () => session.destroyed || session.closed }
}

/** Opens a stream of a call and writes these bytes to it, then one more every 50 ms if it should trickle. */
function openCall(session: ClientHttp2Session, bytes: Uint8Array, trickles = false) {
  const stream = session.request(CALL)
  const state = { status: '', isClosed: false }
  const note = (fields: object) => {
    state.status ||= String((fields as Record<string, unknown>)['grpc-status'] ?? '')
  }
  stream.on('error', () => {})
  stream.on('response', note).on('trailers', note).resume()
  if (bytes.length > 0) stream.write(bytes)
  const timer = trickles ? setInterval(() => !stream.destroyed && stream.write('x'), 50) : null
  stream.on('close', () => {
    state.isClosed = true
    if (timer) clearInterval(timer)
  })
  return state
}

/** Opens a silent connection from a loopback address. */
async function openSilent(
  port: number,
  localAddress = '127.0.0.1',
): Promise<{ socket: Socket; isOpen: boolean }> {
  const socket = tcpConnect({ port, host: '127.0.0.1', localAddress })
  const state = { socket, isOpen: true }
  socket.on('error', () => {})
  socket.on('close', () => {
    state.isOpen = false
  })
  socket.resume()
  await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))
  return state
}

test('calls whose message does not arrive completely are ended after a while', async () => {
  await using victim = await startVictim({ endpoint: { calls: { messageMs: 500 } } })
  const { session } = await openHttp2(victim)
  const half = Uint8Array.of(0, 0, 0, 1, 0, 1, 2, 3)
  const calls = [
    ...Array.from({ length: 200 }, () => openCall(session, new Uint8Array(0))),
    openCall(session, half),
    openCall(session, half, true),
  ]
  assert.equal(await serveHonest(victim), 'data')
  await eventually('they are closed', () => calls.every(({ isClosed }) => isClosed), 10_000)
  // DEADLINE_EXCEEDED
  assert.deepEqual(new Set(calls.map(({ status }) => status)), new Set(['4']))
  assert.ok(!session.destroyed, 'their connection is left alone')
  session.destroy()
})

test('announced messages that are held back use a limited part of the memory', async () => {
  await using victim = await startVictim({
    endpoint: { calls: { messageMs: 10_000, maxBufferedBytes: 1_000_000 } },
  })
  const { session } = await openHttp2(victim, '127.0.0.2')
  const almost = new Uint8Array(100_000)
  almost.set([0, 0, 4, 0, 0])
  const calls = Array.from({ length: 20 }, () => openCall(session, almost))
  // A host may hold three quarters; beyond that RESOURCE_EXHAUSTED.
  await eventually(
    'most are refused',
    () => calls.filter(({ status }) => status === '8').length === 13,
    8_000,
  )
  assert.equal(await serveHonest(victim), 'data')
  session.destroy()
})

test('idle connections keep no other connection of their host away, and are replaced by active ones', async () => {
  await using victim = await startVictim({ endpoint: { connections: { connections: 1_000, perHost: 20 } } })
  const { session: busy } = await openHttp2(victim)
  openCall(busy, new Uint8Array(0))
  const silent: Awaited<ReturnType<typeof openSilent>>[] = []
  for (let i = 0; i < 60; i++) silent.push(await openSilent(victim.port))
  await eventually('the oldest are closed', () => silent.filter(({ isOpen }) => isOpen).length <= 20, 10_000)
  assert.ok(silent.at(-1)!.isOpen, 'the newest stands')
  assert.equal(await serveHonest(victim), 'data')
  assert.ok(!busy.destroyed, 'what is at work is left alone')
  for (const { socket } of silent) socket.destroy()
  busy.destroy()
})

test('busy connections of one host leave room for other hosts', async () => {
  await using victim = await startVictim({ endpoint: { connections: { connections: 12, perHost: 8 } } })
  const sessions: ClientHttp2Session[] = []
  for (let i = 0; i < 12; i++) {
    const { session } = await openHttp2(victim, '127.0.0.2')
    if (!session.destroyed) openCall(session, new Uint8Array(0))
    sessions.push(session)
  }
  await eventually(
    'four are refused',
    () => sessions.filter(({ destroyed }) => destroyed).length === 4,
    10_000,
  )
  assert.equal(await serveHonest(victim), 'data')
  for (const session of sessions) session.destroy()
})

test('connections without a request are closed: without a handshake, silent, with only a preface, or with slow headers', async () => {
  await using victim = await startVictim({ endpoint: { headersMs: 700, handshakeMs: 700 } })
  const noHandshake = await openSilent(victim.port)
  const noBytes = await openRaw(victim.port, TRANSPORTS['HTTP/1.1 without ALPN'])
  const byteByByte = await openRaw(victim.port, TRANSPORTS['HTTP/1.1 without ALPN'])
  const slowHeaders = await openRaw(victim.port, TRANSPORTS['HTTP/1.1 by ALPN'])
  const { session: preface } = await openHttp2(victim)
  const closed = new Set<string>()
  for (const [name, socket] of Object.entries({ noBytes, byteByByte, slowHeaders })) {
    socket.on('error', () => {}).resume()
    socket.on('close', () => closed.add(name))
  }
  preface.on('close', () => closed.add('preface'))
  slowHeaders.write('POST /segment HTTP/1.1\r\nhost: x\r\nlivepeer-segment: ')
  const dribble = setInterval(() => {
    slowHeaders.write('x')
    byteByByte.write('P')
  }, 100)
  try {
    assert.equal(await serveHonest(victim), 'data')
    await eventually('all are closed', () => closed.size === 4 && !noHandshake.isOpen, 12_000)
  } finally {
    clearInterval(dribble)
  }
})

test('a flood of pings, settings or resets ends its connection', async () => {
  await using victim = await startVictim()
  const preface = Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
  ])
  const ping = Buffer.concat([Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0]), Buffer.alloc(8)])
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
  for (const [name, frame] of Object.entries({ ping, settings })) {
    const socket = await openRaw(victim.port, H2)
    let isClosed = false
    socket.on('error', () => {})
    socket.on('close', () => {
      isClosed = true
    })
    // Reads the answers, because Node closes a peer that does not.
    socket.resume()
    socket.write(preface)
    for (let i = 0; i < 300 && !isClosed; i++) {
      socket.write(Buffer.concat(Array<Buffer>(20).fill(frame)))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    await eventually(`the flood of ${name} is ended`, () => isClosed, 3_000)
  }
  const { session, isClosed } = await openHttp2(victim)
  for (let i = 0; i < 3_000 && !isClosed(); i++) {
    const stream = session.request(CALL)
    stream.on('error', () => {})
    stream.close(8)
    if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await eventually('the flood of resets is ended', isClosed, 3_000)
  assert.equal(await serveHonest(victim), 'data')
})

test('calls of one host beyond a rate are refused, and other hosts are served meanwhile', async () => {
  await using victim = await startVictim({ bodies: { calls: { callsPerSecond: 10, burst: 50 } } })
  const { session } = await openHttp2(victim, '127.0.0.2')
  const ping = { ...CALL, ':path': '/net.Orchestrator/Ping' }
  const statuses = new Map<string, number>()
  const empty = new Uint8Array(5)
  const call = () => countAnswers(session.request(ping), empty, { counts: statuses, field: 'grpc-status' })
  await Promise.all(Array.from({ length: 200 }, call))
  assert.ok((statuses.get('0') ?? 0) >= 50, 'a burst is answered')
  assert.ok((statuses.get('8') ?? 0) >= 50, 'RESOURCE_EXHAUSTED for most of the rest')
  assert.equal(await serveHonest(victim), 'data')
  session.destroy()
})

test('headers above the limits are refused before they are decoded', async () => {
  await using victim = await startVictim()
  await tokenOf(victim)
  const http1 = TRANSPORTS['HTTP/1.1 by ALPN']
  const post = (headers: Record<string, string>) =>
    rawRequest(victim.port, http1, { method: 'POST', path: '/segment', headers, body: new Uint8Array(1) })
  const payment = await post({ 'livepeer-payment': 'A'.repeat(65_540) })
  assert.deepEqual(
    [payment.status, payment.body.toString()],
    [402, 'the header of the payment has 65540 bytes, at most 65536 are taken\n'],
  )
  const segment = await post({ 'livepeer-segment': 'A'.repeat(32_772) })
  assert.deepEqual(
    [segment.status, segment.body.toString()],
    [403, 'the header of the segment has 32772 bytes, at most 32768 are taken\n'],
  )
  const fields = { a: 'x'.repeat(50_000), b: 'x'.repeat(50_000), c: 'x'.repeat(50_000) }
  const all = await post(fields).then(
    ({ status }) => status,
    () => 'closed',
  )
  assert.ok(all === 431 || all === 'closed', String(all))
  // Over HTTP/2 one large field may be repeated cheaply.
  const { session } = await openHttp2(victim)
  const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`x-${i}`, 'y'.repeat(3_000)]))
  const stream = session.request({ ':method': 'GET', ':path': '/nothing', ...many })
  const status = await new Promise((resolve) => {
    stream.on('response', (answer) => resolve(answer[':status']))
    stream.on('error', () => {}).on('close', () => resolve('reset'))
  })
  assert.ok(status === 431 || status === 'reset', String(status))
  assert.equal(await serveHonest(victim), 'data')
  session.destroy()
})

test('an unread answer is kept once, not once per request', async () => {
  await using victim = await startVictim()
  victim.results.save('abcd/P/1.ts', Buffer.alloc(20_000_000))
  const before = process.memoryUsage().rss
  const sockets: Socket[] = []
  for (let i = 0; i < 40; i++) {
    const socket = await openRaw(victim.port, TRANSPORTS['HTTP/1.1 without ALPN'])
    socket.on('error', () => {}).pause()
    socket.write('GET /stream/abcd/P/1.ts HTTP/1.1\r\nhost: x\r\n\r\n')
    sockets.push(socket)
  }
  assert.equal(await serveHonest(victim), 'data')
  const grown = (process.memoryUsage().rss - before) / 1e6
  assert.ok(grown < 200, `${Math.round(grown)} MB`)
  for (const socket of sockets) socket.destroy()
})
