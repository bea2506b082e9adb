import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../../../test/fakes/settings.ts'
import { ConsoleLogin } from '../../io/http/console-login.ts'
import { descriptionOf, requiredNames } from '../../io/http/control-parameters.ts'
import { LiveEvents } from '../../io/http/live-events.ts'
import { ManualClock } from '../../lib/clock.ts'
import type { ControlledNode } from './context.ts'
import { controlRoutes } from './routes.ts'

/** The table of the control API, and the description that is written from it. */

const node: ControlledNode = {
  ...{ progress: { waitingFor: 'x', hasStarted: false, running: null }, version: '1' },
  settings: settingsOf('-gateway -orchAddr a'),
  clock: new ManualClock(),
  drain: { state: null, begin: () => null, undo: async () => {} },
  changes: { latest: async () => [] },
}
const { clock } = node
const routes = controlRoutes(node, {
  live: new LiveEvents({ clock }),
  login: new ConsoleLogin('', { clock }),
})

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly parameters?: readonly { name: string; required: boolean; schema: { description?: string } }[]
  readonly requestBody?: {
    content: Record<
      string,
      { schema: { properties: Record<string, { description?: string }>; required: string[] } }
    >
  }
}

async function described(): Promise<Record<string, { get?: Operation; post?: Operation }>> {
  const { signal } = new AbortController()
  const route = routes.find(({ path }) => path === '/openapi.json')!
  const answer = await route.answer({} as never, { signal, headers: {} })
  assert.ok('json' in answer)
  return (answer.json as { paths: Record<string, { get?: Operation; post?: Operation }> }).paths
}

test('each path is there once, with a sentence, and each parameter says what it is', () => {
  const paths = routes.map(({ path }) => path)
  assert.deepEqual(paths, [...new Set(paths)])
  for (const { about, params, path } of routes) {
    assert.match(about, /^[A-Z].*\.$/, path)
    for (const [name, schema] of Object.entries(params?.shape ?? {})) {
      assert.notEqual(descriptionOf(schema), '', `${path} ${name}`)
    }
  }
})

test('the description has each path with its methods and parameters', async () => {
  const paths = await described()
  assert.deepEqual(
    Object.keys(paths),
    routes.map(({ path }) => path),
  )
  const ids = new Set<string>()
  for (const { changes, params, path, takesGet = false } of routes) {
    const { get, post } = paths[path]!
    assert.equal(get !== undefined, !changes || takesGet, path)
    assert.equal(post !== undefined, changes, path)
    for (const operation of [get, post]) {
      if (!operation) continue
      assert.ok(!ids.has(operation.operationId), operation.operationId)
      ids.add(operation.operationId)
    }
    const names = Object.keys(params?.shape ?? {})
    const form = post?.requestBody?.content['application/x-www-form-urlencoded']?.schema
    assert.deepEqual(
      form ? Object.keys(form.properties) : (get?.parameters?.map(({ name }) => name) ?? []),
      names,
    )
    if (form) assert.deepEqual(form.required, requiredNames(params!))
  }
})

test('every path of the network’s own control API but those for AI is there', () => {
  const known = [
    ...['/status', '/streamID', '/manifestID', '/localStreams', '/EthChainID', '/currentBlock'],
    ...['/orchestratorInfo', '/IsOrchestrator', '/IsRedeemer', '/setBroadcastConfig', '/getBroadcastConfig'],
    ...['/getAvailableTranscodingOptions', '/currentRound', '/roundInitialized', '/initializeRound'],
    ...['/activateOrchestrator', '/setOrchestratorConfig', '/setMaxFaceValue', '/setPriceForBroadcaster'],
    ...[
      '/setMaxSessions',
      '/bond',
      '/rebond',
      '/unbond',
      '/withdrawStake',
      '/unbondingLocks',
      '/withdrawFees',
    ],
    ...['/claimEarnings', '/delegatorInfo', '/orchestratorEarningPoolsForRound', '/registeredOrchestrators'],
    ...['/reward', '/protocolParameters', '/contractAddresses', '/ethAddr', '/tokenBalance', '/ethBalance'],
    ...['/transferTokens', '/requestTokens', '/signMessage', '/vote', '/voteOnProposal', '/setMaxGasPrice'],
    ...[
      '/setMinGasPrice',
      '/maxGasPrice',
      '/minGasPrice',
      '/fundDepositAndReserve',
      '/fundDeposit',
      '/unlock',
    ],
    ...['/cancelUnlock', '/withdraw', '/senderInfo', '/ticketBrokerParams', '/setLogLevel', '/getLogLevel'],
    ...['/debug', '/metrics'],
  ]
  const served = new Set(routes.map(({ path }) => path))
  assert.deepEqual(
    known.filter((path) => !served.has(path)),
    [],
  )
})
