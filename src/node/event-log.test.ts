import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../../test/fakes/settings.ts'
import type { Role } from '../config/settings.ts'
import type { NodeEvent } from '../domain/events.ts'
import { ManualClock } from '../lib/clock.ts'
import { type LogLevel, openLog } from '../lib/log.ts'
import { Rational } from '../lib/rational.ts'
import { Supervisor } from '../lib/service.ts'
import { EventLog } from './event-log.ts'

const ETH = 10n ** 18n
const sender = `0x${'5e'.repeat(20)}` as const
const ticket = `0x${'71'.repeat(32)}` as const
const txHash = `0x${'7a'.repeat(32)}` as const
const { profiles } = settingsOf('-gateway -transcodingOptions P240p30fps16x9,P720p30fps16x9').gateway!
const faceValue = ETH / 50n
const worker = { name: 'rack-7', address: '10.0.0.7', hardware: 'Tesla T4' }
const won = { ticket, sender, faceValue }

/** An event log of a node with these roles; `heard` gives what it writes for events. */
function logOf(roles: Role[], { isOnChain = true, level = 'info' as LogLevel } = {}) {
  let lines: string[] = []
  const clock = new ManualClock()
  const write = (line: string) => void lines.push(line.replace(/^\S+ /, '').trimEnd())
  const log = openLog({ level, format: 'pretty', write })
  const eventLog = new EventLog({ roles: new Set(roles), isOnChain, clock, log })
  const heard = (...events: NodeEvent[]) => {
    lines = []
    for (const event of events) eventLog.hear(event)
    return lines
  }
  return { clock, eventLog, heard, lines: () => lines }
}

const begun: NodeEvent = {
  ...{ kind: 'session-begun', sessionId: 's1', gateway: sender, host: '198.51.100.7', profiles, running: 1 },
}
const ended: NodeEvent = { kind: 'session-ended', sessionId: 's1', reason: 'ended-by-gateway', running: 0 }
const done: NodeEvent = {
  ...{ kind: 'segment-done', side: 'orchestrator', sessionId: 's1', durationMs: 2_000, tookMs: 500 },
  ...{ pixels: 1_000_000n, renditions: 2, price: Rational.of(2_401n, 2n) },
  ...{ manifestId: 'm', profiles: [], clientIp: null },
}
const paid: NodeEvent = {
  ...{ kind: 'tickets-received', sender, manifestId: 'm', sessionId: 's1', tickets: 2, winners: 0 },
  credit: Rational.of(3n * ETH, 1_000n),
}
const failed: NodeEvent = {
  ...{ kind: 'segment-failed', side: 'orchestrator', sessionId: 's1', failure: 'busy', reason: 'x' },
}

test('a session begins with its first segment, and its end tells what it came to', () => {
  const { heard } = logOf(['orchestrator'])
  assert.deepEqual(heard(begun, paid), [])
  assert.deepEqual(heard(done, done, done, failed, paid), [
    `INFO  session begun  session=s1 gateway=${sender} host=198.51.100.7 profiles=426x240@30 1280x720@30 pricePerPixel=1200.5 wei`,
  ])
  assert.deepEqual(heard(ended), [
    `INFO  session ended  session=s1 gateway=${sender} host=198.51.100.7 reason=ended-by-gateway segments=3 failed=1 minutes=0.1 pixels=3000000 received=0.006 ETH`,
  ])
  assert.deepEqual(heard(ended, done), [])
})

test('a session without a price names none', () => {
  const { heard } = logOf(['orchestrator'])
  const [line] = heard(begun, { ...done, price: null } as NodeEvent)
  assert.match(line!, /^INFO {2}session begun .* profiles=426x240@30 1280x720@30$/)
})

test('at the end of the node the sessions that still run tell what they came to', async () => {
  const { eventLog, heard, lines } = logOf(['orchestrator'])
  const supervisor = new Supervisor()
  await supervisor.start(eventLog)
  heard(begun, done, { ...begun, sessionId: 's2' } as NodeEvent)
  await supervisor.stop()
  assert.deepEqual(lines().slice(1), [
    `INFO  session ended  session=s1 gateway=${sender} host=198.51.100.7 reason=node-stopping segments=1 failed=0 minutes=0 pixels=1000000 received=0 ETH`,
  ])
  assert.deepEqual(heard(ended), [], 'it is told once')
})

test('sessions of strangers who have no segment done write nothing', () => {
  const { heard } = logOf(['orchestrator'])
  const strangers = Array.from({ length: 100 }, (_, i): NodeEvent[] => [
    { ...begun, sessionId: `s${i}` } as NodeEvent,
    { kind: 'session-ended', sessionId: `s${i}`, reason: 'no-segment-finished', running: 0 },
  ])
  assert.deepEqual(heard(...strangers.flat()), [])
})

test('a stream tells its profiles and what it came to', () => {
  const { heard } = logOf(['gateway'])
  const payment = { manifestId: 'show', orchestrator: 'https://a:8935', tickets: 3 }
  const transcoded = (orchestrator: string): NodeEvent => ({
    ...{ kind: 'segment-done', side: 'gateway', manifestId: 'show', sequence: 1n, durationMs: 30_000 },
    ...{ tookMs: 1, pixels: 5n, renditions: 2, attempts: 1, orchestrator, latencyScore: 0.1 },
    ...{ transcodeMs: 1, profiles: [], orchestratorAddress: sender, orchestratorVersion: '' },
    ...{ isTrusted: true, isVerified: false, clientIp: null },
  })
  const lines = heard(
    { kind: 'stream-begun', manifestId: 'show', profiles },
    { kind: 'payment-sent', ...payment, value: Rational.of(ETH, 100n) },
    transcoded('https://a:8935'),
    transcoded('https://b:8935'),
    { kind: 'stream-ended', manifestId: 'show', reason: 'nothing was pushed for a while' },
    { kind: 'stream-ended', manifestId: 'show', reason: 'again' },
  )
  assert.deepEqual(lines, [
    'INFO  stream begun  stream=show profiles=426x240@30 1280x720@30',
    'INFO  stream ended  stream=show reason=nothing was pushed for a while segments=2 failed=0 minutes=1 pixels=10 orchestrators=2 sent=0.01 ETH',
  ])
})

const single: [roles: Role[], event: NodeEvent, line: string | null][] = [
  [
    ['orchestrator'],
    { kind: 'ticket-won', ...won },
    `INFO  ticket won  ticket=${ticket} sender=${sender} faceValue=0.02 ETH`,
  ],
  [['redeemer'], { kind: 'ticket-won', ...won }, null],
  [
    ['redeemer'],
    { kind: 'ticket-handed-in', ...won },
    `INFO  ticket handed in  ticket=${ticket} sender=${sender} faceValue=0.02 ETH`,
  ],
  [
    ['orchestrator'],
    { kind: 'ticket-delivered', ...won, redeemer: 'r.example:8935' },
    `INFO  ticket delivered  ticket=${ticket} sender=${sender} faceValue=0.02 ETH redeemer=r.example:8935`,
  ],
  [
    ['redeemer'],
    { kind: 'ticket-redeemed', ...won, paid: faceValue, fee: 21_000n * 10n ** 9n, txHash },
    `INFO  ticket redeemed  ticket=${ticket} sender=${sender} faceValue=0.02 ETH paid=0.02 ETH fee=0.000021 ETH txHash=${txHash}`,
  ],
  [
    ['orchestrator'],
    { kind: 'ticket-redeemed', ...won, paid: null, fee: null, txHash: null },
    `INFO  ticket redeemed  ticket=${ticket} sender=${sender} faceValue=0.02 ETH paid=null fee=null txHash=null`,
  ],
  [
    ['orchestrator'],
    { kind: 'peer-up', peer: 'transcoder', ...worker, capacity: 12, version: '0.1.0' },
    'INFO  transcoder connected  name=rack-7 address=10.0.0.7 hardware=Tesla T4 capacity=12 version=0.1.0',
  ],
  [
    ['orchestrator'],
    { kind: 'peer-down', peer: 'transcoder', ...worker, reason: 'stream-ended', running: 0 },
    'INFO  transcoder disconnected  name=rack-7 address=10.0.0.7 hardware=Tesla T4 reason=stream-ended running=0',
  ],
  [
    ['orchestrator'],
    { kind: 'peer-down', peer: 'transcoder', ...worker, reason: 'stream-ended', running: 2 },
    'WARN  transcoder disconnected  name=rack-7 address=10.0.0.7 hardware=Tesla T4 reason=stream-ended running=2',
  ],
  [['orchestrator'], { kind: 'peer-up', peer: 'redeemer', name: 'r.example:8935' }, null],
  [
    ['reward'],
    { kind: 'reward-called', round: 7n, reward: 25n * ETH, fee: ETH / 10_000n, txHash },
    `INFO  reward called  round=7 reward=25 LPT fee=0.0001 ETH txHash=${txHash}`,
  ],
  [
    ['roundInitializer'],
    { kind: 'round-initialized', round: 7n, fee: 1n },
    'INFO  round initialised  round=7 fee=1 wei',
  ],
]
for (const [roles, event, line] of single) {
  test(`a ${roles.join(' and ')} writes ${line === null ? 'nothing' : 'one line'} about ${event.kind}: ${line}`, () =>
    assert.deepEqual(logOf(roles).heard(event), line === null ? [] : [line]))
}

test('each role sums up its work when a round ends', () => {
  const { heard } = logOf(['orchestrator', 'transcoder'])
  heard(begun, paid, done, failed)
  assert.deepEqual(heard({ kind: 'round-begun', round: 7n }), [])
  assert.deepEqual(heard({ kind: 'round-begun', round: 7n }), [])
  heard({ kind: 'ticket-won', ...won }, { kind: 'ticket-delivered', ...won, redeemer: 'r' }, done)
  heard(
    { kind: 'ticket-redeemed', ...won, paid: faceValue, fee: 1n, txHash },
    { kind: 'ticket-refused', sender, faceValue, reason: 'expired' },
    { kind: 'reward-called', round: 7n, reward: ETH, fee: 2n, txHash },
  )
  assert.deepEqual(heard({ kind: 'round-begun', round: 8n }), [
    'INFO  work of the last round  round=7 role=orchestrator sessions=1 segments=2 failed=1 minutes=0.1 pixels=2000000 tickets=2 received=0.003 ETH winners=1 won=0.02 ETH delivered=1 redeemed=1 paid=0.02 ETH fee=1 wei lost=1',
    'INFO  work of the last round  round=7 role=reward rewards=1 reward=1 LPT fee=2 wei',
  ])
  assert.deepEqual(heard({ kind: 'round-begun', round: 9n }), [
    'INFO  work of the last round  round=8 role=orchestrator sessions=0 segments=0 failed=0 minutes=0 pixels=0 tickets=0 received=0 ETH winners=0 won=0 ETH delivered=0 redeemed=0 paid=0 ETH fee=0 ETH lost=0',
  ])
})

test('a redeemer and a service of rewards and rounds sum up what they do', () => {
  const round: NodeEvent = { kind: 'round-begun', round: 8n }
  const redeemer = logOf(['redeemer'])
  redeemer.heard({ kind: 'round-begun', round: 7n }, { kind: 'ticket-won', ...won })
  redeemer.heard({ kind: 'ticket-handed-in', ...won })
  assert.deepEqual(redeemer.heard(round), [
    'INFO  work of the last round  round=7 role=redeemer handedIn=1 redeemed=0 paid=0 ETH fee=0 ETH lost=0',
  ])
  const service = logOf(['reward', 'roundInitializer'])
  service.heard({ kind: 'round-begun', round: 7n }, { kind: 'round-initialized', round: 7n, fee: 3n })
  assert.deepEqual(service.heard(round), [
    'INFO  work of the last round  round=7 role=reward rewards=0 reward=0 LPT fee=0 ETH',
    'INFO  work of the last round  round=7 role=roundInitializer initialised=1 fee=3 wei',
  ])
})

test('without a chain each role sums up its work every hour', async () => {
  const { clock, eventLog, heard, lines } = logOf(['transcoder'], { isOnChain: false })
  await using supervisor = new Supervisor()
  await supervisor.start(eventLog)
  heard({
    ...{ kind: 'segment-done', side: 'transcoder', durationMs: 90_000, tookMs: 1, pixels: 7n },
    profiles: [],
  })
  await clock.wind(3_599_999)
  assert.deepEqual(lines(), [])
  await clock.wind(1)
  await clock.wind(3_600_000)
  assert.deepEqual(lines(), [
    'INFO  work of the last hour  role=transcoder segments=1 failed=0 minutes=1.5 pixels=7',
    'INFO  work of the last hour  role=transcoder segments=0 failed=0 minutes=0 pixels=0',
  ])
})
