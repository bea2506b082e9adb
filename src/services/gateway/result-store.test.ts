import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeOutsideStore } from '../../../test/fakes/outside-store.ts'
import { bitstringOf } from '../../domain/capabilities.ts'
import { noCauses } from '../../domain/causes.ts'
import { presets } from '../../domain/rendition.ts'
import type { OrchestratorInfo } from '../../domain/segment.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Outlet } from './outlet.ts'
import { ResultStore } from './result-store.ts'

const never = new AbortController().signal
const [profile] = presets
const segment = {
  ...{ manifestId: 'movie', sequence: 7n, bytes: new Uint8Array(100), durationMs: 2_000 },
  profiles: [{ ...profile!, name: 'low', format: 'mpegts' as const }],
}

function infoOf(sessionId: string, bits = [0, 5]): OrchestratorInfo {
  return {
    authToken: { token: new Uint8Array(), sessionId, expiration: 0n },
    capabilities: { bitstring: bitstringOf(bits) },
  } as never
}

function setUp() {
  const store = new FakeOutsideStore()
  const outlet = new Outlet(store, { clock: new ManualClock(), log: silentLog, causes: noCauses })
  return { store, results: new ResultStore(outlet) }
}

test('an orchestrator may save below the id of its session, files as large as its renditions may be, for half an hour', () => {
  const { results, store } = setUp()
  const granted = results.grantFor(segment, infoOf('0a1b2c3d'))
  assert.equal(granted.length, 1)
  assert.equal(store.grants[0]?.below, 'movie/0a1b2c3d')
  assert.equal(store.grants[0]?.limits.validMs, 1_800_000)
  assert.ok(store.grants[0]!.limits.maxBytes >= 4_194_304)
})

test('no orchestrator gets at the files of others by the name of its session', () => {
  const { results, store } = setUp()
  for (const id of ['', 'source', '..', '../other', 'a/b', 'low', 'ABCDEF01', '0a1b2c3d4', '0a1b2c3d/x'])
    assert.deepEqual(results.grantFor(segment, infoOf(id)), [], id)
  const named = { ...segment, profiles: [{ ...segment.profiles[0]!, name: 'deadbeef' }] }
  assert.deepEqual(results.grantFor(named, infoOf('deadbeef')), [], 'a rendition has that name')
  assert.deepEqual(results.grantFor(segment, infoOf('0a1b2c3d', [0])), [], 'it does not save')
  assert.deepEqual(results.grantFor(segment, { ...infoOf('0a1b2c3d'), capabilities: null }), [])
  assert.equal(store.grants.length, 0)
})

test('a rendition is read from the store where its URL is that of its file there, however it is written', async () => {
  const { results, store } = setUp()
  const info = infoOf('0a1b2c3d')
  const saved = new Uint8Array(50)
  await store.files.save('movie/0a1b2c3d/low/7.ts', saved)
  await store.files.save('movie/0a1b2c3d/low 1/7.ts', saved)
  const load = (url: string, name = 'low', of = info) =>
    results.load(url, { ...segment.profiles[0]!, name }, { segment, info: of }, never)
  const base = 'https://store.example/bucket/movie/0a1b2c3d'
  assert.equal(await load(`${base}/low/7.ts`), saved)
  assert.equal(await load(`${base}/low%201/7.ts`, 'low 1'), saved)
  assert.equal(await load(`${base}/low 1/7.ts`, 'low 1'), saved, 'peers do not encode')
  assert.equal(results.urlOf(saved), `${base}/low%201/7.ts`)
  assert.equal(results.urlOf(new Uint8Array(50)), null)
  const asked = store.asked
  for (const url of [
    `${base}/low/8.ts`,
    `${base}/tiny/7.ts`,
    'https://store.example/bucket/movie/other/low/7.ts',
    'https://store.example/bucket/other/0a1b2c3d/low/7.ts',
    'https://o.example/stream/0a1b2c3d/low/7.ts',
  ]) {
    assert.equal(await load(url), null, url)
  }
  assert.equal(await load(`${base}/low/7.ts`, 'low', infoOf('0a1b2c3e')), null)
  assert.equal(store.asked, asked, 'the store is asked for nothing else')
})
