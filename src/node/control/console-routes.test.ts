import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../../devnet/free-port.ts'
import { ConsoleFiles } from '../../io/http/console-files.ts'
import { ConsoleLogin } from '../../io/http/console-login.ts'
import { ControlApi } from '../../io/http/control-api.ts'
import type { ControlChange } from '../../io/http/control-route.ts'
import { LiveEvents } from '../../io/http/live-events.ts'
import type { Playable } from '../../io/http/playback.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { consoleRoutes } from './console-routes.ts'
import type { ControlledNode } from './context.ts'

const MOVIE: Playable = {
  masterPlaylist: (name) => (name === 'a movie' ? '#EXTM3U master' : null),
  currentPlaylist: () => null,
  mediaPlaylist: (name, rendition) => (name === 'a movie' && rendition === 'tiny' ? '#EXTM3U tiny' : null),
  stored: async (path) => (path === 'a movie/tiny/1.ts' ? new Uint8Array([71]) : null),
}

/** The routes behind a control API with a token, on a folder with a page; `gateway` is played from. */
async function served(t: TestContext, { gateway = MOVIE as Playable | null, isBuilt = true } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-console-'))
  t.after(() => rmSync(folder, { recursive: true }))
  if (isBuilt) {
    for (const name of ['index.html', 'main.js', 'secret.key']) writeFileSync(join(folder, name), name)
  }
  const clock = new ManualClock()
  const login = new ConsoleLogin('hush', { clock })
  const parts = { gateway: gateway && { gateway } }
  const progress = {
    waitingFor: null,
    hasStarted: true,
    running: { parts },
  } as unknown as ControlledNode['progress']
  const live = new LiveEvents({ clock })
  const routes = consoleRoutes({ progress }, { live, login, files: new ConsoleFiles(folder) })
  const port = await freePort()
  const changes: ControlChange[] = []
  const supervisor = new Supervisor()
  t.after(() => supervisor.stop())
  const site = {
    host: '127.0.0.1',
    port,
    token: 'hush',
    showsCookie: (cookies?: string) => login.shows(cookies),
  }
  const onChange = async (change: ControlChange) => void changes.push(change)
  await supervisor.start(new ControlApi(site, { routes, onChange, log: silentLog }))
  const ask = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init)
  return { ask, changes, port }
}

const BEARER = { headers: { authorization: 'Bearer hush' } }

test('the page and its files need no token, and may load nothing from elsewhere', async (t) => {
  const { ask } = await served(t)
  for (const [path, type] of [
    ['/', 'text/html; charset=utf-8'],
    ['/console/main.js', 'text/javascript; charset=utf-8'],
  ] as const) {
    const { headers, status } = await ask(path)
    assert.deepEqual([status, headers.get('content-type')], [200, type], path)
    const policy = new Map(
      headers
        .get('content-security-policy')!
        .split('; ')
        .map((line) => line.split(' ') as [string, ...string[]])
        .map(([name, ...sources]) => [name, sources.join(' ')]),
    )
    assert.equal(policy.get('default-src'), "'none'")
    for (const sources of policy.values()) assert.doesNotMatch(sources, /unsafe|http|\*|data:/, path)
    for (const name of ['base-uri', 'frame-ancestors']) assert.equal(policy.get(name), "'none'")
    const others = [
      'x-content-type-options',
      'x-frame-options',
      'referrer-policy',
      'cross-origin-opener-policy',
    ]
    assert.deepEqual(
      others.map((name) => headers.get(name)),
      ['nosniff', 'DENY', 'no-referrer', 'same-origin'],
    )
  }
  assert.equal(await (await ask('/')).text(), 'index.html')
})

test('only the files of the console are served, whatever the path', async (t) => {
  const { ask } = await served(t)
  const paths = ['secret.key', 'none.js', '', 'sub/main.js', '..%2fmain.js', 'constructor']
  for (const path of paths) assert.equal((await ask(`/console/${path}`)).status, 404, path)
})

test('where the console was not built, the page says what to do', async (t) => {
  const { ask } = await served(t, { isBuilt: false })
  const answer = await ask('/')
  assert.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8')
  assert.match(await answer.text(), /npm run bundle/)
})

test('the token makes a browser known by a cookie; it is neither recorded nor answered', async (t) => {
  const { ask, changes, port } = await served(t)
  const own = { origin: `http://127.0.0.1:${port}` }
  const logIn = (token: string, headers: Record<string, string> = own) =>
    ask('/console/login', { method: 'POST', headers, body: new URLSearchParams({ token }) })
  assert.equal((await ask('/events')).status, 401)
  assert.equal((await ask('/stream/a%20movie.m3u8')).status, 401)
  const wrong = await logIn('guess')
  assert.deepEqual([wrong.status, wrong.headers.get('set-cookie')], [403, null])
  assert.equal((await logIn('hush', { origin: 'https://evil.example' })).status, 403)
  assert.equal((await ask('/console/login?token=hush')).status, 405)
  const right = await logIn('hush')
  const cookie = right.headers.get('set-cookie')!
  assert.deepEqual([right.status, await right.text()], [200, ''])
  assert.match(cookie, /; HttpOnly; SameSite=Strict$/)
  const known = { headers: { cookie: cookie.split(';')[0]! } }
  assert.equal((await ask('/stream/a%20movie.m3u8', known)).status, 200)
  const secure = await logIn('hush', { host: 'node.example', origin: 'https://node.example' })
  assert.match(secure.headers.get('set-cookie') ?? '; Secure', /; Secure$/)
  const ended = await ask('/console/logout', { method: 'POST', headers: own })
  assert.match(ended.headers.get('set-cookie')!, /=; .*Max-Age=0/)
  assert.deepEqual(changes, [])
})

test('a gateway’s streams are played from its control API, and nothing else of it', async (t) => {
  const { ask } = await served(t)
  const cases = [
    ['a%20movie.m3u8', 200, 'application/x-mpegURL', '#EXTM3U master'],
    ['a%20movie/tiny.m3u8', 200, 'application/x-mpegURL', '#EXTM3U tiny'],
    ['a%20movie/tiny/1.ts', 200, 'video/mp2t', 'G'],
    ['a%20movie/none.m3u8', 404],
    ['a%20movie/tiny/2.ts', 404],
    ['%ff.m3u8', 404],
    ['', 404],
  ] as const
  for (const [path, status, type, body] of cases) {
    const answer = await ask(`/stream/${path}`, BEARER)
    assert.equal(answer.status, status, path)
    if (status !== 200) continue
    assert.deepEqual([answer.headers.get('content-type'), await answer.text()], [type, body])
    assert.equal(answer.headers.get('access-control-allow-origin'), null, 'no other page may read it here')
  }
})

test('a node that is no gateway plays nothing', async (t) => {
  const { ask } = await served(t, { gateway: null })
  assert.equal((await ask('/stream/a%20movie.m3u8', BEARER)).status, 404)
})
