import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../../../test/fakes/settings.ts'
import { ControlError, type ControlRoute } from '../../io/http/control-route.ts'
import { ManualClock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { NodeAlertFacts } from '../alert-facts.ts'
import { Drain, type DrainState } from '../drain.ts'
import { Parts } from '../parts.ts'
import { readingsOf } from '../readings.ts'
import { StatusFacts } from '../status/facts.ts'
import type { ControlledNode, NodeProgress } from './context.ts'
import { LiveSettings } from './live-settings.ts'
import { nodeRoutes } from './node-routes.ts'

const clock = new ManualClock(1_000)

/** The routes of an offchain orchestrator that waits for transcoders, with its progress to change. */
function routesOf(hasMetrics: boolean) {
  const flags = `-orchestrator -orchSecret s -serviceAddr o.example:8935${hasMetrics ? ' -monitor' : ''}`
  const settings = settingsOf(flags)
  const env = { version: '1', clock, dice: seededDice('routes'), log: silentLog, cpus: 1 }
  const parts = new Parts(settings, null, env)
  const progress: NodeProgress = { waitingFor: 'the chain', hasStarted: false, running: null }
  const live = new LiveSettings(parts, env)
  const running = { parts, facts: new StatusFacts(parts, env), live }
  const drain = { state: null as DrainState } as Drain & { state: DrainState }
  parts.core.metrics?.observe(readingsOf(parts, running.facts, new NodeAlertFacts(parts, running.facts)))
  return {
    drain,
    progress,
    running,
    routes: nodeRoutes({
      progress,
      settings,
      version: '1',
      clock,
      drain,
      changes: { latest: async () => [] },
    }),
  }
}

/** What a route without parameters answers; a refusal as it is sent. */
async function answerOf(routes: readonly ControlRoute[], path: string): Promise<unknown> {
  const { signal } = new AbortController()
  try {
    return await routes.find((route) => route.path === path)!.answer({} as never, { signal, headers: {} })
  } catch (error) {
    if (error instanceof ControlError) return { text: `${error.message}\n`, status: error.status }
    throw error
  }
}

test('before the parts are made, status tells the progress, health is red, and there are no metrics', async () => {
  const { routes } = routesOf(true)
  assert.deepEqual(await answerOf(routes, '/status'), {
    json: { version: '1', ready: false, waitingFor: 'the chain', nowMs: 1_000 },
  })
  assert.deepEqual(await answerOf(routes, '/healthz'), {
    text: 'not ready, waits for the chain\n',
    status: 503,
  })
  assert.deepEqual(await answerOf(routes, '/metrics'), {
    text: 'not ready, waits for the chain\n',
    status: 503,
  })
})

test('a node that has started is not healthy until it can take work', async () => {
  const { progress, routes, running } = routesOf(true)
  Object.assign(progress, { waitingFor: null, hasStarted: true, running })
  assert.deepEqual(await answerOf(routes, '/healthz'), {
    text: 'not ready, waits for a transcoder\n',
    status: 503,
  })
  const { json } = (await answerOf(routes, '/status')) as { json: Record<string, unknown> }
  assert.deepEqual([json.ready, json.roles, json.sessions], [true, ['orchestrator'], 0])
  const { text } = (await answerOf(routes, '/metrics')) as { text: string }
  assert.match(text, /^livepeer_versions\{.*livepeerversion="1".*\} 1$/m)
})

test('without -monitor there are no metrics, in the words of the network', async () => {
  const { progress, routes, running } = routesOf(false)
  progress.running = running
  assert.deepEqual(await answerOf(routes, '/metrics'), { text: '404 page not found\n', status: 404 })
})

test('status tells a drain, and health is red for it', async () => {
  const { drain, progress, routes, running } = routesOf(false)
  Object.assign(progress, { waitingFor: 'livepeer undrain', hasStarted: true, running })
  drain.state = 'drained'
  const { json } = (await answerOf(routes, '/status')) as { json: Record<string, unknown> }
  assert.deepEqual([json.ready, json.drain, json.waitingFor], [false, 'drained', 'livepeer undrain'])
  assert.deepEqual(await answerOf(routes, '/healthz'), {
    text: 'not ready, waits for livepeer undrain\n',
    status: 503,
  })
})

test('drain and undrain are answered with the state, or with a sentence when they cannot be done', async () => {
  let parts: { drain(): Promise<void>; undrain(): Promise<void> } | null = null
  const { signal } = new AbortController()
  const drain = new Drain({ parts: () => parts, waitFor: () => {}, signal, log: silentLog })
  const actions = nodeRoutes({ drain } as unknown as ControlledNode)
  assert.deepEqual(await answerOf(actions, '/drain'), {
    text: 'this node has not started yet: it has nothing to drain\n',
    status: 409,
  })
  assert.deepEqual(await answerOf(actions, '/undrain'), {
    text: 'this node has not started yet\n',
    status: 409,
  })
  const held = Promise.withResolvers<void>()
  parts = { drain: () => held.promise, undrain: async () => {} }
  assert.deepEqual(await answerOf(actions, '/drain'), { json: { drain: 'draining' } })
  held.resolve()
  assert.deepEqual(await answerOf(actions, '/undrain'), { json: { drain: null } })
  await drain.finish()
  assert.deepEqual(await answerOf(actions, '/undrain'), {
    text: 'this node is about to end: start it again instead\n',
    status: 409,
  })
})
