import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeOrchestrator, profileNamed } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { FakeOutsideStore } from '../../../test/fakes/outside-store.ts'
import { parseStoreAddress } from '../../domain/store-address.ts'
import { ManualClock } from '../../lib/clock.ts'
import { Outlets } from './outlets.ts'
import type { Rendition } from './pushed-segment.ts'

const never = new AbortController().signal

async function setUp(orchestrator = new FakeOrchestrator('https://o1:8935')) {
  const clock = new ManualClock()
  const store = new FakeOutsideStore()
  const own = parseStoreAddress('s3+https://K:S@store.example/bucket')
  const profiles = ['low', 'tiny'].map(profileNamed)
  const port = await startGatewayPort({ profiles }, [orchestrator], {
    clock,
    outlets: (needs) => new Outlets({ own, open: () => store }, needs),
  })
  /** Serves a segment; how long its publisher waited, by the clock. */
  const serve = async (number: number): Promise<{ renditions: readonly Rendition[]; ms: number }> => {
    const segment = {
      ...{ externalId: 'movie', sequence: BigInt(number), format: 'mpegts' as const, durationMs: 2_000 },
      ...{ bytes: new TextEncoder().encode('codec=h264'), resolution: '', clip: null, config: null },
    }
    const since = clock.now()
    let done: readonly Rendition[] | null = null
    const serving = port.gateway.serve(segment, never).then((renditions) => {
      done = renditions
    })
    for (let i = 0; i < 400 && !done; i++) await clock.wind(25)
    await serving
    return { renditions: done!, ms: clock.now() - since }
  }
  const uris = (rendition: string) =>
    (port.gateway.mediaPlaylist('movie', rendition) ?? '').split('\n').filter((line) => /^[^#]/.test(line))
  return {
    clock,
    store,
    orchestrator,
    port,
    serve,
    uris,
    [Symbol.asyncDispose]: () => port[Symbol.asyncDispose](),
  }
}

for (const state of ['unreachable', 'silent', 'refusing', 'deaf'] as const) {
  test(`a store that is ${state} for 30 s stops no playback: each segment is played, one of them late`, async () => {
    await using set = await setUp()
    await set.serve(0)
    set.store.state = state
    const waits: number[] = []
    for (let number = 1; number <= 15; number++) {
      const { ms, renditions } = await set.serve(number)
      waits.push(ms)
      assert.equal(renditions.length, 2)
      assert.equal(set.uris('source').at(-1), `/stream/movie/source/${number}.ts`)
      assert.equal(set.uris('tiny').at(-1), `/stream/movie/tiny/${number}.ts`)
      assert.ok(await set.port.gateway.stored(`movie/tiny/${number}.ts`))
      await set.clock.wind(Math.max(0, 2_000 - ms))
    }
    assert.ok(waits[0]! <= 2_100, String(waits))
    assert.ok(
      waits.slice(1).every((ms) => ms <= 100),
      String(waits),
    )
    set.store.state = 'up'
    await set.clock.wind(5_000)
    await set.serve(16)
    const { renditions } = await set.serve(17)
    assert.deepEqual(
      renditions.map(({ url }) => url),
      ['low', 'tiny'].map((name) => `https://store.example/bucket/movie/${name}/17.ts`),
    )
    assert.equal(set.uris('source').at(-1), 'https://store.example/bucket/movie/source/17.ts')
  })
}

test('an orchestrator that could not save its results is asked once more, to keep them', async () => {
  await using set = await setUp()
  const { orchestrator, store } = set
  orchestrator.saves = store
  await set.serve(0)
  assert.match(set.uris('low')[0]!, /^https:\/\/store\.example\/bucket\/movie\/[0-9a-f]{8}\/low\/0\.ts$/)
  // Peers leave out what they could not save.
  const { work } = orchestrator
  orchestrator.work = (received, clock) => {
    const result = work.call(orchestrator, received, clock)
    if (received.segment.storage.length === 0 || result.outcome.kind !== 'data') return result
    return { ...result, outcome: { ...result.outcome, renditions: result.outcome.renditions.slice(1) } }
  }
  const { renditions } = await set.serve(1)
  assert.equal(renditions.length, 2)
  const granted = orchestrator.submissions.map(({ segment }) => segment.storage.length)
  assert.deepEqual(granted, [1, 1, 0])
  assert.equal(orchestrator.submissions.at(-1)!.base, orchestrator.url)
})

test('an orchestrator gets a form for its own session alone, and its segments as bytes', async () => {
  await using set = await setUp()
  await set.serve(0)
  const [submission] = set.orchestrator.submissions
  const session = submission!.segment.authToken!.sessionId
  assert.deepEqual(
    set.store.grants.map(({ below }) => below),
    [`movie/${session}`],
  )
  assert.equal(submission!.segment.storage[0]?.s3?.key, `movie/${session}`)
  assert.equal(submission!.bodyIsUri, false)
})
