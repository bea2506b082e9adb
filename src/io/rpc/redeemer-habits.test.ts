import assert from 'node:assert/strict'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { fromBinary } from '@bufbuild/protobuf'
import { openRaw, rawRequest, TRANSPORTS } from '../../../test/fakes/endpoint.ts'
import { FakeDesk } from '../../../test/fakes/redeemer-desk.ts'
import { grpcFrame } from '../../../test/net/grpc.ts'
import { serveRoutes } from '../../../test/net/routes.ts'
import { eventually } from '../../../test/tools/until.ts'
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import { parseHex } from '../../lib/bytes.ts'
import { ManualClock, systemClock } from '../../lib/clock.ts'
import { systemDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { RedeemerPeers } from '../../services/redemption/redeemer-peers.ts'
import { readTicket } from './convert-payment.ts'
import { TicketSchema } from './gen/redeemer_pb.ts'
import { RedeemerClient } from './redeemer-client.ts'
import { RedeemerEndpoint } from './redeemer-endpoint.ts'
import { makeIdentity } from './tls.ts'

/**
 * The redeemer client and the server with the behaviour of Go's peers between them: TLS with and without ALPN,
 * connections that die silently, GOAWAY in two steps.
 */

const TICKETS = recorded.queueTicket.map(({ request }) =>
  readTicket(fromBinary(TicketSchema, parseHex(request))),
)
const SENDER = TICKETS[0]!.sender
const never = () => new AbortController().signal

/** A redeemer behind a link that a test can freeze and write to. */
async function scene(t: TestContext, habits: { alpn: string[] | null; tls?: boolean }) {
  const desk = new FakeDesk(7n)
  const routes = new RedeemerEndpoint({ secret: '' }, { api: desk, log: silentLog })
  const endpoint = await serveRoutes(t, routes, { name: 'redeemer', tls: null })
  const lines = new Set<Socket>()
  let accepted = 0
  let isFrozen = false
  const server = createTlsServer(
    {
      ...makeIdentity('localhost', { clock: systemClock, dice: systemDice }),
      ...(habits.alpn && { ALPNProtocols: habits.alpn }),
    },
    (socket) => {
      accepted++
      socket.on('error', () => {})
      const far = connect(endpoint.port, '127.0.0.1').on('error', () => {})
      lines.add(socket)
      socket.once('close', () => {
        lines.delete(socket)
        far.destroy()
      })
      far.once('close', () => socket.destroy())
      // A frozen link accepts data and forwards nothing.
      socket.on('data', (chunk) => isFrozen || far.write(chunk))
      far.on('data', (chunk) => isFrozen || socket.write(chunk))
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    for (const line of lines) line.destroy()
    server.close()
    await endpoint.stop()
  })
  const { port } = server.address() as AddressInfo
  const client = new RedeemerClient({ url: `https://127.0.0.1:${port}`, secret: '', own: null })
  t.after(() => client.reset())
  return {
    ...{ client, desk, queued: desk.queued },
    accepted: () => accepted,
    listeners: () => desk.listeners,
    freeze(frozen: boolean) {
      isFrozen = frozen
    },
    /** What a Go server says to all its peers, as bytes. */
    say(bytes: Uint8Array) {
      for (const line of lines) line.write(bytes)
    },
    close() {
      for (const line of lines) line.destroy()
    },
  }
}

function goaway(lastStream: number): Buffer {
  const frame = Buffer.alloc(17)
  frame.writeUIntBE(8, 0, 3)
  frame[3] = 7
  frame.writeUInt32BE(lastStream, 9)
  return frame
}

for (const [name, alpn] of [
  ['h2 only', ['h2']],
  ['no ALPN at all', null],
] as const) {
  test(`a redeemer that speaks TLS with ${name} is understood`, async (t) => {
    const { client, queued } = await scene(t, { alpn: alpn && [...alpn] })
    await Promise.all(TICKETS.map((ticket) => client.queue(ticket, never())))
    assert.equal(queued.length, 8)
    assert.equal(await client.maxFloat(SENDER, never()), 7n)
    for await (const value of client.floats(SENDER, never())) {
      assert.equal(value, 7n)
      break
    }
  })
}

for (const name of ['HTTP/2', 'HTTP/2 without ALPN', 'HTTP/2 of a peer that offers both'] as const) {
  test(`an orchestrator that speaks ${name} is understood, even if it paused half way through the preface`, async (t) => {
    const desk = new FakeDesk(7n)
    const routes = new RedeemerEndpoint({ secret: '' }, { api: desk, log: silentLog })
    const endpoint = await serveRoutes(t, routes, { name: 'redeemer' })
    // Connections that stay silent, send half a preface, or close their side delay no others.
    const idle = await openRaw(endpoint.port, TRANSPORTS[name])
    const half = await openRaw(endpoint.port, TRANSPORTS[name])
    half.write('PRI * HT')
    const closing = await openRaw(endpoint.port, TRANSPORTS[name])
    closing.end()
    const message = parseHex(recorded.queueTicket[0]!.request)
    const answer = await rawRequest(endpoint.port, TRANSPORTS[name], {
      method: 'POST',
      path: '/net.TicketRedeemer/QueueTicket',
      headers: { 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '7999950u' },
      body: grpcFrame(message),
    })
    assert.equal(Number(answer.trailers['grpc-status'] ?? answer.headers['grpc-status']), 0)
    assert.equal(desk.queued.length, 1)
    for (const socket of [idle, half, closing]) socket.destroy()
  })
}

test('after GOAWAY running calls finish and the next one uses a new connection', async (t) => {
  const { accepted, client, desk, queued, say } = await scene(t, { alpn: ['h2'] })
  await client.queue(TICKETS[0]!, never())
  const held = Promise.withResolvers<void>()
  desk.onQueue = () => held.promise
  const running = client.queue(TICKETS[1]!, never())
  await eventually('it runs', async () => (await client.maxFloat(SENDER, never())) === 7n)
  // First announces the end, then which streams are still served.
  say(goaway(2 ** 31 - 1))
  say(goaway(2 ** 20 + 1))
  await eventually('a new connection is used', async () => {
    desk.onQueue = async () => {}
    await client.queue(TICKETS[2]!, never())
    return accepted() === 2
  })
  held.resolve()
  await running
  assert.equal(queued.at(-1)?.senderNonce, TICKETS[1]!.senderNonce, 'what ran came last')
  assert.ok(queued.length >= 3)
})

test('a float stream ended by GOAWAY is reported as broken and can be opened again', async (t) => {
  const { client, close, listeners, say } = await scene(t, { alpn: ['h2'] })
  const told: bigint[] = []
  const stream = (async () => {
    for await (const value of client.floats(SENDER, never())) told.push(value)
  })()
  stream.catch(() => {})
  await eventually('it is told', () => told.length === 1)
  say(goaway(2 ** 31 - 1))
  close()
  await assert.rejects(stream, { code: 'away' })
  await eventually('the redeemer forgets it', () => listeners() === 0)
  for await (const value of client.floats(SENDER, never())) {
    assert.equal(value, 7n)
    break
  }
})

test('a silently dead connection is detected, its calls fail, and a new one is used', async (t) => {
  const { accepted, client, freeze, queued } = await scene(t, { alpn: ['h2'] })
  const clock = new ManualClock()
  const peers = new RedeemerPeers({ probed: SENDER }, { connections: [client], clock, log: silentLog })
  const supervisor = new Supervisor()
  await supervisor.start(peers)
  t.after(() => supervisor.stop())
  await eventually('it answers', () => peers.health[0]!.answers)
  await client.queue(TICKETS[0]!, never())
  freeze(true)
  const lost = client.queue(TICKETS[1]!, never())
  lost.catch(() => {})
  // The next probe, and its time limit.
  await clock.wind(10_000)
  await clock.wind(5_000)
  await assert.rejects(lost, { code: 'away' })
  assert.equal(peers.health[0]!.answers, false)
  freeze(false)
  await clock.wind(2_000)
  await eventually('it answers again', () => peers.health[0]!.answers)
  await client.queue(TICKETS[1]!, never())
  assert.equal(queued.length, 2)
  assert.ok(accepted() >= 2)
})
