import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { HostRule } from '../../lib/host-rule.ts'
import type { Resolve } from '../../lib/public-address.ts'
import { ByteBudget } from '../../lib/request-body.ts'
import { fetchSource } from './source-fetch.ts'

const PUBLIC: HostRule = { public: true, hosts: [] }
const never = () => new AbortController().signal

/** A web server on loopback that counts its requests. */
async function serve(t: TestContext, answer: (response: ServerResponse, path: string) => void) {
  const world = { port: 0, requests: 0, sent: 0 }
  const server = createServer((request, response) => {
    world.requests++
    answer(response, request.url ?? '')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  world.port = (server.address() as AddressInfo).port
  return world
}

/** The test's names: `store.example` is loopback. */
const resolve: Resolve = (hostname, _, callback) => {
  const addresses: Record<string, string[]> = {
    'store.example': ['127.0.0.1'],
    'mixed.example': ['10.1.2.3', '127.0.0.1'],
  }
  callback(
    null,
    (addresses[hostname] ?? ['192.168.1.1']).map((address) => ({ address, family: 4 })),
  )
}
const loopbackIsPublic = { resolve, isPublic: (ip: string) => ip === '127.0.0.1' }

function fetched(
  url: string,
  options: { rule?: HostRule; maxBytes?: number; room?: ByteBudget; names?: object } = {},
) {
  const { maxBytes = 1_000, names = { resolve }, room = new ByteBudget(1_000_000), rule = PUBLIC } = options
  return fetchSource(url, { rule, limits: { maxBytes, room }, names }, never())
}

test('a source is fetched only from a public address, whatever its name', async (t) => {
  const store = await serve(t, (response) => response.end('the source'))
  const bytes = await fetched(`http://mixed.example:${store.port}/0.ts`, { names: loopbackIsPublic })
  assert.equal(Buffer.from(bytes).toString(), 'the source')
  assert.equal(store.requests, 1)
  for (const host of [
    '127.0.0.1',
    'store.example',
    'inside.example',
    '0x7f.1',
    '2130706433',
    '[::ffff:127.0.0.1]',
  ]) {
    await assert.rejects(fetched(`http://${host}:${store.port}/0.ts`), /is not a public address/, host)
  }
  assert.equal(store.requests, 1)
})

test('listed hosts are called at their port, and the peer at its own', async (t) => {
  const store = await serve(t, (response) => response.end('the source'))
  const { port } = store
  const url = `http://store.example:${port}/0.ts`
  const rules: [HostRule, boolean][] = [
    [{ public: false, hosts: [{ host: 'store.example', port: null }] }, true],
    [{ public: false, hosts: [{ host: 'store.example', port }] }, true],
    [{ public: false, hosts: [{ host: 'store.example', port: port + 1 }] }, false],
    [{ public: true, hosts: [{ host: 'example', port: null }] }, false],
    [{ public: true, hosts: [], peer: { address: '127.0.0.1', port } }, true],
    [{ public: true, hosts: [], peer: { address: '127.0.0.1', port: port + 1 } }, false],
  ]
  for (const [rule, isAllowed] of rules) {
    const outcome = await fetched(url, { rule }).then(
      () => true,
      () => false,
    )
    assert.equal(outcome, isAllowed, JSON.stringify(rule))
  }
})

test('no more of a source is read than its limit and the budget allow', async (t) => {
  const store = await serve(t, (response, path) => {
    if (path === '/announced') response.setHeader('content-length', 5_000_000)
    const more = () => {
      while (!response.destroyed && store.sent < 50_000_000) {
        store.sent += 65_536
        if (!response.write(Buffer.alloc(65_536))) return void response.once('drain', more)
      }
      response.end()
    }
    more()
  })
  const url = `http://store.example:${store.port}`
  for (const path of ['/announced', '/endless']) {
    store.sent = 0
    const room = new ByteBudget(10_000_000)
    const asked = fetched(`${url}${path}`, { names: loopbackIsPublic, maxBytes: 1_000_000, room })
    await assert.rejects(asked, { code: 'body-too-large' })
    assert.equal(room.held, 0)
    assert.ok(store.sent < 20_000_000, `${store.sent} bytes were sent`)
  }
  const room = new ByteBudget(300_000)
  const asked = fetched(url, { names: loopbackIsPublic, maxBytes: 1_000_000, room })
  await assert.rejects(asked, { code: 'no-room' })
  assert.equal(room.held, 0)
})

test('redirects are not followed, and other answers and schemes are failures', async (t) => {
  const store = await serve(t, (response, path) => {
    const [status, location] = path === '/moved' ? [302, '/there'] : [404, '']
    response.writeHead(status as number, location ? { location: location as string } : {}).end()
  })
  const url = `http://store.example:${store.port}`
  const options = { names: loopbackIsPublic }
  await assert.rejects(fetched(`${url}/moved`, options), { code: 'refused', message: '302 Found' })
  await assert.rejects(fetched(`${url}/gone`, options), { code: 'refused', message: '404 Not Found' })
  assert.equal(store.requests, 2)
  for (const text of ['file:///etc/passwd', 'gopher://store.example/', 'nothing', '']) {
    await assert.rejects(fetched(text, options), { message: 'the source is not an http(s) URL' })
  }
})
