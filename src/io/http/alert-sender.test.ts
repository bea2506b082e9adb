import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { secretsIn, secretUrlsAt } from '../../../test/fakes/secret-urls.ts'
import { sendAlert } from './alert-sender.ts'

async function serve(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

const send = (url: string, timeoutMs = 10_000, signal = new AbortController().signal) =>
  sendAlert({ form: 'webhook', url }, { alerts: [], node: 'n', nowMs: 0 }, signal, { timeoutMs })

test('a message is posted as JSON, with the credentials of the URL', async (t) => {
  const seen: unknown[] = []
  const at = await serve(t, async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const { authorization, 'content-type': type } = request.headers
    seen.push([request.method, request.url, type, authorization, body])
    response.end('ok')
  })
  await send(`http://us%3Aer:pa%20ss@${at}/hook?k=v`)
  const basic = `Basic ${Buffer.from('us:er:pa ss').toString('base64')}`
  assert.deepEqual(seen, [
    ['POST', '/hook?k=v', 'application/json', basic, '{"version":1,"node":"n","alerts":[]}'],
  ])
})

test('a redirect, a refusal and silence are failures that show nothing of the URL', async (t) => {
  let asked = 0
  const at = await serve(t, (request, response) => {
    asked++
    response.statusCode = 404
    response.end(`no such hook: ${request.url}`)
  })
  for (const url of [...secretUrlsAt(at, 'http'), ...secretUrlsAt('127.0.0.1:1', 'http')]) {
    await assert.rejects(send(url), (error: Error & { code: string }) => {
      assert.equal(error.code, 'alert-not-sent')
      assert.deepEqual(secretsIn(error.message), [], error.message)
      return true
    })
  }
  const target = asked
  const redirecting = await serve(t, (_, response) => {
    response.writeHead(302, { location: `http://${at}/` })
    response.end()
  })
  await assert.rejects(send(`http://${redirecting}/`), { message: 'status 302' })
  assert.equal(asked, target, 'it is not followed')
})

test('an endless answer is not read, and a slow one is left', async (t) => {
  let written = 0
  const at = await serve(t, (request, response) => {
    if (request.url === '/silent') return
    response.writeHead(request.url === '/refuses' ? 500 : 200)
    const pour = () => {
      while (!response.destroyed && written < 2 ** 30) {
        written += 65_536
        if (!response.write('x'.repeat(65_536))) {
          response.once('drain', pour)
          return
        }
      }
    }
    if (request.url === '/drips') response.write('x')
    else pour()
  })
  await send(`http://${at}/takes`)
  await assert.rejects(send(`http://${at}/refuses`), /status 500: x{100}/)
  assert.ok(written < 100 * 2 ** 20, `${written} bytes`)
  await assert.rejects(send(`http://${at}/silent`, 100), { code: 'alert-not-sent' })
  await send(`http://${at}/drips`, 5_000)
})

test('a node that stops waits for no answer', async (t) => {
  const at = await serve(t, () => {})
  const stop = new AbortController()
  const sending = send(`http://${at}/`, 10_000, stop.signal)
  setTimeout(() => stop.abort(), 50)
  await assert.rejects(sending, { name: 'AbortError' })
})
