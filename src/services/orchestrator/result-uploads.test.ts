import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StorageInfo } from '../../domain/segment.ts'
import { MemoryObjects } from '../../io/objects/memory-objects.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { StoreError } from '../../lib/object-store.ts'
import { type OwnStore, ResultUploads, type UploadForms, type UploadLimits } from './result-uploads.ts'

const never = new AbortController().signal
const bytes = new Uint8Array(30)

function storage(host: string, kind: StorageInfo['kind'] = 's3'): StorageInfo {
  return { kind, s3: { host, key: 'k', policy: '', signature: '', credential: '', xAmzDate: '' } }
}

function setUp(upload: UploadForms['upload'], own: OwnStore | null = null) {
  const clock = new ManualClock()
  const calls: { host: string; limitMs: number }[] = []
  const forms: UploadForms = {
    upload: (to, path, data, limits) => {
      calls.push({ host: to.s3!.host, limitMs: limits.limitMs })
      return upload(to, path, data, limits)
    },
  }
  const saving = new ResultUploads({ forms, own }, { clock, log: silentLog })
  const uploads = {
    saving,
    save: (to: StorageInfo, path: string, data: Uint8Array, limits: UploadLimits) =>
      saving.save(to, { sessionId: 'aaaa', path, bytes: data }, limits),
  }
  return { calls, clock, uploads }
}

test('a result goes to the store of its gateway, within half of the time that is left and 4 s at most', async () => {
  const { calls, uploads } = setUp(async ({ s3 }, path) => `${s3!.host}/${path}`)
  const to = storage('https://s.example')
  assert.equal(
    await uploads.save(to, 'P/0.ts', bytes, { limitMs: 3_000, signal: never }),
    'https://s.example/P/0.ts',
  )
  await uploads.save(to, 'P/0.ts', bytes, { limitMs: 60_000, signal: never })
  assert.deepEqual(
    calls.map(({ limitMs }) => limitMs),
    [1_500, 4_000],
  )
  assert.equal(await uploads.save(to, 'P/0.ts', bytes, { limitMs: 400, signal: never }), null, 'too late')
  assert.equal(
    await uploads.save(storage('x', 'direct'), 'P/0.ts', bytes, { limitMs: 9_000, signal: never }),
    null,
  )
  assert.equal(
    await uploads.save({ kind: 's3', s3: null }, 'P', bytes, { limitMs: 9_000, signal: never }),
    null,
  )
  assert.equal(calls.length, 2)
})

test('a store that fails is left alone for 30 s, and others are not', async () => {
  const { calls, clock, uploads } = setUp(async ({ s3 }) => {
    if (s3!.host.includes('bad')) throw new StoreError('store-unreachable', 'connection refused')
    return 'https://good.example/P/0.ts'
  })
  const limits = { limitMs: 9_000, signal: never }
  for (let i = 0; i < 5; i++)
    assert.equal(await uploads.save(storage('https://bad.example'), 'P', bytes, limits), null)
  assert.equal(calls.length, 1)
  assert.ok(await uploads.save(storage('https://good.example'), 'P', bytes, limits))
  await clock.wind(30_000)
  await uploads.save(storage('https://bad.example'), 'P', bytes, limits)
  assert.equal(calls.length, 3)
})

test('gateways that name ever new stores fill no memory', async () => {
  const { calls, uploads } = setUp(async () => {
    throw new StoreError('store-refused', 'no')
  })
  const limits = { limitMs: 9_000, signal: never }
  for (let i = 0; i < 1_500; i++) await uploads.save(storage(`https://${i}.example`), 'P', bytes, limits)
  await uploads.save(storage('https://0.example'), 'P', bytes, limits)
  assert.equal(calls.length, 1_501, 'the oldest is forgotten')
  await uploads.save(storage('https://1499.example'), 'P', bytes, limits)
  assert.equal(calls.length, 1_501)
})

test('results are kept here where there is no store, or it does not take them', async () => {
  const { storeResults } = await import('./results.ts')
  const { uploads } = setUp(async ({ s3 }, path) => {
    if (path.startsWith('Q')) throw new StoreError('store-unreachable', 'connection refused')
    return `${s3!.host}/${path}`
  })
  const profiles = ['P', 'Q'].map((name) => ({ name, format: 'mpegts' }))
  const store = new MemoryObjects({ baseUrl: 'https://o/stream/' })
  const renditions = profiles.map(() => ({ bytes, pixels: 5n, perceptualHash: null }))
  const kept = (given: readonly StorageInfo[], to: ResultUploads | null = uploads.saving) => {
    const segment = { seq: 3n, profiles, storage: given } as never
    const limits = { limitMs: 9_000, signal: never }
    return storeResults({ store, uploads: to }, { sessionId: 'aaaa', segment }, renditions as never, limits)
  }
  const urls = (results: readonly { url: string }[]) => results.map(({ url }) => url)
  const here = ['https://o/stream/aaaa/P/3.ts', 'https://o/stream/aaaa/Q/3.ts']
  assert.deepEqual(urls(await kept([])), here)
  assert.deepEqual(urls(await kept([storage('https://s')], null)), here)
  assert.deepEqual(urls(await kept([storage('https://s', 'direct')])), here)
  assert.deepEqual(urls(await kept([storage('https://s')])), ['https://s/P/3.ts', here[1]])
})

test('with a store of its own results go there unless their gateway names one that takes them', async () => {
  const saved: string[] = []
  let isDown = false
  const own: OwnStore = {
    shown: 's3://eu/bucket',
    save: async (path, _, { signal }) => {
      saved.push(path)
      if (isDown)
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      return `https://own.example/${path}`
    },
  }
  const { uploads } = setUp(async ({ s3 }, path) => {
    if (s3!.host.includes('bad')) throw new StoreError('store-unreachable', 'connection refused')
    return `${s3!.host}/${path}`
  }, own)
  const limits = { limitMs: 9_000, signal: never }
  const save = (storage: StorageInfo | null, given = limits) =>
    uploads.saving.save(storage, { sessionId: 'aaaa', path: 'P/0.ts', bytes }, given)
  assert.equal(await save(storage('https://s.example')), 'https://s.example/P/0.ts')
  assert.deepEqual(saved, [])
  for (const none of [null, storage('x', 'direct'), storage('https://bad.example')])
    assert.equal(await save(none), 'https://own.example/aaaa/P/0.ts')
  isDown = true
  assert.equal(await save(null, { ...limits, limitMs: 600 }), null, 'within half of the time that is left')
  const tries = saved.length
  assert.equal(await save(null), null)
  assert.equal(saved.length, tries, 'it is left alone')
})
