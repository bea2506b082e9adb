import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import { ControlApi } from '../../src/io/http/control-api.ts'
import type { GatewayHttpOptions } from '../../src/io/http/gateway-http.ts'
import { hostAndPort } from '../../src/lib/hosts.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { routesOf } from '../fakes/control-routes.ts'
import { rawRequest, startEndpoint, TRANSPORTS } from '../fakes/endpoint.ts'
import { startGatewayPort } from '../fakes/gateway-port.ts'
import { WITHOUT_IPV6 } from '../net/ipv6.ts'
import { sendRaw } from '../net/raw-http.ts'

/**
 * Web pages open on this machine that try to use the node's local ports. Without asking the other end, a browser lets a
 * page send a POST of plain text, and any GET; under a host name that resolves to this machine, any request, because
 * the browser treats it as the page's own origin.
 */

const EVIL = 'http://evil.example:9935'
const PUBLIC = { publicHost: 'gw.example' }

interface Page {
  /** {at} stands for the port's host and port. */
  readonly headers: readonly string[]
  /** Whether the request is served on loopback. */
  readonly isServed: boolean
  readonly options?: Partial<GatewayHttpOptions>
}

/** How every local port handles a request. */
const pages: Readonly<Record<string, Page>> = {
  'another site, in a modern browser': {
    headers: ['Host: {at}', `Origin: ${EVIL}`, 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors'],
    isServed: false,
  },
  'another site, in a browser that sends no Sec-Fetch-Site': {
    headers: ['Host: {at}', `Origin: ${EVIL}`],
    isServed: false,
  },
  'another site that hides its origin': { headers: ['Host: {at}', 'Origin: null'], isServed: false },
  'an image or a form of another site': {
    headers: ['Host: {at}', 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Dest: image'],
    isServed: false,
  },
  'another port of this machine, which is the same site': {
    headers: ['Host: {at}', 'Origin: http://127.0.0.1:3000', 'Sec-Fetch-Site: same-site'],
    isServed: false,
  },
  'another port of this machine, in an old browser': {
    headers: ['Host: {at}', 'Origin: http://127.0.0.1:3000'],
    isServed: false,
  },
  'an unknown relation': { headers: ['Host: {at}', 'Sec-Fetch-Site: sideways'], isServed: false },
  'its own host name that resolves to this machine': {
    headers: ['Host: evil.example:9935', `Origin: ${EVIL}`],
    isServed: false,
  },
  'its own host name that resolves to this machine, as same origin': {
    headers: ['Host: evil.example:9935', `Origin: ${EVIL}`, 'Sec-Fetch-Site: same-origin'],
    isServed: false,
  },
  'its own host name, without browser headers': {
    headers: ['Host: evil.example'],
    isServed: false,
  },
  'a name that begins like this machine’s': {
    headers: ['Host: 127.0.0.1.evil.example:9935'],
    isServed: false,
  },
  'a name that ends like this machine’s': { headers: ['Host: evil-localhost'], isServed: false },
  'a host with a user before it': { headers: ['Host: 127.0.0.1@evil.example'], isServed: false },
  'an invalid host': { headers: ['Host: 127.0.0.1 evil.example'], isServed: false },
  'an empty host': { headers: ['Host: '], isServed: false },

  'a program such as curl, FFmpeg or OBS': {
    headers: ['Host: {at}', 'User-Agent: curl/7.88.1'],
    isServed: true,
  },
  'a program that calls this machine by another of its names': {
    headers: ['Host: localhost'],
    isServed: true,
  },
  'a program that writes the name in capitals': { headers: ['Host: LOCALHOST:9935'], isServed: true },
  'a program that calls another loopback address': { headers: ['Host: 127.0.0.2:80'], isServed: true },
  'a program that calls this machine over IPv6': { headers: ['Host: [::1]:9935'], isServed: true },
  'a page of this very port': {
    headers: ['Host: {at}', 'Origin: http://{at}', 'Sec-Fetch-Site: same-origin'],
    isServed: true,
  },
  'a page of this very port, in an old browser': {
    headers: ['Host: {at}', 'Origin: http://{at}'],
    isServed: true,
  },
  'a person typing the address': { headers: ['Host: {at}', 'Sec-Fetch-Site: none'], isServed: true },
}

/** Requests for the gateway only: a proxy on this machine that forwards to it under a public name. */
const behindProxy: Readonly<Record<string, Page>> = {
  'a proxy that keeps the host, without -gatewayHost': { headers: ['Host: gw.example'], isServed: false },
  'a proxy that keeps the host': { headers: ['Host: gw.example'], isServed: true, options: PUBLIC },
  'a proxy that keeps the host, and its own pages': {
    headers: ['Host: gw.example', 'Origin: https://gw.example'],
    isServed: true,
    options: PUBLIC,
  },
  'a proxy that writes another host, and its own pages in an old browser': {
    headers: ['Host: {at}', 'Origin: https://gw.example'],
    isServed: true,
    options: PUBLIC,
  },
  'a proxy that writes another host, and its own pages': {
    headers: ['Host: {at}', 'Origin: https://gw.example', 'Sec-Fetch-Site: same-origin'],
    isServed: true,
  },
  'pages of another site through the proxy': {
    headers: ['Host: gw.example', `Origin: ${EVIL}`, 'Sec-Fetch-Site: cross-site'],
    isServed: false,
    options: PUBLIC,
  },
  'its own host name, although there is a proxy': {
    headers: ['Host: evil.example', 'Origin: http://evil.example'],
    isServed: false,
    options: PUBLIC,
  },
}

const BODY = 'codec=h264'

function request(line: string, headers: readonly string[], at: string, body = ''): string {
  const own = headers.map((header) => header.replace('{at}', at))
  return [line, ...own, 'Connection: close', `Content-Length: ${body.length}`, '', body].join('\r\n')
}

describe('the gateway accepts segments of', () => {
  for (const [name, { headers, isServed, options }] of Object.entries({ ...pages, ...behindProxy })) {
    test(`${name}: ${isServed ? 'yes' : 'no'}${options ? ', with -gatewayHost' : ''}`, async () => {
      await using set = await startGatewayPort(options)
      const at = `127.0.0.1:${set.http.port}`
      for (const method of ['POST', 'PUT']) {
        const { status, text } = await sendRaw(set.http, [
          request(`${method} /live/movie/0.ts HTTP/1.1`, headers, at, BODY),
        ])
        assert.equal(status, isServed ? 200 : 403, text)
      }
      assert.equal(set.served.length, isServed ? 2 : 0)
      assert.equal(set.http.bytesHeld, 0)
    })
  }

  test('no page that asks for permission first: no header grants it', async () => {
    await using set = await startGatewayPort()
    const headers = ['Host: {at}', `Origin: ${EVIL}`, 'Access-Control-Request-Method: PUT']
    const preflight = request('OPTIONS /live/movie/0.ts HTTP/1.1', headers, `127.0.0.1:${set.http.port}`)
    const { status, text } = await sendRaw(set.http, [preflight])
    assert.equal(status, 403)
    assert.doesNotMatch(text, /access-control/i)
  })

  test('no client whose body is still arriving: the answer comes first', async () => {
    await using set = await startGatewayPort()
    const head = request('POST /live/movie/0.ts HTTP/1.1', ['Host: evil.example'], '', 'x'.repeat(1_000_000))
    const { status } = await sendRaw(set.http, [head.slice(0, 500)])
    assert.equal(status, 403)
    assert.equal(set.served.length, 0)
  })

  test('a program that names the host in the request line, which overrides the header', async () => {
    await using set = await startGatewayPort()
    const send = (target: string, host: string) =>
      sendRaw(set.http, [request(`PUT ${target}/live/movie/0.ts HTTP/1.1`, [`Host: ${host}`], '', BODY)])
    assert.equal((await send('http://127.0.0.1:9935', 'evil.example')).status, 200)
    assert.equal((await send('http://evil.example', '127.0.0.1')).status, 403)
    assert.equal(set.served.length, 1)
  })

  test('a program that speaks HTTP/1.0 without a host, as no browser does', async () => {
    await using set = await startGatewayPort()
    const { status } = await sendRaw(set.http, [request('PUT /live/movie/0.ts HTTP/1.0', [], '', BODY)])
    assert.equal(status, 200)
  })

  test('any client under any name where the operator opened it, except pages of other sites', async () => {
    await using set = await startGatewayPort({ host: '0.0.0.0' })
    const send = (...headers: string[]) =>
      sendRaw(set.http, [request('POST /live/movie/0.ts HTTP/1.1', headers, '', BODY)])
    assert.equal((await send('Host: gw.example')).status, 200)
    assert.equal((await send('Host: gw.example', 'Origin: http://gw.example')).status, 200)
    assert.equal((await send('Host: gw.example', 'Origin: https://gw.example:443')).status, 200)
    assert.equal((await send('Host: gw.example', `Origin: ${EVIL}`)).status, 403)
    assert.equal((await send('Host: gw.example', 'Sec-Fetch-Site: cross-site')).status, 403)
  })

  test('clients that call it over IPv6', { skip: WITHOUT_IPV6 }, async () => {
    await using set = await startGatewayPort({ host: '::1' })
    const send = (...headers: string[]) =>
      sendRaw({ port: set.http.port, host: '::1' }, [
        request('PUT /live/movie/0.ts HTTP/1.1', headers, '', BODY),
      ])
    const own = `[::1]:${set.http.port}`
    assert.equal((await send(`Host: ${own}`)).status, 200)
    assert.equal((await send(`Host: ${own}`, `Origin: http://${own}`)).status, 200)
    assert.equal((await send('Host: [0:0:0:0:0:0:0:1]')).status, 200)
    assert.equal((await send(`Host: ::1:${set.http.port}`)).status, 200)
    assert.equal((await send('Host: [2001:db8::1]')).status, 403)
    assert.equal((await send(`Host: ${own}`, 'Origin: http://[2001:db8::1]:9935')).status, 403)
  })

  test('a refusal says what to change', async () => {
    await using set = await startGatewayPort()
    const send = (...headers: string[]) =>
      sendRaw(set.http, [request('PUT /live/movie/0.ts HTTP/1.1', headers, '', BODY)])
    assert.match((await send('Host: gw.example')).text, /name the public host with -gatewayHost\n$/)
    assert.match(
      (await send('Host: 127.0.0.1', 'Origin: http://gw.example')).text,
      /pages of another site may not publish here: if this one may, name its host with -gatewayHost\n$/,
    )
  })
})

test('players on any page may watch', async () => {
  await using set = await startGatewayPort()
  await set.push('/live/movie/0.ts')
  for (const path of ['/stream/movie.m3u8', '/stream/movie/source.m3u8', '/stream/movie/source/0.ts']) {
    const headers = ['Host: gw.example', `Origin: ${EVIL}`, 'Sec-Fetch-Site: cross-site']
    const { status, text } = await sendRaw(set.http, [request(`GET ${path} HTTP/1.1`, headers, '')])
    assert.equal(status, 200, text)
    assert.match(text, /\r\nAccess-Control-Allow-Origin: \*\r\n/)
  }
})

describe('the control API answers', () => {
  const routes = routesOf({
    '/status': () => ({ json: { secret: 1 } }),
    '/metrics': () => ({ text: 'secret' }),
    '/healthz': () => ({ text: 'secret' }),
  })

  async function startControlApi(host: string, token = '') {
    const port = await freePort()
    const supervisor = new Supervisor()
    await supervisor.start(new ControlApi({ host, port, token }, { routes, log: silentLog }))
    return { host, port, at: hostAndPort(host, port), [Symbol.asyncDispose]: () => supervisor.stop() }
  }

  for (const [name, { headers, isServed }] of Object.entries(pages)) {
    test(`${name}: ${isServed ? 'yes' : 'no'}`, async () => {
      await using api = await startControlApi('127.0.0.1')
      for (const { path } of routes) {
        const { status, text } = await sendRaw(api, [request(`GET ${path} HTTP/1.1`, headers, api.at)])
        assert.equal(status, isServed ? 200 : 403, text)
        assert.equal(text.includes('secret'), isServed)
        assert.doesNotMatch(text, /access-control/i)
      }
    })
  }

  test('scripts and load balancers that speak HTTP/1.0 without a host and half-close', async () => {
    await using api = await startControlApi('127.0.0.1')
    const { status, text } = await sendRaw(api, ['GET /healthz HTTP/1.0\r\n\r\n'], 'half-closes')
    assert.equal(status, 200)
    assert.match(text, /secret$/)
  })

  test('no pages of other sites, even if it is open to other machines', async () => {
    await using api = await startControlApi('0.0.0.0', 'hush')
    const ask = (...headers: string[]) =>
      sendRaw({ port: api.port }, [
        request('GET /status HTTP/1.1', ['Authorization: Bearer hush', ...headers], ''),
      ])
    assert.equal((await ask('Host: node.example')).status, 200)
    assert.equal((await ask('Host: node.example', `Origin: ${EVIL}`)).status, 403)
    assert.equal((await ask('Host: node.example', 'Sec-Fetch-Site: cross-site')).status, 403)
  })

  test('clients that call it over IPv6', { skip: WITHOUT_IPV6 }, async () => {
    await using api = await startControlApi('::1')
    const ask = (...headers: string[]) => sendRaw(api, [request('GET /status HTTP/1.1', headers, api.at)])
    assert.equal((await ask('Host: {at}')).status, 200)
    assert.equal((await ask('Host: {at}', 'Origin: http://{at}')).status, 200)
    assert.equal((await ask('Host: [2001:db8::1]')).status, 403)
    assert.equal((await ask('Host: {at}', `Origin: ${EVIL}`)).status, 403)
  })
})

test('an orchestrator’s clear text port does no work for what a page can send, and grants no more', async () => {
  await using endpoint = await startEndpoint({ plain: true })
  const headers = { origin: EVIL, 'sec-fetch-site': 'cross-site', 'content-type': 'text/plain' }
  const transport = TRANSPORTS['plain HTTP/1.1']
  for (const path of ['/segment', '/net.Orchestrator/GetOrchestrator', '/']) {
    const posted = await rawRequest(endpoint.port, transport, {
      ...{ method: 'POST', path, headers, body: Buffer.from(BODY) },
    })
    assert.ok(posted.status >= 400, `${path} ${posted.status}`)
    const asked = { ...headers, 'access-control-request-headers': 'livepeer-segment' }
    const preflight = await rawRequest(endpoint.port, transport, { method: 'OPTIONS', path, headers: asked })
    for (const answer of [posted, preflight]) {
      assert.deepEqual(
        Object.keys(answer.headers).filter((name) => name.startsWith('access-control')),
        [],
      )
    }
  }
  assert.equal(endpoint.api.sources.length, 0)
})
