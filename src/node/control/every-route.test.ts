import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { freePort } from '../../../devnet/free-port.ts'
import { settingsOf } from '../../../test/fakes/settings.ts'
import { ConsoleLogin } from '../../io/http/console-login.ts'
import { ControlApi } from '../../io/http/control-api.ts'
import { LiveEvents } from '../../io/http/live-events.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { controlRoutes } from './routes.ts'

/** Each path of each role, where the control API is not on the loopback: the token. */

const CHAIN =
  '-network devnet -ethUrl http://127.0.0.1:1 -ethController 0x5FbDB2315678afecb367f032d93F642f64180aa3'
const ROLES = {
  orchestrator: `-orchestrator -orchSecret s -serviceAddr o.example:8935 -pricePerUnit 1 ${CHAIN}`,
  gateway: `-gateway ${CHAIN}`,
  redeemer: `-redeemer ${CHAIN}`,
  'reward service': `-reward ${CHAIN}`,
  transcoder: '-transcoder -orchSecret s -orchAddr o.example:8935',
  'orchestrator offchain': '-orchestrator -transcoder -serviceAddr o.example:8935',
  'gateway offchain': '-gateway -orchAddr o.example:8935',
}
const TOKEN = 'hush'

async function apiOf(flags: string) {
  const clock = new ManualClock()
  const login = new ConsoleLogin(TOKEN, { clock })
  const node = {
    ...{ progress: { waitingFor: 'the chain', hasStarted: false, running: null }, version: '1' },
    settings: settingsOf(flags),
    clock,
    drain: { state: null, begin: () => null, undo: async () => {} },
    changes: { latest: async () => [] },
  }
  const routes = controlRoutes(node, { live: new LiveEvents({ clock }), login })
  const port = await freePort()
  const supervisor = new Supervisor()
  const changes: string[] = []
  const onChange = async ({ by, path }: { by: string; path: string }) => void changes.push(`${path} ${by}`)
  const site = { host: '0.0.0.0', port, token: TOKEN }
  await supervisor.start(new ControlApi(site, { routes, onChange, log: silentLog }))
  const ask = (method: string, path: string, authorization?: string) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const headers = { host: 'any.example', ...(authorization !== undefined && { authorization }) }
      const asked = request({ host: '127.0.0.1', port, method, path, headers }, async (response) => {
        // Events have no end.
        if (response.headers['content-type']?.startsWith('text/event-stream')) {
          response.destroy()
          return resolve({ status: response.statusCode!, text: '' })
        }
        let text = ''
        for await (const chunk of response) text += chunk
        resolve({ status: response.statusCode!, text })
      })
      asked.on('error', reject)
      asked.end()
    })
  return { ask, changes, routes, [Symbol.asyncDispose]: () => supervisor.stop() }
}

for (const [role, flags] of Object.entries(ROLES)) {
  test(`${role}: no path but the health is answered without the token, and with it each one is`, async () => {
    await using api = await apiOf(flags)
    for (const { changes, isOpen = false, isUnrecorded = false, path, takesGet = false } of api.routes) {
      const method = changes ? 'POST' : 'GET'
      for (const shown of [undefined, 'Bearer hus', 'Bearer hushh', 'Basic hush', TOKEN]) {
        const { status, text } = await api.ask(method, path, shown)
        if (isOpen) assert.notEqual(status, 401, path)
        else assert.deepEqual([status, text.slice(0, 14)], [401, 'this needs the'], `${path} ${shown}`)
      }
      if (changes && takesGet) assert.equal((await api.ask('GET', path, TOKEN)).status, 405, path)
      assert.deepEqual(api.changes, [], path)
      const { status, text } = await api.ask(method, path, `Bearer ${TOKEN}`)
      assert.ok([200, 400, 403, 404, 409, 500, 503].includes(status), `${path}: ${status} ${text}`)
      if (status >= 400) assert.match(text, /^[^\n]+\n$/, path)
      assert.deepEqual(api.changes.splice(0), changes && !isUnrecorded ? [`${path} token`] : [], path)
    }
  })
}
