import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { runHealth } from './health.ts'

test('a node is healthy while its health is green, and needs no token for that', async (t) => {
  let status = 200
  const asked: string[] = []
  const port = await nodeAt(t, (request) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization ?? 'no token'}`)
    return status
  })
  assert.deepEqual(await health(String(port)), [0, `127.0.0.1:${port} is healthy\n`, ''])
  status = 503
  assert.deepEqual(await health(`127.0.0.1:${port}`), [
    1,
    `127.0.0.1:${port} is not healthy: it answers 503\n`,
    '',
  ])
  assert.deepEqual(asked, ['GET /healthz no token', 'GET /healthz no token'])
})

test('a node that does not answer is not healthy', async () => {
  const [code, shown, error] = await health('127.0.0.1:1')
  assert.equal(code, 1)
  assert.equal(shown, '')
  assert.match(error, /^127\.0\.0\.1:1 does not answer: .+\n$/)
})

test('what cannot be read is refused, and help is there', async () => {
  assert.equal((await health('--help'))[0], 0)
  assert.match((await health('-h'))[1], /^Usage: livepeer health/)
  assert.deepEqual(await health('1', '2'), [
    2,
    '',
    'livepeer health takes the address of one node: livepeer health --help explains\n',
  ])
  assert.equal((await health('--verbose'))[0], 2)
  assert.equal((await health('host-without-port'))[0], 2)
})

async function nodeAt(
  t: TestContext,
  answer: (request: import('node:http').IncomingMessage) => number,
): Promise<number> {
  const server = createServer((request, response) => response.writeHead(answer(request)).end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

async function health(...argv: string[]): Promise<[code: number, shown: string, error: string]> {
  let [shown, error] = ['', '']
  const code = await runHealth(
    {
      argv,
      write: (text) => {
        shown += text
      },
      writeError: (text) => {
        error += text
      },
    },
    new AbortController().signal,
  )
  return [code, shown, error]
}
