import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { parseStoreAddress } from '../../src/domain/store-address.ts'
import { VerifierBucket } from '../../src/io/http/verifier-bucket.ts'
import { FormUploads } from '../../src/io/objects/form-upload.ts'
import { S3Objects } from '../../src/io/objects/s3-objects.ts'
import type { S3Place } from '../../src/io/objects/s3-policy.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { NO_S3_SERVER, S3Server } from '../net/s3-server.ts'
import { objectsSuite } from '../suites/objects.ts'
import { eventually } from '../tools/until.ts'

const never = new AbortController().signal
const skip = NO_S3_SERVER
/** One that checks the signatures of requests for files, and one that lets everybody read and takes forms. */
const [strict, server] = skip ? [] : await Promise.all([S3Server.open({ checksKeys: true }), S3Server.open()])
after(async () => {
  await strict?.[Symbol.asyncDispose]()
  await server?.[Symbol.asyncDispose]()
})
let folders = 0

function open(address: string, isPublic = true): S3Objects {
  const { place, shown } = parseStoreAddress(address)
  return new S3Objects(place as S3Place, { shown, isPublic }, { clock: systemClock })
}

objectsSuite('in an S3 server', async () => open(server!.addressOf(`/folder-${folders++}/with space`)), {
  checksPaths: true,
  skip,
})

test('a file of S3 lies below the folder of the address, with its type and duration, and its URL is the server’s', {
  skip,
}, async () => {
  const store = open(server!.addressOf('/live/tv'))
  const url = await store.save('m/P 1/0.ts', new Uint8Array(3), { durationMs: 2000.9 })
  assert.equal(url, `http://${server!.at}/bucket/live/tv/m/P%201/0.ts`)
  const answer = await fetch(url)
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('content-type'), 'video/mp2t')
  assert.equal(answer.headers.get('x-amz-meta-duration'), '2000')
  assert.equal((await answer.arrayBuffer()).byteLength, 3)
  assert.ok(await open(server!.addressOf()).load('live/tv/m/P 1/0.ts'))
  assert.equal(store.urlOf('m/P 1/0.ts'), url)
})

test('a key that the server knows is enough, and any other is refused without being shown', {
  skip,
}, async () => {
  const own = open(strict!.addressOf('/with space'))
  await own.save('m/P 1/0.ts', new Uint8Array(3))
  assert.equal((await own.load('m/P 1/0.ts'))?.length, 3)
  await own.remove('m/P 1/0.ts')
  assert.equal(await own.load('m/P 1/0.ts'), null)
  for (const given of [{ secret: 'sEcReTword' }, { key: 'sEcReTkey' }]) {
    const store = open(strict!.addressOf('', given))
    for (const asked of [
      () => store.save('a/b', new Uint8Array(1)),
      () => store.load('a/b'),
      () => store.remove('a/b'),
    ]) {
      await assert.rejects(asked(), (error: Error & { code: string }) => {
        assert.equal(error.code, 'store-refused')
        assert.match(error.message, new RegExp(`^s3\\+http://${strict!.at}/bucket answers 403: \\w+$`))
        assert.doesNotMatch(JSON.stringify([error.message, error.cause ?? null]), /sEcReT/)
        return true
      })
    }
  }
})

test('a bucket that is not there is no empty one', { skip }, async () => {
  const store = open(server!.addressOf().replace('/bucket', '/absent'))
  for (const asked of [() => store.save('a/b', new Uint8Array(1)), () => store.list('')]) {
    await assert.rejects(asked(), {
      code: 'store-refused',
      message: `${store.shown} answers 404: NoSuchBucket`,
    })
  }
})

test('another node saves by the form that it is given, and only its own node reads the key', {
  skip,
}, async () => {
  const store = open(server!.addressOf('/live'))
  const granted = store.grant('m/0a1b2c3d', { validMs: 60_000, maxBytes: 1_000 })
  const rule = { public: false, hosts: [{ host: '127.0.0.1', port: null }] }
  const url = await new FormUploads(rule).upload(granted!, 'P/7.ts', new Uint8Array(9), {
    limitMs: 9_000,
    signal: never,
  })
  assert.equal(url, store.urlOf('m/0a1b2c3d/P/7.ts'))
  assert.equal((await store.load('m/0a1b2c3d/P/7.ts'))?.length, 9)
  for (const rest of ['?sessionToken=x', '?acl=none'])
    assert.equal(open(server!.addressOf(rest)).grant('m/0a1b2c3d', { validMs: 1, maxBytes: 1 }), null)
  assert.equal(store.grant('../x', { validMs: 1, maxBytes: 1 }), null)
})

test('a server that is killed is told apart from one that refuses, and is used again when it is back', {
  skip,
}, async () => {
  const store = open(server!.addressOf())
  await store.save('m/P/0.ts', new Uint8Array(3))
  await server!.kill()
  for (const asked of [
    () => store.save('m/P/1.ts', new Uint8Array(3)),
    () => store.load('m/P/0.ts'),
    () => store.list('m/'),
  ]) {
    await assert.rejects(asked(), { code: 'store-unreachable' })
  }
  await server!.start()
  await store.save('m/P/1.ts', new Uint8Array(3))
  assert.equal((await store.load('m/P/1.ts'))?.length, 3)
})

test('a verifier fetches what it judges from a bucket by plain requests, and nothing of it stays there', {
  skip,
}, async () => {
  const store = open(server!.addressOf('/judged'))
  const place = new VerifierBucket(store, { dice: systemDice, log: silentLog })
  await place.open()
  const bytes = (text: string) => new TextEncoder().encode(text)
  const renditions = ['P 1', 'tiny'].map((name) => ({ name, bytes: bytes(name) }))
  {
    await using files = await place.write(bytes('source'), renditions, never)
    const answers = await Promise.all([files.source, ...files.renditions].map((url) => fetch(url)))
    assert.deepEqual(await Promise.all(answers.map((answer) => answer.text())), ['source', 'P 1', 'tiny'])
  }
  await eventually('they are removed', async () => (await store.list('')).files.length === 0)
})
