import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { FakeOutsideStore } from '../../../test/fakes/outside-store.ts'
import { profileOf } from '../../../test/fakes/profile.ts'
import { WebhookServer } from '../../../test/net/webhook-server.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { ExternalVerifier } from './external-verifier.ts'
import { VerifierBucket } from './verifier-bucket.ts'

const never = new AbortController().signal
const text = (words: string) => new TextEncoder().encode(words)
const RESULT = {
  ...{ manifestId: 'movie', sequence: 7n, durationMs: 2_000, orchestrator: 'ab12', source: text('source') },
  renditions: ['low', 'high one'].map((name) => ({
    ...{ profile: profileOf({ name }), bytes: text(name), pixels: 1n },
  })),
}
/** As long as an orchestrator has for two seconds. */
const LIMIT_MS = 8_000

async function setUp() {
  const server = await WebhookServer.open()
  server.answer = { body: '{"results":[{},{"tamper":1}]}' }
  const clock = new ManualClock()
  const store = new FakeOutsideStore()
  const causes = new RecordingCauses()
  const dice = seededDice('bucket')
  const place = new VerifierBucket(store, { dice, log: silentLog })
  const verifier = new ExternalVerifier(server.url, { place, clock, causes, events: { tell: () => {} } })
  return {
    ...{ server, clock, store, causes, verifier },
    paths: async () => (await store.list('')).files.map(({ path }) => path),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

test('the verifier gets URLs in the bucket of copies that nobody can guess, and that go once it has judged', async () => {
  await using set = await setUp()
  const base = 'https://store.example/bucket/'
  const seen: (string | null)[] = []
  let body = { source: '', renditions: [] as { uri: string }[] }
  const { answer } = set.server
  set.server.answer = (request) => {
    body = JSON.parse(request.body)
    return answer as object
  }
  const load = set.store.remove.bind(set.store)
  set.store.remove = async (path) => {
    const bytes = await set.store.load(path)
    seen.push(bytes && new TextDecoder().decode(bytes))
    await load(path)
  }
  assert.deepEqual(await set.verifier.judge(RESULT, never), { fault: 'tampered', score: 0 })
  const [, own] = /^https:\/\/store\.example\/bucket\/(livepeer-[0-9a-f]{16})\/source$/.exec(body.source)!
  assert.deepEqual(
    body.renditions.map(({ uri }) => uri),
    [`${base}${own}/low`, `${base}${own}/high%20one`],
  )
  await settle()
  assert.deepEqual(seen.sort(), ['high one', 'low', 'source'])
  assert.deepEqual(await set.paths(), [])
})

test('a bucket that does not take the files gives no verdict, which is a cause, and the verifier is not asked', async () => {
  await using set = await setUp()
  set.store.state = 'refusing'
  assert.equal(await set.verifier.judge(RESULT, never), null)
  assert.match(
    set.causes.sentences[0]!,
    /does not judge results \(the files for it could not be written: it answers 403\)/,
  )
  assert.equal(set.server.requests.length, 0)
  set.store.state = 'up'
  await set.verifier.judge(RESULT, never)
  assert.deepEqual(set.causes.told, ['verifier-failing begun', 'verifier-failing ended'])
})

test('a bucket that hangs has no longer than the verifier, and a stream that ends waits for neither', async () => {
  await using set = await setUp()
  set.store.state = 'silent'
  const judged = set.verifier.judge(RESULT, never)
  await set.clock.wind(LIMIT_MS)
  assert.equal(await judged, null)
  assert.match(set.causes.sentences[0]!, /the files for it could not be written within 8000 ms/)
  const ended = new AbortController()
  const waiting = set.verifier.judge(RESULT, ended.signal)
  ended.abort()
  await assert.rejects(waiting, { name: 'AbortError' })
})

test('a bucket that hangs on, or a verifier that does, holds up one result every five seconds, until it judges one', async () => {
  await using set = await setUp()
  const { clock, server, store, verifier } = set
  /** How long each of the results waits that come one after the other, and whether it was judged. */
  const waited = async (count: number) => {
    const times: (number | 'judged')[] = []
    for (let n = 0; n < count; n++) {
      const sinceMs = clock.now()
      let done: number | 'judged' | null = null
      void verifier.judge(RESULT, never).then((verdict) => {
        done = verdict ? 'judged' : clock.now() - sinceMs
      })
      while (done === null) {
        await settle()
        if (store.state === 'up') await new Promise((resolve) => setImmediate(resolve))
        else await clock.wind(1_000)
      }
      times.push(done)
    }
    return times
  }
  store.state = 'silent'
  assert.deepEqual(await waited(7), [8_000, 8_000, 8_000, 0, 0, 0, 0])
  await clock.wind(5_000)
  assert.deepEqual(await waited(3), [8_000, 0, 0])
  store.state = 'up'
  await clock.wind(5_000)
  assert.deepEqual(await waited(3), ['judged', 'judged', 'judged'])
  assert.equal(server.requests.length, 3)
  assert.deepEqual(set.causes.told.slice(-1), ['verifier-failing ended'])
})

test('files of a result that was not saved whole are removed', async () => {
  await using set = await setUp()
  const save = set.store.save.bind(set.store)
  set.store.save = async (path, bytes, options) => {
    if (path.endsWith('low')) set.store.state = 'refusing'
    try {
      return await save(path, bytes, options)
    } finally {
      set.store.state = 'up'
    }
  }
  assert.equal(await set.verifier.judge(RESULT, never), null)
  await settle()
  assert.deepEqual(await set.paths(), [])
})
