import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../../test/fakes/settings.ts'
import { ManualClock } from '../lib/clock.ts'
import { seededDice } from '../lib/dice.ts'
import { silentLog } from '../lib/log.ts'
import { controlRoutes, type NodeProgress } from './control-routes.ts'
import { Parts } from './parts.ts'
import { readingsOf } from './readings.ts'
import { StatusFacts } from './status/facts.ts'

const clock = new ManualClock(1_000)

/** The routes of an offchain orchestrator that waits for transcoders, with its progress to change. */
function routesOf(hasMetrics: boolean) {
  const flags = `-orchestrator -orchSecret s -serviceAddr o.example:8935${hasMetrics ? ' -monitor' : ''}`
  const settings = settingsOf(flags)
  const env = { version: '1', clock, dice: seededDice('routes'), log: silentLog, cpus: 1 }
  const parts = new Parts(settings, null, env)
  const progress: NodeProgress = { waitingFor: 'the chain', hasStarted: false, running: null }
  const running = { parts, facts: new StatusFacts(parts, env) }
  parts.core.metrics?.observe(readingsOf(parts, running.facts))
  return { progress, running, routes: controlRoutes(progress, { version: '1', clock, hasMetrics }) }
}

async function answerOf(route: (() => unknown) | undefined): Promise<unknown> {
  return await route!()
}

test('before the parts are made, status tells the progress, health is red, and there are no metrics', async () => {
  const { routes } = routesOf(true)
  assert.deepEqual(await answerOf(routes['/status']), {
    json: { version: '1', ready: false, waitingFor: 'the chain', nowMs: 1_000 },
  })
  assert.deepEqual(await answerOf(routes['/healthz']), {
    text: 'not ready, waits for the chain\n',
    status: 503,
  })
  assert.deepEqual(await answerOf(routes['/metrics']), {
    text: 'not ready, waits for the chain\n',
    status: 503,
  })
})

test('a node that has started is not healthy until it can take work', async () => {
  const { progress, routes, running } = routesOf(true)
  Object.assign(progress, { waitingFor: null, hasStarted: true, running })
  assert.deepEqual(await answerOf(routes['/healthz']), {
    text: 'not ready, waits for a transcoder\n',
    status: 503,
  })
  const { json } = (await answerOf(routes['/status'])) as { json: Record<string, unknown> }
  assert.deepEqual([json.ready, json.roles, json.sessions], [true, ['orchestrator'], 0])
  const { text } = (await answerOf(routes['/metrics'])) as { text: string }
  assert.match(text, /^livepeer_versions\{.*livepeerversion="1".*\} 1$/m)
})

test('without -monitor there are no metrics, in the words of the network', async () => {
  const { progress, routes, running } = routesOf(false)
  progress.running = running
  assert.deepEqual(await answerOf(routes['/metrics']), { text: '404 page not found\n', status: 404 })
})
