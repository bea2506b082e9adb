import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  FakeMedia,
  FakeNetwork,
  FakeOrchestrator,
  keyOf,
  keySigner,
  RecordingPayer,
  WEIGHTS,
} from '../../../test/fakes/gateway.ts'
import { signatureOf } from '../../../test/fakes/signature.ts'
import { bitsOf, bitstringOf, capability, defaultCapabilities } from '../../domain/capabilities.ts'
import type { NodeEvent } from '../../domain/events.ts'
import { presets } from '../../domain/rendition.ts'
import type { Fingerprint } from '../../domain/result-comparison.ts'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { noSigner } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { Discovery } from './discovery.ts'
import type { RefutedResult } from './fast-verification.ts'
import { Gateway } from './gateway.ts'
import type { Candidate, Trust } from './orchestrator-source.ts'

const never = new AbortController().signal
/** Frames that are as far from those of an honest orchestrator as can be. */
const FALSE_SIGNATURE = signatureOf(242, 242, 242, 242)
const PROFILES = presets.slice(-2)
const GOOD_1 = 'https://good1:8935'
const GOOD_2 = 'https://good2:8935'
const BAD = 'https://bad:8935'
const TRUSTED = 'https://trusted:8935'

interface Options {
  readonly untrusted?: readonly string[]
  readonly trusted?: readonly string[]
  readonly frequency?: number
  readonly onchain?: boolean
  readonly seed?: string
}

async function setUp(options: Options = {}) {
  const { frequency = 1, onchain = false, seed = 'verification' } = options
  const { trusted = [TRUSTED], untrusted = [BAD, GOOD_1] } = options
  const clock = new ManualClock()
  const candidates: Candidate[] = []
  const orchestrators = new Map<string, FakeOrchestrator>()
  for (const [trust, urls] of [
    ['untrusted', untrusted],
    ['trusted', trusted],
  ] as const satisfies readonly (readonly [Trust, readonly string[]])[]) {
    for (const url of urls) {
      const one = new FakeOrchestrator(url, orchestrators.size + 1)
      one.onchain = onchain
      orchestrators.set(url, one)
      candidates.push({ url, trust, mustBePayable: false, reach: 'any' })
    }
  }
  const network = new FakeNetwork(clock, ...orchestrators.values())
  const payer = new RecordingPayer()
  const media = new FakeMedia()
  const events: NodeEvent[] = []
  const kept: RefutedResult[] = []
  const dice = seededDice(seed)
  const signer = onchain ? keySigner(keyOf(77)) : noSigner
  const shared = { client: network, signer, payer, clock, dice, log: silentLog }
  const tell = { tell: (event: NodeEvent) => void events.push(event) }
  // Those that come first are chosen first.
  const inOrder = { ...shared, dice: { ...dice, fraction: () => 0.999_999 }, events: tell }
  const gateway = new Gateway(
    {
      ...{ maxSessions: 10, maxAttempts: 3, profiles: PROFILES, weights: onchain ? WEIGHTS : null },
      ...{ localVerify: false, minOrchestratorVersion: '' },
    },
    {
      ...{ ...shared, media, events: tell, store: new MemoryObjects() },
      directory: new Discovery(
        { timeoutMs: 500, extraNodes: 0, blocklist: [] },
        { ...inOrder, source: { candidates: async () => candidates, stakeOf: () => 0n } },
      ),
      facts: { stakeOf: () => 0n, perfScoreOf: () => null },
      refuted: { keep: (result) => void kept.push(result) },
    },
  )
  const supervisor = new Supervisor()
  await supervisor.start(gateway)
  const config = {
    ...{ manifestId: null, profiles: null, timeoutMultiplier: 1, forceSessionReinit: false },
    verificationFrequency: frequency,
  }
  let sequence = -1n
  return {
    ...{ clock, events, gateway, kept, media, payer },
    at: (url: string) => orchestrators.get(url)!,
    /** What this orchestrator's renditions of a segment are found to be. */
    delivers: (url: string, ofSequence: bigint, found: Partial<Fingerprint> | Error) => {
      for (const { name } of PROFILES)
        media.fingerprints.set(`${name} of segment ${ofSequence} by ${url}`, found)
    },
    /** Pushes the next segment; whose renditions came back. */
    push: async () => {
      const segment = {
        ...({ externalId: 'movie', sequence: ++sequence, format: 'mpegts', durationMs: 2000 } as const),
        ...{ bytes: new TextEncoder().encode('codec=h264'), resolution: '', clip: null, config },
      }
      const [rendition] = await gateway.serve(segment, never)
      // A search for further sessions may be under way.
      await settle()
      return new TextDecoder().decode(rendition!.bytes).replace(/.* by /, '')
    },
    compared: () =>
      events.flatMap((event) =>
        event.kind === 'result-compared' ? [[event.orchestrator, event.fault]] : [],
      ),
    suspended: () =>
      events.flatMap((event) => (event.kind === 'orchestrator-suspended' ? [event.orchestrator] : [])),
    [Symbol.asyncDispose]: () => supervisor.stop(),
  }
}

test('a false hash before a good result: its orchestrator is suspended, the good result is used and proven', async () => {
  await using set = await setUp({ frequency: 1_000_000 })
  set.at(BAD).signature = FALSE_SIGNATURE
  assert.equal(await set.push(), GOOD_1)
  assert.deepEqual(set.compared(), [
    [BAD, 'signature'],
    [GOOD_1, null],
  ])
  assert.deepEqual(set.suspended(), [BAD])
  assert.equal(set.at(TRUSTED).ended.length, 1, 'a session that is not needed is ended')
  const done = set.events.find((event) => event.kind === 'segment-done')
  assert.ok(done?.side === 'gateway' && done.isVerified && !done.isTrusted)
  assert.deepEqual(set.gateway.comparing(), { wanted: 1, possible: 1 })
  assert.equal(await set.push(), GOOD_1)
  assert.equal(set.compared().length, 2, 'the one that is proven is used alone')
})

for (const [what, found, fault] of [
  ['shows other pictures', { signature: FALSE_SIGNATURE }, 'pictures'],
  ['has another size', { width: 320 }, 'size'],
  ['sounds differently', { sound: Buffer.alloc(8 * 11, 7) }, 'sound'],
  ['cannot be decoded', new NodeError('media', 'Invalid data found when processing input'), 'pictures'],
  ['ends the worker that decodes it', new NodeError('media-death', 'the worker died'), 'pictures'],
] as const) {
  test(`a rendition that ${what} is refuted although its stated hash is right`, async () => {
    await using set = await setUp()
    set.delivers(BAD, 0n, found)
    assert.equal(await set.push(), GOOD_1)
    assert.deepEqual(set.compared(), [
      [BAD, fault],
      [GOOD_1, null],
    ])
    assert.deepEqual(set.suspended(), [BAD])
    const [kept] = set.kept
    const text = new TextDecoder().decode(kept!.bytes)
    assert.deepEqual(
      { ...kept, bytes: text.replace(/^\S+/, '') },
      {
        ...{ manifestId: 'movie', sequence: 0n, orchestrator: BAD, fault, rendition: kept!.rendition },
        extension: '.ts',
        bytes: ` of segment 0 by ${BAD}`,
      },
    )
  })
}

test('all results differ: the trusted one is used and nobody is suspended, but what differs does not count as delivered', async () => {
  await using set = await setUp({ onchain: true })
  for (const url of [BAD, GOOD_1]) set.at(url).signature = FALSE_SIGNATURE
  assert.equal(await set.push(), TRUSTED)
  assert.deepEqual(
    set.compared().map(([, fault]) => fault),
    ['signature', 'signature'],
  )
  assert.deepEqual(set.suspended(), [])
  const settled = set.payer.log.filter((line) => line.startsWith('settled')).sort()
  assert.equal(settled.length, 3)
  assert.deepEqual(settled.slice(0, 2), ['settled 0', 'settled 0'])
  assert.notEqual(settled[2], 'settled 0')
})

test('of a result that is refuted nothing counts as delivered, of the others all', async () => {
  await using set = await setUp({ onchain: true, untrusted: [BAD, GOOD_1] })
  set.at(BAD).signature = FALSE_SIGNATURE
  await set.push()
  const settled = set.payer.log.filter((line) => line.startsWith('settled'))
  const isRefuted = set.suspended().length === 1
  assert.equal(settled.filter((line) => line === 'settled 0').length, isRefuted ? 1 : 0)
  assert.equal(settled.length, 3)
})

test('one result in as many as the webhook says is compared; hashes are asked for with every one', async () => {
  await using set = await setUp({ frequency: 4, untrusted: [GOOD_1, GOOD_2] })
  const segments = 200
  for (let segment = 0; segment < segments; segment++) {
    await set.push()
    await set.clock.wind(2_000)
  }
  const trusted = set.at(TRUSTED).submissions.length
  assert.ok(trusted > segments / 8 && trusted < segments / 2, `${trusted} of ${segments}`)
  const all = [GOOD_1, GOOD_2, TRUSTED].flatMap((url) => set.at(url).submissions)
  assert.ok(all.length >= segments + trusted)
  assert.ok(all.every(({ segment }) => segment.calcPerceptualHash))
  assert.ok(
    all.every(({ segment }) => bitsOf(segment.capabilities!.bitstring).includes(capability.mpeg7Signature)),
  )
  assert.deepEqual(set.suspended(), [])
})

test('an orchestrator that makes no perceptual hashes gets no such stream', async () => {
  await using set = await setUp({ untrusted: [GOOD_1] })
  const usual = defaultCapabilities('0.9.1')
  const bits = bitsOf(usual.bitstring).filter((bit) => bit !== capability.mpeg7Signature)
  set.at(GOOD_1).capabilities = { ...usual, bitstring: bitstringOf(bits) }
  assert.equal(await set.push(), TRUSTED)
  assert.equal(set.at(GOOD_1).submissions.length, 0)
})

test('an orchestrator that states no hash, or what is none, fails where the trusted one states one', async () => {
  for (const signature of [null, new Uint8Array(100)]) {
    await using set = await setUp()
    set.at(BAD).signature = signature
    assert.equal(await set.push(), GOOD_1)
    assert.deepEqual(set.compared()[0], [BAD, 'signature'])
  }
})

test('without a hash of the trusted one the renditions alone are compared', async () => {
  await using set = await setUp({ untrusted: [GOOD_1, GOOD_2] })
  set.at(TRUSTED).signature = null
  set.delivers(GOOD_1, 0n, { width: 320 })
  assert.equal(await set.push(), GOOD_2)
  assert.deepEqual(set.compared(), [
    [GOOD_1, 'size'],
    [GOOD_2, null],
  ])
})

test('without a trusted result the first untrusted one is used as it is', async () => {
  await using set = await setUp()
  set.at(TRUSTED).outcome = { kind: 'error', text: 'Server error' }
  set.at(BAD).signature = FALSE_SIGNATURE
  assert.equal(await set.push(), BAD)
  assert.deepEqual(set.compared(), [])
  assert.deepEqual(set.suspended(), [TRUSTED])
})

test('where this node is too busy to compare, the trusted result is used and nobody is blamed', async () => {
  await using set = await setUp()
  set.delivers(BAD, 0n, new NodeError('media-busy', 'no worker was free'))
  assert.equal(await set.push(), TRUSTED)
  assert.deepEqual([set.compared(), set.suspended(), set.kept], [[], [], []])
})

test('without trusted orchestrators nothing is compared, and no more is paid for', async () => {
  await using set = await setUp({ trusted: [], untrusted: [GOOD_1, GOOD_2] })
  assert.equal(await set.push(), GOOD_1)
  assert.equal(set.at(GOOD_2).submissions.length, 0)
  assert.deepEqual(set.gateway.comparing(), { wanted: 1, possible: 0 })
})

test('a segment that nobody can do fails as with one orchestrator', async () => {
  await using set = await setUp()
  for (const url of [BAD, GOOD_1, TRUSTED])
    set.at(url).outcome = { kind: 'error', text: 'No keyframes in input' }
  await assert.rejects(set.push(), { message: 'No keyframes in input' })
})
