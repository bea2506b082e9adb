import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeEngine } from '../../../test/fakes/engine.ts'
import { eventsTo } from '../../../test/fakes/events.ts'
import { defaultCapabilities } from '../../domain/capabilities.ts'
import type { NodeEvent } from '../../domain/events.ts'
import { presetNamed } from '../../domain/rendition.ts'
import type { SegmentData } from '../../domain/segment.ts'
import { requestHash, resultHash, segmentHash } from '../../domain/signed-hashes.ts'
import type { Payment } from '../../domain/ticket.ts'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import { formatHex, leftPad, parseHex } from '../../lib/bytes.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { addressOfKey, keccak256, recoverSigner, signHash } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { abortError, NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import { Supervisor } from '../../lib/service.ts'
import { EngineCapacity } from '../transcoding/engine-capacity.ts'
import type { TranscodeJob, TranscodeOutput, Transcoder } from '../transcoding/transcoder.ts'
import type { GatewayVerdict } from './gateway-authority.ts'
import { Orchestrator, type OtherNodes } from './orchestrator.ts'
import type { Recipient } from './recipient.ts'

const gatewayKey = leftPad(Uint8Array.of(1), 32)
const gateway = addressOfKey(gatewayKey)
const orchestratorKey = leftPad(Uint8Array.of(2), 32)
const profile = { ...presetNamed('P144p30fps16x9')!, format: 'mpegts' as const }
const source = new TextEncoder().encode('a segment')
const never = new AbortController().signal

/** Everything an orchestrator needs, with the parts that a test wants to look into. */
function setUp(
  overrides: {
    maxSessions?: number
    offchain?: boolean
    maxPixels?: bigint
    recipient?: Partial<Recipient>
    transcoder?: (clock: ManualClock) => Transcoder
    siblings?: OtherNodes
    verdict?: GatewayVerdict
  } = {},
) {
  const clock = new ManualClock()
  const debits: string[] = []
  const failures: string[] = []
  const told: NodeEvent[] = []
  const reserved: bigint[] = []
  const releases: string[] = []
  const agreed: string[] = []
  const { verdict } = overrides
  const stored = new MemoryObjects({ baseUrl: 'https://127.0.0.1:8935/stream/' })
  const jobs: {
    job: TranscodeJob
    finish: (output: TranscodeOutput) => void
    fail: (error: Error) => void
  }[] = []
  const recipient: Recipient = {
    quote: async () => ({ ticketParams: null, priceInfo: { pricePerUnit: 1n, pixelsPerUnit: 1n } }),
    receive: async () => {},
    admit: async ({ sender, sessionId, pixels }) => {
      reserved.push(pixels)
      return {
        price: null,
        maxPixels: overrides.maxPixels ?? null,
        charge: async (done) => void debits.push(`${sender} ${sessionId} ${done}`),
        release: () => void releases.push(sessionId),
      }
    },
    ...overrides.recipient,
  }
  const orchestrator = new Orchestrator(
    {
      serviceUri: 'https://127.0.0.1:8935',
      nodes: [],
      offchain: overrides.offchain ?? false,
      recipient: null,
      maxSessions: overrides.maxSessions ?? 10,
      capabilities: defaultCapabilities('0.1.0'),
      version: '0.1.0',
    },
    {
      signer: {
        address: addressOfKey(orchestratorKey),
        sign: async (hash) => signHash(orchestratorKey, hash),
      },
      recipient,
      transcoder: overrides.transcoder?.(clock) ?? {
        transcode: (job) =>
          new Promise((resolve, reject) => jobs.push({ job, finish: resolve, fail: reject })),
      },
      results: stored,
      authKeys: { keys: [new TextEncoder().encode('key')] },
      siblings: overrides.siblings ?? null,
      authority: verdict ? { decide: async () => verdict } : null,
      agree: (address, price) => void agreed.push(`${address} ${price}`),
      clock,
      dice: seededDice('orchestrator'),
      log: silentLog,
      events: eventsTo({
        'segment-failed': ({ failure }) => void failures.push(failure),
        'segment-arrived': (event) => void told.push(event),
        'segment-done': (event) => void told.push(event),
      }),
    },
  )
  return { orchestrator, clock, agreed, debits, failures, told, reserved, releases, stored, jobs }
}

const request = {
  address: gateway,
  sig: signHash(gatewayKey, requestHash(gateway)),
  capabilities: null,
  ignoreCapacityCheck: false,
}
const payment: Payment = {
  sender: gateway,
  ticketParams: null,
  expirationParams: null,
  tickets: [],
  expectedPrice: null,
}

async function segmentFor(
  orchestrator: Orchestrator,
  changes: Partial<SegmentData> = {},
): Promise<SegmentData> {
  const { authToken } = await orchestrator.info(request)
  const segment: SegmentData = {
    manifestId: 'movie',
    seq: 7n,
    hash: keccak256(source),
    profiles: [profile],
    sig: new Uint8Array(0),
    durationMs: 2000,
    capabilities: null,
    authToken,
    calcPerceptualHash: false,
    storage: [],
    clip: null,
    forceSessionReinit: false,
    ...changes,
  }
  return changes.sig ? segment : { ...segment, sig: signHash(gatewayKey, segmentHash(segment)) }
}

/** What a gateway does with the result of a segment. */
async function fetchRenditions(orchestrator: Orchestrator, { authToken, profiles, seq }: SegmentData) {
  for (const { name } of profiles)
    assert.ok(await orchestrator.stored(`${authToken!.sessionId}/${name}/${seq}.ts`))
}

function output(bytes = 100, renditions = 1): TranscodeOutput {
  const rendition = { bytes: new Uint8Array(bytes).fill(7), pixels: 1234n, perceptualHash: null }
  return { decodedPixels: 1n, renditions: Array.from({ length: renditions }, () => rendition) }
}

test('the request signature is over the hash of the checksummed address', () => {
  assert.equal(gateway, '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf')
  assert.equal(
    formatHex(requestHash(gateway)),
    '0x4d5a49db91080e655190d37cddc99ea26046572ad0796bb34bdaba86f6b74672',
  )
})

test('a request that its address did not sign is refused with the network’s text', async () => {
  const { orchestrator } = setUp()
  await assert.rejects(orchestrator.info({ ...request, sig: new Uint8Array(65) }), {
    message: 'Invalid orchestrator request: orchestrator req sig check failed',
  })
  const { orchestrator: offchain } = setUp({ offchain: true })
  assert.equal(
    (await offchain.info({ ...request, sig: new Uint8Array(0) })).transcoder,
    'https://127.0.0.1:8935',
  )
})

test('a segment is told when it has arrived and when it is done, with its stream and its gateway', async () => {
  const { clock, jobs, orchestrator, told } = setUp()
  const segment = await segmentFor(orchestrator)
  const admission = await orchestrator.admit(segment, payment, { host: '10.0.0.7' })
  await clock.wind(300)
  const answer = admission.transcode(source, never)
  while (jobs.length === 0) await settle()
  await clock.wind(900)
  jobs[0]!.finish(output())
  await answer
  const stream = { side: 'orchestrator', sessionId: segment.authToken!.sessionId, manifestId: 'movie' }
  assert.deepEqual(told, [
    {
      ...{ kind: 'segment-arrived', ...stream, durationMs: 2000, clientIp: '10.0.0.7' },
      ...{ bytes: source.length, tookMs: 300 },
    },
    {
      ...{ kind: 'segment-done', ...stream, durationMs: 2000, clientIp: '10.0.0.7', tookMs: 900 },
      ...{ pixels: 1234n, renditions: 1, profiles: [profile.name], price: null },
    },
  ])
})

test('an answer carries signed renditions that can be fetched, and their pixels are charged', async () => {
  const { orchestrator, jobs, debits } = setUp()
  const segment = await segmentFor(orchestrator)
  const sessionId = segment.authToken!.sessionId
  const admission = await orchestrator.admit(segment, payment)
  const answer = admission.transcode(source, never)
  await settle()
  assert.equal(jobs[0]!.job.provider, 'Livepeer Transcoder 0.1.0 (offchain)')
  jobs[0]!.finish(output())
  const result = await answer
  assert.equal(result.seq, 7n)
  assert.deepEqual(result.info?.authToken, segment.authToken)
  assert.ok(result.outcome.kind === 'data')
  const { url, pixels } = result.outcome.renditions[0]!
  assert.equal(url, `https://127.0.0.1:8935/stream/${sessionId}/P144p30fps16x9/7.ts`)
  assert.equal(pixels, 1234n)
  const bytes = (await orchestrator.stored(`${sessionId}/P144p30fps16x9/7.ts`))!
  assert.equal(
    recoverSigner(resultHash([keccak256(bytes)]), result.outcome.sig),
    addressOfKey(orchestratorKey),
  )
  assert.deepEqual(debits, [`${gateway} ${sessionId} 1234`])
})

test('two streams of one manifest id, each with its own session, get in each other’s way nowhere', async () => {
  const { orchestrator, jobs } = setUp()
  const segments = [await segmentFor(orchestrator), await segmentFor(orchestrator)]
  assert.equal(segments[0]!.manifestId, segments[1]!.manifestId)
  const answers = []
  for (const segment of segments)
    answers.push((await orchestrator.admit(segment, payment)).transcode(source, never))
  await settle()
  const sessions = segments.map(({ authToken }) => authToken!.sessionId)
  assert.notEqual(sessions[0], sessions[1])
  assert.deepEqual(
    jobs.map(({ job }) => job.sessionId),
    sessions,
  )
  for (const [index, { finish }] of jobs.entries()) finish(output(100 + index))
  await Promise.all(answers)
  const stored = await Promise.all(sessions.map((id) => orchestrator.stored(`${id}/P144p30fps16x9/7.ts`)))
  assert.deepEqual(
    stored.map((bytes) => bytes?.length),
    [100, 101],
  )
})

test('an answer does not wait for its charge, and one that fails is not told to the gateway', async () => {
  const charge = Promise.withResolvers<void>()
  const reservation = { price: null, maxPixels: null, charge: () => charge.promise, release: () => {} }
  const { orchestrator, jobs } = setUp({ recipient: { admit: async () => reservation } })
  const segment = await segmentFor(orchestrator)
  const answer = (await orchestrator.admit(segment, payment)).transcode(source, never)
  await settle()
  jobs[0]!.finish(output())
  assert.equal((await answer).outcome.kind, 'data')
  charge.reject(new Error('database or disk is full'))
  await settle()
})

test('the fee of what is declared is set aside before the bytes are read, and free again when they never come', async () => {
  const { orchestrator, debits, reserved, releases } = setUp()
  const segment = await segmentFor(orchestrator, { durationMs: 3_001 })
  const admission = await orchestrator.admit(segment, payment)
  assert.deepEqual(reserved, [256n * 144n * 30n * 4n], 'whole seconds, without the over-estimate')
  admission.release()
  assert.deepEqual([releases.length, debits.length], [1, 0])
})

test('credentials are refused in order: signature, capabilities, token, capacity', async () => {
  const { orchestrator } = setUp({ maxSessions: 1 })
  const impossible = { ...defaultCapabilities(''), bitstring: [1n << 60n] }
  const good = await segmentFor(orchestrator)
  const expired = { ...good.authToken!, expiration: 1n }
  const cases: [Partial<SegmentData>, string][] = [
    [{ sig: parseHex('00'.repeat(65)), capabilities: impossible }, 'ErrSegSig'],
    [{ capabilities: impossible, authToken: null }, 'incompatible capabilities'],
    [{ authToken: null }, 'missing auth token'],
    [{ authToken: expired }, 'invalid auth token'],
  ]
  for (const [changes, message] of cases) {
    const segment = await segmentFor(orchestrator, changes)
    await assert.rejects(orchestrator.admit(segment, payment), { code: 'forbidden', message })
  }
  const other = await segmentFor(orchestrator)
  await orchestrator.admit(good, payment)
  await assert.rejects(orchestrator.admit(other, payment), {
    code: 'capped',
    message: 'OrchestratorCapped',
  })
  await assert.rejects(orchestrator.info(request), {
    message: 'Invalid orchestrator request: OrchestratorCapped',
  })
  assert.ok(await orchestrator.admit(good, payment), 'a known session goes on')
})

test('without a payment header the zero address would have had to sign', async () => {
  const { orchestrator } = setUp()
  await assert.rejects(orchestrator.admit(await segmentFor(orchestrator), null), { message: 'ErrSegSig' })
})

test('a refused payment is told as it is, and keeps no session', async () => {
  const { orchestrator } = setUp({
    recipient: { admit: async () => Promise.reject(new NodeError('x', 'invalid ticket recipient')) },
  })
  await assert.rejects(orchestrator.admit(await segmentFor(orchestrator), payment), {
    code: 'payment-refused',
    message: 'invalid ticket recipient',
  })
  assert.equal(orchestrator.sessionCount, 0)
})

test('a session of ours that this node cannot do may go elsewhere', async () => {
  const { orchestrator } = setUp()
  const capabilities = { ...defaultCapabilities(''), bitstring: [1n << 60n] }
  await assert.rejects(orchestrator.admit(await segmentFor(orchestrator, { capabilities }), payment), {
    code: 'incapable',
    message: 'incompatible capabilities',
  })
})

test('of a store that is away a gateway is told neither where it is nor why', async () => {
  const says = 'the database at postgres://10.0.0.9:5432 cannot be used: connect ECONNREFUSED'
  const away = async () => Promise.reject(new NodeError('store-unavailable', says))
  const refused = {
    code: 'unavailable',
    message:
      'this orchestrator cannot record payments just now, so it takes no new sessions: try again later',
  }
  const { orchestrator } = setUp({ recipient: { admit: away, receive: away } })
  const segment = await segmentFor(orchestrator)
  await assert.rejects(orchestrator.admit(segment, payment), refused)
  await assert.rejects(orchestrator.pay(segment, payment), refused)
  await assert.rejects(setUp({ recipient: { quote: away } }).orchestrator.info(request), refused)
})

test('a payment that this node fails to write down is not refused as the gateway’s fault', async () => {
  const full = new Error('database or disk is full')
  const { orchestrator } = setUp({ recipient: { admit: async () => Promise.reject(full) } })
  await assert.rejects(orchestrator.admit(await segmentFor(orchestrator), payment), full)
  assert.equal(orchestrator.sessionCount, 0)
})

test('one segment of a session runs, four wait, the sixth is told OrchestratorBusy', async () => {
  const { orchestrator, jobs, failures } = setUp()
  const segment = await segmentFor(orchestrator)
  const answers = []
  for (let i = 0; i < 6; i++) {
    answers.push((await orchestrator.admit(segment, payment)).transcode(source, never))
  }
  const sixth = await answers[5]!
  assert.deepEqual(sixth.outcome, { kind: 'error', text: 'OrchestratorBusy' })
  assert.deepEqual(failures, ['busy'])
  for (let i = 0; i < 5; i++) {
    await settle()
    assert.equal(jobs.length, i + 1, 'the next starts when the one before is done')
    jobs[i]!.finish(output())
  }
  const kinds = await Promise.all(answers.slice(0, 5).map(async (answer) => (await answer).outcome.kind))
  assert.deepEqual(kinds, ['data', 'data', 'data', 'data', 'data'])
})

/** An engine of known speed: two workers, each with a fixed time for a second of video. */
async function measured(secondTakesMs: number, maxSessions = 100) {
  let engine: FakeEngine | null = null
  let capacity: EngineCapacity | null = null
  const set = setUp({
    maxSessions,
    transcoder: (clock) => {
      engine = new FakeEngine(clock, { parallel: 2, secondTakesMs })
      capacity = new EngineCapacity(
        { maxSessions, ladder: [profile] },
        { engine, clock, log: silentLog, sample: async () => ({ bytes: source, durationMs: 1_000 }) },
      )
      return capacity
    },
  })
  /** Posts segments of one session at once; what came of each, once it is known. */
  const post = async (count: number, changes: Partial<SegmentData> = {}) => {
    const segment = await segmentFor(set.orchestrator, changes)
    const texts: (string | null)[] = Array.from({ length: count }, () => null)
    for (let i = 0; i < count; i++) {
      const admission = await set.orchestrator.admit(segment, payment)
      void admission.transcode(source, never).then(({ outcome }) => {
        texts[i] = outcome.kind === 'error' ? outcome.text : 'done'
      })
    }
    for (let i = 0; i < 20; i++) await settle()
    return texts
  }
  // Two segments at once tell the speed of one worker and of both.
  await post(1)
  await post(1)
  await set.clock.wind(8_000)
  return { ...set, engine: engine!, capacity: capacity!, post }
}

test('a segment that what is before it would make late is told OrchestratorBusy at once, and not worked on', async () => {
  // Slower than real time: two segments take 6.8 s, a third would be done after 10.2 s.
  const { engine, clock, post } = await measured(1_700)
  const begun = engine.begun.length
  const texts = await post(5)
  assert.deepEqual(texts, [null, null, 'OrchestratorBusy', 'OrchestratorBusy', 'OrchestratorBusy'])
  await clock.wind(20_000)
  assert.deepEqual(texts.slice(0, 2), ['done', 'done'])
  assert.equal(engine.begun.length - begun, 2)
})

test('on a machine that keeps up five of six are done as ever, and the sixth is told OrchestratorBusy', async () => {
  const { clock, post } = await measured(700)
  const texts = await post(6)
  assert.deepEqual(texts, [null, null, null, null, null, 'OrchestratorBusy'])
  await clock.wind(20_000)
  assert.deepEqual(texts.slice(0, 5), ['done', 'done', 'done', 'done', 'done'])
})

test('a new session is capped while its segment could not be done in time, a known one goes on', async () => {
  const { clock, orchestrator, post } = await measured(1_000)
  const known = await segmentFor(orchestrator)
  const early = await segmentFor(orchestrator)
  const late = await segmentFor(orchestrator)
  const first = (await orchestrator.admit(known, payment)).transcode(source, never)
  await clock.wind(4_000)
  assert.equal((await first).outcome.kind, 'data')
  for (let session = 0; session < 7; session++) await post(1)
  const capped = { code: 'capped', message: 'OrchestratorCapped' }
  await assert.rejects(orchestrator.admit(late, payment), capped)
  await assert.rejects(orchestrator.info(request), {
    message: 'Invalid orchestrator request: OrchestratorCapped',
  })
  const admission = await orchestrator.admit(known, payment)
  const answer = await admission.transcode(source, never)
  assert.deepEqual(answer.outcome, { kind: 'error', text: 'OrchestratorBusy' })
  await clock.wind(4_000)
  ;(await orchestrator.admit(early, payment)).release()
  assert.ok(await orchestrator.info(request))
})

test('of more streams than the machine sustains as much is done as it can do, and nothing is begun in vain', async () => {
  // Two streams are sustained, five come.
  const { clock, orchestrator, engine } = await measured(1_000)
  const segments = []
  for (let session = 0; session < 5; session++) segments.push(await segmentFor(orchestrator))
  const texts = new Map<string, number>()
  const count = (text: string) => void texts.set(text, (texts.get(text) ?? 0) + 1)
  const post = async (segment: SegmentData) => {
    const admission = await orchestrator.admit(segment, payment)
    const { outcome } = await admission.transcode(source, never)
    count(outcome.kind === 'error' ? outcome.text : 'done')
  }
  for (let ms = 0; ms < 120_000; ms += 400) {
    if (ms === 60_000) engine.secondTakesMs = 1_400
    post(segments[(ms / 400) % 5]!).catch((error) => count(error.message))
    await clock.wind(400)
  }
  await clock.wind(10_000)
  const { done = 0, ...errors } = Object.fromEntries(texts)
  // 60 s of two streams, then 60 s of one and a half, in segments of 2 s.
  assert.ok(done >= 95, `${done} done`)
  const { OrchestratorBusy: busy = 0, OrchestratorCapped: capped = 0, ...others } = errors
  const late = Object.values(others).reduce((sum, times) => sum + times, 0)
  assert.ok(late <= 6, JSON.stringify(errors))
  assert.equal(done + busy + capped + late, 300)
})

const DECLARED = 256n * 144n * 30n * 2n
const workDone = { decodedPixels: 500n, encodedPixels: 70n }

const FAILURES: {
  readonly text: string
  readonly error: Error
  /** Whether a worker had taken the segment. */
  readonly begun?: false
  readonly charged: bigint | null
}[] = [
  {
    text: 'No keyframes in input',
    error: new NodeError('media', 'No keyframes in input', { details: { workDone } }),
    charged: 570n,
  },
  { text: 'Decoder not found', error: new NodeError('media', 'Decoder not found'), charged: DECLARED },
  { text: 'Media worker died', error: new NodeError('media-death', 'Media worker died'), charged: DECLARED },
  {
    text: 'Media work took too long',
    error: new NodeError('media-late', 'Media work took too long'),
    charged: DECLARED,
  },
  {
    text: 'Remote transcoder took too long',
    error: new NodeError('too-late', 'Remote transcoder took too long'),
    charged: DECLARED,
  },
  {
    text: 'TranscoderInvalidVideo',
    error: new NodeError('remote-failure', 'TranscoderInvalidVideo'),
    charged: DECLARED,
  },
  { text: 'TranscoderBusy', error: new NodeError('remote-failure', 'TranscoderBusy'), charged: null },
  {
    text: 'Too much media work is waiting',
    error: new NodeError('media-busy', 'Too much media work is waiting'),
    charged: null,
  },
  {
    text: 'no transcoders available',
    error: new NodeError('no-transcoder', 'no transcoders available'),
    begun: false,
    charged: null,
  },
  { text: 'database or disk is full', error: new Error('database or disk is full'), charged: null },
]

for (const { begun, charged, error, text } of FAILURES) {
  test(`a segment that fails with "${text}" is charged ${charged ?? 'nothing'}`, async () => {
    const { orchestrator, jobs, debits, releases } = setUp()
    const admission = await orchestrator.admit(await segmentFor(orchestrator), payment)
    const answer = admission.transcode(source, never)
    await settle()
    if (begun !== false) jobs[0]!.job.onBegin!()
    jobs[0]!.fail(error)
    const result = await answer
    assert.deepEqual(result.outcome, { kind: 'error', text })
    assert.ok(result.info, 'info comes with errors too')
    assert.deepEqual(
      debits.map((debit) => debit.split(' ').at(-1)),
      charged === null ? [] : [`${charged}`],
    )
    assert.equal(releases.length, charged === null ? 1 : 0)
  })
}

test('a gateway that leaves is charged what it declared once the work has begun, and nothing before', async () => {
  for (const hasBegun of [true, false]) {
    const gone = new AbortController()
    const { orchestrator, jobs, debits } = setUp()
    const admission = await orchestrator.admit(await segmentFor(orchestrator), payment)
    const answer = admission.transcode(source, gone.signal)
    await settle()
    if (hasBegun) jobs[0]!.job.onBegin!()
    gone.abort()
    jobs[0]!.fail(abortError(gone.signal))
    await answer
    assert.deepEqual(
      debits.map((debit) => debit.split(' ').at(-1)),
      hasBegun ? [`${DECLARED}`] : [],
    )
  }
})

test('a transcoder that misses renditions costs the gateway nothing', async () => {
  const cases: [TranscodeOutput, string][] = [
    [output(100, 2), 'MismatchedSegments'],
    [output(24), 'ZeroSegments'],
  ]
  for (const [wrong, text] of cases) {
    const { orchestrator, jobs, debits } = setUp()
    const admission = await orchestrator.admit(await segmentFor(orchestrator), payment)
    const answer = admission.transcode(source, never)
    await settle()
    jobs[0]!.job.onBegin!()
    jobs[0]!.finish(wrong)
    assert.deepEqual((await answer).outcome, { kind: 'error', text })
    assert.deepEqual(debits, [])
  }
})

test('a result of more pixels than may be done is not handed out, and charged up to that', async () => {
  const { orchestrator, jobs, debits, stored } = setUp({ maxPixels: 1233n })
  const segment = await segmentFor(orchestrator)
  const answer = (await orchestrator.admit(segment, payment)).transcode(source, never)
  await settle()
  assert.equal(jobs[0]!.job.maxPixels, 1233n)
  jobs[0]!.job.onBegin!()
  jobs[0]!.finish(output())
  assert.deepEqual((await answer).outcome, {
    kind: 'error',
    text: 'Segment goes beyond its declared duration: it takes more than 1233 pixels',
  })
  assert.deepEqual(debits, [`${gateway} ${segment.authToken!.sessionId} 1233`])
  assert.equal(stored.files, 0)
})

test('work that is done is answered even when no new params can be offered', async () => {
  let offers = 0
  const { orchestrator, jobs } = setUp({
    recipient: {
      quote: async () => {
        if (offers++ > 0) throw new NodeError('x', 'insufficient sender reserve')
        return { ticketParams: null, priceInfo: null }
      },
    },
  })
  const admission = await orchestrator.admit(await segmentFor(orchestrator), payment)
  const answer = admission.transcode(source, never)
  await settle()
  jobs[0]!.finish(output())
  const result = await answer
  assert.equal(result.outcome.kind, 'data')
  assert.equal(result.info, null)
})

test('a session ends 70 s after its last finished segment, and at its gateway’s wish', async () => {
  const { orchestrator, clock, jobs, stored } = setUp()
  await using supervisor = new Supervisor()
  await supervisor.start(orchestrator)
  const segment = await segmentFor(orchestrator)
  const finishOne = async () => {
    const answer = (await orchestrator.admit(segment, payment)).transcode(source, never)
    await settle()
    jobs.at(-1)!.finish(output())
    await answer
  }
  await finishOne()
  const admission = await orchestrator.admit(segment, payment)
  await clock.wind(120_000)
  assert.equal(orchestrator.sessionCount, 1, 'a running segment keeps its session')
  admission.release()
  await clock.wind(6_000)
  assert.equal(orchestrator.sessionCount, 0, 'a segment that was never finished does not')
  await finishOne()
  await clock.wind(60_000)
  ;(await orchestrator.admit(segment, payment)).release()
  await clock.wind(9_000)
  assert.equal(orchestrator.sessionCount, 1)
  assert.equal(stored.files, 1)
  await clock.wind(6_000)
  assert.equal(orchestrator.sessionCount, 0)
  assert.equal(stored.files, 0, 'its results are forgotten')

  await finishOne()
  await assert.rejects(orchestrator.endSession({ ...segment.authToken!, sessionId: 'ffffffff' }), {
    message: 'Invalid auth token',
  })
  await orchestrator.endSession(segment.authToken)
  await orchestrator.endSession(segment.authToken)
  assert.equal(orchestrator.sessionCount, 0)
})

test('a session of which nothing is finished holds no place once its segment has failed or never came', async () => {
  const { orchestrator, jobs } = setUp({ maxSessions: 1 })
  const [first, second] = [await segmentFor(orchestrator), await segmentFor(orchestrator)]
  ;(await orchestrator.admit(first, payment)).release()
  await settle()
  const answer = (await orchestrator.admit(second, payment)).transcode(source, never)
  await assert.rejects(orchestrator.admit(first, payment), { message: 'OrchestratorCapped' })
  await settle()
  jobs[0]!.fail(new NodeError('media', 'No keyframes in input'))
  await answer
  await settle()
  assert.equal(orchestrator.sessionCount, 0)
  assert.ok(await orchestrator.admit(first, payment))
})

test('a session keeps its place for 70 s after a finished segment, whatever comes slowly meanwhile', async () => {
  const { clock, orchestrator, jobs } = setUp({ maxSessions: 1 })
  const [first, other] = [await segmentFor(orchestrator), await segmentFor(orchestrator)]
  const answer = (await orchestrator.admit(first, payment)).transcode(source, never)
  await settle()
  jobs[0]!.finish(output())
  await answer
  await orchestrator.admit(first, payment)
  await clock.wind(69_000)
  await assert.rejects(orchestrator.admit(other, payment), { message: 'OrchestratorCapped' })
  await clock.wind(1_000)
  assert.ok(await orchestrator.admit(other, payment))
})

test('first segments that are slow to come do not keep the places from others', async () => {
  const { clock, orchestrator, jobs, failures } = setUp({ maxSessions: 1 })
  const [slow, quick] = [await segmentFor(orchestrator), await segmentFor(orchestrator)]
  const admission = await orchestrator.admit(slow, payment)
  await clock.wind(7_000)
  await assert.rejects(orchestrator.admit(quick, payment), { message: 'OrchestratorCapped' })
  await clock.wind(1_000)
  const answer = (await orchestrator.admit(quick, payment)).transcode(source, never)
  await settle()
  const late = await admission.transcode(source, never)
  assert.deepEqual(late.outcome, { kind: 'error', text: 'OrchestratorCapped' })
  assert.deepEqual(failures, ['capped'])
  jobs[0]!.finish(output())
  assert.equal((await answer).outcome.kind, 'data')
})

test('a session that is ended while its segments run keeps its place and its turn until they are done', async () => {
  const { orchestrator, jobs } = setUp({ maxSessions: 1 })
  const segment = await segmentFor(orchestrator)
  const other = await segmentFor(orchestrator)
  const first = (await orchestrator.admit(segment, payment)).transcode(source, never)
  await orchestrator.endSession(segment.authToken)
  await assert.rejects(orchestrator.admit(other, payment), { message: 'OrchestratorCapped' })
  const second = (await orchestrator.admit(segment, payment)).transcode(source, never)
  await orchestrator.endSession(segment.authToken)
  await settle()
  assert.equal(jobs.length, 1, 'ending does not make room for a second at the same time')
  jobs[0]!.finish(output())
  await first
  await settle()
  jobs[1]!.finish(output())
  await second
  assert.equal(orchestrator.sessionCount, 0)
})

test('a segment whose fee the session’s balance does not cover is refused, and keeps no session', async () => {
  const short = new NodeError('insufficient-balance', 'Insufficient balance')
  const { orchestrator } = setUp({ recipient: { admit: async () => Promise.reject(short) } })
  await assert.rejects(orchestrator.admit(await segmentFor(orchestrator), payment), {
    code: 'payment-refused',
    message: 'Insufficient balance',
  })
  assert.equal(orchestrator.sessionCount, 0)
})

test('an orchestrator that drains offers no more sessions, serves the running ones to their end, and then is done', async () => {
  const { orchestrator, clock, jobs } = setUp()
  const segment = await segmentFor(orchestrator)
  const running = await orchestrator.admit(segment, payment)
  let drained = false
  const draining = orchestrator.drain({ limitMs: 30_000, noticeMs: 3_000 }, never).then(() => {
    drained = true
  })
  // Balancers have a moment to notice.
  await clock.wind(2_000)
  await orchestrator.info(request)
  await clock.wind(2_000)
  await assert.rejects(orchestrator.info(request), {
    message: 'Invalid orchestrator request: OrchestratorCapped',
  })
  const answered = running.transcode(source, never)
  await settle()
  jobs[0]!.finish(output())
  assert.equal((await answered).outcome.kind, 'data')
  await fetchRenditions(orchestrator, segment)
  const next = await orchestrator.admit(segment, payment)
  next.release()
  assert.equal(drained, false)
  await orchestrator.endSession(segment.authToken)
  await clock.wind(1_000)
  await draining
})

test('streams that go on keep a draining orchestrator no longer than it may; the last segments are finished', async () => {
  const { orchestrator, clock, jobs } = setUp()
  const segment = await segmentFor(orchestrator)
  const running = await orchestrator.admit(segment, payment)
  const answered = running.transcode(source, never)
  let drained = false
  const draining = orchestrator.drain({ limitMs: 5_000, noticeMs: 3_000 }, never).then(() => {
    drained = true
  })
  await clock.wind(6_000)
  await assert.rejects(orchestrator.admit(segment, payment), { message: 'OrchestratorCapped' })
  assert.equal(drained, false)
  jobs[0]!.finish(output())
  assert.equal((await answered).outcome.kind, 'data')
  await clock.wind(1_000)
  assert.equal(drained, false, 'the gateway has not fetched the last result')
  await fetchRenditions(orchestrator, segment)
  await clock.wind(1_000)
  await draining
})

test('a draining orchestrator waits for a gateway that does not fetch its result no longer than that takes', async () => {
  const { orchestrator, clock, jobs } = setUp()
  const answered = (await orchestrator.admit(await segmentFor(orchestrator), payment)).transcode(
    source,
    never,
  )
  await settle()
  jobs[0]!.finish(output())
  await answered
  let drained = false
  const draining = orchestrator.drain({ limitMs: 0, noticeMs: 3_000 }, never).then(() => {
    drained = true
  })
  await clock.wind(4_000)
  assert.equal(drained, false)
  await clock.wind(1_500)
  await draining
})

test('a draining orchestrator gives results that are not fetched yet to a sibling, and waits for those that it does not keep', async () => {
  const given: string[] = []
  let keeps = false
  const siblings = {
    hasRoom: true,
    ended: () => {},
    giveAway: async (results: readonly { readonly path: string }[]) => {
      given.push(...results.map(({ path }) => path))
      return new Set(keeps ? given : [])
    },
  }
  const { orchestrator, clock, jobs } = setUp({ siblings })
  const answered = (await orchestrator.admit(await segmentFor(orchestrator), payment)).transcode(
    source,
    never,
  )
  await settle()
  jobs[0]!.finish(output())
  await answered
  let drained = false
  const drain = () =>
    orchestrator.drain({ limitMs: 0, noticeMs: 0 }, never).then(() => {
      drained = true
    })
  const first = drain()
  await clock.wind(400)
  assert.equal(given.length, output().renditions.length)
  assert.equal(drained, false)
  keeps = true
  const second = drain()
  await clock.wind(400)
  assert.equal(drained, true)
  await Promise.all([first, second])
})

test('an orchestrator that is told to go on, during a drain or after it, takes sessions and segments again', async () => {
  const { orchestrator, clock } = setUp()
  const segment = await segmentFor(orchestrator)
  const running = await orchestrator.admit(segment, payment)
  const abort = new AbortController()
  const draining = orchestrator.drain({ limitMs: 4_000, noticeMs: 3_000 }, abort.signal)
  await clock.wind(5_000)
  await assert.rejects(orchestrator.admit(segment, payment), { message: 'OrchestratorCapped' })
  abort.abort()
  await assert.rejects(draining, { name: 'AbortError' })
  orchestrator.undrain()
  const next = await orchestrator.admit(segment, payment)
  await orchestrator.info(request)
  for (const { release } of [running, next]) release()
})

test('where siblings have room, a draining orchestrator waits for no session, and refuses segments so that they are handed over', async () => {
  const siblings = { hasRoom: false, ended: () => {}, giveAway: async () => new Set<string>() }
  const { orchestrator, clock, jobs } = setUp({ siblings })
  const segment = await segmentFor(orchestrator)
  const answered = (await orchestrator.admit(segment, payment)).transcode(source, never)
  let moved = 0
  let drained = false
  const limits = { limitMs: 30_000, noticeMs: 3_000, onMove: () => void moved++ }
  const draining = orchestrator.drain(limits, never).then(() => {
    drained = true
  })
  await clock.wind(4_000)
  ;(await orchestrator.admit(segment, payment)).release()
  assert.equal(moved, 0, 'nobody else could take it')
  siblings.hasRoom = true
  await clock.wind(200)
  assert.equal(moved, 1)
  assert.equal(orchestrator.work().takesSegments, false)
  await assert.rejects(orchestrator.admit(segment, payment), { code: 'capped' })
  await orchestrator.info(request)
  jobs[0]!.finish(output())
  assert.equal((await answered).outcome.kind, 'data')
  await clock.wind(1_000)
  assert.equal(drained, false, 'its result is fetched here')
  await fetchRenditions(orchestrator, segment)
  await clock.wind(1_000)
  await draining
})

test('a draining orchestrator waits for no session whose stream has stopped, and for one that goes on', async () => {
  const finishOne = async ({ orchestrator, jobs }: ReturnType<typeof setUp>, segment: SegmentData) => {
    const answer = (await orchestrator.admit(segment, payment)).transcode(source, never)
    await settle()
    jobs.at(-1)!.finish(output())
    await answer
    await fetchRenditions(orchestrator, segment)
  }
  const stopped = setUp()
  await finishOne(stopped, await segmentFor(stopped.orchestrator))
  // The next segment of a live stream is due two seconds after the last; this one never comes.
  await stopped.clock.wind(3_000)
  assert.equal(stopped.orchestrator.sessionCount, 1)
  await stopped.orchestrator.drain({ limitMs: 30_000, noticeMs: 3_000 }, never)

  const other = setUp()
  const live = await segmentFor(other.orchestrator)
  await finishOne(other, live)
  let drained = false
  const draining = other.orchestrator.drain({ limitMs: 30_000, noticeMs: 3_000 }, never).then(() => {
    drained = true
  })
  for (let sent = 0; sent < 4; sent++) {
    await other.clock.wind(2_000)
    await finishOne(other, live)
  }
  assert.equal(drained, false)
  await other.clock.wind(3_200)
  await draining
})

test('an idle orchestrator drains at once', async () => {
  const { orchestrator } = setUp()
  await orchestrator.drain({ limitMs: 30_000, noticeMs: 3_000 }, never)
  await assert.rejects(orchestrator.info(request))
})

test('one of several nodes offers sessions while any of them has room, and a session’s place is free between its segments', async () => {
  const siblings = {
    hasRoom: true,
    ended: (sessionId: string) => void ended.push(sessionId),
    giveAway: async () => new Set<string>(),
  }
  const ended: string[] = []
  const { clock, orchestrator, jobs } = setUp({ maxSessions: 1, siblings })
  const [first, other] = [await segmentFor(orchestrator), await segmentFor(orchestrator)]
  const answer = (await orchestrator.admit(first, payment)).transcode(source, never)
  await settle()
  assert.deepEqual(orchestrator.work(), { takesSegments: true, maxSessions: 1, sessions: 1, segments: 1 })
  assert.ok(await orchestrator.info(request), 'its first segment will be handed over')
  await assert.rejects(orchestrator.admit(other, payment), { code: 'capped' })
  jobs[0]!.finish(output())
  await answer
  await clock.wind(2_500)
  await assert.rejects(orchestrator.admit(other, payment), { code: 'capped' }, 'its next segment is due')
  await clock.wind(500)
  const second = (await orchestrator.admit(other, payment)).transcode(source, never)
  await settle()
  await assert.rejects(orchestrator.admit(first, payment), { code: 'capped' }, 'it may go elsewhere')
  jobs[1]!.finish(output())
  await second
  siblings.hasRoom = false
  await assert.rejects(orchestrator.info(request), /OrchestratorCapped$/)
  await orchestrator.endSession(first.authToken)
  assert.deepEqual(ended, [first.authToken?.sessionId])
  orchestrator.endedElsewhere(other.authToken!.sessionId)
  assert.equal(orchestrator.sessionCount, 0)
  assert.deepEqual(ended.length, 1, 'what a sibling tells is not told on')
})

test('a draining node of several offers sessions of the others, and refuses segments so that they are handed over', async () => {
  const { clock, orchestrator } = setUp({
    siblings: { hasRoom: true, ended: () => {}, giveAway: async () => new Set<string>() },
  })
  const segment = await segmentFor(orchestrator)
  const draining = orchestrator.drain({ limitMs: 0, noticeMs: 0 }, never)
  await clock.wind(20_000)
  await draining
  assert.equal(orchestrator.work().takesSegments, false)
  assert.ok(await orchestrator.info(request))
  await assert.rejects(orchestrator.admit(segment, payment), {
    code: 'capped',
    message: 'OrchestratorCapped',
  })
})

test('a gateway that the webhook denies gets no offer, and one that it admits gets the price that it sets', async () => {
  const denied = setUp({ verdict: { kind: 'denied', reason: 'status=403' } })
  await assert.rejects(denied.orchestrator.info(request), { message: 'authentication failed: status=403' })
  assert.deepEqual(denied.agreed, [])
  const admitted = setUp({ verdict: { kind: 'allowed', price: Rational.of(100n, 7n) } })
  assert.ok((await admitted.orchestrator.info(request)).authToken)
  assert.deepEqual(admitted.agreed, [`${gateway} 100/7`])
  const usual = setUp({ verdict: { kind: 'allowed', price: null } })
  await usual.orchestrator.info(request)
  assert.deepEqual(usual.agreed, [`${gateway} null`])
})

test('a gateway that does not prove its account is not asked about', async () => {
  const { agreed, orchestrator } = setUp({ verdict: { kind: 'allowed', price: null } })
  await assert.rejects(orchestrator.info({ ...request, sig: new Uint8Array(65) }), /sig check failed/)
  assert.deepEqual(agreed, [])
})
