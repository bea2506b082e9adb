import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { z } from 'zod'
import { freePort } from '../../../devnet/free-port.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { ControlApi } from './control-api.ts'
import { type ControlChange, type ControlRoute, route } from './control-route.ts'

/** Who may make a node change something, and what is recorded of it. */

let done = 0
const changed = () => ({ text: `${++done}` })
const routes: readonly ControlRoute[] = [
  route('/change', { about: 'Changes.', changes: true, answer: changed }),
  route('/reward', { about: 'Changes.', changes: true, takesGet: true, answer: changed }),
  route('/read', { about: 'Reads.', changes: false, answer: () => ({ text: 'read' }) }),
  route('/set', {
    about: 'Sets.',
    changes: true,
    params: z.object({ amount: z.string().regex(/^\d+$/, 'not a number'), note: z.string().optional() }),
    answer: ({ amount }) => ({ text: amount }),
  }),
]

interface Site {
  readonly host: string
  readonly token?: string
  readonly hosts?: readonly string[]
  readonly showsCookie?: (cookies: string | undefined) => boolean
}

async function apiOf(site: Site, changes: ControlChange[] = []) {
  const port = await freePort()
  const supervisor = new Supervisor()
  const onChange = async (change: ControlChange) => void changes.push(change)
  await supervisor.start(new ControlApi({ ...site, port }, { routes, onChange, log: silentLog }))
  const ask = (method: string, path: string, headers: Record<string, string> = {}, body = '') =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const asked = request(
        { host: '127.0.0.1', port, method, path, headers: { host: `127.0.0.1:${port}`, ...headers } },
        async (response) => {
          let text = ''
          for await (const chunk of response) text += chunk
          resolve({ status: response.statusCode!, body: text })
        },
      )
      asked.on('error', reject)
      asked.end(body)
    })
  return { port, ask, [Symbol.asyncDispose]: () => supervisor.stop() }
}

const LOOPBACK: Site = { host: '127.0.0.1' }
const EVERYWHERE: Site = { host: '0.0.0.0' }
const NAMED: Site = { host: '0.0.0.0', hosts: ['Node1.example'] }
const WITH_TOKEN: Site = {
  ...{ host: '0.0.0.0', token: 'hush' },
  showsCookie: (cookies) => cookies === 'known=1',
}
const BEARER = { authorization: 'Bearer hush' }
const COOKIE = { cookie: 'known=1', host: 'node1' }

for (const [name, site, method, path, headers, status] of [
  ['a program on this machine', LOOPBACK, 'POST', '/change', {}, 200],
  ['a change by GET', LOOPBACK, 'GET', '/change', {}, 405],
  ['a change by PUT', LOOPBACK, 'PUT', '/change', {}, 405],
  ['a reading by any method', LOOPBACK, 'DELETE', '/read', {}, 200],
  ['a page of another site', LOOPBACK, 'POST', '/change', { origin: 'https://evil.example' }, 403],
  ['a page under a name of its own', LOOPBACK, 'POST', '/change', { host: 'evil.example' }, 403],
  ['a reward by GET, as the wizard asks', LOOPBACK, 'GET', '/reward', {}, 200],
  ['a reward by GET of localhost', LOOPBACK, 'GET', '/reward', { host: 'localhost:7935' }, 200],
  ['a reward by GET of a page', LOOPBACK, 'GET', '/reward', { referer: 'https://evil.example/' }, 405],
  ['a reward by GET in a browser', LOOPBACK, 'GET', '/reward', { 'sec-fetch-site': 'none' }, 405],
  ['a reward by GET at another name', NAMED, 'GET', '/reward', { host: 'node1.example' }, 405],
  ['any address, without a token', EVERYWHERE, 'POST', '/change', { host: '192.0.2.1:7935' }, 200],
  ['any IPv6 address', EVERYWHERE, 'POST', '/change', { host: '[2001:db8::1]:7935' }, 200],
  ['a name that nobody listed', EVERYWHERE, 'POST', '/change', { host: 'evil.example' }, 403],
  ['a reading under that name', EVERYWHERE, 'GET', '/read', { host: 'node1.example' }, 200],
  ['a name of -cliHosts', NAMED, 'POST', '/change', { host: 'NODE1.example:7935' }, 200],
  ['a name that ends like it', NAMED, 'POST', '/change', { host: 'evil-node1.example' }, 403],
  ['no token where one is asked for', WITH_TOKEN, 'POST', '/change', {}, 401],
  ['the token under any name', WITH_TOKEN, 'POST', '/change', { ...BEARER, host: 'node1' }, 200],
  ['the token of a page', WITH_TOKEN, 'POST', '/change', { ...BEARER, origin: 'http://evil.example' }, 403],
  ['a reading by the cookie', WITH_TOKEN, 'GET', '/read', COOKIE, 200],
  ['a reading by another cookie', WITH_TOKEN, 'GET', '/read', { cookie: 'known=2' }, 401],
  ['the cookie, from nobody knows where', WITH_TOKEN, 'POST', '/change', COOKIE, 401],
  ['the cookie, typed in', WITH_TOKEN, 'POST', '/change', { ...COOKIE, 'sec-fetch-site': 'none' }, 401],
  [
    'the cookie of this page',
    WITH_TOKEN,
    'POST',
    '/change',
    { ...COOKIE, 'sec-fetch-site': 'same-origin' },
    200,
  ],
  [
    'the cookie of this page’s origin',
    WITH_TOKEN,
    'POST',
    '/change',
    { ...COOKIE, origin: 'http://node1' },
    200,
  ],
  [
    'the cookie of another page',
    WITH_TOKEN,
    'POST',
    '/change',
    { ...COOKIE, origin: 'http://evil.example' },
    403,
  ],
  [
    'the cookie of another port',
    WITH_TOKEN,
    'POST',
    '/change',
    { ...COOKIE, origin: 'http://node1:81' },
    403,
  ],
  [
    'the cookie of a sister site',
    WITH_TOKEN,
    'POST',
    '/change',
    { ...COOKIE, 'sec-fetch-site': 'same-site' },
    403,
  ],
] as const) {
  test(`${name}: ${status}`, async () => {
    await using api = await apiOf(site)
    const before = done
    const answer = await api.ask(method, path, headers)
    assert.equal(answer.status, status, answer.body)
    assert.equal(done - before, status === 200 && path !== '/read' ? 1 : 0)
  })
}

test('what changes something is recorded with its parameters and its answer, refusals too', async () => {
  const changes: ControlChange[] = []
  await using api = await apiOf(LOOPBACK, changes)
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  assert.deepEqual(await api.ask('POST', '/set', type, 'amount=7&note=a+b'), { status: 200, body: '7' })
  assert.deepEqual(await api.ask('POST', '/set', type, 'amount=x'), { status: 400, body: 'not a number\n' })
  assert.deepEqual(await api.ask('POST', '/set?note=x'), {
    status: 400,
    body: 'missing form param: amount\n',
  })
  await api.ask('GET', '/set?amount=1')
  await api.ask('GET', '/read')
  const common = { path: '/set', from: '127.0.0.1', by: 'no token' }
  assert.deepEqual(changes, [
    { ...common, params: { amount: '7', note: 'a b' }, status: 200, result: '7' },
    { ...common, params: { amount: 'x' }, status: 400, result: 'not a number' },
    { ...common, params: { note: 'x' }, status: 400, result: 'missing form param: amount' },
  ])
})

test('a body beyond the limit is refused', async () => {
  await using api = await apiOf(LOOPBACK)
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  const { status } = await api.ask('POST', '/set', type, `amount=${'1'.repeat(70_000)}`)
  assert.equal(status, 413)
})
