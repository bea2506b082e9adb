import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { EVERY_EVENT } from '../../../test/fakes/every-event.ts'
import type { NodeEvent } from '../../domain/events.ts'
import { ManualClock } from '../../lib/clock.ts'
import { Rational } from '../../lib/rational.ts'
import { REPORTERS, type Reporter } from './metric-row.ts'
import { MAX_SERIES } from './metric-series.ts'
import { Metrics, type MetricsOptions, nodeTypeOf } from './metrics.ts'
import { metricsPage } from './metrics-page.ts'
import { METRICS, UNCOUNTED } from './metrics-table.ts'

const sender = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const won = { ticket: '0x01', sender, txHash: null } as const
const NO_FLAGS = { perStream: false, clientIp: false }

function metricsOf(
  reporters: readonly Reporter[],
  { clock = new ManualClock(), ...options }: Partial<MetricsOptions> & { clock?: ManualClock } = {},
): Metrics {
  return new Metrics(
    {
      ...{ nodeId: 'me', nodeType: 'rdmr', reporters: new Set(reporters), flags: NO_FLAGS, known: {} },
      ...options,
    },
    { clock },
  )
}

/** The lines of a metric, without the common labels. */
async function linesOf(metrics: Metrics, name: string): Promise<string[]> {
  const { text } = await metrics.text()
  return text
    .split('\n')
    .filter((line) => line.startsWith(`livepeer_${name}`))
    .map((line) => line.replace(/,?node_id="me",node_type="rdmr"/, '').replace('{}', ''))
}

function hearAll(metrics: Metrics, ...events: NodeEvent[]): void {
  for (const event of events) metrics.hear(event)
}

test('docs/metrics.md matches the table of metrics (to update it: npm run docs)', () => {
  const page = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8')
  assert.equal(page, metricsPage())
})

test('every metric that is not read is moved by an event, and every event but the listed moves one', async () => {
  const everyone = Object.keys(REPORTERS) as Reporter[]
  const metrics = metricsOf(everyone, { flags: { perStream: true, clientIp: true } })
  const linesNow = async () => new Set((await metrics.text()).text.split('\n'))
  const moved = new Set<string>()
  const idle = new Set<string>()
  let before = await linesNow()
  for (const event of EVERY_EVENT) {
    metrics.hear(event)
    const after = await linesNow()
    const names = [...after]
      .filter((line) => !before.has(line))
      .flatMap((line) => /^livepeer_(\w+)/.exec(line)?.[1] ?? [])
    for (const name of names) moved.add(name.replace(/_(sum|count|bucket)$/, ''))
    if (names.length === 0) idle.add(event.kind)
    before = after
  }
  const still = Object.keys(METRICS).filter((name) => 'on' in METRICS[name]! && !moved.has(name))
  assert.deepEqual(still, [])
  assert.deepEqual([...idle].sort(), Object.keys(UNCOUNTED).sort())
})

suite('metrics that are read', () => {
  test('they show the values at the time of the request', async () => {
    const metrics = metricsOf(['chain', 'outbox'])
    let balance: number | null = null
    let redeemers = [{ labels: { redeemer: 'a:1' }, value: 1 }]
    metrics.observe({
      account_balance_wei: () => (balance === null ? [] : [{ value: balance }]),
      redeemer_up: async () => redeemers,
    })
    assert.deepEqual(await linesOf(metrics, 'account_balance'), [], 'an unknown value is absent, not 0')
    balance = 5
    assert.deepEqual(await linesOf(metrics, 'account_balance'), ['livepeer_account_balance_wei 5'])
    assert.deepEqual(await linesOf(metrics, 'redeemer_up'), ['livepeer_redeemer_up{redeemer="a:1"} 1'])
    balance = null
    redeemers = [{ labels: { redeemer: 'b:2' }, value: 0 }]
    assert.deepEqual(await linesOf(metrics, 'account_balance'), [])
    assert.deepEqual(await linesOf(metrics, 'redeemer_up'), ['livepeer_redeemer_up{redeemer="b:2"} 0'])
  })

  test('one that cannot be read, or takes long, does not hide the others', async () => {
    const clock = new ManualClock()
    const metrics = metricsOf(['chain'], { clock })
    metrics.observe({
      current_round: () => {
        throw new Error('the chain is away')
      },
      account_balance_wei: () => Promise.reject(new Error('the disk is away')),
      rpc_up: () => new Promise(() => {}),
      chain_silence_seconds: () => [{ value: 1 }],
    })
    const asked = metrics.text()
    await clock.wind(2_000)
    const { text } = await asked
    assert.deepEqual(
      text.split('\n').filter((line) => /^livepeer_(current|account|rpc|chain)/.test(line)),
      ['livepeer_chain_silence_seconds{node_id="me",node_type="rdmr"} 1'],
    )
  })

  test('a node has only those of the table that concern it', async () => {
    const metrics = metricsOf(['chain'])
    metrics.observe({ current_round: () => [{ value: 7 }], redeemer_up: () => [{ value: 1 }] })
    assert.deepEqual(await linesOf(metrics, 'current_round'), ['livepeer_current_round 7'])
    assert.deepEqual(await linesOf(metrics, 'redeemer_up'), [])
  })

  test('without the label of a flag, the first value stands for all', async () => {
    const prices = () => [
      { labels: { sender: '' }, value: 5 },
      { labels: { sender }, value: 3 },
    ]
    const plain = metricsOf(['payee'])
    plain.observe({ transcoding_price: prices })
    assert.deepEqual(await linesOf(plain, 'transcoding_price'), ['livepeer_transcoding_price 5'])
    const perStream = metricsOf(['payee'], { flags: { perStream: true, clientIp: false } })
    perStream.observe({ transcoding_price: prices })
    assert.deepEqual(await linesOf(perStream, 'transcoding_price'), [
      'livepeer_transcoding_price{sender=""} 5',
      `livepeer_transcoding_price{sender="${sender}"} 3`,
    ])
  })
})

test('failed segments are counted by how they failed, whatever their text', async () => {
  const metrics = metricsOf(['worker', 'orchestrator', 'transcoder'])
  const failed = { kind: 'segment-failed', side: 'orchestrator', sessionId: 'a' } as const
  hearAll(
    metrics,
    { ...failed, failure: 'busy', reason: 'OrchestratorBusy' },
    { ...failed, failure: 'capped', reason: 'OrchestratorCapped' },
    { ...failed, failure: 'transcode', reason: 'No keyframes in input' },
    { kind: 'segment-failed', side: 'transcoder', failure: 'transcode', reason: 'OrchestratorBusy' },
  )
  assert.deepEqual(await linesOf(metrics, 'segment_transcode_failed_total'), [
    'livepeer_segment_transcode_failed_total{error_code="OrchestratorBusy"} 1',
    'livepeer_segment_transcode_failed_total{error_code="OrchestratorCapped"} 1',
    'livepeer_segment_transcode_failed_total{error_code="Transcode"} 2',
  ])
})

test('money is counted in gwei', async () => {
  const metrics = metricsOf(['payee', 'redeemer'])
  const credit = Rational.of(2_500_000_000n)
  hearAll(
    metrics,
    { kind: 'tickets-received', sender, manifestId: 'm', sessionId: 'a', tickets: 3, winners: 1, credit },
    { kind: 'payment-refused', sender, manifestId: 'm', winners: 1, reason: 'beyond-funds' },
    { kind: 'ticket-redeemed', ...won, faceValue: 10n ** 18n, paid: 5n * 10n ** 17n, fee: 1n },
  )
  assert.deepEqual(await linesOf(metrics, 'tickets_recv'), ['livepeer_tickets_recv 3'])
  assert.deepEqual(await linesOf(metrics, 'winning_tickets_recv'), ['livepeer_winning_tickets_recv 2'])
  assert.deepEqual(await linesOf(metrics, 'ticket_value_recv'), ['livepeer_ticket_value_recv 2.5'])
  assert.deepEqual(await linesOf(metrics, 'value_redeemed'), ['livepeer_value_redeemed 500000000'])
})

test('a redemption counts where its account is, and once, although a reorganisation undid it', async () => {
  const [own, other] = [metricsOf(['redeemer']), metricsOf(['redeemer'])]
  const ticket = { ...won, faceValue: 3_000_000_000n, paid: 3_000_000_000n } as const
  hearAll(own, { kind: 'ticket-redeemed', ...ticket, fee: 9n })
  hearAll(other, { kind: 'ticket-redeemed', ...ticket, fee: null })
  const value = async () => [await linesOf(own, 'value_redeemed'), await linesOf(other, 'value_redeemed')]
  assert.deepEqual(await value(), [['livepeer_value_redeemed 3'], ['livepeer_value_redeemed 0']])
  hearAll(own, { kind: 'ticket-reopened', ...ticket, fee: 9n })
  assert.deepEqual(await value(), [['livepeer_value_redeemed 3'], ['livepeer_value_redeemed 0']])
  hearAll(own, { kind: 'ticket-redeemed', ...ticket, fee: 9n })
  assert.deepEqual(await value(), [['livepeer_value_redeemed 3'], ['livepeer_value_redeemed 0']])
  hearAll(own, { kind: 'ticket-redeemed', ...ticket, fee: 9n })
  assert.deepEqual(await value(), [['livepeer_value_redeemed 6'], ['livepeer_value_redeemed 0']])
})

test('the success rate is that of the last 30 segments, also of pushed streams', async () => {
  const metrics = metricsOf(['gateway'], { flags: { perStream: true, clientIp: false } })
  const end = (manifestId: string, isDone: boolean) =>
    ({
      ...{ side: 'gateway', manifestId, sequence: 1n, durationMs: 1, tookMs: 1, transcodeMs: 1, pixels: 1n },
      ...{ renditions: 1, profiles: [], attempts: 1, orchestrator: 'o', orchestratorAddress: sender },
      ...{ orchestratorVersion: '', isTrusted: true, isVerified: true, latencyScore: 1, clientIp: null },
      ...{ failure: 'max-attempts', fault: 'segment-refused', reason: 'away' },
      kind: isDone ? 'segment-done' : 'segment-failed',
    }) as NodeEvent
  const rates = () => linesOf(metrics, 'success_rate')
  assert.deepEqual(await rates(), ['livepeer_success_rate 1'], 'nothing has failed yet')
  hearAll(metrics, end('a', true), end('b', false))
  hearAll(metrics, { ...end('b', false), failure: 'stream-ended' } as NodeEvent)
  assert.deepEqual(await rates(), [
    'livepeer_success_rate 0.5',
    'livepeer_success_rate_per_stream{manifest_id="a"} 1',
    'livepeer_success_rate_per_stream{manifest_id="b"} 0',
  ])
  for (let i = 0; i < 30; i++) metrics.hear(end('b', i % 3 > 0))
  assert.equal((await rates())[0], `livepeer_success_rate ${20 / 30}`)
})

suite('series', () => {
  test('those whose labels are known are there from the start', async () => {
    const metrics = metricsOf(['gateway', 'worker'], { known: { profiles: ['half,tiny'] } })
    assert.deepEqual(await linesOf(metrics, 'stream_ended_total'), ['livepeer_stream_ended_total 0'])
    assert.equal((await linesOf(metrics, 'transcode_retried')).length, 10)
    const lines = await linesOf(metrics, 'segment_transcoded_total')
    assert.equal(
      lines[0],
      'livepeer_segment_transcoded_total{profiles="half,tiny",trusted="trusted",verified="verified"} 0',
    )
    assert.equal(lines.length, 4)
  })

  test('occurrences of causes are counted, from 0 on for those that the node can meet', async () => {
    const metrics = metricsOf(['node', 'gateway'])
    const cause = { code: 'store-unwritable', facts: { fault: 'full' }, about: '', side: 'operator' } as const
    const counted = async (code: string) =>
      (await linesOf(metrics, 'problem_occurrences_total')).find((line) => line.includes(`"${code}"`))
    assert.equal(
      await counted('store-unwritable'),
      'livepeer_problem_occurrences_total{cause="store-unwritable"} 0',
    )
    metrics.hear({ kind: 'problem-begun', ...cause })
    metrics.hear({ kind: 'problem-repeated', ...cause })
    metrics.hear({ kind: 'problem-ended', ...cause, count: 2, lastedMs: 1 })
    assert.equal(
      await counted('store-unwritable'),
      'livepeer_problem_occurrences_total{cause="store-unwritable"} 2',
    )
  })

  test('of strangers’ labels there are a thousand, and what the others counted is in the sum', async () => {
    const metrics = metricsOf(['payee'], { flags: { perStream: true, clientIp: false } })
    const many = MAX_SERIES + 50
    const receive = (manifestId: string) =>
      metrics.hear({
        ...{ kind: 'tickets-received', sender, manifestId, sessionId: 'a', tickets: 2, winners: 0 },
        credit: Rational.zero,
      })
    receive('old but busy')
    for (let i = 0; i < many; i++) {
      receive(`stream ${i}`)
      if (i % 100 === 0) receive('old but busy')
    }
    const lines = await linesOf(metrics, 'tickets_recv')
    assert.ok(lines.length <= MAX_SERIES + 1, `${lines.length} series`)
    const sum = lines.reduce((total, line) => total + Number(line.split(' ').at(-1)), 0)
    assert.equal(sum, 2 * (many + 12))
    assert.ok(lines.some((line) => line.includes('manifest_id="other"')))
    assert.ok(lines.some((line) => line.includes('manifest_id="old but busy"')))
    receive('x'.repeat(5_000))
    const longest = Math.max(...(await linesOf(metrics, 'tickets_recv')).map((line) => line.length))
    assert.ok(longest < 400, `a line of ${longest}`)
  })

  test('client addresses need a flag of their own; an unknown one is not tracked', async () => {
    const answered = { kind: 'publisher-answered', manifestId: 'm', durationMs: 2_000, tookMs: 100 } as const
    const events = [
      { ...answered, clientIp: '10.0.0.1' },
      { ...answered, clientIp: null },
    ]
    const name = 'http_client_segment_transcoded_realtime_3x'
    const plain = metricsOf(['gateway'])
    hearAll(plain, ...events)
    assert.deepEqual(await linesOf(plain, name), [`livepeer_${name} 2`])
    const full = metricsOf(['gateway'], { flags: { perStream: true, clientIp: true } })
    hearAll(full, ...events)
    assert.deepEqual(await linesOf(full, name), [
      `livepeer_${name}{manifest_id="m",client_ip="10.0.0.1"} 1`,
      `livepeer_${name}{manifest_id="m",client_ip="not_tracked"} 1`,
    ])
  })
})

test('an orchestrator’s address is shown without what may be secret in it', async () => {
  const metrics = metricsOf(['gateway'])
  const secret = 'a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6'
  const orchestrator = `https://user:${secret}@o.example:8935/${secret}?key=${secret}`
  hearAll(
    metrics,
    ...EVERY_EVENT.map((event) => ('orchestrator' in event ? { ...event, orchestrator } : event)),
  )
  const { text } = await metrics.text()
  assert.ok(!text.includes(secret))
  assert.match(text, /orchestrator_uri="https:\/\/[^"]*o\.example:8935/)
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
