import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { FakeOrchestrator, profileNamed } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { FakeOutsideStore } from '../../../test/fakes/outside-store.ts'
import { recordsIn } from '../../../test/vectors/recorded.ts'
import { parseStoreAddress, type StoreAddress } from '../../domain/store-address.ts'
import { Outlets } from '../../services/gateway/outlets.ts'
import { type S3Place, uploadPolicy } from '../objects/s3-policy.ts'
import { streamConfigOf } from './stream-config.ts'

/**
 * Every recorded exchange of a Go gateway with its stores, against this one: `same`, `better` or `out of scope`, with the
 * reason. Those of recordings are compared where recordings are.
 */

interface Recorded {
  readonly case: string
  readonly status?: number
  readonly body?: string
  /** File, type, length or URL, rendition. */
  readonly parts?: readonly (readonly [file: string, type: string, content: string, rendition: string])[]
  readonly objects?: readonly string[]
  /** The fields by which an orchestrator saved a rendition. */
  readonly form?: readonly (readonly [name: string, value: string])[]
}

type Verdict = 'same' | 'better' | 'out of scope'

const records = recordsIn<Recorded>('store.json')

const GLUED = 'a path in the URL of a store is a folder, and is not glued to the names in it'
const RECORDINGS = 'of recordings: compared in src/io/http/recorded-recordings.test.ts'
const rows: readonly (readonly [cases: RegExp, verdict: Verdict, why: string])[] = [
  [/^-objectStore \(S3\): push of segment/, 'same', ''],
  [/^↳ objects: key.*/, 'same', ''],
  [/^↳ GET \/stream\/os1\.m3u8$/, 'better', 'its rates are measured'],
  [/^↳ GET \/stream\/os1\/(source|low)\.m3u8$/, 'same', ''],
  [
    /^↳ GET \/stream\/os1\/source\/0\.ts$/,
    'better',
    'it can be played from here as well, should the store go down',
  ],
  [/^webhook objectStore with path: push$/, 'better', GLUED],
  [/^↳ objects in the other bucket$/, 'better', GLUED],
  [/^object store not listening: push$/, 'better', 'a store that is down stops no live playback'],
  [/^store URLs with a path that ends with a slash/, 'same', ''],
  [/^note: /, 'out of scope', 'no exchange'],
  [/record|joined|finalize|file store|stream end|index file|mp4|^↳/, 'out of scope', RECORDINGS],
]

/** The row of a record; a second record of recordings may share its name with one of the object store. */
function rowOf({ case: name, parts, body, objects }: Recorded) {
  const isCompared = parts !== undefined || body !== undefined || objects !== undefined
  return rows.find(([cases, verdict]) => cases.test(name) && (isCompared || verdict === 'out of scope'))
}

const BASE = 'http://127.0.0.1:9001/osbucket'

/** Ids of sessions are made up; the rest counts. */
const withoutIds = (text: string) => text.replace(/\b[0-9a-f]{8}\b/g, 'SESSION')

async function setUp(own: string, named: string | null = null) {
  const stores = new Map<string, FakeOutsideStore>()
  const open = ({ place }: StoreAddress) => {
    assert.equal(place.kind, 's3')
    const prefix = (place as { prefix: string }).prefix.replace(/\/$/, '')
    const store = new FakeOutsideStore(prefix === '' ? BASE : `${BASE}/${prefix}`)
    stores.set(prefix, store)
    orchestrator.saves = store
    return store
  }
  const orchestrator = new FakeOrchestrator('https://o1:8935')
  const profiles = [
    { ...profileNamed('low'), width: 160, height: 120, bitrate: 100_000 },
    { ...profileNamed('tiny'), width: 80, height: 60, bitrate: 50_000 },
  ]
  const grant = (manifestID: string) => ({
    ...{ config: streamConfigOf({ manifestID }), sessionId: null },
    objectStore: named === null ? null : parseStoreAddress(named),
  })
  const authority = {
    decide: async () => ({ kind: 'allowed' as const, grant: grant('wos') }),
  }
  const port = await startGatewayPort({ profiles }, [orchestrator], {
    outlets: (needs) => new Outlets({ own: parseStoreAddress(own), open }, needs),
    authority: named === null ? null : authority,
  })
  const objects = async () => {
    const found = await Promise.all(
      [...stores].map(async ([prefix, { files }]) => [prefix, await files.list('')] as const),
    )
    return found.flatMap(([prefix, { files }]) =>
      files.map(({ path }) => (prefix ? `${prefix}/${path}` : path)),
    )
  }
  const push = async (path: string) => {
    const answer = await port.push(
      path,
      { Accept: 'multipart/mixed', 'Content-Duration': '2000' },
      'codec=h264 width=160',
    )
    return { status: answer.status, parts: partsOf(await answer.text()) }
  }
  return { port, push, objects, stores, [Symbol.asyncDispose]: () => port[Symbol.asyncDispose]() }
}

function partsOf(text: string): string[][] {
  const pattern =
    /filename=("[^"]*")\r\nContent-Length: \d+\r\nContent-Type: ([^;]*); name="[^"]*"\r\nRendition-Name: (.*)\r\n\r\n(.*)\r\n/g
  return [...text.matchAll(pattern)].map(([, file, type, name, content]) => [file!, type!, content!, name!])
}

const recordOf = (pattern: RegExp) => records.find(({ case: name }) => pattern.test(name))!
const partsHere = (parts: readonly (readonly string[])[]) => parts.map((part) => part.map(withoutIds))

test('every recorded exchange has a verdict, and those of recordings are compared where recordings are', () => {
  assert.equal(records.length, 86)
  const recordings: readonly Recorded[] = JSON.parse(
    readFileSync(new URL('../../../test/vectors/recordings.json', import.meta.url), 'utf8'),
  )
  const left = records.filter((record) => rowOf(record)?.[2] === RECORDINGS).map(({ case: name }) => name)
  assert.deepEqual(
    left.filter((name) => !recordings.some((one) => one.case === name)),
    [],
  )
  for (const record of records) assert.ok(rowOf(record), record.case)
  for (const [cases, verdict, why] of rows) {
    assert.ok(verdict === 'same' || why !== '', String(cases))
    assert.ok(
      records.some((record) => rowOf(record)?.[0] === cases),
      String(cases),
    )
  }
})

test('with an object store publishers, players and the store see what is recorded', async () => {
  await using set = await setUp('s3+http://KEY:SECRET@127.0.0.1:9001/osbucket')
  for (const sequence of [0, 1, 2]) {
    const { parts, status } = await set.push(`/live/os1/${sequence}.ts`)
    const record = recordOf(new RegExp(`^-objectStore \\(S3\\): push of segment ${sequence}$`))
    assert.equal(status, record.status)
    assert.deepEqual(partsHere(parts), partsHere(record.parts!))
  }
  const { objects } = recordOf(/^↳ objects: key/)
  assert.deepEqual((await set.objects()).map(withoutIds).sort(), objects!.map(withoutIds).sort())
  for (const path of ['os1.m3u8', 'os1/source.m3u8', 'os1/low.m3u8']) {
    const list = await (await fetch(`${set.port.base}/stream/${path}`)).text()
    const record = recordOf(new RegExp(`^↳ GET /stream/${path}$`))
    // What is said of the segments beside that is compared where playlists are.
    const shown = (text: string) => withoutIds(text).match(/^(#EXTINF.*|[^#].*)$/gm)
    assert.deepEqual(shown(list), shown(record.body!))
  }
  assert.equal((await fetch(`${set.port.base}/stream/os1/source/0.ts`)).status, 200)
})

test('a path in the URL of a store is a folder', async () => {
  await using set = await setUp(
    's3+http://KEY:SECRET@127.0.0.1:9001/osbucket',
    's3+http://K:S@127.0.0.1:9001/osbucket/sub/dir',
  )
  const { parts } = await set.push('/live/wosext/0.ts')
  const recorded = recordOf(/^webhook objectStore with path: push$/)
  const apart = (text: string) => text.replace('sub/dirwos', 'sub/dir/wos')
  assert.deepEqual(
    partsHere(parts),
    partsHere(recorded.parts!).map((part) => part.map(apart)),
  )
  const { objects } = recordOf(/^↳ objects in the other bucket$/)
  assert.deepEqual((await set.objects()).map(withoutIds).sort(), objects!.map(withoutIds).map(apart).sort())

  await using slash = await setUp('s3+http://KEY:SECRET@127.0.0.1:9001/osbucket/sub/dir/')
  const record = recordOf(/^store URLs with a path that ends with a slash/)
  assert.deepEqual(partsHere((await slash.push('/live/slash/0.ts')).parts), partsHere(record.parts!))
  const own = record.objects!.filter((path) => path.startsWith('sub/'))
  assert.deepEqual((await slash.objects()).map(withoutIds).sort(), own.map(withoutIds).sort())
})

test('a store that does not listen stops no stream: its segments are answered and played from here', async () => {
  await using set = await setUp('s3+http://KEY:SECRET@127.0.0.1:9009/osbucket')
  const first = set.push('/live/osdown/0.ts')
  // The store is opened with the first segment.
  while (set.stores.size === 0) await new Promise((resolve) => setImmediate(resolve))
  for (const store of set.stores.values()) store.state = 'unreachable'
  assert.equal((await first).status, 200)
  const { parts, status } = await set.push('/live/osdown/1.ts')
  assert.equal(status, 200)
  assert.deepEqual(
    parts.map(([file, type]) => [file, type]),
    [
      ['"low_1.ts"', 'video/mp2t'],
      ['"tiny_1.ts"', 'video/mp2t'],
    ],
  )
  const list = await (await fetch(`${set.port.base}/stream/osdown/low.m3u8`)).text()
  assert.match(list, /\n\/stream\/osdown\/low\/1\.ts\n/)
  assert.equal((await fetch(`${set.port.base}/stream/osdown/low/1.ts`)).status, 200)
})

test('an orchestrator gets the form that is recorded, for its own folder alone and up to a size', () => {
  const form = new Map(recordOf(/^-objectStore \(S3\): push of segment 0$/).form)
  const place = parseStoreAddress('s3+http://KEY:SECRET@127.0.0.1:9001/osbucket?region=0').place as S3Place
  const nowMs = Date.parse('2026-11-29T09:02:16.475Z')
  const { credential, policy, xAmzDate } = uploadPolicy(place, {
    ...{ key: 'os1/59e8cfac', nowMs, validMs: 1_800_000, maxBytes: 5_000_000 },
  })
  assert.equal(credential, form.get('x-amz-credential'))
  assert.equal(xAmzDate, form.get('x-amz-date'))
  const conditionsOf = (text: string) => (JSON.parse(text) as { conditions: unknown[] }).conditions
  const added = [['content-length-range', 0, 5_000_000]]
  const recorded = conditionsOf(form.get('policy')!).map((condition) =>
    JSON.stringify(condition).replace('"os1/59e8cfac"', '"os1/59e8cfac/"'),
  )
  const here = conditionsOf(Buffer.from(policy, 'base64').toString())
  assert.deepEqual(
    here.map((condition) => JSON.stringify(condition)).sort(),
    [...recorded, ...added.map((condition) => JSON.stringify(condition))].sort(),
  )
})
