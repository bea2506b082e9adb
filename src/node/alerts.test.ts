import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { settingsOf } from '../../test/fakes/settings.ts'
import { ManualClock } from '../lib/clock.ts'
import { seededDice } from '../lib/dice.ts'
import { silentLog } from '../lib/log.ts'
import { Supervisor } from '../lib/service.ts'
import { NodeAlertFacts } from './alert-facts.ts'
import { alertsOf } from './alerts.ts'
import { Parts } from './parts.ts'
import { readingsOf } from './readings.ts'
import { StatusFacts } from './status/facts.ts'

const clock = new ManualClock(1_000)
const env = { version: '1', clock, dice: seededDice('alerts'), log: silentLog, cpus: 1 }

function partsOf(flags: string) {
  const settings = settingsOf(`-gateway -orchAddr o.example ${flags}`)
  const parts = new Parts(settings, null, env)
  const facts = new StatusFacts(parts, env)
  return { parts, facts, alertFacts: new NodeAlertFacts(parts, facts) }
}

test('a node without -alert tells nobody', () => {
  const { alertFacts, parts } = partsOf('')
  assert.equal(alertsOf(parts, alertFacts, { hasStore: false }), null)
})

test('a node posts what lasts to its target, and shows it as a metric', async (t) => {
  const posted: { node: string; alerts: { alert: string; says: string; status: string }[] }[] = []
  const arrived = Promise.withResolvers<void>()
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    posted.push(JSON.parse(body))
    response.end()
    arrived.resolve()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const { alertFacts, facts, parts } = partsOf(`-alert http://127.0.0.1:${port}/hook -monitor`)
  const { causes } = parts.core.env
  causes.met({ code: 'redeemer-away', facts: { redeemer: 'r.example', error: 'refused' } }, 'r.example')
  const supervisor = new Supervisor()
  t.after(() => supervisor.stop())
  await supervisor.start(alertsOf(parts, alertFacts, { hasStore: false })!)
  const turn = () => new Promise((resolve) => setTimeout(resolve, 5))
  for (let passed = 0; passed < 180_000 && posted.length === 0; passed += 5_000) {
    await turn()
    await clock.wind(5_000)
  }
  await arrived.promise
  assert.equal(posted.length, 1)
  const [{ alerts, node }] = posted as [(typeof posted)[number]]
  assert.deepEqual([alerts[0]?.alert, alerts[0]?.status], ['redeemer-unreachable', 'firing'])
  assert.match(alerts[0]!.says, /r\.example/)
  assert.match(node, / gateway$/)
  const samples = await readingsOf(parts, facts, alertFacts).alert!()
  assert.deepEqual(
    samples.filter(({ value }) => value > 0).map(({ labels }) => labels),
    [{ alert: 'redeemer-unreachable', severity: 'critical' }],
  )
})
