import assert from 'node:assert/strict'
import { createServer as createHttpServer } from 'node:http'
import { constants, createSecureServer, type ServerHttp2Stream } from 'node:http2'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net'
import { test } from 'node:test'
import { INFO, segmentOf, startEndpoint } from '../../../test/fakes/endpoint.ts'
import type { InfoRequest } from '../../domain/segment.ts'
import { systemClock } from '../../lib/clock.ts'
import { keccak256, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { systemDice } from '../../lib/dice.ts'
import { NodeError } from '../../lib/errors.ts'
import { Supervisor } from '../../lib/service.ts'
import type { Submission } from '../../services/gateway/submission.ts'
import { encodeTranscodeResult } from './convert-result.ts'
import { OrchestratorClient } from './orchestrator-client.ts'
import type { NameLookup } from './peer-exchange.ts'
import { makeIdentity } from './tls.ts'

const SOURCE = Buffer.from('the segment')
const REQUEST: InfoRequest = {
  address: ZERO_ADDRESS,
  sig: new Uint8Array(0),
  capabilities: null,
  ignoreCapacityCheck: false,
}
const never = new AbortController().signal

function jobOf(body: Uint8Array = SOURCE, changes: Partial<Submission> = {}): Submission {
  const times = { headerTimeoutMs: 5_000, totalTimeoutMs: 10_000 }
  return { segment: segmentOf(body), payment: null, body, bodyIsUri: false, ...times, ...changes }
}

/** A client that closes its connections. */
async function startClient(
  names: NameLookup = {},
): Promise<{ client: OrchestratorClient } & AsyncDisposable> {
  const client = new OrchestratorClient(names)
  const supervisor = new Supervisor()
  await supervisor.start(client)
  return { client, [Symbol.asyncDispose]: () => supervisor.stop() }
}

/** Listens on loopback; every connection ends with the test. */
async function listen(server: Server): Promise<{ port: number; connections: number } & AsyncDisposable> {
  const sockets = new Set<Socket>()
  const running = {
    port: 0,
    connections: 0,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  server.on('connection', (socket: Socket) => {
    running.connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  running.port = (server.address() as AddressInfo).port
  return running
}

const identity: ServerOptions = makeIdentity('localhost', { clock: systemClock, dice: systemDice })

for (const plain of [false, true]) {
  const name = plain ? 'plain HTTP' : 'TLS'

  test(`calls are answered over ${name}`, async () => {
    await using endpoint = await startEndpoint({ plain })
    await using started = await startClient()
    const { client } = started
    assert.deepEqual(await client.info(endpoint.url, REQUEST, { timeoutMs: 3_000 }, never), INFO)
    assert.deepEqual(await client.info(endpoint.url, REQUEST, {}, never), INFO)
    assert.deepEqual(await client.ping(endpoint.url, SOURCE, never), keccak256(SOURCE))
    await client.endSession(endpoint.url, INFO.authToken!, {}, never)
    assert.deepEqual(endpoint.api.ended, ['abcd'])
  })

  test(`a segment is sent and its result read over ${name}`, async () => {
    await using endpoint = await startEndpoint({ plain })
    await using started = await startClient()
    let statuses = 0
    const job = jobOf(Buffer.alloc(5_000_000, 'v'), { onStatus: () => statuses++ })
    const result = await started.client.submit(endpoint.url, job, never)
    assert.deepEqual(result, {
      seq: 7n,
      info: INFO,
      outcome: { kind: 'error', text: 'OrchestratorBusy' },
    })
    assert.equal(statuses, 1)
    assert.ok(Buffer.from(endpoint.api.sources[0]!).equals(job.body))
    assert.deepEqual(endpoint.api.admitted[0]?.segment, job.segment)
  })

  test(`results are fetched over ${name}, and a missing one is its status line`, async () => {
    await using endpoint = await startEndpoint({ plain })
    await using started = await startClient()
    const bytes = Buffer.alloc(3_000_000, 'r')
    endpoint.api.files.set('abcd/P/0.ts', bytes)
    const fetched = await started.client.download(`${endpoint.url}/stream/abcd/P/0.ts`, never)
    assert.ok(bytes.equals(fetched))
    await assert.rejects(started.client.download(`${endpoint.url}/stream/abcd/P/1.ts`, never), {
      code: 'refused',
      message: '404 Not Found',
      details: { status: 404 },
    })
  })

  test(`a refusal is read while 50 MB are being sent, over ${name}`, async () => {
    await using endpoint = await startEndpoint({ plain })
    await using started = await startClient()
    endpoint.api.onAdmit = async () => Promise.reject(new NodeError('forbidden', 'OrchestratorCapped'))
    let statuses = 0
    const job = jobOf(Buffer.alloc(50_000_000), { onStatus: () => statuses++ })
    await assert.rejects(started.client.submit(endpoint.url, job, never), {
      code: 'refused',
      message: 'OrchestratorCapped',
      details: { status: 403 },
    })
    assert.equal(statuses, 1)
  })

  test(`an orchestrator that does not answer in time is given up over ${name}`, async () => {
    await using endpoint = await startEndpoint({ plain })
    await using started = await startClient()
    const { client } = started
    let statuses = 0
    const onStatus = () => statuses++
    endpoint.api.onAdmit = () => new Promise(() => {})
    const noHeaders = jobOf(SOURCE, { headerTimeoutMs: 150, onStatus })
    await assert.rejects(client.submit(endpoint.url, noHeaders, never), {
      code: 'header-timeout',
      message: 'header timeout: nothing within 150 ms',
    })
    assert.equal(statuses, 0)
    endpoint.api.onAdmit = async () => {}
    endpoint.api.onTranscode = () => new Promise(() => {})
    const noBody = jobOf(SOURCE, { headerTimeoutMs: 150, totalTimeoutMs: 300, onStatus })
    await assert.rejects(client.submit(endpoint.url, noBody, never), {
      code: 'body-timeout',
      message: 'body timeout: nothing within 300 ms',
    })
    assert.equal(statuses, 1)
    endpoint.api.onInfo = () => new Promise(() => {})
    await assert.rejects(client.info(endpoint.url, REQUEST, { timeoutMs: 150 }, never), {
      code: 'header-timeout',
    })
  })

  test(`an aborted call rejects with an AbortError over ${name}`, async () => {
    await using endpoint = await startEndpoint({ plain })
    await using started = await startClient()
    const { client } = started
    endpoint.api.onTranscode = () => new Promise(() => {})
    endpoint.api.onInfo = () => new Promise(() => {})
    const calls: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => client.submit(endpoint.url, jobOf(), signal),
      (signal) => client.info(endpoint.url, REQUEST, {}, signal),
    ]
    for (const call of calls) {
      await assert.rejects(call(AbortSignal.abort()), { name: 'AbortError' })
      const abort = new AbortController()
      setTimeout(() => abort.abort('enough'), 100)
      await assert.rejects(call(abort.signal), { name: 'AbortError' })
    }
  })

  test(`a failed call has the orchestrator’s text over ${name}`, async () => {
    await using endpoint = await startEndpoint({ plain })
    await using started = await startClient()
    const text = 'Invalid orchestrator request: OrchestratorCapped – 100 %'
    endpoint.api.onInfo = async () => Promise.reject(new NodeError('x', text))
    await assert.rejects(started.client.info(endpoint.url, REQUEST, {}, never), {
      code: 'refused',
      message: text,
    })
  })
}

test('an orchestrator whose address ends in a slash still gets its segments', async () => {
  await using endpoint = await startEndpoint()
  await using running = await startClient()
  for (const base of [endpoint.url, `${endpoint.url}/`]) {
    const result = await running.client.submit(base, jobOf(), never)
    assert.equal(result.outcome.kind, 'error', 'as the endpoint’s stand-in answers')
  }
  assert.equal(endpoint.api.sources.length, 2)
})

test('an unreachable orchestrator is reported as such by every call', async () => {
  await using started = await startClient()
  const { client } = started
  const closed = await listen(createTcpServer())
  const { port } = closed
  await closed[Symbol.asyncDispose]()
  const hangingUp = createTcpServer((socket) => socket.destroy())
  await using rude = await listen(hangingUp)
  for (const url of [
    `https://127.0.0.1:${port}`,
    `http://127.0.0.1:${port}`,
    `https://127.0.0.1:${rude.port}`,
    `http://127.0.0.1:${rude.port}`,
    'ftp://127.0.0.1',
    'nonsense',
  ]) {
    await assert.rejects(client.info(url, REQUEST, {}, never), { code: 'unreachable' }, `info of ${url}`)
    await assert.rejects(client.submit(url, jobOf(), never), { code: 'unreachable' }, `segment to ${url}`)
    await assert.rejects(client.download(`${url}/x`, never), { code: 'unreachable' }, `download of ${url}`)
  }
})

test('a peer that accepts a connection and stays silent is given up', async () => {
  await using silent = await listen(createTcpServer())
  await using started = await startClient()
  for (const scheme of ['https', 'http']) {
    await assert.rejects(
      started.client.info(`${scheme}://127.0.0.1:${silent.port}`, REQUEST, { timeoutMs: 200 }, never),
      (error: NodeError) => ['unreachable', 'header-timeout'].includes(error.code),
    )
    await assert.rejects(
      started.client.submit(
        `${scheme}://127.0.0.1:${silent.port}`,
        jobOf(SOURCE, { headerTimeoutMs: 200 }),
        never,
      ),
      { code: 'header-timeout' },
    )
  }
})

test('an orchestrator that speaks only HTTP/1.1 receives segments and returns results', async () => {
  const server = createHttpsServer({ ...identity, ALPNProtocols: ['http/1.1'] }, (request, response) => {
    if (request.url !== '/segment') return void response.end('rendition')
    request.resume()
    request.on('end', () =>
      response.end(encodeTranscodeResult({ seq: 1n, info: null, outcome: { kind: 'none' } })),
    )
  })
  await using peer = await listen(server)
  await using started = await startClient()
  const url = `https://127.0.0.1:${peer.port}`
  const result = await started.client.submit(url, jobOf(), never)
  assert.deepEqual(result, { seq: 1n, info: null, outcome: { kind: 'none' } })
  assert.equal(Buffer.from(await started.client.download(`${url}/x`, never)).toString(), 'rendition')
})

test('invalid, oversized and broken answers are told apart', async () => {
  const server = createSecureServer({ ...identity, allowHTTP1: true })
  let answer: 'garbage' | 'large' | 'cut' = 'garbage'
  server.on('request', (_request, response) => {
    if (answer === 'garbage') return void response.end(Buffer.from([0x0a, 0xff]))
    if (answer === 'large') return void response.end(Buffer.alloc(300_000))
    response.write('x')
    setTimeout(() => response.stream.destroy(new Error('cut')), 20)
  })
  await using peer = await listen(server)
  await using started = await startClient()
  const url = `https://127.0.0.1:${peer.port}`
  await assert.rejects(started.client.submit(url, jobOf(), never), { code: 'bad-answer' })
  answer = 'large'
  await assert.rejects(started.client.submit(url, jobOf(), never), {
    code: 'too-large',
    message: 'input bigger than max buffer size',
  })
  answer = 'cut'
  await assert.rejects(started.client.submit(url, jobOf(), never), { code: 'unreachable' })
  await assert.rejects(started.client.download(`${url}/x`, never), { code: 'unreachable' })
})

test('a peer that answers early and closes, as Go does over HTTP/1.1, is understood', async () => {
  const server = createTcpServer((socket) => {
    socket.once('data', () => {
      socket.end(
        'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 21\r\n\r\nInsufficient balance\n',
      )
      // Reads on for a while, as Go does, then closes although data is still arriving.
      socket.resume()
      setTimeout(() => socket.destroy(), 500).unref()
    })
  })
  await using peer = await listen(server)
  await using started = await startClient()
  const job = jobOf(Buffer.alloc(50_000_000))
  await assert.rejects(started.client.submit(`http://127.0.0.1:${peer.port}`, job, never), {
    code: 'refused',
    message: 'Insufficient balance',
  })
})

test('segments and results share a connection; a restarted peer gets a new one', async () => {
  await using started = await startClient()
  const { client } = started
  const server = createSecureServer(identity)
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200 })
    stream.resume()
    stream.on('end', () => stream.end('x'))
  })
  const closers: (() => void)[] = []
  server.on('session', (session) => closers.push(() => session.close()))
  await using peer = await listen(server)
  const fetchIt = () => client.download(`https://127.0.0.1:${peer.port}/x`, never)
  await Promise.all([fetchIt(), fetchIt()])
  const opened = peer.connections
  for (let round = 0; round < 20; round++) await fetchIt()
  assert.equal(peer.connections, opened)
  for (const close of closers.splice(0)) close()
  await new Promise((resolve) => setTimeout(resolve, 50))
  await fetchIt()
  assert.equal(peer.connections, opened + 1)
})

for (const [claim, refuse] of [
  ['above the last stream of a GOAWAY', (stream) => stream.session?.goaway(0, (stream.id ?? 0) - 2)],
  ['that a server refuses to take', (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM)],
] satisfies [string, (stream: ServerHttp2Stream) => void][]) {
  test(`a request ${claim} is sent over another connection by itself, and what runs finishes`, async () => {
    const server = createSecureServer(identity)
    const bodies: string[] = []
    let connections = 0
    server.on('session', () => connections++)
    const release = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    server.on('stream', async (stream, headers) => {
      stream.on('error', () => {})
      if (headers[':path'] === '/running') {
        stream.respond({ ':status': 200 })
        arrived.resolve()
        await release.promise
        return void stream.end('done')
      }
      if (connections === 1) return void refuse(stream)
      stream.setEncoding('utf8')
      let body = ''
      stream.on('data', (text: string) => (body += text))
      stream.on('end', () => {
        bodies.push(body)
        stream.respond({ ':status': 200 })
        stream.end(encodeTranscodeResult({ seq: 1n, info: null, outcome: { kind: 'none' } }))
      })
    })
    await using peer = await listen(server)
    await using started = await startClient()
    const url = `https://127.0.0.1:${peer.port}`
    const running = started.client.download(`${url}/running`, never)
    await arrived.promise
    const { outcome } = await started.client.submit(url, jobOf(), never)
    assert.deepEqual([outcome.kind, bodies, connections], ['none', [SOURCE.toString()], 2])
    release.resolve()
    assert.equal(Buffer.from(await running).toString(), 'done')
  })
}

test('a peer that takes no request is sent it four times at most, each over another connection', async () => {
  const server = createSecureServer(identity)
  let streams = 0
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    streams++
    stream.close(constants.NGHTTP2_REFUSED_STREAM)
  })
  await using peer = await listen(server)
  await using started = await startClient()
  await assert.rejects(started.client.submit(`https://127.0.0.1:${peer.port}`, jobOf(), never), (error) => {
    assert.ok(error instanceof NodeError && error.code === 'unreachable')
    // The peer may have read the payment all the same.
    return error.details.isUnsent === undefined
  })
  assert.deepEqual([streams, peer.connections], [4, 4])
})

test('an exchange that breaks off, or reaches no node, leaves its connection', async () => {
  const server = createSecureServer(identity)
  let how: 'cut' | 'empty' | number = 'cut'
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.respond({ ':status': typeof how === 'number' ? how : 200 })
    if (how === 'cut') stream.destroy(new Error('cut'))
    else stream.end(how === 'empty' ? '' : 'a text')
  })
  await using peer = await listen(server)
  await using started = await startClient()
  const submit = () => started.client.submit(`https://127.0.0.1:${peer.port}`, jobOf(), never).catch(() => {})
  for (const [at, change] of (['cut', 'empty', 502, 503, 504, 403] as const).entries()) {
    how = change
    await submit()
    assert.equal(peer.connections, at + 1, String(change))
  }
  await submit()
  assert.equal(peer.connections, 6, 'a refusal leaves the connection as it is')
})

test('a download that reaches no node is made once more over another connection', async () => {
  const server = createSecureServer(identity)
  let answers: ('cut' | 'empty' | 'good' | number)[] = []
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    const how = answers.shift() ?? 'good'
    if (how === 'cut') return void stream.session?.destroy()
    stream.respond({ ':status': typeof how === 'number' ? how : 200 })
    stream.end(how === 'empty' ? '' : 'rendition')
  })
  await using peer = await listen(server)
  await using started = await startClient()
  const base = `https://127.0.0.1:${peer.port}`
  const get = () => started.client.fetchRendition(`${base}/x`, { base, maxBytes: 10 }, never)
  for (const first of ['cut', 'empty', 502, 503, 504] as const) {
    answers = [first]
    const before = peer.connections
    assert.equal(Buffer.from(await get()).toString(), 'rendition', String(first))
    assert.ok(peer.connections > before)
    answers = [first, first]
    await assert.rejects(get(), NodeError, `${first} twice`)
    assert.deepEqual(answers, [])
  }
  answers = [404]
  await assert.rejects(get(), { message: '404 Not Found' })
})

test('a call that is cut off is made once more; one that is refused is not', async () => {
  await using endpoint = await startEndpoint()
  let cuts = 0
  const link = createTcpServer((near) => {
    if (cuts-- > 0) return void near.destroy()
    const far = connectTcp(Number(new URL(endpoint.url).port), '127.0.0.1')
    for (const socket of [near, far]) socket.on('error', () => {})
    near.pipe(far).pipe(near)
  })
  await using peer = await listen(link)
  await using started = await startClient()
  const ask = () =>
    started.client.info(`https://127.0.0.1:${peer.port}`, REQUEST, { timeoutMs: 5_000 }, never)
  cuts = 1
  assert.deepEqual(await ask(), INFO)
  cuts = 2
  await assert.rejects(ask(), { code: 'unreachable' })
  let asked = 0
  endpoint.api.onInfo = () => {
    asked++
    return Promise.reject(new NodeError('x', 'OrchestratorCapped'))
  }
  await assert.rejects(ask(), { code: 'refused' })
  assert.equal(asked, 1)
})

test('after a peer vanished silently, another connection is used', async () => {
  await using started = await startClient()
  let silent = true
  const server = createSecureServer(identity)
  server.on('stream', (stream) => {
    if (silent) return
    stream.respond({ ':status': 200 })
    stream.end(encodeTranscodeResult({ seq: 1n, info: null, outcome: { kind: 'none' } }))
  })
  await using peer = await listen(server)
  const url = `https://127.0.0.1:${peer.port}`
  const submit = () => started.client.submit(url, jobOf(SOURCE, { headerTimeoutMs: 200 }), never)
  await assert.rejects(submit(), { code: 'header-timeout' })
  silent = false
  await submit()
  await submit()
  assert.equal(peer.connections, 2)
})

test('segments beyond the limit of one connection use another', async () => {
  await using endpoint = await startEndpoint()
  await using started = await startClient()
  const held = Promise.withResolvers<void>()
  await started.client.submit(endpoint.url, jobOf(), never)
  endpoint.api.sources.length = 0
  endpoint.api.onTranscode = () => held.promise
  const all = Array.from({ length: 300 }, (_, stream) => {
    const authToken = { token: Uint8Array.of(1), sessionId: `session ${stream}`, expiration: 1n }
    const job = jobOf(SOURCE, { segment: { ...segmentOf(SOURCE), authToken } })
    return started.client.submit(endpoint.url, job, never)
  })
  const limit = performance.now() + 20_000
  while (endpoint.api.sources.length < 300 && performance.now() < limit) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.equal(endpoint.api.sources.length, 300)
  held.resolve()
  for (const { outcome } of await Promise.all(all)) assert.equal(outcome.kind, 'error')
})

/** Counts connections and requests; answers each request with ten bytes. */
function countingServer() {
  const seen: string[] = []
  const server = createHttpServer((request, response) => {
    seen.push(request.url ?? '')
    if (request.url === '/redirect') {
      response.writeHead(302, { location: '/inside' })
      return void response.end()
    }
    response.end('0123456789')
  })
  return { seen, server }
}

test('a rendition is fetched only from the node that got the segment or from a public address', async () => {
  const inside = countingServer()
  await using own = await listen(countingServer().server)
  await using other = await listen(inside.server)
  await using started = await startClient()
  const base = `http://127.0.0.1:${own.port}`
  const get = (url: string) => started.client.fetchRendition(url, { base, maxBytes: 10 }, never)
  assert.equal(Buffer.from(await get(`${base}/stream/x`)).toString(), '0123456789')
  for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '0.0.0.0', '2130706433', '127.1']) {
    await assert.rejects(
      get(`http://${host}:${other.port}/inside`),
      { code: 'forbidden-address', message: /is not a public address/ },
      host,
    )
  }
  for (const url of [
    'http://169.254.169.254/latest',
    'https://10.0.0.1/',
    'https://[fd00::1]/',
    'http://[::1]/',
  ]) {
    await assert.rejects(get(url), { code: 'forbidden-address', message: /is not a public address/ }, url)
  }
  await assert.rejects(get('file:///etc/passwd'), { code: 'unreachable' })
  await assert.rejects(get(`${base}/redirect`), { code: 'refused', message: '302 Found' })
  assert.deepEqual([inside.seen, other.connections], [[], 0])
})

/** A name that resolves to one address after the other, and the addresses that count as public. */
function namesOf(answers: readonly string[], publicIps: readonly string[]) {
  const asked: string[] = []
  const names: NameLookup = {
    resolve: (hostname, _options, callback) => {
      const address = answers[Math.min(asked.length, answers.length - 1)]!
      asked.push(hostname)
      callback(null, [{ address, family: 4 }])
    },
    isPublic: (ip) => publicIps.includes(ip),
  }
  return { asked, names }
}

test('the address that was checked is the one connected to, each time anew', async () => {
  const { seen, server } = countingServer()
  await using peer = await listen(server)
  const { asked, names } = namesOf(['127.0.0.1', '127.0.0.2'], ['127.0.0.1'])
  await using started = await startClient(names)
  const get = () =>
    started.client.fetchRendition(
      `http://rebinding.example:${peer.port}/x`,
      { base: 'https://o:1', maxBytes: 10 },
      never,
    )
  assert.equal(Buffer.from(await get()).toString(), '0123456789')
  assert.equal(asked.length, 1)
  await assert.rejects(get(), { message: /rebinding.example \(127.0.0.2\) is not a public address/ })
  assert.deepEqual([seen.length, asked.length], [1, 2])
})

test('an orchestrator with a public address cannot make this node call its own network', async () => {
  const { seen, server } = countingServer()
  await using inside = await listen(server)
  await using endpoint = await startEndpoint({ plain: true })
  const { names } = namesOf(['127.0.0.1'], ['127.0.0.1'])
  await using outside = await startClient(names)
  const { reach } = await outside.client.info(endpoint.url, REQUEST, {}, never)
  assert.equal(reach, 'public')
  // From here on the address counts as what it is: one of this host.
  await using started = await startClient()
  const { client } = started
  const base = `http://127.0.0.1:${inside.port}`
  const refusal = { code: 'forbidden-address', message: /is not a public address/ }
  await assert.rejects(client.submit(base, jobOf(SOURCE, { reach }), never), refusal)
  await assert.rejects(client.info(base, REQUEST, { reach }, never), refusal)
  await assert.rejects(client.endSession(base, INFO.authToken!, { reach }, never), refusal)
  await assert.rejects(client.fetchRendition(`${base}/x`, { base, reach, maxBytes: 10 }, never), refusal)
  assert.deepEqual([seen, inside.connections], [[], 0])
  assert.equal((await client.info(endpoint.url, REQUEST, {}, never)).reach, undefined)
})

test('a connection that may have gone to any address is not used for requests limited to public ones', async () => {
  await using endpoint = await startEndpoint({})
  await using started = await startClient()
  endpoint.api.files.set('a', Buffer.from('inside'))
  const url = `${endpoint.url}/stream/a`
  assert.equal(Buffer.from(await started.client.download(url, never)).toString(), 'inside')
  await assert.rejects(started.client.fetchRendition(url, { base: 'https://o:1', maxBytes: 10 }, never), {
    message: /is not a public address/,
  })
})

test('a rendition larger than expected is given up', async () => {
  await using peer = await listen(countingServer().server)
  await using started = await startClient()
  const base = `http://127.0.0.1:${peer.port}`
  await assert.rejects(started.client.fetchRendition(`${base}/x`, { base, maxBytes: 9 }, never), {
    code: 'too-large',
  })
})

test('an error states whether anything was sent', async () => {
  // Below the ports that the system hands out: no other test can be listening on it by then.
  const closedPort = 1
  await using rude = await listen(
    createTcpServer((socket) => void socket.once('data', () => socket.destroy())),
  )
  await using started = await startClient()
  const sent = async (port: number) => {
    const error = await started.client
      .submit(`http://127.0.0.1:${port}`, jobOf(), never)
      .catch((thrown) => thrown)
    return [error.code, error.details.isUnsent]
  }
  assert.deepEqual(await sent(closedPort), ['unreachable', true])
  assert.deepEqual(await sent(rude.port), ['unreachable', undefined])
})
