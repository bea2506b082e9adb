import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcp } from 'node:net'
import { after, test } from 'node:test'
import type { StorageInfo } from '../../domain/segment.ts'
import type { HostRule } from '../../lib/host-rule.ts'
import { FormUploads } from './form-upload.ts'

const never = new AbortController().signal
const LIMITS = { limitMs: 5_000, signal: never }
const bytes = new TextEncoder().encode('a rendition')
const servers: { close(): unknown }[] = []
after(() => {
  for (const server of servers) server.close()
})

async function storeAt(
  answer: RequestListener,
): Promise<{ port: number; at: (kind?: 's3' | 'google') => StorageInfo }> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  servers.push(server)
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  return { port, at: (kind = 's3') => storage(`http://127.0.0.1:${port}/bucket`, kind) }
}

function storage(host: string, kind: 's3' | 'google' = 's3'): StorageInfo {
  const secret = {
    policy: 'p0l1cy',
    signature: 's1gnature',
    credential: 'cr3dential',
    xAmzDate: '20261129T000000Z',
  }
  return { kind, s3: { host, key: 'movie/aaaaaaaa', ...secret } }
}

const here = (port: number): HostRule => ({ public: true, hosts: [{ host: '127.0.0.1', port }] })

/** The form that a request holds: each field with its value, the file's bytes last. */
async function formOf(request: Parameters<RequestListener>[0]): Promise<[string, string][]> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const type = request.headers['content-type'] ?? ''
  const form = await new Response(Buffer.concat(chunks), { headers: { 'content-type': type } }).formData()
  return Promise.all(
    [...form].map(
      async ([name, value]) =>
        [name, typeof value === 'string' ? value : await value.text()] as [string, string],
    ),
  )
}

test('a result is saved by the form of its gateway, in the fields and the order of peers', async () => {
  const seen: { method: string; url: string; form: [string, string][] }[] = []
  const { at, port } = await storeAt(async (request, response) => {
    seen.push({ method: request.method ?? '', url: request.url ?? '', form: await formOf(request) })
    response.writeHead(204).end()
  })
  const uploads = new FormUploads(here(port))
  const url = await uploads.upload(at(), 'P 1/7.ts', bytes, LIMITS)
  assert.equal(url, `http://127.0.0.1:${port}/bucket/movie/aaaaaaaa/P%201/7.ts`)
  assert.deepEqual(seen, [
    {
      method: 'POST',
      url: '/bucket',
      form: [
        ['acl', 'public-read'],
        ['Content-Type', 'video/mp2t'],
        ['key', 'movie/aaaaaaaa/P 1/7.ts'],
        ['policy', 'p0l1cy'],
        ['x-amz-algorithm', 'AWS4-HMAC-SHA256'],
        ['x-amz-credential', 'cr3dential'],
        ['x-amz-date', '20261129T000000Z'],
        ['x-amz-signature', 's1gnature'],
        ['file', 'a rendition'],
      ],
    },
  ])
  await uploads.upload(at('google'), 'P/7.mp4', bytes, LIMITS)
  const google = seen[1]!.form.map(([name]) => name)
  assert.deepEqual(google, ['acl', 'Content-Type', 'key', 'policy', 'GoogleAccessId', 'signature', 'file'])
})

test('nothing is sent to an address that the operator does not allow, by whatever name', async () => {
  let asked = 0
  const { port } = await storeAt((_, response) => {
    asked++
    response.end()
  })
  const uploads = new FormUploads({ public: true, hosts: [] })
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`, `[::ffff:127.0.0.1]:${port}`, `2130706433:${port}`]
  for (const host of [...hosts, '169.254.169.254', '10.0.0.1', '[::1]']) {
    await assert.rejects(uploads.upload(storage(`http://${host}/b`), 'P/0.ts', bytes, LIMITS), host)
  }
  const rebound = new FormUploads(
    { public: true, hosts: [] },
    { resolve: (_, __, done) => done(null, [{ address: '127.0.0.1', family: 4 }]) },
  )
  await assert.rejects(rebound.upload(storage(`http://store.example:${port}/b`), 'P/0.ts', bytes, LIMITS))
  const listedOnly = new FormUploads({ public: false, hosts: [] }, { isPublic: () => true })
  await assert.rejects(listedOnly.upload(storage(`http://127.0.0.1:${port}/b`), 'P/0.ts', bytes, LIMITS))
  assert.equal(asked, 0)
})

test('a store that is no place, and a form that would break out of its field, are refused before anything is sent', async () => {
  const uploads = new FormUploads({ public: false, hosts: [{ host: '127.0.0.1', port: null }] })
  for (const host of [
    '',
    'ftp://127.0.0.1/b',
    'file:///etc',
    'http://u:p@127.0.0.1/b',
    'http://127.0.0.1/b?x=1',
    'b',
  ]) {
    await assert.rejects(
      uploads.upload(storage(host), 'P/0.ts', bytes, LIMITS),
      { code: 'store-refused' },
      host,
    )
  }
  for (const key of ['a\r\n--', 'a"b', 'x'.repeat(600)]) {
    const { s3 } = storage('http://127.0.0.1/b')
    const broken: StorageInfo = { kind: 's3', s3: { ...s3!, key } }
    await assert.rejects(uploads.upload(broken, 'P/0.ts', bytes, LIMITS), { code: 'bad-path' })
  }
  await assert.rejects(uploads.upload({ kind: 's3', s3: null }, 'P/0.ts', bytes, LIMITS), {
    code: 'store-refused',
  })
})

test('a redirect is not followed, and a refusal says its status without the form', async () => {
  const { at, port } = await storeAt((request, response) => {
    request.resume()
    if (request.url === '/stolen') throw new Error('followed')
    response
      .writeHead(307, { location: `http://127.0.0.1:${port}/stolen` })
      .end('p0l1cy s1gnature cr3dential')
  })
  await assert.rejects(new FormUploads(here(port)).upload(at(), 'P/0.ts', bytes, LIMITS), {
    code: 'store-refused',
    message: `127.0.0.1:${port} answers 307`,
  })
})

test('a store that never answers, or answers without end, takes no longer than its limit', async () => {
  const silent = createTcp((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
  servers.push(silent)
  await new Promise((resolve) => silent.once('listening', resolve))
  const { port } = silent.address() as AddressInfo
  const limits = { limitMs: 200, signal: never }
  await assert.rejects(
    new FormUploads(here(port)).upload(storage(`http://127.0.0.1:${port}/b`), 'P/0.ts', bytes, limits),
    { code: 'store-unreachable', message: `127.0.0.1:${port} did not take a file within 200 ms` },
  )
  const endless = await storeAt((request, response) => {
    request.resume()
    response.writeHead(200)
    const timer = setInterval(() => response.write(Buffer.alloc(64 * 1024)), 1)
    response.on('close', () => clearInterval(timer))
  })
  await new FormUploads(here(endless.port)).upload(endless.at(), 'P/0.ts', bytes, LIMITS)
})

test('what is aborted ends at once', async () => {
  const { at, port } = await storeAt((request) => request.resume())
  const abort = new AbortController()
  const uploading = new FormUploads(here(port)).upload(at(), 'P/0.ts', bytes, {
    limitMs: 60_000,
    signal: abort.signal,
  })
  abort.abort()
  await assert.rejects(uploading, { name: 'AbortError' })
})
