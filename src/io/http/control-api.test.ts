import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { freePort } from '../../../devnet/free-port.ts'
import { routesOf } from '../../../test/fakes/control-routes.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { ControlApi } from './control-api.ts'

const routes = routesOf({
  '/status': () => ({ json: { wei: 10n ** 30n } }),
  '/healthz': () => ({ text: '' }),
  '/broken': () => {
    throw new Error('the chain is away')
  },
})

test('the control API answers its routes and nothing else', async () => {
  const port = await freePort()
  await using supervisor = new Supervisor()
  await supervisor.start(new ControlApi({ host: '127.0.0.1', port }, { routes, log: silentLog }))
  const cases = [
    { path: '/status?x=1', status: 200, body: '{\n  "wei": "1000000000000000000000000000000"\n}\n' },
    { path: '/healthz', status: 200, body: '' },
    { path: '/broken', status: 500, body: 'the chain is away\n' },
    { path: '/constructor', status: 404, body: '404 page not found\n' },
    {
      path: '/status',
      method: 'POST',
      status: 200,
      body: '{\n  "wei": "1000000000000000000000000000000"\n}\n',
    },
    { path: '/STATUS', status: 404, body: '404 page not found\n' },
    { path: '//status', status: 307, body: '<a href="/status">Temporary Redirect</a>.\n\n' },
    { path: '/x/../status', status: 307, body: '<a href="/status">Temporary Redirect</a>.\n\n' },
    { path: '/status', host: 'evil.example', status: 403, body: 'unknown host\n' },
    {
      path: '/status',
      host: `localhost:${port}`,
      status: 200,
      body: '{\n  "wei": "1000000000000000000000000000000"\n}\n',
    },
  ]
  for (const { path, method = 'GET', host = `127.0.0.1:${port}`, status, body } of cases) {
    assert.deepEqual(await ask(port, path, method, host), { status, body }, `${method} ${path} of ${host}`)
  }
})

test('what changes the node is answered to POST alone, with the token and not to pages of other sites', async () => {
  const port = await freePort()
  const host = `127.0.0.1:${port}`
  await using supervisor = new Supervisor()
  let done = 0
  const actions = routesOf({}, { '/drain': () => ({ json: { done: ++done } }) })
  await supervisor.start(
    new ControlApi(
      { host: '127.0.0.1', port, token: 'hush' },
      { routes: [...routes, ...actions], log: silentLog },
    ),
  )
  const bearer = 'Bearer hush'
  assert.deepEqual(await ask(port, '/drain', 'GET', host, bearer), {
    status: 405,
    body: 'only POST is answered here\n',
  })
  assert.equal((await ask(port, '/drain', 'POST', host)).status, 401)
  assert.equal((await ask(port, '/drain', 'POST', 'evil.example', bearer)).status, 403)
  const page = { authorization: bearer, origin: 'https://evil.example' }
  assert.equal((await fetch(`http://${host}/drain`, { method: 'POST', headers: page })).status, 403)
  assert.equal(done, 0)
  assert.deepEqual(await ask(port, '/drain', 'POST', host, bearer), {
    status: 200,
    body: '{\n  "done": 1\n}\n',
  })
  assert.deepEqual(await ask(port, '/nothing', 'GET', host, bearer), {
    status: 404,
    body: '404 page not found\n',
  })
})

test('browsers are told not to guess at the type of a refusal', async () => {
  const port = await freePort()
  await using supervisor = new Supervisor()
  await supervisor.start(new ControlApi({ host: '127.0.0.1', port }, { routes, log: silentLog }))
  const sniffing = async (path: string) =>
    (await fetch(`http://127.0.0.1:${port}${path}`)).headers.get('x-content-type-options')
  assert.equal(await sniffing('/nothing'), 'nosniff')
  assert.equal(await sniffing('/status'), null)
})

test('a control API with a token requires it for everything but its health', async () => {
  const port = await freePort()
  const host = `127.0.0.1:${port}`
  await using supervisor = new Supervisor()
  await supervisor.start(
    new ControlApi({ host: '127.0.0.1', port, token: 'hush' }, { routes, log: silentLog }),
  )
  const refused = {
    status: 401,
    body: 'this needs the token of -cliToken: send it as Authorization: Bearer TOKEN\n',
  }
  for (const shown of [
    undefined,
    '',
    'hush',
    'Bearer',
    'Bearer hus',
    'Bearer hushh',
    'Bearer hush hush',
    'Basic hush',
  ]) {
    for (const path of ['/status', '/nothing']) {
      assert.deepEqual(await ask(port, path, 'GET', host, shown), refused, `${path} ${shown}`)
    }
    assert.deepEqual(await ask(port, '/healthz', 'GET', host, shown), { status: 200, body: '' })
  }
  for (const shown of ['Bearer hush', 'bearer  hush']) {
    assert.equal((await ask(port, '/status', 'GET', host, shown)).status, 200, shown)
    assert.equal((await ask(port, '/nothing', 'GET', host, shown)).status, 404, shown)
  }
})

test('a port in use is reported with the flag to change', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => other.once('listening', resolve))
  const { port } = other.address() as AddressInfo
  await using supervisor = new Supervisor()
  await assert.rejects(
    supervisor.start(new ControlApi({ host: '127.0.0.1', port }, { routes, log: silentLog })),
    {
      message: `the control API cannot listen on 127.0.0.1:${port}: another process uses that port; choose another -cliAddr`,
    },
  )
  await new Promise((resolve) => other.close(resolve))
})

function ask(
  port: number,
  path: string,
  method: string,
  host: string,
  authorization?: string,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { host, ...(authorization !== undefined && { authorization }) }
    const asked = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode!, body }))
    })
    asked.on('error', reject)
    asked.end()
  })
}
