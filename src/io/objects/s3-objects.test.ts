import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { parseStoreAddress } from '../../domain/store-address.ts'
import { systemClock } from '../../lib/clock.ts'
import { S3Objects } from './s3-objects.ts'
import type { S3Place } from './s3-policy.ts'

function open(address: string): S3Objects {
  const { place, shown } = parseStoreAddress(address)
  return new S3Objects(place as S3Place, { shown, isPublic: true }, { clock: systemClock })
}

/** What a request to S3 looks like on the wire. */
async function seenBy(rest: string, work: (store: S3Objects) => Promise<unknown>, answer?: RequestListener) {
  const seen: { line: string; headers: Record<string, unknown> }[] = []
  const fake = createServer((request, response) => {
    seen.push({ line: `${request.method} ${request.url}`, headers: request.headers })
    if (answer) return answer(request, response)
    request.resume().on('end', () => response.writeHead(200).end())
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => fake.once('listening', resolve))
  const { port } = fake.address() as AddressInfo
  try {
    await work(open(`s3+http://KEY:sEcReT@127.0.0.1:${port}/bucket${rest}`))
  } finally {
    fake.closeAllConnections()
    fake.close()
  }
  return seen
}

test('region, session token and access are what the address says, and no secret is on the wire', async () => {
  const save = (store: S3Objects) => store.save('a/b.ts', new Uint8Array(3))
  const [plain] = await seenBy('', save)
  assert.equal(plain!.line, 'PUT /bucket/a/b.ts?x-id=PutObject')
  assert.match(String(plain!.headers.authorization), /Credential=KEY\/\d{8}\/us-east-1\/s3\/aws4_request/)
  assert.equal(plain!.headers['x-amz-acl'], 'public-read')
  assert.equal(plain!.headers['x-amz-security-token'], undefined)
  const [other] = await seenBy('/sub?region=auto&sessionToken=t0ken&acl=none', save)
  assert.equal(other!.line, 'PUT /bucket/sub/a/b.ts?x-id=PutObject')
  assert.match(String(other!.headers.authorization), /\/auto\/s3\/aws4_request/)
  assert.equal(other!.headers['x-amz-acl'], undefined)
  assert.equal(other!.headers['x-amz-security-token'], 't0ken')
  assert.doesNotMatch(JSON.stringify([plain, other]), /sEcReT/)
})

test('what is wrong with a server is an error of a known kind: trouble, an endless file, an answer that is none', async () => {
  const rejects = (code: string) => (store: S3Objects) =>
    assert.rejects(store.load('a', { maxBytes: 1_000 }), { code })
  await seenBy('', rejects('store-unreachable'), (_, response) => void response.writeHead(503).end())
  await seenBy('', rejects('store-unreachable'), (request) => void request.socket.destroy())
  await seenBy('', rejects('object-too-big'), (_, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write(Buffer.alloc(64 * 1024)), 1)
    response.on('close', () => clearInterval(timer))
  })
  await seenBy(
    '',
    (store) => assert.rejects(store.list(''), { code: 'store-unreachable' }),
    (_, response) => void response.writeHead(200).end('<html>not xml'),
  )
  const endless = { code: 'store-unreachable', message: /: AnswerTooLarge$/ }
  await seenBy(
    '',
    (store) => assert.rejects(store.list(''), endless),
    (_, response) => {
      response.writeHead(200).write('<ListBucketResult>')
      const timer = setInterval(() => response.write('<a>1</a>'.repeat(100_000)), 1)
      response.on('close', () => clearInterval(timer))
    },
  )
})

test('a listing that goes no further is at its end', async () => {
  const again =
    '<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a/b</Key><Size>1</Size></Contents></ListBucketResult>'
  const seen = await seenBy(
    '',
    (store) => store.drop('a/'),
    ({ method }, response) => void response.writeHead(method === 'DELETE' ? 204 : 200).end(again),
  )
  const lists = seen.filter(({ line }) => line.startsWith('GET'))
  assert.equal(lists.length, 2)
})

test('what is aborted ends at once, as an abort', async () => {
  const abort = new AbortController()
  await seenBy(
    '',
    async (store) => {
      const saving = store.save('a', new Uint8Array(1), { signal: abort.signal })
      setTimeout(() => abort.abort(), 100)
      await assert.rejects(saving, { name: 'AbortError' })
      await assert.rejects(store.load('a', { signal: abort.signal }), { name: 'AbortError' })
    },
    () => {},
  )
})
