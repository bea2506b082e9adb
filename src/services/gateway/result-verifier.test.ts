import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeMedia, FakeNetwork, FakeOrchestrator, RecordingPayer } from '../../../test/fakes/gateway.ts'
import type { NodeEvent } from '../../domain/events.ts'
import { presets } from '../../domain/rendition.ts'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import { ManualClock } from '../../lib/clock.ts'
import { noSigner } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { Discovery } from './discovery.ts'
import { Gateway } from './gateway.ts'
import type { JudgedResult, Verdict } from './result-verifier.ts'

const never = new AbortController().signal
const URLS = ['https://o1:8935', 'https://o2:8935', 'https://o3:8935']
const PROFILES = presets.slice(-2)

/** A gateway whose verifier says this of the result of each orchestrator. */
async function setUp(verdicts: Readonly<Record<string, Verdict | null>>) {
  const clock = new ManualClock()
  const orchestrators = URLS.map((url, index) => new FakeOrchestrator(url, index + 1))
  const network = new FakeNetwork(clock, ...orchestrators)
  const payer = new RecordingPayer()
  const events: NodeEvent[] = []
  const judged: JudgedResult[] = []
  const dice = { ...seededDice('verifier'), fraction: () => 0.999_999 }
  const tell = { tell: (event: NodeEvent) => void events.push(event) }
  const shared = { client: network, signer: noSigner, payer, clock, dice, log: silentLog, events: tell }
  const candidates = URLS.map(
    (url) => ({ url, trust: 'trusted', mustBePayable: false, reach: 'any' }) as const,
  )
  const gateway = new Gateway(
    {
      ...{ maxSessions: 10, maxAttempts: 3, profiles: PROFILES, weights: null },
      ...{ localVerify: false, minOrchestratorVersion: '' },
    },
    {
      ...{ ...shared, media: new FakeMedia(), store: new MemoryObjects() },
      directory: new Discovery(
        { timeoutMs: 500, extraNodes: 0, blocklist: [] },
        { ...shared, source: { candidates: async () => candidates, stakeOf: () => 0n } },
      ),
      facts: { stakeOf: () => 0n, perfScoreOf: () => null },
      externalVerifier: {
        judge: async (result) => {
          judged.push(result)
          return verdicts[result.orchestrator] ?? null
        },
      },
    },
  )
  const supervisor = new Supervisor()
  await supervisor.start(gateway)
  return {
    ...{ events, judged, payer },
    push: async () => {
      const [rendition] = await gateway.serve(
        {
          ...{ externalId: 'movie', sequence: 0n, format: 'mpegts', durationMs: 2000, resolution: '' },
          ...{ bytes: new TextEncoder().encode('codec=h264'), clip: null, config: null },
        },
        never,
      )
      return new TextDecoder().decode(rendition!.bytes).replace(/.* by /, '')
    },
    failed: () =>
      events.flatMap((event) =>
        event.kind === 'attempt-failed' ? [`${event.orchestrator} ${event.reason}`] : [],
      ),
    settled: () => payer.log.filter((line) => line.startsWith('settled')),
    [Symbol.asyncDispose]: () => supervisor.stop(),
  }
}

const good = { fault: null, score: 1 } as const
const tampered = (score: number) => ({ fault: 'tampered', score }) as const

test('the verifier sees source, renditions and what was asked; a good result is used', async () => {
  await using set = await setUp({ [URLS[0]!]: good })
  assert.equal(await set.push(), URLS[0])
  const [{ renditions, ...rest }] = set.judged as [JudgedResult]
  assert.deepEqual(rest, {
    ...{ manifestId: 'movie', sequence: 0n, durationMs: 2000, orchestrator: URLS[0] },
    source: new TextEncoder().encode('codec=h264'),
  })
  assert.deepEqual(
    renditions.map(({ profile }) => profile.name),
    PROFILES.map(({ name }) => name),
  )
  assert.ok(renditions.every(({ bytes, pixels }) => pixels === BigInt(bytes.length)))
  const done = set.events.find((event) => event.kind === 'segment-done')
  assert.ok(done?.side === 'gateway' && done.isVerified)
})

test('a tampered result is tried elsewhere, its session removed and nothing of it counted as delivered', async () => {
  await using set = await setUp({ [URLS[0]!]: tampered(-1), [URLS[1]!]: good })
  assert.equal(await set.push(), URLS[1])
  assert.deepEqual(set.failed(), [`${URLS[0]} Tampered`])
  assert.ok(!set.events.some(({ kind }) => kind === 'orchestrator-suspended'))
  assert.equal(set.settled()[0], 'settled 0')
  assert.notEqual(set.settled()[1], 'settled 0')
})

test('of three bad results the best is used, by its score', async () => {
  await using set = await setUp({
    [URLS[0]!]: tampered(-3),
    [URLS[1]!]: tampered(-1),
    [URLS[2]!]: tampered(-2),
  })
  assert.equal(await set.push(), URLS[1])
  const done = set.events.find((event) => event.kind === 'segment-done')
  assert.ok(done?.side === 'gateway' && !done.isVerified && done.orchestrator === URLS[1])
})

test('a result whose sound differs is never used', async () => {
  const verdict = { fault: 'audio-mismatch', score: 9 } as const
  await using set = await setUp(Object.fromEntries(URLS.map((url) => [url, verdict])))
  await assert.rejects(set.push(), { message: 'hit max transcode attempts: AudioMismatch' })
})

test('a result that the verifier could not see keeps its session, which may be tried again', async () => {
  const unseen = { fault: 'video-unavailable', score: 0 } as const
  await using set = await setUp({ [URLS[0]!]: unseen, [URLS[1]!]: good })
  await set.push()
  assert.equal(set.failed()[0], `${URLS[0]} VideoUnavailable`)
})

test('a verifier that says nothing says nothing against a result', async () => {
  await using set = await setUp({})
  assert.equal(await set.push(), URLS[0])
  assert.deepEqual(set.failed(), [])
})
