import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rational } from '../../lib/rational.ts'
import { Metrics, nodeTypeOf } from './metrics.ts'

/** The lines of a metric, without the common labels. */
async function linesOf(metrics: Metrics, name: string): Promise<string[]> {
  const { text } = await metrics.text()
  return text
    .split('\n')
    .filter((line) => line.startsWith(`livepeer_${name}`))
    .map((line) => line.replace(/,?node_id="me",node_type="rdmr"/, '').replace('{}', ''))
}

test('gauges show the values at the time of the request', async () => {
  const metrics = new Metrics({ nodeId: 'me', nodeType: 'rdmr', version: '1' })
  let balance: number | null = null
  let redeemers = [{ labels: { redeemer: 'a:1' }, value: 1 }]
  metrics.observe({
    name: 'account_balance',
    help: 'h',
    read: () => (balance === null ? [] : [{ value: balance }]),
  })
  metrics.observe({ name: 'redeemer_up', help: 'h', labels: ['redeemer'], read: async () => redeemers })
  assert.deepEqual(await linesOf(metrics, 'account_balance'), [], 'an unknown value is absent, not 0')
  balance = 5
  assert.deepEqual(await linesOf(metrics, 'account_balance'), ['livepeer_account_balance 5'])
  assert.deepEqual(await linesOf(metrics, 'redeemer_up'), ['livepeer_redeemer_up{redeemer="a:1"} 1'])
  balance = null
  redeemers = [{ labels: { redeemer: 'b:2' }, value: 0 }]
  assert.deepEqual(await linesOf(metrics, 'account_balance'), [])
  assert.deepEqual(await linesOf(metrics, 'redeemer_up'), ['livepeer_redeemer_up{redeemer="b:2"} 0'])
})

test('a gauge that cannot be read does not hide the others', async () => {
  const metrics = new Metrics({ nodeId: 'me', nodeType: 'rdmr', version: '1' })
  metrics.observe({
    name: 'broken',
    help: 'h',
    read: () => {
      throw new Error('the chain is away')
    },
  })
  metrics.observe({ name: 'late', help: 'h', read: () => Promise.reject(new Error('the disk is away')) })
  metrics.observe({ name: 'whole', help: 'h', read: () => [{ value: 1 }] })
  assert.deepEqual(await linesOf(metrics, 'broken'), [])
  assert.deepEqual(await linesOf(metrics, 'late'), [])
  assert.deepEqual(await linesOf(metrics, 'whole'), ['livepeer_whole 1'])
})

test('failed segments are counted by how they failed, whatever their text', async () => {
  const metrics = new Metrics({ nodeId: 'me', nodeType: 'rdmr', version: '1' })
  const failed = { kind: 'segment-failed', side: 'orchestrator', sessionId: 'a' } as const
  metrics.hear({ ...failed, failure: 'busy', reason: 'OrchestratorBusy' })
  metrics.hear({ ...failed, failure: 'capped', reason: 'OrchestratorCapped' })
  metrics.hear({ ...failed, failure: 'transcode', reason: 'No keyframes in input' })
  metrics.hear({
    kind: 'segment-failed',
    side: 'transcoder',
    failure: 'transcode',
    reason: 'OrchestratorBusy',
  })
  assert.deepEqual(await linesOf(metrics, 'segment_transcode_failed_total'), [
    'livepeer_segment_transcode_failed_total{error_code="OrchestratorBusy"} 1',
    'livepeer_segment_transcode_failed_total{error_code="OrchestratorCapped"} 1',
    'livepeer_segment_transcode_failed_total{error_code="Transcode"} 2',
  ])
})

test('money is counted in gwei, and gauges follow what was told last', async () => {
  const metrics = new Metrics({ nodeId: 'me', nodeType: 'rdmr', version: '1' })
  const sender = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
  const credit = Rational.of(2_500_000_000n)
  metrics.hear({ kind: 'tickets-received', sender, tickets: 3, winners: 1, credit })
  metrics.hear({ kind: 'ticket-redeemed', sender, faceValue: 10n ** 18n, paid: 5n * 10n ** 17n, fee: 1n })
  metrics.hear({ kind: 'session-begun', sessionId: 'a', running: 1 })
  metrics.hear({ kind: 'session-begun', sessionId: 'b', running: 2 })
  metrics.hear({ kind: 'session-ended', sessionId: 'a', reason: 'idle', running: 1 })
  const { text } = await metrics.text()
  const figure = (name: string) => new RegExp(`^livepeer_${name}\\{.*\\} (\\S+)$`, 'm').exec(text)?.[1]
  assert.equal(figure('tickets_recv'), '3')
  assert.equal(figure('winning_tickets_recv'), '1')
  assert.equal(figure('ticket_value_recv'), '2.5')
  assert.equal(figure('value_redeemed'), '500000000')
  assert.equal(figure('current_sessions_total'), '1')
})

test('a node is named after the first of its roles that has a name (operations.md §6)', () => {
  const cases: [roles: string[], type: string][] = [
    [['redeemer'], 'rdmr'],
    [['redeemer', 'reward'], 'rdmr'],
    [['orchestrator', 'transcoder'], 'orch'],
    [['transcoder'], 'trcr'],
    [['gateway', 'roundInitializer'], 'bctr'],
    [['reward'], 'dflt'],
    [['roundInitializer', 'reward'], 'dflt'],
  ]
  for (const [roles, type] of cases) assert.equal(nodeTypeOf(new Set(roles)), type, roles.join())
})
