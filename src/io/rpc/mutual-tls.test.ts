import assert from 'node:assert/strict'
import { connect as http2Connect } from 'node:http2'
import { type TestContext, test } from 'node:test'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import { fromBinary } from '@bufbuild/protobuf'
import { rawRequest, TRANSPORTS } from '../../../test/fakes/endpoint.ts'
import { FakeDesk } from '../../../test/fakes/redeemer-desk.ts'
import { ownCerts } from '../../../test/net/certs.ts'
import { grpcFrame } from '../../../test/net/grpc.ts'
import { serveRoutes } from '../../../test/net/routes.ts'
import { eventually } from '../../../test/tools/until.ts'
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import { defaultCapabilities } from '../../domain/capabilities.ts'
import { parseHex } from '../../lib/bytes.ts'
import { systemDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import type { Routes } from './calls.ts'
import { readTicket } from './convert-payment.ts'
import { TicketSchema } from './gen/redeemer_pb.ts'
import type { OwnCerts } from './own-certs.ts'
import { RedeemerClient } from './redeemer-client.ts'
import { RedeemerEndpoint } from './redeemer-endpoint.ts'
import { respond } from './server-response.ts'
import { TranscoderClient } from './transcoder-client.ts'
import { AUTHORIZATION, type TranscoderApi, TranscoderEndpoint } from './transcoder-endpoint.ts'

/** Own nodes that authenticate each other by certificates, over real sockets. */

const TICKET = readTicket(fromBinary(TicketSchema, parseHex(recorded.queueTicket[0]!.request)))
const never = () => new AbortController().signal

async function redeemer(t: TestContext, own: OwnCerts | null) {
  const desk = new FakeDesk(7n)
  const routes = new RedeemerEndpoint({ secret: '', ownOnly: own !== null }, { api: desk, log: silentLog })
  const { port, url } = await serveRoutes(t, routes, { own })
  const client = (certs: OwnCerts | null) => {
    const made = new RedeemerClient({ url, secret: '', own: certs })
    t.after(() => made.reset())
    return made
  }
  return { port, queued: desk.queued, client }
}

test('a redeemer accepts tickets only from the operator’s own orchestrators', async (t) => {
  const [ofRedeemer, ofOrchestrator] = ownCerts(t, 'redeemer', 'orchestrator') as [OwnCerts, OwnCerts]
  const [stranger] = ownCerts(t, 'stranger') as [OwnCerts]
  const { client, queued } = await redeemer(t, ofRedeemer)

  await client(ofOrchestrator).queue(TICKET, never())
  assert.equal(await client(ofOrchestrator).maxFloat(TICKET.sender, never()), 7n)
  assert.equal(queued.length, 1)

  const refusal = { code: 'refused', message: /asks for a certificate: give the orchestrator -certs too$/ }
  await assert.rejects(client(null).queue(TICKET, never()), refusal)
  await assert.rejects(client(null).maxFloat(TICKET.sender, never()), refusal)
  await assert.rejects(async () => {
    for await (const _ of client(null).floats(TICKET.sender, never())) assert.fail('told a float')
  }, refusal)
  // Certificates of another operator are not accepted on either side.
  await assert.rejects(client(stranger).queue(TICKET, never()), { code: 'away' })
  const posing = { ...stranger, ca: ofOrchestrator.ca }
  await assert.rejects(client(posing).queue(TICKET, never()), refusal)
  assert.equal(queued.length, 1)
})

test('an orchestrator gives its tickets only to its own redeemer', async (t) => {
  const [elsewhere, ofOrchestrator] = ownCerts(t, 'redeemer=10.0.0.5', 'orchestrator') as [OwnCerts, OwnCerts]
  const cases: [string, OwnCerts | null, RegExp][] = [
    ['a Go node or an impostor', null, /no certificate of this operator: give it a folder of the same/],
    ['another operator’s', ownCerts(t, 'redeemer')[0]!, /no certificate of this operator/],
    ['another node of this operator', elsewhere, /is for other hosts: make one that names this host/],
  ]
  for (const [name, own, message] of cases) {
    const { client, queued } = await redeemer(t, own)
    await assert.rejects(client(ofOrchestrator).queue(TICKET, never()), { code: 'away', message }, name)
    assert.equal(queued.length, 0, name)
  }
})

test('without -certs everything works as Go nodes expect', async (t) => {
  const { client, queued } = await redeemer(t, null)
  await client(null).queue(TICKET, never())
  assert.equal(queued.length, 1)
})

test('a session that began without a certificate has none when it is resumed', async (t) => {
  const [own] = ownCerts(t, 'redeemer') as [OwnCerts]
  const { port, queued } = await redeemer(t, own)
  const open = (session?: Buffer) =>
    new Promise<TLSSocket>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'] }
      const socket = tlsConnect({ ...options, ...(session && { session }) })
      socket.once('secureConnect', () => resolve(socket)).once('error', reject)
    })
  const first = await open()
  const ticket = await new Promise<Buffer>((resolve) => first.once('session', resolve))
  first.destroy()
  const second = await open(ticket)
  assert.ok(second.isSessionReused())
  const session = http2Connect(`https://127.0.0.1:${port}`, { createConnection: () => second })
  t.after(() => session.destroy())
  const call = session.request({
    ':method': 'POST',
    ':path': '/net.TicketRedeemer/QueueTicket',
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  const message = parseHex(recorded.queueTicket[0]!.request)
  const trailers = new Promise<Record<string, unknown>>((resolve) => {
    call.once('trailers', resolve)
    call.once('response', (headers) => 'grpc-status' in headers && resolve(headers))
  })
  call.end(grpcFrame(message))
  call.resume()
  assert.equal(Number((await trailers)['grpc-status']), 16)
  assert.equal(queued.length, 0)
})

test('an orchestrator accepts its own transcoders and their results, while gateways need no certificate', async (t) => {
  const [ofOrchestrator, ofTranscoder] = ownCerts(t, 'orchestrator', 'transcoder') as [OwnCerts, OwnCerts]
  const registered: string[] = []
  const finished: bigint[] = []
  const identities: (string | null | undefined)[] = []
  const api: TranscoderApi = {
    async *register({ secret }, { identity }, signal) {
      registered.push(secret)
      identities.push(identity)
      yield { kind: 'teardown', sessionId: 'bar' } as const
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    },
    knowsSecret: (shown) => shown === 'swordfish',
    wanted: (_, identity) => {
      identities.push(identity)
      return { over: never(), maxBytes: 1_000, transcoder: 'it' }
    },
    finish: (taskId) => void finished.push(taskId),
    resultLost: () => {},
  }
  const forGateways: Routes = {
    http: (path) =>
      path === '/healthz'
        ? (request, response) => Promise.resolve(respond(request, response, 200, Buffer.alloc(0), {}))
        : null,
  }
  const transcoders = new TranscoderEndpoint({ ownOnly: true }, { api, log: silentLog })
  const routes = {
    grpc: transcoders.grpc,
    http: (path: string) => transcoders.http(path) ?? forGateways.http!(path),
    stop: () => transcoders.stop(),
  }
  const { port, url } = await serveRoutes(t, routes, { own: ofOrchestrator })
  const registration = { secret: 'swordfish', capacity: 1, capabilities: defaultCapabilities('1.0.0') }
  const transcoder = (own: OwnCerts | null) =>
    new TranscoderClient({ dice: systemDice, download: async () => new Uint8Array(0), own })
  const result = { secret: 'swordfish', taskId: 5n, outcome: { error: 'x' }, isMp4: [] }

  const stop = new AbortController()
  const line = transcoder(ofTranscoder).line(url)
  const told: unknown[] = []
  const ended = (async () => {
    for await (const notice of line.notices(registration, stop.signal)) told.push(notice)
  })()
  await eventually('it is told something', () => told.length === 1)
  await transcoder(ofTranscoder).deliver(url, result, never())
  assert.deepEqual(finished, [5n])
  assert.match(identities[0] ?? '', /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
  assert.equal(identities[1], identities[0], 'the result comes from the node that registered')
  stop.abort()
  await assert.rejects(ended)
  line.close()

  for (const own of [null, { ...ownCerts(t, 'stranger')[0]!, ca: ofTranscoder.ca }]) {
    const other = transcoder(own).line(url)
    await assert.rejects(
      async () => {
        for await (const _ of other.notices(registration, never())) assert.fail('was let in')
      },
      { message: /asks for a certificate: give the transcoder -certs too$/ },
    )
    other.close()
    await assert.rejects(transcoder(own).deliver(url, result, never()), { message: 'Unauthorized' })
  }
  assert.deepEqual([registered.length, finished.length], [1, 1])

  // Results over HTTP/1.1 are not accepted either, and gateways are served over any protocol.
  const headers = { authorization: AUTHORIZATION, credentials: 'swordfish', taskid: '5' }
  for (const transport of [TRANSPORTS['HTTP/2'], TRANSPORTS['HTTP/1.1 without ALPN']]) {
    const body = Buffer.from('x')
    const posted = { method: 'POST', path: '/transcodeResults', headers, body }
    assert.equal((await rawRequest(port, transport, posted)).status, 401)
    assert.equal((await rawRequest(port, transport, { path: '/healthz' })).status, 200)
  }
})

test('a transcoder works only for its own orchestrator', async (t) => {
  const [own] = ownCerts(t, 'transcoder') as [OwnCerts]
  const { url } = await serveRoutes(t, {})
  const client = new TranscoderClient({ dice: systemDice, download: async () => new Uint8Array(0), own })
  const line = client.line(url)
  const registration = { secret: 'swordfish', capacity: 1, capabilities: defaultCapabilities('1.0.0') }
  await assert.rejects(
    async () => {
      for await (const _ of line.notices(registration, never())) assert.fail('was told something')
    },
    { message: /no certificate of this operator/ },
  )
})
