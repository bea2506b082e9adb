import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { FakeOutsideStore } from '../../../test/fakes/outside-store.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Outlet } from './outlet.ts'

const never = new AbortController().signal

function setUp() {
  const clock = new ManualClock()
  const store = new FakeOutsideStore()
  const causes = new RecordingCauses()
  const outlet = new Outlet(store, { clock, causes, log: silentLog })
  let saved = 0
  const save = (limitMs = 2_000, signal = never) => {
    const path = `movie/source/${saved++}.ts`
    return outlet.save({ path, bytes: new Uint8Array(10), durationMs: 2_000, limitMs }, signal)
  }
  return { clock, store, causes, outlet, save }
}

/** How long a segment waited, with what came of it. */
async function waited(clock: ManualClock, saving: Promise<string | null>, atMostMs: number) {
  const since = clock.now()
  let done: { url: string | null; ms: number } | null = null
  void saving.then((url) => {
    done = { url, ms: clock.now() - since }
  })
  for (let ms = 0; ms <= atMostMs && !done; ms += 50) await clock.wind(50)
  return done as { url: string | null; ms: number } | null
}

test('a segment that is saved has the URL of the store', async () => {
  const { save, store } = setUp()
  assert.equal(await save(), 'https://store.example/bucket/movie/source/0.ts')
  assert.ok(await store.files.load('movie/source/0.ts'))
})

test('a store that fails for a moment is tried again within the time that a segment has', async () => {
  const { causes, clock, save, store } = setUp()
  store.state = 'unreachable'
  const saving = save()
  await clock.wind(600)
  assert.equal(store.asked, 3, 'after 100 ms and 200 ms more')
  store.state = 'up'
  const done = await waited(clock, saving, 2_000)
  assert.equal(done?.url, 'https://store.example/bucket/movie/source/0.ts')
  assert.deepEqual(causes.codes, [])
})

for (const state of ['unreachable', 'silent', 'deaf', 'refusing'] as const) {
  test(`a store that is ${state} for 30 s holds up one segment at most, and is used again within 5 s`, async () => {
    const { causes, clock, outlet, save, store } = setUp()
    store.state = state
    const delays: (number | undefined)[] = []
    for (let second = 0; second < 30; second += 2) {
      const done = await waited(clock, save(), 2_500)
      assert.equal(done?.url, null)
      delays.push(done?.ms)
      await clock.wind(2_000 - ((done?.ms ?? 0) % 2_000))
    }
    assert.ok(delays[0]! <= 2_000, String(delays))
    assert.ok(
      delays.slice(1).every((ms) => ms !== undefined && ms <= 50),
      `nobody waits for it: ${delays}`,
    )
    assert.ok(outlet.isDown)
    assert.ok(store.asked < 30, `it is not flooded: ${store.asked}`)
    assert.deepEqual(causes.codes, ['object-store-failing'])
    store.state = 'up'
    await clock.wind(5_000)
    await save()
    await settle()
    assert.equal(outlet.isDown, false)
    assert.match(String(await save()), /^https:/)
    assert.deepEqual(causes.codes, [])
  })
}

test('segments that wait when a store goes down are not held up further', async () => {
  const { clock, save, store } = setUp()
  store.state = 'silent'
  const short = save(500)
  const long = save(2_000)
  await clock.wind(600)
  assert.deepEqual(await Promise.all([short, long]), [null, null])
})

test('nothing is granted while a store is in trouble', async () => {
  const { clock, outlet, save, store } = setUp()
  const limits = { validMs: 1_000, maxBytes: 10 }
  assert.equal(outlet.grant('movie/aaaaaaaa', limits)?.kind, 's3')
  store.state = 'unreachable'
  const saving = save()
  await settle()
  assert.equal(outlet.grant('movie/aaaaaaaa', limits), null, 'from its first failure on')
  store.state = 'up'
  await clock.wind(200)
  assert.ok(await saving)
  assert.equal(outlet.grant('movie/aaaaaaaa', limits)?.kind, 's3')
  store.state = 'unreachable'
  await assert.rejects(outlet.load('x', { maxBytes: 1, signal: never }))
  assert.equal(outlet.grant('movie/aaaaaaaa', limits), null)
})

test('a name that no store can hold is no fault of the store', async () => {
  const { causes, clock, outlet, store } = setUp()
  store.save = async () => {
    const { StoreError } = await import('../../lib/object-store.ts')
    throw new StoreError('bad-path', 'no store can hold it')
  }
  const file = { path: 'x', bytes: new Uint8Array(1), durationMs: 2_000, limitMs: 2_000 }
  assert.equal((await waited(clock, outlet.save(file, never), 100))?.url, null)
  assert.equal(outlet.isDown, false)
  assert.deepEqual(causes.codes, [])
})

test('the end of a stream ends its saving, which says nothing against the store', async () => {
  const { causes, outlet, save, store } = setUp()
  store.state = 'silent'
  const ended = new AbortController()
  const saving = save(2_000, ended.signal)
  await settle()
  ended.abort()
  assert.equal(await saving, null)
  assert.equal(outlet.isDown, false)
  assert.deepEqual(causes.codes, [])
})
