import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { impatientClient } from '../../../test/net/impatient-client.ts'
import { sendRaw } from '../../../test/net/raw-http.ts'
import { eventually } from '../../../test/tools/until.ts'
import { readBody } from '../../lib/request-body.ts'
import { createHalfOpenServer, isUnheard } from './half-open-server.ts'

const put = (path: string, body: string) =>
  `PUT ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`

async function startServer(onRequest: Parameters<typeof createHalfOpenServer>[1]) {
  const server = createHalfOpenServer({}, onRequest).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections: () =>
      new Promise<number>((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await promisify(server.close.bind(server))()
    },
  }
}

test('what a client sent before it left is read, even if earlier answers cannot be delivered', async () => {
  const bodies: string[] = []
  const answers: ServerResponse[] = []
  await using set = await startServer(async (request, response) => {
    const limits = { maxBytes: 1_000_000, stallMs: 10_000, budget: { take: () => true, give: () => {} } }
    bodies.push(`${request.url} ${(await readBody(request, limits)).length}`)
    answers.push(response)
  })
  const large = 'x'.repeat(50_000)
  const client = await impatientClient(
    set.port,
    put('/1', 'a') + put('/2', 'b'),
    put('/3', large) + put('/4', large),
  )
  await eventually('two requests', () => answers.length === 2)
  const [one, two] = answers as [ServerResponse, ServerResponse]
  client.leave()
  one.end('answer')
  two.end('answer')
  await eventually('all bodies', () => bodies.length === 4)
  assert.deepEqual(bodies, ['/1 1', '/2 1', '/3 50000', '/4 50000'])
  assert.equal(isUnheard(one), true)
  for (const response of answers.slice(2)) response.end('answer')
  await eventually('the end of the connection', async () => (await set.connections()) === 0)
})

test('an answer without an end stops once its reader has left', async () => {
  const writing = new Set<NodeJS.Timeout>()
  await using set = await startServer((_, response) => {
    const timer = setInterval(() => response.write('news'), 1)
    writing.add(timer)
    response.once('close', () => {
      clearInterval(timer)
      writing.delete(timer)
    })
  })
  for (const leaving of ['closes', 'resets'] as const) {
    await sendRaw(set, ['GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'], leaving)
    await eventually('the end', async () => writing.size === 0 && (await set.connections()) === 0)
  }
})
