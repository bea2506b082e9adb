import assert from 'node:assert/strict'
import { test } from 'node:test'
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

test('failed segments are counted by why they were refused, whatever their text', async () => {
  const metrics = new Metrics({ nodeId: 'me', nodeType: 'rdmr', version: '1' })
  metrics.segmentFailed({ reason: 'OrchestratorBusy', refusal: 'busy' })
  metrics.segmentFailed({ reason: 'OrchestratorCapped', refusal: 'capped' })
  metrics.segmentFailed({ reason: 'No keyframes in input', refusal: null })
  metrics.segmentFailed({ reason: 'OrchestratorBusy' })
  assert.deepEqual(await linesOf(metrics, 'segment_transcode_failed_total'), [
    'livepeer_segment_transcode_failed_total{error_code="OrchestratorBusy"} 1',
    'livepeer_segment_transcode_failed_total{error_code="OrchestratorCapped"} 1',
    'livepeer_segment_transcode_failed_total{error_code="Transcode"} 2',
  ])
  assert.equal(metrics.totals.segmentsFailed, 4)
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

test('refused tickets are counted by reason', () => {
  const metrics = new Metrics({ nodeId: 'me', nodeType: 'rdmr', version: '1' })
  metrics.paymentRefused()
  for (const reason of ['expired', 'no-room', 'expired']) metrics.handedTicketRefused({ reason })
  const { paymentsRefused, handedTicketsRefused } = metrics.totals
  assert.equal(paymentsRefused, 1)
  assert.deepEqual(handedTicketsRefused, { expired: 2, 'no-room': 1 })
})
