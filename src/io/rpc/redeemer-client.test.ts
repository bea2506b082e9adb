import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { RedeemerCallError } from '../../domain/redeemer-call.ts'
import { RedeemerClient } from './redeemer-client.ts'

const SENDER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const TURNS = 30

test('a redeemer that closes an idle connection at the moment of a call or reset does not crash the node', async (t) => {
  const server = createServer()
  const sessions: ServerHttp2Session[] = []
  server.on('session', (session) => {
    session.on('error', () => {})
    sessions.push(session)
  })
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    const unavailable = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '14' }
    stream.respond(unavailable, { endStream: true })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const ask = (client: RedeemerClient) =>
    assert.rejects(client.maxFloat(SENDER, AbortSignal.timeout(5_000)), RedeemerCallError)
  // For a moment the connection is closed but no event has been emitted.
  for (const next of [ask, async (client: RedeemerClient) => client.reset()]) {
    for (let turns = 0; turns < TURNS; turns++) {
      const client = new RedeemerClient({ url, secret: '', own: null })
      await ask(client)
      sessions.at(-1)!.goaway()
      for (let i = 0; i < turns; i++) await turn()
      await next(client)
      client.reset()
    }
  }
})
