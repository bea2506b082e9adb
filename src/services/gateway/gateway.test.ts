import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import {
  FakeMedia,
  FakeNetwork,
  FakeOrchestrator,
  keyOf,
  keySigner,
  profileNamed,
  RecordingPayer,
  WEIGHTS,
} from '../../../test/fakes/gateway.ts'
import { bitsOf, bitstringOf, capability, defaultCapabilities } from '../../domain/capabilities.ts'
import { sentenceOf } from '../../domain/causes.ts'
import type { NodeEvent } from '../../domain/events.ts'
import { presets } from '../../domain/rendition.ts'
import { segmentHash } from '../../domain/signed-hashes.ts'
import type { SoundState } from '../../domain/sound-state.ts'
import type { Payment } from '../../domain/ticket.ts'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { addressOfKey, keccak256, noSigner, signedBy } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import { Supervisor } from '../../lib/service.ts'
import { Discovery } from './discovery.ts'
import { Gateway } from './gateway.ts'
import { GatewayError } from './gateway-error.ts'
import type { GatewayOptions } from './gateway-needs.ts'
import type { PayingView } from './no-sessions.ts'
import type { Candidate } from './orchestrator-source.ts'
import type { PushedSegment, StreamConfig } from './pushed-segment.ts'

const never = new AbortController().signal

/** How the gateways on chain of these tests pay. */
const PAYING: PayingView = {
  account: addressOfKey(keyOf(77)),
  funds: async () => ({
    ...{ deposit: 0n, fundsRemaining: 10n ** 18n, withdrawRound: 0n, claimedInCurrentRound: 0n },
  }),
  ...{
    poolSize: 10n,
    lastInitializedRound: 1n,
    maxPrice: Rational.of(5n),
    redeemGas: 350_000n,
    gasPrice: 0n,
  },
  limits: { maxTicketEv: Rational.one, maxTotalEv: Rational.one, depositMultiplier: 1n },
}

async function setUp(
  orchestrators: readonly FakeOrchestrator[],
  options: Partial<GatewayOptions> & { onchain?: boolean } = {},
) {
  const onchain = options.onchain ?? false
  for (const orchestrator of orchestrators) orchestrator.onchain = onchain
  const clock = new ManualClock()
  const network = new FakeNetwork(clock, ...orchestrators)
  const payer = new RecordingPayer()
  const store = new MemoryObjects()
  const media = new FakeMedia()
  const events: NodeEvent[] = []
  const causes = new RecordingCauses()
  const dice = seededDice('gateway')
  const signer = onchain ? keySigner(keyOf(77)) : noSigner
  const candidates: Candidate[] = orchestrators.map(({ url }) => ({
    url,
    trust: 'trusted',
    mustBePayable: false,
    reach: 'any',
  }))
  const log = silentLog
  const directory = new Discovery(
    { timeoutMs: 500, extraNodes: 0, blocklist: [] },
    {
      source: { candidates: async () => candidates, stakeOf: () => 0n },
      client: network,
      signer,
      payer,
      clock,
      dice,
      log,
      events: { tell: (event) => void events.push(event) },
    },
  )
  const settings = {
    ...{ maxSessions: 10, maxAttempts: 3, profiles: presets.slice(-2), localVerify: onchain },
    ...{ weights: onchain ? WEIGHTS : null, minOrchestratorVersion: '' },
    ...options,
  }
  const gateway = new Gateway(settings, {
    directory,
    facts: { stakeOf: () => 0n, perfScoreOf: () => null },
    client: network,
    payer,
    signer,
    media,
    store,
    clock,
    dice,
    log,
    events: { tell: (event) => void events.push(event) },
    causes,
    paying: onchain ? PAYING : null,
  })
  const supervisor = new Supervisor()
  await supervisor.start(gateway)
  return {
    clock,
    network,
    payer,
    store,
    media,
    events,
    causes,
    gateway,
    settings,
    signer,
    kinds: () => events.map(({ kind }) => kind),
    push: (segment: Partial<PushedSegment> = {}, signal = never) => gateway.serve(pushed(segment), signal),
    [Symbol.asyncDispose]: () => supervisor.stop(),
  }
}

function pushed(segment: Partial<PushedSegment> & { text?: string } = {}): PushedSegment {
  return {
    externalId: 'movie',
    sequence: 0n,
    format: 'mpegts',
    bytes: new TextEncoder().encode(segment.text ?? 'codec=h264'),
    durationMs: 2000,
    resolution: '1280x720',
    clip: null,
    config: null,
    ...segment,
  }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function config(fields: Partial<StreamConfig>): StreamConfig {
  return { manifestId: null, profiles: null, timeoutMultiplier: 1, forceSessionReinit: false, ...fields }
}

function three(): FakeOrchestrator[] {
  return [1, 2, 3].map((i) => new FakeOrchestrator(`https://o${i}:8935`, i))
}

function one(): FakeOrchestrator {
  return new FakeOrchestrator('https://o1:8935', 1)
}

test('offchain a segment goes in and its renditions come out, stored and shown to players', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator])
  const renditions = await set.push({ sequence: 7n })
  assert.deepEqual(
    renditions.map(({ name, format }) => `${name} ${format}`),
    ['P240p30fps4x3 mpegts', 'P144p30fps16x9 mpegts'],
  )
  assert.equal(
    new TextDecoder().decode(renditions[1]!.bytes),
    'P144p30fps16x9 of segment 7 by https://o1:8935',
  )
  assert.equal(
    set.gateway.masterPlaylist('movie'),
    '#EXTM3U\n#EXT-X-VERSION:3\n' +
      '#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=40,AVERAGE-BANDWIDTH=40,RESOLUTION=1280x720\n' +
      'movie/source.m3u8\n' +
      '#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=180,AVERAGE-BANDWIDTH=180,RESOLUTION=320x240\n' +
      'movie/P240p30fps4x3.m3u8\n' +
      '#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=184,AVERAGE-BANDWIDTH=184,RESOLUTION=256x144\n' +
      'movie/P144p30fps16x9.m3u8\n',
  )
  assert.match(
    set.gateway.mediaPlaylist('movie', 'P144p30fps16x9')!,
    /\/stream\/movie\/P144p30fps16x9\/7\.ts/,
  )
  assert.equal(await set.gateway.stored('movie/P144p30fps16x9/7.ts'), renditions[1]!.bytes)
  assert.deepEqual(await set.gateway.stored('movie/source/7.ts'), bytes('codec=h264'))
  const [submission] = orchestrator.submissions
  assert.equal(submission!.segment.sig.length, 0)
  assert.equal(submission!.payment, null)
  assert.deepEqual(set.kinds(), [
    'stream-begun',
    'segment-arrived',
    'payment-sent',
    'payment-accepted',
    'segment-uploaded',
    'segment-downloaded',
    'segment-done',
    'segment-tried',
  ])
})

test('on chain a segment is signed, paid, verified, and what came of the payment is told', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator], { onchain: true })
  const renditions = await set.push({
    sequence: 3n,
    durationMs: 2200,
    clip: { fromMs: 100n, toMs: 900n },
  })
  const { segment } = orchestrator.submissions[0]!
  assert.ok(signedBy(set.signer.address, segmentHash(segment), segment.sig))
  assert.deepEqual(segment.hash, keccak256(bytes('codec=h264')))
  assert.equal(segment.durationMs, 2200)
  assert.deepEqual(segment.clip, { fromMs: 100n, toMs: 900n })
  assert.equal(segment.authToken?.sessionId, '00000001')
  assert.deepEqual(segment.capabilities?.bitstring, [67112963n], 'what a plain push asks for')
  const pixels = renditions.reduce((sum, rendition) => sum + rendition.bytes.length, 0)
  assert.deepEqual(set.payer.log, [
    'staged',
    'answered',
    `completed ${pixels}`,
    'update 00000001',
    `settled ${pixels}`,
  ])
  const [done] = set.events.filter((event) => event.kind === 'segment-done')
  assert.ok(done?.side === 'gateway')
  const { isTrusted, isVerified, orchestratorAddress, orchestratorVersion, profiles } = done
  assert.deepEqual(
    { isTrusted, isVerified, orchestratorAddress, orchestratorVersion, profiles },
    {
      ...{ isTrusted: true, isVerified: true, orchestratorVersion: '0.9.1' },
      orchestratorAddress: addressOfKey(orchestrator.key),
      profiles: presets.slice(-2).map(({ name }) => name),
    },
  )
})

test('how long the segment, its transcoding and its renditions took is told', async () => {
  const orchestrator = one()
  orchestrator.workMs = 700
  await using set = await setUp([orchestrator])
  const done = set.push({ durationMs: 2_000, clientIp: '10.0.0.9' })
  while (orchestrator.submissions.length === 0) await settle()
  await set.clock.wind(700)
  await done
  const times = set.events.flatMap((event) => {
    if (event.kind === 'segment-uploaded' || event.kind === 'segment-downloaded')
      return [[event.kind, event.tookMs]]
    if (event.kind !== 'segment-done' || event.side !== 'gateway') return []
    return [[event.kind, event.tookMs, event.transcodeMs, event.clientIp]]
  })
  assert.deepEqual(times, [
    ['segment-uploaded', 0],
    ['segment-downloaded', 0],
    ['segment-done', 700, 700, '10.0.0.9'],
  ])
})

test('a lost segment tells how it was lost', async () => {
  const failuresOf = (events: readonly NodeEvent[]) =>
    events.flatMap((event) => (event.kind === 'segment-failed' ? [event.failure] : []))
  for (const [text, failure] of [
    ['No keyframes in input', 'not-retryable'],
    ['unknown error (test)', 'no-orchestrators'],
  ] as const) {
    const orchestrator = one()
    orchestrator.outcome = { kind: 'error', text }
    await using set = await setUp([orchestrator])
    await assert.rejects(set.push())
    assert.deepEqual(failuresOf(set.events), [failure])
  }
  const orchestrators = three()
  for (const orchestrator of orchestrators)
    orchestrator.outcome = { kind: 'error', text: 'unknown error (test)' }
  await using set = await setUp(orchestrators)
  await assert.rejects(set.push())
  assert.deepEqual(failuresOf(set.events), ['max-attempts'])
})

const faults: readonly [
  claim: string,
  change: (orchestrator: FakeOrchestrator, payer: RecordingPayer) => void,
  expected: { text: string; suspended: boolean; payment: string[]; code?: string },
][] = [
  [
    'an error in the result',
    (o) => (o.outcome = { kind: 'error', text: 'unknown error (test)' }),
    {
      text: 'hit max transcode attempts: unknown error (test)',
      suspended: true,
      payment: ['staged', 'answered', 'settled 0'],
    },
  ],
  [
    'an empty result',
    (o) => (o.outcome = { kind: 'none' }),
    {
      text: 'hit max transcode attempts: UnknownResponse',
      suspended: true,
      payment: ['staged', 'answered', 'doubted', 'settled 0'],
    },
  ],
  [
    'a refusal',
    (o) => (o.refusal = { error: new NodeError('refused', 'Server error'), answered: true }),
    {
      text: 'hit max transcode attempts: Server error',
      suspended: true,
      payment: ['staged', 'answered', 'settled 0'],
    },
  ],
  [
    'no headers in time: the credit is as before',
    (o) => (o.refusal = { error: new NodeError('header-timeout', 'header timeout: 2 s'), answered: false }),
    {
      text: 'hit max transcode attempts: header timeout: 2 s',
      suspended: true,
      payment: ['staged', 'abandoned', 'settled 0'],
    },
  ],
  [
    'no body in time: the credit is spent',
    (o) => (o.refusal = { error: new NodeError('body-timeout', 'body timeout: 8 s'), answered: true }),
    {
      text: 'hit max transcode attempts: body timeout: 8 s',
      suspended: true,
      payment: ['staged', 'answered', 'settled 0'],
    },
  ],
  [
    'the input is at fault',
    (o) => (o.outcome = { kind: 'error', text: 'No keyframes in input' }),
    { text: 'No keyframes in input', suspended: false, payment: ['staged', 'answered', 'settled null'] },
  ],
  [
    'the input is at fault, said with a status',
    (o) => (o.refusal = { error: new NodeError('refused', 'TranscoderInvalidVideo'), answered: true }),
    { text: 'TranscoderInvalidVideo', suspended: false, payment: ['staged', 'answered', 'settled null'] },
  ],
  [
    'a doubled price',
    (_, payer) =>
      (payer.refuseStaging = new NodeError(
        'price-doubled',
        'Orchestrator price has more than doubled, Orchestrator price: 1/3, Orchestrator initial price: 1/7',
      )),
    {
      text: 'hit max transcode attempts: Orchestrator price has more than doubled, Orchestrator price: 1/3, Orchestrator initial price: 1/7',
      suspended: true,
      payment: [],
    },
  ],
  [
    'we cannot pay',
    (_, payer) => (payer.refuseValidation = () => new NodeError('sender-cannot-pay', 'no sender reserve')),
    { text: 'no sender reserve', suspended: false, payment: [], code: 'segment-failed' },
  ],
  [
    'the chain cannot be read',
    (_, payer) =>
      (payer.refuseValidation = () =>
        new NodeError('funds-unknown', 'unable to validate sender: no endpoint')),
    {
      text: 'unable to validate sender: no endpoint',
      suspended: false,
      payment: [],
      code: 'segment-failed',
    },
  ],
  [
    'what it asks is refused',
    (_, payer) => (payer.refuseValidation = () => new NodeError('params-refused', 'ticketParams is nil')),
    { text: 'hit max transcode attempts: ticketParams is nil', suspended: true, payment: [] },
  ],
  [
    'more renditions than asked for',
    (o) =>
      (o.outcome = {
        kind: 'data',
        renditions: [1, 2, 3].map(() => ({ url: '', pixels: 1n, perceptualHashUrl: '' })),
        sig: new Uint8Array(0),
      }),
    {
      text: 'hit max transcode attempts: 3 renditions in the result, 2 requested',
      suspended: true,
      payment: ['staged', 'answered', 'completed 3', 'settled 0'],
    },
  ],
  [
    'fewer renditions than asked for',
    (o) =>
      (o.outcome = {
        kind: 'data',
        renditions: [{ url: '', pixels: 4n, perceptualHashUrl: '' }],
        sig: new Uint8Array(0),
      }),
    {
      text: 'hit max transcode attempts: 1 renditions in the result, 2 requested',
      suspended: true,
      payment: ['staged', 'answered', 'completed 4', 'settled 0'],
    },
  ],
  [
    'negative pixels',
    (o) =>
      (o.outcome = {
        kind: 'data',
        renditions: [1, 2].map(() => ({ url: '', pixels: -1n, perceptualHashUrl: '' })),
        sig: new Uint8Array(0),
      }),
    {
      text: 'hit max transcode attempts: negative pixels in the result',
      suspended: true,
      payment: ['staged', 'answered', 'settled 0'],
    },
  ],
  [
    'a rendition that cannot be fetched',
    (o) =>
      (o.outcome = {
        kind: 'data',
        renditions: [1, 2].map(() => ({ url: 'https://o1:8935/no', pixels: 5n, perceptualHashUrl: '' })),
        sig: new Uint8Array(0),
      }),
    {
      text: 'hit max transcode attempts: 404 Not Found',
      suspended: true,
      payment: ['staged', 'answered', 'completed 10', 'settled 0'],
    },
  ],
  [
    'a wrong signature: the session is kept',
    (o) => (o.signWith = keyOf(99)),
    {
      text: 'hit max transcode attempts: PM Check Failed',
      suspended: false,
      payment: ['staged', 'answered', 'completed', 'settled 0'],
    },
  ],
  [
    'a false count of pixels: removed, not suspended',
    (o) => (o.lie = 1n),
    {
      text: 'hit max transcode attempts: PixelMismatch',
      suspended: false,
      payment: ['staged', 'answered', 'completed', 'update', 'settled'],
    },
  ],
]

test('a rendition that cannot be decoded has no pixels; one there was no time to decode is believed', async () => {
  await using set = await setUp([one()], { onchain: true, maxAttempts: 1 })
  set.media.fault = new NodeError('media-busy', 'Too much media work is waiting')
  assert.equal((await set.push()).length, 2)
  set.media.fault = new NodeError('media', 'Invalid data found when processing input')
  await assert.rejects(set.push({ sequence: 1n }), { message: 'hit max transcode attempts: PixelMismatch' })
})

test('a rendition without the sound of its source counts as none, unless the source has none or a damaged one', async () => {
  const table: readonly (readonly [rendition: SoundState, source: SoundState, isBad: boolean])[] = [
    ['none', 'whole', true],
    ['damaged', 'whole', true],
    ['none', 'damaged', false],
    ['damaged', 'damaged', false],
    ['none', 'none', false],
    ['none', 'unknown', false],
    ['unknown', 'whole', false],
    ['whole', 'whole', false],
  ]
  for (const [rendition, source, isBad] of table) {
    await using set = await setUp([one()], { onchain: true, maxAttempts: 1 })
    set.media.sound = (text) =>
      text.startsWith('P144p') ? rendition : text.startsWith('P240p') ? 'whole' : source
    const done = set.push().then(
      () => '',
      (error: Error) => error.message,
    )
    const expected = isBad ? 'hit max transcode attempts: PixelMismatch' : ''
    assert.equal(await done, expected, `${rendition} of ${source}`)
    const settled = set.payer.log.find((line) => line.startsWith('settled'))
    // What the other rendition has is delivered all the same.
    assert.equal(settled, isBad ? 'settled 45' : 'settled 91')
  }
})

const PAYMENT: Payment = {
  ...{ sender: addressOfKey(keyOf(77)), ticketParams: null, expirationParams: null },
  ...{ tickets: [], expectedPrice: null },
}

for (const { claim, fault, paid, settled, text } of [
  {
    ...{ claim: 'an input that this node can decode: a loss', text: 'No keyframes in input' },
    ...{ fault: null, paid: true, settled: 'settled 0' },
  },
  {
    ...{ claim: 'an input that this node cannot decode either', text: 'No keyframes in input' },
    ...{ fault: new NodeError('media', 'No keyframes in input'), paid: true, settled: 'settled null' },
  },
  {
    ...{ claim: 'an input that this node has no time to look at', text: 'TranscoderInvalidVideo' },
    ...{ fault: new NodeError('media-busy', 'Too much media work is waiting'), paid: true },
    ...{ settled: 'settled null' },
  },
  {
    ...{ claim: 'an input for which nothing was paid', text: 'No keyframes in input' },
    ...{ fault: null, paid: false, settled: 'settled null' },
  },
  {
    ...{ claim: 'what decoding an input does not show', text: 'Encoded frames runaway' },
    ...{ fault: null, paid: true, settled: 'settled null' },
  },
]) {
  test(`an orchestrator that says "${text}" of ${claim}`, async () => {
    const orchestrator = one()
    await using set = await setUp([orchestrator], { onchain: true })
    orchestrator.outcome = { kind: 'error', text }
    set.media.fault = fault
    if (paid) set.payer.payment = PAYMENT
    await assert.rejects(set.push(), { code: 'segment-refused', message: text })
    assert.deepEqual(set.payer.log, ['staged', 'answered', settled])
    const isLookedAt = paid && text !== 'Encoded frames runaway'
    assert.deepEqual(set.media.inputs, isLookedAt ? ['movie'] : [])
    assert.equal(orchestrator.submissions.length, 1)
  })
}

for (const [claim, change, expected] of faults) {
  test(`one try, one orchestrator, ${claim}: ${expected.text}`, async () => {
    const orchestrator = one()
    await using set = await setUp([orchestrator], { onchain: true, maxAttempts: 1 })
    change(orchestrator, set.payer)
    await assert.rejects(set.push(), {
      code: expected.code ?? 'segment-refused',
      message: expected.text,
    })
    assert.equal(set.kinds().includes('orchestrator-suspended'), expected.suspended)
    assert.deepEqual(
      set.payer.log.map((entry, i) => (expected.payment[i]?.includes(' ') ? entry : entry.split(' ')[0])),
      expected.payment,
    )
    assert.equal(set.gateway.mediaPlaylist('movie', 'P144p30fps16x9'), null, 'nothing of it is shown')
    assert.ok(set.gateway.mediaPlaylist('movie', 'source'), 'but the source is')
  })
}

test('the cause of a missing session is noted once for all streams, and ends when the last of them is served', async () => {
  const orchestrator = one()
  orchestrator.isAway = true
  await using set = await setUp([orchestrator])
  const push = async (externalId: string, sequence: bigint) => {
    const pushing = set.push({ externalId, sequence }).catch((error: GatewayError) => error)
    await set.clock.wind(10_000)
    return pushing
  }
  const failure = await push('a', 0n)
  assert.ok(failure instanceof GatewayError)
  assert.deepEqual(
    failure.causes.map(({ code }) => code),
    ['orchestrators-silent'],
  )
  assert.equal(
    sentenceOf(failure.causes[0]!),
    'the only orchestrator does not answer: https://o1:8935 (nothing listens at https://o1:8935): start them, correct -orchAddr, or check the network in between',
  )
  await push('b', 0n)
  assert.deepEqual(set.causes.told, ['orchestrators-silent begun'])
  orchestrator.isAway = false
  await push('a', 1n)
  assert.deepEqual(set.causes.told, ['orchestrators-silent begun'], 'b still has no orchestrator')
  await push('b', 1n)
  assert.deepEqual(set.causes.told, ['orchestrators-silent begun', 'orchestrators-silent ended'])
})

test('a cause ends with the stream that it concerns', async () => {
  await using set = await setUp([])
  await assert.rejects(set.push(), { code: 'no-sessions' })
  assert.deepEqual(set.causes.codes, ['no-orchestrators'])
  await set.clock.wind(130_000)
  assert.deepEqual(set.causes.codes, [])
})

test('a gateway that cannot pay, or finds every offer too expensive, says so with its numbers', async () => {
  const dear = one()
  dear.price = { pricePerUnit: 12n, pixelsPerUnit: 1n }
  await using set = await setUp([dear], { onchain: true, weights: { ...WEIGHTS, maxPrice: Rational.of(5n) } })
  const pushing = set.push().catch((error: GatewayError) => error)
  await set.clock.wind(10_000)
  await pushing
  assert.deepEqual(set.causes.sentences, [
    'the only orchestrator asks for more than -maxPricePerUnit, 5 wei per pixel: the best offer is 12 wei per pixel, by https://o1:8935: set -ignoreMaxPriceIfNeeded, or raise -maxPricePerUnit; while the gateway runs with: livepeer price set 12wei',
  ])
  dear.price = { pricePerUnit: 1n, pixelsPerUnit: 1n }
  await using poor = await setUp([dear], { onchain: true })
  poor.payer.refuseValidation = () => new NodeError('sender-cannot-pay', 'no sender deposit')
  await assert.rejects(poor.push(), { code: 'segment-failed', message: 'no sender deposit' })
  assert.deepEqual(poor.causes.codes, ['no-deposit'])
})

test('with tries left but no other orchestrator there is no session', async () => {
  const orchestrator = one()
  orchestrator.outcome = { kind: 'error', text: 'unknown error (test)' }
  await using set = await setUp([orchestrator])
  await assert.rejects(set.push(), { code: 'no-sessions', message: 'No sessions available' })
  assert.equal(orchestrator.submissions.length, 1)
  orchestrator.outcome = null
  await set.push({ sequence: 1n })
  assert.equal(orchestrator.submissions.length, 2, 'the next segment finds it again')
})

test('a lone orchestrator whose balancer has no node for it leaves no session, however often it is tried', async () => {
  const orchestrator = one()
  const error = new NodeError('refused', 'no server is available', { details: { status: 503 } })
  orchestrator.refusal = { error, answered: true }
  await using set = await setUp([orchestrator])
  const push = set.push().catch((failure: GatewayError) => failure)
  await set.clock.wind(20_000)
  assert.equal(orchestrator.submissions.length, 6, 'three attempts, each sent once more')
  const failure = (await push) as GatewayError
  assert.deepEqual([failure.code, failure.message], ['no-sessions', 'No sessions available'])
})

test('an orchestrator that fails is left for another, and the segment is done', async () => {
  const orchestrators = three()
  await using set = await setUp(orchestrators)
  orchestrators.forEach((orchestrator, i) => {
    if (i < 2) orchestrator.outcome = { kind: 'error', text: 'OrchestratorBusy' }
  })
  let tries = 0
  for (let i = 0n; i < 4n; i++) await set.push({ sequence: i })
  for (const { submissions } of orchestrators) tries += submissions.length
  assert.equal(orchestrators[2]!.submissions.length, 4)
  assert.ok(tries >= 4)
  const done = set.events.filter((event) => event.kind === 'segment-done')
  assert.equal(done.length, 4)
  const retries = set.events.flatMap((event) => (event.kind === 'segment-retried' ? [event.attempt] : []))
  assert.equal(retries.length, tries - 4, 'each attempt after the first is told')
  assert.equal(retries[0], 2)
})

const CUT = { error: new NodeError('unreachable', 'the exchange broke off'), answered: false }

test('after a cut the segment goes to the same orchestrator with the same payment, and is no retry', async () => {
  const orchestrator = one()
  orchestrator.nextRefusals = [CUT]
  await using set = await setUp([orchestrator], { onchain: true, maxAttempts: 1 })
  set.payer.payment = PAYMENT
  await set.push()
  const [first, second] = orchestrator.submissions
  assert.equal(second!.payment, first!.payment)
  assert.deepEqual(second!.segment, first!.segment)
  assert.equal(set.payer.log.filter((entry) => entry === 'staged').length, 1)
  const kinds = set.kinds().filter((kind) => /resent|retried|failed|suspended|payment/.test(kind))
  assert.deepEqual(kinds, ['payment-sent', 'segment-resent', 'payment-accepted'])
})

test('what is left of the time limit is the limit of a segment that is sent again; with nothing left it is not', async () => {
  for (const [cutAfterMs, limits] of [
    [
      3_000,
      [
        [2_000, 8_000],
        [2_000, 5_000],
      ],
    ],
    [
      7_000,
      [
        [2_000, 8_000],
        [1_000, 1_000],
      ],
    ],
    [7_900, [[2_000, 8_000]]],
  ] as const) {
    const [orchestrator, other] = three()
    orchestrator!.workMs = cutAfterMs
    await using set = await setUp([orchestrator!], { maxAttempts: 1 })
    set.network.add(other!)
    const push = set.push().catch(() => {})
    while (orchestrator!.submissions.length === 0) await settle()
    orchestrator!.outcome = { kind: 'none' }
    await set.clock.wind(cutAfterMs)
    await set.clock.wind(8_000)
    await push
    const given = orchestrator!.submissions.map(({ headerTimeoutMs, totalTimeoutMs }) => [
      headerTimeoutMs,
      totalTimeoutMs,
    ])
    assert.deepEqual(given, limits)
  }
})

test('a publisher that is gone has nothing sent again', async () => {
  const orchestrator = one()
  orchestrator.workMs = 1_000
  await using set = await setUp([orchestrator])
  const publisher = new AbortController()
  const push = set.push({}, publisher.signal).catch((error: GatewayError) => error)
  while (orchestrator.submissions.length === 0) await settle()
  publisher.abort()
  orchestrator.isAway = true
  await set.clock.wind(1_000)
  assert.equal(((await push) as GatewayError).failure, 'cancelled')
  assert.equal(orchestrator.submissions.length, 1)
})

test('nodes of one address that share nothing: one that refuses the token of a node that is gone offers a new session', async () => {
  const orchestrator = one()
  const invalid = new NodeError('refused', 'invalid auth token', { details: { status: 403 } })
  orchestrator.nextRefusals = [CUT, { error: invalid, answered: true }]
  await using set = await setUp([orchestrator], { onchain: true })
  const push = set.push()
  while (orchestrator.submissions.length < 2) await settle()
  await set.clock.wind(1_000)
  assert.equal((await push).length, 2)
  const sessions = orchestrator.submissions.map(({ segment }) => segment.authToken?.sessionId)
  assert.deepEqual(sessions, ['00000001', '00000001', '00000002'])
  const [failed] = set.events.flatMap((event) => (event.kind === 'attempt-failed' ? [event] : []))
  assert.equal(failed?.fault, 'unreachable')
  assert.equal(failed?.reason, 'the exchange broke off; sent again, it was refused: invalid auth token')
})

test('a result that is lost before it is fetched, as with its node, is made again by the same orchestrator; one lost twice is a fault', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator], { onchain: true })
  const work = orchestrator.work.bind(orchestrator)
  let losses = 1
  orchestrator.work = (received, clock) => {
    const result = work(received, clock)
    if (losses-- > 0) orchestrator.files.clear()
    return result
  }
  assert.equal((await set.push()).length, 2)
  assert.equal(orchestrator.submissions.length, 2)
  assert.deepEqual(
    orchestrator.submissions.map(({ segment }) => segment.authToken?.sessionId),
    ['00000001', '00000001'],
  )
  assert.ok(!set.kinds().includes('orchestrator-suspended'))
  losses = 2
  const lost = set.push({ sequence: 1n })
  while (orchestrator.submissions.length < 4) await settle()
  await set.clock.wind(4_000)
  assert.equal((await lost).length, 2, 'found again')
  assert.ok(set.kinds().includes('orchestrator-suspended'))
})

test('a node without transcoders behind a balancer: the segment waits for another one to answer there', async () => {
  const [balanced, other] = three()
  balanced!.outcome = { kind: 'error', text: 'no transcoders available' }
  await using set = await setUp([balanced!])
  set.network.add(other!)
  const done = set.push()
  while (balanced!.submissions.length === 0) await settle()
  await set.clock.wind(1_000)
  assert.equal(balanced!.submissions.length, 1, 'it is not asked again')
  balanced!.transcoder = other!.url
  await set.clock.wind(1_000)
  await done
  assert.equal(other!.submissions.length, 1)
})

test('a node in trouble of its own: the segment waits for another one to answer behind the balancer', async () => {
  const [balanced, other] = three()
  const error = new NodeError('refused', 'Internal Server Error', { details: { status: 500 } })
  balanced!.refusal = { error, answered: true }
  await using set = await setUp([balanced!])
  set.network.add(other!)
  const done = set.push()
  while (balanced!.submissions.length === 0) await settle()
  balanced!.transcoder = other!.url
  await set.clock.wind(1_000)
  await done
  assert.deepEqual([balanced!.submissions.length, other!.submissions.length], [1, 1])
})

test('a node without transcoders is asked again when no other was found for three seconds', async () => {
  const orchestrator = one()
  orchestrator.outcome = { kind: 'error', text: 'no transcoders available' }
  await using set = await setUp([orchestrator])
  const done = set.push()
  while (orchestrator.submissions.length === 0) await settle()
  await set.clock.wind(2_500)
  assert.equal(orchestrator.submissions.length, 1)
  orchestrator.outcome = null
  await set.clock.wind(1_000)
  await done
  assert.equal(orchestrator.submissions.length, 2)
})

for (const [claim, workMs, awayMs] of [
  ['2 s', 1_000, 2_000],
  ['2 s at the end of its work', 2_900, 2_000],
  ['nearly as long as a segment has', 1_000, 6_000],
] as const) {
  test(`a lone orchestrator that is cut off and away for ${claim}: the segments under way and those that come wait for it`, async () => {
    const orchestrator = one()
    orchestrator.workMs = workMs
    await using set = await setUp([orchestrator], { onchain: true, maxAttempts: 2 })
    const segments = [set.push()]
    await set.clock.wind(workMs - 100)
    orchestrator.isAway = true
    await set.clock.wind(600)
    segments.push(set.push({ sequence: 1n }))
    await set.clock.wind(awayMs - 600)
    orchestrator.isAway = false
    await set.clock.wind(workMs + 1_000)
    assert.deepEqual(
      (await Promise.all(segments)).map((renditions) => renditions.length),
      [2, 2],
    )
  })
}

test('a lone orchestrator that does not come back: its segments fail at their deadline, and little was paid in vain', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator], { onchain: true })
  await set.push()
  orchestrator.isAway = true
  const staged = () => set.payer.log.filter((entry) => entry === 'staged').length
  const before = staged()
  const startMs = set.clock.now()
  const lost = set.push({ sequence: 1n }).catch((error) => ({ error, atMs: set.clock.now() - startMs }))
  await set.clock.wind(9_000)
  const { error, atMs } = (await lost) as { error: NodeError; atMs: number }
  assert.equal(error.code, 'no-sessions')
  assert.ok(atMs >= 8_000 && atMs <= 8_500, `${atMs}`)
  assert.equal(staged() - before, 1, 'what refuses connections is asked for an offer, not paid')
})

test('with another orchestrator known, a segment does not wait for one that is down', async () => {
  const [first, second] = [
    new FakeOrchestrator('https://o1:8935', 1),
    new FakeOrchestrator('https://o2:8935', 2),
  ]
  second.infoDelayMs = 10
  await using set = await setUp([first, second])
  const done = set.push()
  await set.clock.wind(10)
  await done
  first.isAway = true
  const startMs = set.clock.now()
  await set.push({ sequence: 1n })
  assert.equal(set.clock.now(), startMs)
  assert.equal(second.submissions.length, 1)
})

test('each attempt at another orchestrator signs and pays anew', async () => {
  const orchestrators = three()
  await using set = await setUp(orchestrators, { onchain: true })
  for (const orchestrator of orchestrators) orchestrator.outcome = { kind: 'error', text: 'x' }
  await assert.rejects(set.push(), { code: 'segment-refused', message: 'hit max transcode attempts: x' })
  assert.equal(set.payer.log.filter((entry) => entry === 'staged').length, 3)
  assert.deepEqual(
    orchestrators.map(({ submissions }) => submissions.length),
    [1, 1, 1],
  )
})

test('the third result with false pixels has to do', async () => {
  const orchestrators = three()
  for (const orchestrator of orchestrators) orchestrator.lie = 5n
  await using set = await setUp(orchestrators, { onchain: true })
  const renditions = await set.push()
  assert.equal(renditions.length, 2)
  assert.ok(!set.kinds().includes('orchestrator-suspended'))
  const tries = orchestrators.reduce((sum, { submissions }) => sum + submissions.length, 0)
  assert.equal(tries, 3)
  const done = set.events.flatMap((event) =>
    event.kind === 'segment-done' && event.side === 'gateway' ? [[event.attempts, event.isVerified]] : [],
  )
  assert.deepEqual(done, [[3, false]], 'it counts as done, and as not verified')
})

test('a result signed by the recipient is good where the orchestrator tells no address', async () => {
  const orchestrator = one()
  orchestrator.recipient = addressOfKey(keyOf(55))
  orchestrator.signWith = keyOf(55)
  await using set = await setUp([orchestrator], { onchain: true })
  const withAddress = orchestrator.info.bind(orchestrator)
  orchestrator.info = (clock) => ({
    ...withAddress(clock),
    address: '0x0000000000000000000000000000000000000000',
  })
  assert.equal((await set.push()).length, 2)
})

test('params near their end, or the payer, renew the offer first; the auth session goes on', async () => {
  const table: readonly [string, (orchestrator: FakeOrchestrator, payer: RecordingPayer) => void, number][] =
    [
      ['all is fresh', () => {}, 0],
      ['the payer says so', (_, payer) => (payer.needsRefresh = true), 1],
      [
        'params',
        (_, payer) => {
          let first = true
          payer.refuseValidation = () => {
            if (!first) return null
            first = false
            return new NodeError('params-expired', 'TicketParams expired')
          }
        },
        1,
      ],
    ]
  for (const [claim, change, renewals] of table) {
    const orchestrator = one()
    await using set = await setUp([orchestrator], { onchain: true })
    change(orchestrator, set.payer)
    await set.push()
    assert.equal(orchestrator.infoRequests.length, 1 + renewals, claim)
    const used = orchestrator.submissions[0]!.segment.authToken?.sessionId
    assert.equal(used, '00000001', claim)
  }
})

test('an auth session goes on when another node of its cluster renews it', async () => {
  for (const [claim, isShared, sessionId] of [
    ['the nodes have shown that they share sessions', true, '00000001'],
    ['nothing shows it', false, '00000002'],
  ] as const) {
    const orchestrator = one()
    await using set = await setUp([orchestrator], { onchain: true })
    const withAddress = orchestrator.info.bind(orchestrator)
    orchestrator.recipient = addressOfKey(keyOf(1))
    const answerAs = (number: number) => {
      orchestrator.signWith = keyOf(number)
      orchestrator.info = (clock) => ({ ...withAddress(clock), address: addressOfKey(keyOf(number)) })
    }
    if (isShared) {
      await set.push()
      answerAs(2)
    }
    await set.push({ sequence: 1n })
    answerAs(3)
    // Results of the fake take a session id each.
    orchestrator.sessions = 1
    set.payer.needsRefresh = true
    await set.push({ sequence: 2n })
    assert.equal(orchestrator.submissions.at(-1)!.segment.authToken?.sessionId, sessionId, claim)
  }
})

test('a token in its last three minutes is renewed, and the auth session with it', async () => {
  const table: readonly [tokenSeconds: bigint, atMs: number, isRenewed: boolean][] = [
    [600n, 419_000, false],
    [600n, 420_000, true],
    // No peer has such tokens: it is the orchestrator's to refuse it.
    [599n, 598_000, false],
    [1n, 59_000, false],
  ]
  for (const [tokenSeconds, atMs, isRenewed] of table) {
    const orchestrator = one()
    orchestrator.tokenSeconds = tokenSeconds
    await using set = await setUp([orchestrator], { onchain: true })
    const startMs = set.clock.now()
    let sequence = 0n
    const pushAt = async (ms: number) => {
      await set.clock.wind(startMs + ms - set.clock.now())
      await set.push({ sequence: sequence++ })
    }
    // A stream that is never idle for a minute.
    for (let ms = 0; ms < atMs - 50_000; ms += 50_000) await pushAt(ms)
    await pushAt(atMs)
    const used = orchestrator.submissions.at(-1)!.segment.authToken?.sessionId
    assert.equal(used !== '00000001', isRenewed, `${tokenSeconds} s, used after ${atMs} ms`)
  }
})

test('what a result says of its orchestrator moves neither the session nor its price', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator], { onchain: true })
  const work = orchestrator.work.bind(orchestrator)
  orchestrator.work = (received, clock) => {
    const result = work(received, clock)
    const info = {
      ...orchestrator.info(clock),
      transcoder: 'https://elsewhere:1',
      priceInfo: { pricePerUnit: 2n, pixelsPerUnit: 1n },
    }
    return { ...result, info }
  }
  for (let i = 0n; i < 3n; i++) await set.push({ sequence: i })
  assert.deepEqual(
    orchestrator.submissions.map(({ base, segment }) => [base, segment.authToken?.sessionId]),
    [1, 2, 3].map(() => [orchestrator.url, '00000001']),
  )
  assert.ok(!set.payer.log.some((entry) => entry.startsWith('update')))
})

test('an orchestrator that was paid too much gets no more work, in no stream', async () => {
  const [bad, good] = [new FakeOrchestrator('https://o1:8935', 1), new FakeOrchestrator('https://o2:8935', 2)]
  good.infoDelayMs = 10
  await using set = await setUp([bad, good], { onchain: true })
  const first = set.push()
  await set.clock.wind(10)
  await first
  assert.equal(bad.submissions.length, 1)
  set.payer.leftOut.add(bad.url)
  await set.push({ sequence: 1n })
  const other = set.push({ externalId: 'other' })
  await set.clock.wind(10)
  await other
  assert.deepEqual([bad.submissions.length, good.submissions.length], [1, 2])
  assert.equal(set.payer.faults, 1)
  assert.ok(set.kinds().includes('orchestrator-suspended'))
})

test('params that are expired even when renewed lose the session', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator], { onchain: true, maxAttempts: 1 })
  set.payer.refuseValidation = () => new NodeError('params-expired', 'TicketParams expired')
  await assert.rejects(set.push(), { message: 'hit max transcode attempts: TicketParams expired' })
  assert.equal(orchestrator.infoRequests.length, 2)
  assert.equal(orchestrator.submissions.length, 0)
})

test('a renewal that fails loses the session, and segments at once share one', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator], { maxAttempts: 1 })
  await set.push()
  set.payer.needsRefresh = true
  orchestrator.infoDelayMs = 50
  const both = Promise.all([set.push({ sequence: 1n }), set.push({ sequence: 2n })])
  await settle()
  await set.clock.wind(50)
  await both
  assert.equal(orchestrator.infoRequests.length, 2)
  orchestrator.infoDelayMs = 0
  orchestrator.infoError = new NodeError('refused', 'OrchestratorCapped')
  await assert.rejects(set.push({ sequence: 3n }), {
    message: 'hit max transcode attempts: OrchestratorCapped',
  })
})

test('time-outs follow the length of the segment and the multiplier of the request', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator])
  await set.push()
  await set.push({ sequence: 1n, durationMs: 10_000, config: config({ timeoutMultiplier: 2 }) })
  const limits = orchestrator.submissions.map(({ headerTimeoutMs, totalTimeoutMs }) => [
    headerTimeoutMs,
    totalTimeoutMs,
  ])
  assert.deepEqual(limits, [
    [2000, 8000],
    [10_000, 80_000],
  ])
})

test('an encoder is set up anew when the input changes or the pusher asks', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator])
  const inputs: readonly [string, boolean, boolean][] = [
    ['width=1280', false, false],
    ['width=1280', false, false],
    ['width=640', false, true],
    ['width=640', true, true],
    ['width=640', false, false],
    ['width=640 audio=mp3', false, true],
    ['width=640 audio=mp3 pixels=yuvj420p', false, true],
    ['width=640 audio=mp3 pixels=yuvj420p codec=hevc', false, true],
  ]
  for (const [i, [text, asked, expected]] of inputs.entries()) {
    await set.push({
      bytes: bytes(text),
      sequence: BigInt(i),
      config: config({ forceSessionReinit: asked }),
    })
    assert.equal(orchestrator.submissions.at(-1)!.segment.forceSessionReinit, expected, `${i} ${text}`)
  }
})

test('a segment without pictures is passed through as every rendition', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator])
  const renditions = await set.push({ bytes: bytes('zero=1') })
  assert.deepEqual(
    renditions.map((rendition) => rendition.bytes),
    [bytes('zero=1'), bytes('zero=1')],
  )
  assert.equal(orchestrator.submissions.length, 0)
  assert.ok(set.gateway.mediaPlaylist('movie', 'P144p30fps16x9'))
})

test('players are told the size that the source has, and what the publisher names only while it cannot be read', async () => {
  await using set = await setUp([one()])
  const resolution = () =>
    /RESOLUTION=(\w+)\nmovie\/source/.exec(set.gateway.masterPlaylist('movie') ?? '')?.[1]
  await set.push({ bytes: bytes('garbage'), sequence: 0n, resolution: '320x180' }).catch(() => {})
  assert.equal(resolution(), '320x180')
  await set.push({ sequence: 1n, resolution: '0x0' })
  assert.equal(resolution(), '1280x720')
  await set.push({ bytes: bytes('width=640'), sequence: 2n, resolution: '1280x720' })
  assert.equal(resolution(), '640x720')
})

test('a segment that cannot be probed counts as H.264, and a codec that no orchestrator decodes is refused', async () => {
  await using set = await setUp([one()])
  assert.equal((await set.push({ bytes: bytes('garbage=1') })).length, 2)
  const refusal = assert.rejects(set.push({ externalId: 'vp9', bytes: bytes('codec=vp8') }), {
    code: 'no-sessions',
  })
  await set.clock.wind(3_500)
  await refusal
  await assert.rejects(set.push({ bytes: bytes('codec=mpeg2video') }), {
    code: 'unknown-codec',
    message: 'mpeg2video',
  })
  await assert.rejects(set.push({ externalId: 'deep', bytes: bytes('pixels=yuv420p12le') }), {
    code: 'unusable-input',
  })
})

test('durations below zero and above five minutes are refused', async () => {
  await using set = await setUp([one()])
  for (const [durationMs, message] of [
    [-1000, 'invalid duration -1'],
    [300_010, 'invalid duration 300.01'],
  ] as const)
    await assert.rejects(set.push({ durationMs }), { code: 'segment-failed', message })
  assert.equal((await set.push({ durationMs: 300_000 })).length, 2)
})

test('zero profiles, or tries forbidden, serve the source alone', async () => {
  for (const options of [{ profiles: [] }, { maxAttempts: 0 }]) {
    const orchestrator = one()
    await using set = await setUp([orchestrator], options)
    assert.deepEqual(await set.push(), [])
    assert.equal(orchestrator.submissions.length, 0)
    assert.ok(set.gateway.mediaPlaylist('movie', 'source'))
  }
})

test('without any orchestrator the source is served and the segment finds no session', async () => {
  await using set = await setUp([])
  await assert.rejects(set.push(), { code: 'no-sessions', message: 'No sessions available' })
  assert.match(set.gateway.masterPlaylist('movie')!, /source\.m3u8\n$/)
})

test('renditions take the container of the first segment, and later ones do not change it', async () => {
  const orchestrator = one()
  const own = { ...profileNamed('own'), format: 'mpegts' as const }
  await using set = await setUp([orchestrator], { profiles: [profileNamed('as-pushed'), own] })
  const first = await set.push({ format: 'mp4' })
  const second = await set.push({ format: 'mpegts', sequence: 1n })
  for (const renditions of [first, second])
    assert.deepEqual(
      renditions.map(({ format }) => format),
      ['mp4', 'mpegts'],
    )
  assert.ok(await set.gateway.stored('movie/as-pushed/0.mp4'))
  assert.equal(await set.gateway.stored('movie/as-pushed/0.ts'), null)
  assert.ok(await set.gateway.stored('movie/source/1.ts'))
})

test('first segments that come at once share one stream', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator])
  await Promise.all([set.push({ sequence: 0n }), set.push({ sequence: 1n }), set.push({ sequence: 2n })])
  assert.equal(set.kinds().filter((kind) => kind === 'stream-begun').length, 1)
  assert.equal(orchestrator.infoRequests.length, 1)
  assert.equal(orchestrator.submissions.length, 3)
})

test('as many streams as -maxSessions allows now, and one more when one has ended', async () => {
  await using set = await setUp([one()], { maxSessions: 1 })
  await set.push()
  await set.push({ sequence: 1n })
  await assert.rejects(set.push({ externalId: 'other' }), { code: 'stream-refused' })
  set.settings.maxSessions = 2
  await set.push({ externalId: 'other' })
  await assert.rejects(set.push({ externalId: 'third' }), { code: 'stream-refused' })
  await set.clock.wind(121_000)
  await set.push({ externalId: 'third' })
})

test('a pusher may rename the stream; a second name for it ends the older one', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator])
  const as = config({ manifestId: 'intmid', profiles: [profileNamed('p')] })
  await set.push({ externalId: 'extmid1', config: as })
  await set.push({ externalId: 'extmid1', sequence: 1n })
  assert.deepEqual(set.gateway.status(), [
    { manifestId: 'intmid', externalId: 'extmid1', profiles: ['p'], sessions: 1 },
  ])
  assert.equal(set.gateway.masterPlaylist('extmid1'), null)
  assert.ok(set.gateway.masterPlaylist('intmid'))
  await set.push({ externalId: 'extmid2', config: as, sequence: 2n })
  assert.deepEqual(
    set.gateway.status().map(({ manifestId, externalId }) => `${manifestId} ${externalId}`),
    ['intmid extmid2'],
  )
  assert.equal(orchestrator.ended.length, 1)
  assert.equal(await set.gateway.stored('intmid/source/0.ts'), null)
  assert.ok(await set.gateway.stored('intmid/source/2.ts'))
})

test('a platform’s name for a stream in the header goes into events, unless a webhook grants one', async () => {
  await using set = await setUp([one()])
  const grant = { config: config({ manifestId: 'granted' }), sessionId: null }
  const segment = { config: config({ streamId: 'strm-1' }) }
  await set.push({ externalId: 'a', ...segment })
  await set.push({ externalId: 'b' })
  await set.push({ externalId: 'c', ...segment, grant })
  await set.push({ externalId: 'd', ...segment, grant: { ...grant, streamId: 'strm-2' } })
  const told = set.events.flatMap((event) => (event.kind === 'segment-tried' ? [event.streamId] : []))
  assert.deepEqual(told, ['strm-1', 'b', 'granted', 'strm-2'])
})

test('names that are empty, too long or taken by the input are refused', async () => {
  await using set = await setUp([one()])
  for (const segment of [
    { config: config({ manifestId: '/live/.ts' }) },
    { externalId: 'x'.repeat(513) },
    { config: config({ profiles: [profileNamed('source')] }) },
  ])
    await assert.rejects(set.push(segment), { code: 'stream-refused' })
  assert.deepEqual(set.gateway.status(), [])
})

test('a stream unused for a minute ends, and its orchestrators are told', async () => {
  const orchestrator = one()
  await using set = await setUp([orchestrator])
  await set.push()
  await set.clock.wind(60_000)
  assert.equal(set.gateway.status().length, 1)
  await set.push({ sequence: 1n })
  await set.clock.wind(60_000)
  assert.equal(set.gateway.status().length, 1, 'it was used in between')
  await set.clock.wind(60_000)
  assert.equal(set.gateway.status().length, 0)
  assert.equal(orchestrator.ended.length, 1)
})

test('a pushed stream that ends can be played for a minute longer, and a segment begins it anew', async () => {
  await using set = await setUp([one()])
  const { clock, gateway, push, store } = set
  const list = () => gateway.mediaPlaylist('movie', 'source')
  await push({ sequence: 5n })
  await push({ sequence: 6n })
  await clock.wind(120_000)
  assert.deepEqual(gateway.status(), [])
  assert.match(list()!, /movie\/source\/6\.ts\n#EXT-X-ENDLIST\n$/)
  await clock.wind(59_000)
  assert.ok(gateway.masterPlaylist('movie'))
  assert.ok(await gateway.stored('movie/source/5.ts'))
  await clock.wind(2_000)
  assert.equal(gateway.masterPlaylist('movie'), null)
  assert.equal(store.files, 0, 'its segments are freed')

  for (const pauseMs of [0, 30_000]) {
    await push({ sequence: 1n })
    await clock.wind(120_000 + pauseMs)
    assert.match(list() ?? '', /ENDLIST/)
    await push({ sequence: 2n })
    assert.match(list()!, /MEDIA-SEQUENCE:0\n/)
    assert.doesNotMatch(list()!, /ENDLIST|\/1\.ts/)
    assert.equal(await gateway.stored('movie/source/1.ts'), null)
    assert.match(gateway.currentPlaylist()!, /^movie\/source/m)
    await clock.wind(240_000)
    assert.equal(list(), null)
  }
})

test('no list names the URL that a segment was pushed to', async () => {
  await using set = await setUp([one()])
  await set.push({ url: 'http://127.0.0.1/live/secret/0.ts' })
  assert.match(set.gateway.mediaPlaylist('movie', 'source')!, /\n\/stream\/movie\/source\/0\.ts\n$/)
})

test('the source is listed before its renditions are', async () => {
  const orchestrator = one()
  orchestrator.workMs = 1_000
  await using set = await setUp([orchestrator])
  const done = set.push({ sequence: 100n })
  await settle()
  assert.match(set.gateway.masterPlaylist('movie')!, /^[^.]*movie\/source\.m3u8\n$/)
  assert.ok(set.gateway.mediaPlaylist('movie', 'source'))
  assert.equal(set.gateway.mediaPlaylist('movie', 'P144p30fps16x9'), null)
  await set.clock.wind(1_000)
  await done
  assert.match(set.gateway.masterPlaylist('movie')!, /P144p30fps16x9\.m3u8\n$/)
})

test('a rendition that is done early is listed behind the ones before it, and a lost one holds up none', async () => {
  const orchestrators = [one(), new FakeOrchestrator('https://o2:8935', 2)]
  await using set = await setUp(orchestrators)
  const numbers = () =>
    [...(set.gateway.mediaPlaylist('movie', 'P144p30fps16x9') ?? '').matchAll(/\/(\d+)\.ts/g)]
      .map(([, n]) => n)
      .join()
  await set.push({ sequence: 0n })
  for (const orchestrator of orchestrators) orchestrator.workMs = 3_000
  const slow = set.push({ sequence: 1n })
  await settle()
  for (const orchestrator of orchestrators) orchestrator.workMs = 100
  const quick = set.push({ sequence: 2n })
  await set.clock.wind(1_000)
  assert.equal((await quick).length, 2)
  assert.equal(numbers(), '0')
  assert.ok(await set.gateway.stored('movie/P144p30fps16x9/2.ts'))
  await set.clock.wind(3_000)
  await slow
  assert.equal(numbers(), '0,1,2')
  const refused = assert.rejects(set.push({ sequence: 3n }))
  await settle()
  for (const orchestrator of orchestrators)
    orchestrator.outcome = { kind: 'error', text: 'No keyframes in input' }
  await set.clock.wind(1_000)
  await refused
  for (const orchestrator of orchestrators) orchestrator.outcome = null
  const next = set.push({ sequence: 4n })
  await set.clock.wind(1_000)
  await next
  assert.equal(numbers(), '0,1,2,4')
})

test('a stream is not idle while a segment is at work', async () => {
  const orchestrator = one()
  orchestrator.workMs = 200_000
  await using set = await setUp([orchestrator])
  const done = set.push()
  await set.clock.wind(180_000)
  assert.equal(set.gateway.status().length, 1)
  await set.clock.wind(20_000)
  assert.equal((await done).length, 2)
})

test('a client that goes away ends the tries, not the one under way', async () => {
  const orchestrators = three()
  await using set = await setUp(orchestrators)
  for (const orchestrator of orchestrators) orchestrator.workMs = 1000
  const gone = new AbortController()
  const served = set.push({}, gone.signal)
  await settle()
  gone.abort()
  await set.clock.wind(1000)
  assert.equal((await served).length, 2, 'its result is stored and shown all the same')

  for (const orchestrator of orchestrators) orchestrator.outcome = { kind: 'error', text: 'x' }
  const again = new AbortController()
  const failed = set.push({ sequence: 1n }, again.signal)
  failed.catch(() => {})
  await settle()
  again.abort()
  await set.clock.wind(1000)
  await assert.rejects(failed, { code: 'segment-failed' })
  const tries = orchestrators.reduce((sum, { submissions }) => sum + submissions.length, 0)
  assert.equal(tries, 2)
})

test('stopping ends what is under way at once and tells the orchestrators', async () => {
  const orchestrator = one()
  const set = await setUp([orchestrator])
  await set.push()
  orchestrator.workMs = 60_000
  const cut = set.push({ sequence: 1n })
  cut.catch(() => {})
  await settle()
  await set[Symbol.asyncDispose]()
  await assert.rejects(cut, { code: 'segment-failed', message: 'the stream ended' })
  assert.equal(orchestrator.ended.length, 1)
  assert.equal(set.clock.sleepers, 0)
  await assert.rejects(set.push({ sequence: 2n }), { code: 'segment-failed' })
})

test('an orchestrator that does not listen does not hold up the stop', async () => {
  const orchestrator = one()
  const set = await setUp([orchestrator])
  await set.push()
  set.network.endSession = () => new Promise(() => {})
  const stopped = set[Symbol.asyncDispose]()
  await settle()
  await set.clock.wind(1_000)
  await stopped
  assert.equal(set.gateway.status().length, 0)
})

test('more segments of one stream at once than any live stream has are refused', async () => {
  const orchestrator = one()
  orchestrator.workMs = 1000
  await using set = await setUp([orchestrator])
  const served = Array.from({ length: 65 }, (_, i) =>
    set.push({ sequence: BigInt(i) }).then(
      () => 'done',
      (error: NodeError) => error.message,
    ),
  )
  await settle()
  await set.clock.wind(1000)
  const results = await Promise.all(served)
  assert.equal(results.filter((result) => result === 'done').length, 64)
  assert.ok(results.includes('too many segments of this stream at once'))
})

test('the newest stream is the current one', async () => {
  await using set = await setUp([one()])
  assert.equal(set.gateway.currentPlaylist(), null)
  await set.push({ externalId: 'a' })
  await set.push({ externalId: 'b' })
  await set.push({ externalId: 'a', sequence: 1n })
  assert.match(set.gateway.currentPlaylist()!, /^b\/source\.m3u8$/m)
})

test('a stream beyond -maxSessions is refused, and the operator is told', async () => {
  await using set = await setUp([one()], { maxSessions: 1 })
  await set.push({ externalId: 'a' })
  await assert.rejects(set.push({ externalId: 'b' }), {
    ...{ code: 'stream-refused', message: '-maxSessions allows 1 stream, and there are as many' },
  })
  assert.deepEqual(set.causes.codes, ['streams-full'])
})

test('a published stream has its name to itself, until its publisher leaves', async () => {
  await using world = await setUp([new FakeOrchestrator('https://o1:8935')])
  const { gateway, push } = world
  const first = gateway.publish('movie')
  assert.throws(() => gateway.publish('movie'), {
    code: 'stream-refused',
    message: 'another publisher is sending "movie"',
  })
  await push({ isPublished: true })
  assert.throws(() => gateway.publish('movie'), { code: 'stream-refused' })
  await push({ sequence: 1n, isPublished: true })
  first.leave()
  const second = gateway.publish('movie')
  // The first one's last word does not end the second one's stream.
  first.end('left')
  await push({ isPublished: true })
  assert.match(gateway.mediaPlaylist('movie', 'source') ?? '', /movie\/source\/0\.ts\n$/)
  second.leave()
  second.end('left')
})

test('a name that segments are pushed to is not published, and the pushes go on', async () => {
  await using world = await setUp([new FakeOrchestrator('https://o1:8935')])
  await world.push()
  assert.throws(() => world.gateway.publish('movie'), {
    code: 'stream-refused',
    message: 'segments are being pushed to "movie" over HTTP',
  })
  assert.equal((await world.push({ sequence: 1n })).length, 2)
})

test('a publisher has its place among -maxSessions from the start', async () => {
  await using world = await setUp([new FakeOrchestrator('https://o1:8935')], { maxSessions: 1 })
  const publication = world.gateway.publish('movie')
  assert.throws(() => world.gateway.publish('other'), /-maxSessions allows 1 stream, and there are as many/)
  await assert.rejects(world.push({ externalId: 'other' }), { code: 'stream-refused' })
  assert.equal((await world.push({ isPublished: true })).length, 2)
  publication.leave()
  publication.end('left')
  await world.push({ externalId: 'other' })
})

test('a published stream ends with its publication, and is played for a minute longer', async () => {
  await using world = await setUp([new FakeOrchestrator('https://o1:8935')])
  const { clock, gateway, kinds, push, store } = world
  const publication = gateway.publish('movie')
  await push({ isPublished: true })
  // Between long segments it is not idle.
  await clock.wind(180_000)
  assert.doesNotMatch(gateway.mediaPlaylist('movie', 'source')!, /ENDLIST/)
  publication.leave()
  publication.end('left')
  assert.ok(kinds().includes('stream-ended'))
  await clock.wind(59_000)
  assert.match(gateway.mediaPlaylist('movie', 'source')!, /movie\/source\/0\.ts\n#EXT-X-ENDLIST\n$/)
  assert.ok(await gateway.stored('movie/source/0.ts'))
  await clock.wind(2_000)
  assert.equal(gateway.masterPlaylist('movie'), null)
  assert.equal(store.files, 0)
})

test('a published stream asks for no slicing, and sound alone is played as it is', async () => {
  const orchestrator = new FakeOrchestrator('https://o1:8935')
  await using world = await setUp([orchestrator])
  world.gateway.publish('movie')
  const renditions = await world.push({
    ...{ isPublished: true, hasOnlySound: true, bytes: new TextEncoder().encode('codec=') },
  })
  assert.equal(renditions.length, 2)
  assert.ok(renditions.every(({ bytes }) => new TextDecoder().decode(bytes) === 'codec='))
  assert.equal(orchestrator.submissions.length, 0)
  await world.push({ sequence: 1n, isPublished: true })
  assert.equal(orchestrator.submissions.length, 1)
  assert.deepEqual(orchestrator.submissions[0]!.segment.capabilities?.bitstring, [4099n])
})

test('an orchestrator that cannot slice gets published streams, and none that are pushed', async () => {
  const orchestrator = new FakeOrchestrator('https://o1:8935')
  const usual = defaultCapabilities('0.9.1')
  const bits = bitsOf(usual.bitstring).filter((bit) => bit !== capability.segmentSlicing)
  orchestrator.capabilities = { ...usual, bitstring: bitstringOf(bits) }
  await using world = await setUp([orchestrator])
  world.gateway.publish('movie')
  assert.equal((await world.push({ isPublished: true })).length, 2)
  const refusal = assert.rejects(world.push({ externalId: 'pushed' }), { code: 'no-sessions' })
  await world.clock.wind(3_500)
  await refusal
  assert.equal(orchestrator.submissions.length, 1)
})

test('an orchestrator that is older than -orchMinLivepeerVersion gets nothing', async () => {
  const [old, fresh] = ['0.8.9', '0.8.10'].map((version, i) => {
    const orchestrator = new FakeOrchestrator(`https://o${i}:8935`, i + 1)
    orchestrator.capabilities = defaultCapabilities(version)
    return orchestrator
  })
  await using world = await setUp([old!, fresh!], { minOrchestratorVersion: '0.8.10' })
  for (const externalId of ['a', 'b', 'c']) await world.push({ externalId })
  assert.deepEqual([old!.submissions.length, fresh!.submissions.length], [0, 3])
})

test('a published stream is not taken for a pushed one whose name in the URL is the same', async () => {
  await using world = await setUp([new FakeOrchestrator('https://o1:8935')])
  await world.push({ externalId: 'movie', config: config({ manifestId: 'other' }) })
  const publication = world.gateway.publish('movie')
  await world.push({ externalId: publication.manifestId, isPublished: true, sequence: 7n })
  assert.match(world.gateway.mediaPlaylist('movie', 'source')!, /movie\/source\/7\.ts/)
  assert.doesNotMatch(world.gateway.mediaPlaylist('other', 'source')!, /\/7\.ts/)
})
