import assert from 'node:assert/strict'
import { connect as http2Connect } from 'node:http2'
import { describe, type TestContext, test } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import { INFO, segmentOf, startEndpoint } from '../../../test/fakes/endpoint.ts'
import { eventsTo } from '../../../test/fakes/events.ts'
import { FakeDesk } from '../../../test/fakes/redeemer-desk.ts'
import { ownCerts } from '../../../test/net/certs.ts'
import { WITHOUT_IPV6 } from '../../../test/net/ipv6.ts'
import { serveRoutes } from '../../../test/net/routes.ts'
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import { defaultCapabilities } from '../../domain/capabilities.ts'
import { parseHex } from '../../lib/bytes.ts'
import { systemClock } from '../../lib/clock.ts'
import { keccak256, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { seededDice, systemDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { TranscoderPool } from '../../services/transcoding/transcoder-pool.ts'
import { MemoryObjects } from '../objects/memory-objects.ts'
import { readTicket } from './convert-payment.ts'
import { TicketSchema } from './gen/redeemer_pb.ts'
import { OrchestratorClient } from './orchestrator-client.ts'
import type { OwnCerts } from './own-certs.ts'
import { RedeemerClient } from './redeemer-client.ts'
import { RedeemerEndpoint } from './redeemer-endpoint.ts'
import { TranscoderClient } from './transcoder-client.ts'
import { TranscoderEndpoint } from './transcoder-endpoint.ts'

const never = new AbortController().signal
const SOURCE = Buffer.from('the segment')
const REQUEST = {
  ...{ address: ZERO_ADDRESS, sig: new Uint8Array(0), capabilities: null },
  ignoreCapacityCheck: false,
}

async function startClient(t: TestContext) {
  const client = new OrchestratorClient()
  const supervisor = new Supervisor()
  await supervisor.start(client)
  t.after(() => supervisor.stop())
  return client
}

describe('over IPv6', { skip: WITHOUT_IPV6 }, () => {
  for (const plain of [false, true]) {
    test(`an orchestrator is called, sent a segment and asked for a rendition over ${plain ? 'plain HTTP' : 'TLS'}`, async (t) => {
      await using endpoint = await startEndpoint({ host: '::1', plain })
      assert.match(endpoint.url, /^https?:\/\/\[::1\]:\d+$/)
      const client = await startClient(t)
      assert.deepEqual(await client.info(endpoint.url, REQUEST, { timeoutMs: 3_000 }, never), INFO)
      assert.deepEqual(await client.ping(endpoint.url, SOURCE, never), keccak256(SOURCE))
      const job = { segment: segmentOf(SOURCE), payment: null, body: SOURCE, bodyIsUri: false }
      const result = await client.submit(
        endpoint.url,
        { ...job, headerTimeoutMs: 5_000, totalTimeoutMs: 10_000 },
        never,
      )
      assert.deepEqual(result.outcome, { kind: 'error', text: 'OrchestratorBusy' })
      endpoint.api.files.set('m/p/0.ts', SOURCE)
      const url = `${endpoint.url}/stream/m/p/0.ts`
      assert.deepEqual(Buffer.from(await client.download(url, never)), SOURCE)
    })
  }

  test('a peer that sends its authority without brackets, as Node does, is served', async () => {
    await using endpoint = await startEndpoint({ host: '::1' })
    const session = http2Connect(endpoint.url, { rejectUnauthorized: false })
    try {
      const stream = session.request({
        ...{ ':method': 'POST', ':path': '/net.Orchestrator/Ping' },
        ...{ 'content-type': 'application/grpc', te: 'trailers' },
      })
      assert.match(String(stream.sentHeaders[':authority']), /^::1:\d+$/)
      // An empty message.
      stream.end(Buffer.alloc(5))
      const status = await new Promise((resolve, reject) => {
        stream.on('response', (headers) => resolve(headers[':status'])).on('error', reject)
      })
      assert.equal(status, 200)
    } finally {
      session.destroy()
    }
  })

  test('a redeemer accepts tickets and reports floats, with and without certificates', async (t) => {
    const ticket = readTicket(fromBinary(TicketSchema, parseHex(recorded.queueTicket[0]!.request)))
    const certs = ownCerts(t, 'redeemer=::1', 'orchestrator=::1') as [OwnCerts, OwnCerts]
    for (const [ofRedeemer, ofOrchestrator] of [[null, null], certs] as const) {
      const desk = new FakeDesk(7n)
      const routes = new RedeemerEndpoint(
        { secret: '', ownOnly: ofRedeemer !== null },
        { api: desk, log: silentLog },
      )
      const { url } = await serveRoutes(t, routes, { host: '::1', own: ofRedeemer })
      const client = new RedeemerClient({ url, secret: '', own: ofOrchestrator })
      t.after(() => client.reset())
      await client.queue(ticket, never)
      assert.equal(await client.maxFloat(ticket.sender, never), 7n)
      assert.equal(desk.queued.length, 1)
    }
    const [elsewhere, caller] = ownCerts(t, 'redeemer=::2', 'orchestrator=::1') as [OwnCerts, OwnCerts]
    const routes = new RedeemerEndpoint(
      { secret: '', ownOnly: true },
      { api: new FakeDesk(7n), log: silentLog },
    )
    const { url } = await serveRoutes(t, routes, { host: '::1', own: elsewhere })
    const client = new RedeemerClient({ url, secret: '', own: caller })
    t.after(() => client.reset())
    await assert.rejects(client.queue(ticket, never), { code: 'away', message: /is for other hosts/ })
  })

  test('a transcoder registers, and its address is shown with brackets', async (t) => {
    const env = { clock: systemClock, log: silentLog }
    const capabilities = defaultCapabilities('1.0.0')
    const pool = new TranscoderPool(
      { serviceUri: 'https://[::1]:1', secret: 's3cret', orchestrator: ZERO_ADDRESS, capabilities },
      {
        ...{ ...env, dice: seededDice('transcoders'), local: null, sources: new MemoryObjects() },
        events: eventsTo(),
      },
    )
    const routes = new TranscoderEndpoint({}, { ...env, api: pool })
    const { url } = await serveRoutes(t, routes, { host: '::1' })
    const client = new TranscoderClient({
      download: () => Promise.reject(new Error('nothing to fetch')),
      dice: systemDice,
      own: null,
    })
    const line = client.line(url)
    t.after(() => line.close())
    const leave = new AbortController()
    const registration = { secret: 's3cret', capacity: 5, capabilities }
    const notices = line.notices(registration, leave.signal)[Symbol.asyncIterator]()
    const first = notices.next().catch(() => null)
    while (pool.status().length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.match(pool.status()[0]!.address, /^\[::1\]:\d+$/)
    leave.abort()
    await first
  })
})
