import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, test } from 'node:test'
import { FakeGoogleStorage } from '../../../test/fakes/google-storage.ts'
import { objectsSuite } from '../../../test/suites/objects.ts'
import { parseStoreAddress } from '../../domain/store-address.ts'
import { GoogleObjects, type GooglePlace } from './google-objects.ts'
import { googleTokens } from './google-token.ts'

// The bucket is a stand-in, written from the documents of the JSON API; the emulator has a test of its own.
const opened: FakeGoogleStorage[] = []
after(async () => {
  for (const google of opened) await google[Symbol.asyncDispose]()
})

async function setUp(rest = '', { isPublic = true } = {}) {
  const google = await FakeGoogleStorage.open('bucket')
  opened.push(google)
  const { place, shown } = parseStoreAddress(
    `gs://bucket${rest}${rest.includes('?') ? '&' : '?'}endpoint=${google.endpoint}`,
  )
  let tokens = 0
  const token = async () => `token-${++tokens}`
  const objects = new GoogleObjects(place as GooglePlace, { shown, isPublic }, { tokens: async () => token })
  return { google, objects }
}

objectsSuite('in a bucket of Google (a stand-in)', async () => (await setUp()).objects, { checksPaths: true })
objectsSuite('in a folder of a bucket of Google (a stand-in)', async () => (await setUp('/a/b')).objects, {
  checksPaths: true,
})

test('a file in a bucket of Google has its type, its duration and, if asked for, everybody as its reader', async () => {
  const { google, objects } = await setUp('/live')
  await objects.save('m/P/0.ts', new Uint8Array(3), { durationMs: 2000.5 })
  const saved = google.files.get('live/m/P/0.ts')
  assert.deepEqual(saved?.facts, {
    ...{ name: 'live/m/P/0.ts', contentType: 'video/mp2t' },
    metadata: { duration: '2000' },
  })
  assert.equal(saved?.acl, 'publicRead')
  assert.ok([...google.tokens].every((token) => token?.startsWith('Bearer token-')))
  for (const [rest, options] of [
    ['', { isPublic: false }],
    ['?acl=none', {}],
  ] as const) {
    const other = await setUp(rest, options)
    await other.objects.save('m/index.m3u8', new Uint8Array(3))
    assert.equal(other.google.files.get('m/index.m3u8')?.acl, null)
    assert.equal(other.google.files.get('m/index.m3u8')?.facts.metadata, undefined)
  }
})

test('a refusal of Google is told apart from its trouble, without what it says', async () => {
  const { google, objects } = await setUp()
  for (const [status, code] of [
    [403, 'store-refused'],
    [401, 'store-refused'],
    [503, 'store-unreachable'],
    [429, 'store-unreachable'],
  ] as const) {
    google.status = status
    await assert.rejects(objects.save('a/b', new Uint8Array(1)), {
      code,
      message: `gs://bucket answers ${status}`,
    })
  }
  google.status = 404
  await assert.rejects(
    objects.save('a/b', new Uint8Array(1)),
    { code: 'store-refused' },
    'the bucket is not there',
  )
  await google[Symbol.asyncDispose]()
  opened.splice(opened.indexOf(google), 1)
  await assert.rejects(objects.load('a/b'), {
    code: 'store-unreachable',
    message: 'gs://bucket cannot be reached',
  })
})

test('a token that never comes holds up nobody who no longer waits', async () => {
  const { google } = await setUp()
  const { place, shown } = parseStoreAddress(`gs://bucket?endpoint=${google.endpoint}`)
  const tokens = async () => () => new Promise<string>(() => {})
  const objects = new GoogleObjects(place as GooglePlace, { shown, isPublic: true }, { tokens })
  const gone = new AbortController()
  const loading = objects.load('a/b', { signal: gone.signal })
  gone.abort()
  await assert.rejects(loading, { name: 'AbortError' })
})

test('no credentials of Google are handed out', async () => {
  const { objects } = await setUp()
  assert.equal(objects.grant(), null)
})

test('a key that is none is refused without being shown', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
  const whole = JSON.stringify({ client_email: 'me@p.iam.gserviceaccount.com', private_key: key })
  assert.equal(typeof (await googleTokens(whole)), 'function')
  for (const [bad, says] of [
    ['{"private_key":"sEcReT"}', /no JSON with client_email and private_key/],
    ['{"private_key":"sEcReT', /no JSON with client_email and private_key/],
    ['/nowhere/sEcReT.json', /cannot be read: it is not there/],
  ] as const) {
    await assert.rejects(googleTokens(bad), (error: Error) => {
      assert.match(error.message, says)
      assert.doesNotMatch(error.message, /sEcReT/)
      return true
    })
  }
})
