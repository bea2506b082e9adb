import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { type ListedOrchestrator, WebhookOrchestrators } from './webhook-orchestrators.ts'

function setUp() {
  const clock = new ManualClock()
  const causes = new RecordingCauses()
  const state = {
    fetches: 0,
    listed: [] as readonly ListedOrchestrator[],
    tookMs: 0,
    isDown: false,
  }
  const list = {
    fetch: async () => {
      state.fetches++
      if (state.tookMs > 0) await clock.sleep(state.tookMs)
      if (state.isDown) throw new NodeError<'unreachable'>('unreachable', 'connect ECONNREFUSED')
      return state.listed
    },
  }
  const source = new WebhookOrchestrators({
    list,
    webhook: 'https://w.example',
    clock,
    log: silentLog,
    causes,
  })
  return { clock, causes, state, source }
}

const O1 = { address: 'https://o1:8935', score: 1 }
const O2 = { address: 'https://o2:8935', score: 0 }

test('any score is taken: from 1 on an orchestrator is trusted, below it is not', async () => {
  const { source, state } = setUp()
  state.listed = [
    ...[{ address: 'https://a:1', score: 2 }, O1, { address: 'https://b:1', score: 0.99 }],
    ...[O2, { address: 'https://c:1', score: -5 }, { address: 'https://d:1', score: 1e300 }],
  ]
  assert.deepEqual(
    (await source.candidates()).map(({ trust, url }) => `${url} ${trust}`),
    [
      ...['https://a:1 trusted', 'https://o1:8935 trusted', 'https://b:1 untrusted'],
      ...['https://o2:8935 untrusted', 'https://c:1 untrusted', 'https://d:1 trusted'],
    ],
  )
})

test('what is no address is left out, as are repetitions, and a port is filled in', async () => {
  const { source, state } = setUp()
  const addresses = [
    '',
    '::bad::',
    'ftp://x',
    'https://o1',
    'https://o1:8935/',
    `https://${'x'.repeat(3000)}`,
  ]
  state.listed = addresses.map((address) => ({ address, score: 1 }))
  assert.deepEqual(
    (await source.candidates()).map(({ url }) => url),
    ['https://o1:8935'],
  )
})

test('no more than 1000 orchestrators are taken', async () => {
  const { source, state } = setUp()
  state.listed = Array.from({ length: 5000 }, (_, i) => ({ address: `https://o${i}:1`, score: 1 }))
  assert.equal((await source.candidates()).length, 1000)
})

test('the webhook is asked at most once a minute, and an empty list replaces one', async () => {
  const { clock, source, state } = setUp()
  state.listed = [O1]
  for (let second = 0; second < 60; second++) {
    assert.equal((await source.candidates()).length, 1)
    await clock.wind(1_000)
  }
  assert.equal(state.fetches, 1)
  state.listed = []
  assert.deepEqual(await source.candidates(), [])
  assert.equal(state.fetches, 2)
})

test('a list stays while the webhook fails, which is asked again after 5 s, and the operator is told', async () => {
  const { causes, clock, source, state } = setUp()
  state.listed = [O1]
  await source.candidates()
  state.isDown = true
  await clock.wind(60_000)
  for (let second = 0; second < 5; second++) {
    assert.equal((await source.candidates()).length, 1)
    await clock.wind(999)
  }
  assert.equal(state.fetches, 2)
  assert.match(causes.sentences[0]!, /https:\/\/w\.example.*connect ECONNREFUSED/)
  state.isDown = false
  state.listed = [O1, O2]
  await clock.wind(5)
  assert.equal((await source.candidates()).length, 2)
  assert.deepEqual(causes.codes, [])
})

test('many streams wait for one request, and with an old list for a second at most', async () => {
  const { clock, source, state } = setUp()
  state.listed = [O1]
  state.tookMs = 3_000
  const first = Promise.all([source.candidates(), source.candidates(), source.candidates()])
  await clock.wind(3_000)
  assert.deepEqual(
    (await first).map(({ length }) => length),
    [1, 1, 1],
  )
  assert.equal(state.fetches, 1)
  await clock.wind(60_000)
  state.listed = [O1, O2]
  let later: number | null = null
  void source.candidates().then(({ length }) => {
    later = length
  })
  await clock.wind(1_000)
  await settle()
  assert.equal(later, 1, 'the old list')
  await clock.wind(2_000)
  assert.equal((await source.candidates()).length, 2)
})
