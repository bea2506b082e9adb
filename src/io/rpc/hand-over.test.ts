import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect, createSecureServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { TcpLink } from '../../../devnet/tcp-link.ts'
import {
  type FakeOrchestratorApi,
  type RawAnswer,
  rawRequest,
  segmentOf,
  TRANSPORTS,
} from '../../../test/fakes/endpoint.ts'
import {
  type SiblingNode,
  type SiblingNodesOptions,
  startSiblings,
} from '../../../test/fakes/sibling-nodes.ts'
import { eventually } from '../../../test/tools/until.ts'
import { bitstringOf, type Capabilities, defaultCapabilities } from '../../domain/capabilities.ts'
import type { Payment } from '../../domain/ticket.ts'
import { systemClock } from '../../lib/clock.ts'
import { ZERO_ADDRESS } from '../../lib/crypto.ts'
import { systemDice } from '../../lib/dice.ts'
import { OrchestratorError } from '../../services/orchestrator/orchestrator-error.ts'
import { decodeTranscodeResult } from './convert-result.ts'
import { formatPaymentHeader, formatSegmentHeader } from './headers.ts'
import { makeSiblingToken, SIBLING_HEADER } from './sibling-token.ts'
import { makeIdentity } from './tls.ts'

const SOURCE = Buffer.alloc(3_000_000, 'segment')
const PAYMENT: Payment = {
  ...{ sender: ZERO_ADDRESS, ticketParams: null, expirationParams: null },
  tickets: [{ senderNonce: 1, sig: Buffer.alloc(65, 1) }],
  expectedPrice: { pricePerUnit: 1n, pixelsPerUnit: 1n },
}
const H2 = TRANSPORTS['HTTP/2']
const HTTP1 = TRANSPORTS['HTTP/1.1 by ALPN'] as unknown as typeof H2
const CAPPED = [403, 'OrchestratorCapped\n']

function post(
  { port }: { readonly port: number },
  {
    body = SOURCE,
    capabilities = null,
    transport = H2,
    seq = 7n,
  }: { body?: Buffer; capabilities?: Capabilities | null; transport?: typeof H2; seq?: bigint } = {},
): Promise<RawAnswer> {
  const headers = {
    'livepeer-segment': formatSegmentHeader({ ...segmentOf(body, seq), capabilities }),
    'livepeer-payment': formatPaymentHeader(PAYMENT),
    'content-type': 'video/MP2T',
  }
  return rawRequest(port, transport, { method: 'POST', path: '/segment', headers, body })
}

const said = ({ body, status }: RawAnswer) => [status, body.toString()]
const hasDone = ({ admitted, sources }: FakeOrchestratorApi) => [admitted.length, sources.length]

for (const [name, transport] of [
  ['HTTP/2', H2],
  ['HTTP/1.1', HTTP1],
] as const) {
  test(`a segment that finds its node full is done by a sibling, whose answer comes back byte for byte, over ${name}`, async () => {
    await using cluster = await startSiblings(2)
    const [full, free] = cluster.nodes as [SiblingNode, SiblingNode]
    await full.fill()
    const answer = await post(full, { transport })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['content-type'], undefined)
    const direct = await post(free, { transport })
    assert.deepEqual(answer.body, direct.body)
    assert.deepEqual(hasDone(full.api), [0, 0])
    assert.deepEqual(Buffer.from(free.api.sources[0]!), SOURCE)
    const [handed, own] = free.api.admitted
    assert.deepEqual(handed?.segment, segmentOf(SOURCE))
    assert.equal(handed?.payment?.tickets.length, 1)
    assert.equal(handed?.host, '127.0.0.1')
    assert.deepEqual(own, handed, 'as if its gateway had come there')
    assert.deepEqual(full.causes.told, [])
    assert.deepEqual(full.told, [`127.0.0.1:${free.port} answered`])
  })

  test(`when nobody has room the gateway is told so, and each node was asked once, over ${name}`, async () => {
    await using cluster = await startSiblings(3)
    const asked: string[] = []
    for (const node of cluster.nodes) {
      await node.fill()
      const { onAdmit } = node.api
      node.api.onAdmit = async (payment) => {
        asked.push(node.id)
        await onAdmit(payment)
      }
    }
    await cluster.renew()
    assert.deepEqual(said(await post(cluster.nodes[0]!, { transport })), CAPPED)
    assert.deepEqual(asked.sort(), cluster.nodes.map(({ id }) => id).sort())
  })
}

test('the status of a segment that was handed over is sent before it is transcoded', async () => {
  await using cluster = await startSiblings(2)
  const [full, free] = cluster.nodes as [SiblingNode, SiblingNode]
  await full.fill()
  const done = Promise.withResolvers<void>()
  free.api.onTranscode = () => done.promise
  const session = connect(`https://127.0.0.1:${full.port}`, { rejectUnauthorized: false })
  const stream = session.request({
    ':method': 'POST',
    ':path': '/segment',
    'livepeer-segment': formatSegmentHeader(segmentOf(SOURCE)),
  })
  stream.end(SOURCE)
  const [headers] = await once(stream, 'response')
  assert.equal(headers[':status'], 200)
  done.resolve()
  const body = Buffer.concat(await stream.toArray())
  assert.deepEqual(decodeTranscodeResult(body).outcome, { kind: 'error', text: 'OrchestratorBusy' })
  session.destroy()
})

test('a body is streamed on: its sibling refuses what is too large before all of it has come', async () => {
  await using cluster = await startSiblings(2, { endpoint: { maxSegmentBytes: 100_000 } })
  const [full, free] = cluster.nodes as [SiblingNode, SiblingNode]
  await full.fill()
  const answer = await post(full, { body: Buffer.alloc(50_000_000) })
  assert.deepEqual(said(answer), [500, 'Internal Server Error\n'])
  assert.deepEqual([free.api.released, free.api.sources.length], [1, 0])
})

test('the sibling with the most room is asked first, and the next where that one has none left', async () => {
  await using cluster = await startSiblings(3)
  const [full, less, more] = cluster.nodes as [SiblingNode, SiblingNode, SiblingNode]
  await full.fill()
  less.work = { ...less.work, sessions: 6 }
  more.work = { ...more.work, sessions: 2 }
  await cluster.renew()
  await post(full)
  assert.deepEqual(
    [less, more].map(({ api }) => api.sources.length),
    [0, 1],
  )
  more.api.onAdmit = () => Promise.reject(new OrchestratorError('capped', 'OrchestratorCapped'))
  assert.equal((await post(full)).status, 200)
  assert.deepEqual(
    [less, more].map(({ api }) => api.sources.length),
    [1, 1],
  )
})

test('a segment that its node cannot do is done by a sibling that can, and those that cannot are not taken for full', async () => {
  await using cluster = await startSiblings(4)
  const [first, silent, unable, able] = cluster.nodes as [SiblingNode, SiblingNode, SiblingNode, SiblingNode]
  const asked: string[] = []
  for (const { api, id } of [first, silent, unable]) {
    api.onAdmit = async () => {
      asked.push(id)
      throw new OrchestratorError('incapable', 'incompatible capabilities')
    }
  }
  unable.work = { ...unable.work, can: [0, 1, 2] }
  able.work = { ...able.work, can: [0, 70], sessions: 9 }
  await cluster.renew()
  const capabilities = { ...defaultCapabilities('1.0.0'), bitstring: bitstringOf([0, 70]) }
  assert.equal((await post(first, { capabilities })).status, 200)
  assert.deepEqual(hasDone(able.api), [1, 1])
  assert.deepEqual(asked, [first.id, silent.id], 'the third has said that it cannot')
  assert.deepEqual(first.told, [`127.0.0.1:${able.port} answered`])
  assert.deepEqual(
    first.siblings
      .toAsk()
      .map(({ node }) => node)
      .sort(),
    [silent, unable, able].map(({ id }) => id).sort(),
  )
  assert.equal(first.siblings.toAsk().at(-1)?.node, able.id, 'the others have more room')
  able.api.onAdmit = first.api.onAdmit
  assert.deepEqual(said(await post(first, { capabilities })), [403, 'incompatible capabilities\n'])
})

test('a segment that its node cannot record is taken by a sibling that can, on its credit where the payment arrived', async () => {
  for (const isTaken of [false, true]) {
    await using cluster = await startSiblings(3)
    const [first, second, third] = cluster.nodes as [SiblingNode, SiblingNode, SiblingNode]
    third.work = { ...third.work, sessions: 5 }
    await cluster.renew()
    const away = async () => {
      throw new OrchestratorError('unavailable', 'no store')
    }
    first.api.onAdmit = away
    second.api.onAdmit = away
    const seen: number[] = []
    third.api.onAdmit = async (payment) => {
      seen.push(payment?.tickets.length ?? 0)
      if (isTaken && payment!.tickets.length > 0)
        throw new OrchestratorError('payment-refused', 'nonce was seen')
    }
    assert.equal((await post(first)).status, 200)
    assert.deepEqual(seen, isTaken ? [1, 0] : [1])
    third.api.onAdmit = away
    assert.deepEqual(said(await post(first)), [503, 'no store\n'])
    assert.deepEqual(first.causes.told, [])
  }
})

test('a refusal for another reason than room is the answer, and no other sibling is asked', async () => {
  await using cluster = await startSiblings(3)
  const [full, ...others] = cluster.nodes as [SiblingNode, ...SiblingNode[]]
  await full.fill()
  let asked = 0
  for (const { api } of others) {
    api.onAdmit = async () => {
      asked++
      throw new OrchestratorError('payment-refused', 'nonce was seen')
    }
  }
  assert.deepEqual(said(await post(full)), [400, 'nonce was seen\n'])
  assert.equal(asked, 1)
})

test('a gateway that leaves ends the work at the sibling', async () => {
  await using cluster = await startSiblings(2)
  const [full, free] = cluster.nodes as [SiblingNode, SiblingNode]
  await full.fill()
  const held = Promise.withResolvers<void>()
  let isAborted = false
  free.api.onTranscode = async (_, signal) => {
    signal.addEventListener('abort', () => {
      isAborted = true
    })
    await held.promise
  }
  const session = connect(`https://127.0.0.1:${full.port}`, { rejectUnauthorized: false })
  session.on('error', () => {})
  const stream = session.request({
    ':method': 'POST',
    ':path': '/segment',
    'livepeer-segment': formatSegmentHeader(segmentOf(SOURCE)),
  })
  stream.on('error', () => {})
  stream.end(SOURCE)
  await eventually('the segment is at the sibling', () => free.api.sources.length === 1)
  session.destroy()
  await eventually('its work is aborted', () => isAborted)
  held.resolve()
})

test('a sibling that cannot be reached is passed over and left out for a while; the second time it is told', async () => {
  await using cluster = await startSiblings(3)
  const [full, gone, free] = cluster.nodes as [SiblingNode, SiblingNode, SiblingNode]
  await full.fill()
  free.work = { ...free.work, sessions: 5 }
  const row = { ...cluster.records.rows.get(gone.id)! }
  await gone.stop()
  cluster.records.rows.set(gone.id, { ...row, leaseEnd: Date.now() + 600_000 })
  await full.members.renew()
  await free.members.renew()
  assert.equal((await post(full)).status, 200)
  assert.equal((await post(full)).status, 200)
  assert.equal(free.api.sources.length, 2)
  assert.deepEqual(full.causes.told, [])
  assert.equal(full.siblings.callable(gone.id), null)
  full.siblings.failed(
    full.members.siblings.find(({ node }) => node === gone.id)!,
    new Error('connect ECONNREFUSED'),
  )
  assert.deepEqual(full.causes.sentences, [
    `the node 127.0.0.1:${gone.port} of this cluster does not take segments from this one (connect ECONNREFUSED): check that node and the network to it`,
  ])
})

/** A full node, a sibling that will die and one that goes on; both have room, the first more. */
async function withDying(options: SiblingNodesOptions = {}) {
  const cluster = await startSiblings(3, options)
  const [full, dying, free] = cluster.nodes as [SiblingNode, SiblingNode, SiblingNode]
  await full.fill()
  free.work = { ...free.work, sessions: 5 }
  await cluster.renew()
  const { records } = cluster
  return { full, dying, free, records, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() }
}

test('a sibling that dies while it admits a segment: another does it, on its credit where the payment was taken', async () => {
  for (const isTaken of [false, true]) {
    await using nodes = await withDying()
    const { dying, free, full } = nodes
    let isAsked = false
    dying.api.onAdmit = () => {
      isAsked = true
      return new Promise(() => {})
    }
    const seen: number[] = []
    free.api.onAdmit = async (payment) => {
      seen.push(payment?.tickets.length ?? 0)
      if (isTaken && payment!.tickets.length > 0)
        throw new OrchestratorError('payment-refused', 'nonce was seen')
    }
    const answer = post(full)
    await eventually('the sibling is asked', () => isAsked)
    await dying.stop()
    assert.equal((await answer).status, 200)
    assert.deepEqual(seen, isTaken ? [1, 0] : [1])
    assert.deepEqual(Buffer.from(free.api.sources[0]!), SOURCE)
    assert.equal((await post(full)).status, isTaken ? 400 : 200, 'a first try pays, as always')
  }
})

test('a sibling that is frozen: another one is asked while the gateway still waits, on its credit if need be', async () => {
  await using nodes = await withDying()
  const { dying: frozen, free, full } = nodes
  frozen.api.onAdmit = () => new Promise(() => {})
  const seen: number[] = []
  free.api.onAdmit = async (payment) => {
    seen.push(payment?.tickets.length ?? 0)
    if (payment!.tickets.length > 0) throw new OrchestratorError('payment-refused', 'nonce was seen')
  }
  const answer = await post(full)
  assert.equal(answer.status, 200)
  assert.ok(answer.headersMs < 4_000, `${answer.headersMs} ms`)
  assert.deepEqual(seen, [1, 0])
  assert.deepEqual(full.told, [`127.0.0.1:${frozen.port} lost`, `127.0.0.1:${free.port} answered`])
  free.api.onAdmit = async () => {}
  assert.equal((await post(full)).status, 200)
  assert.equal(full.told.at(-1), `127.0.0.1:${free.port} answered`)
  assert.equal(full.told.length, 3, 'the frozen one is left out for a while')
})

test('a sibling that dies at work on a segment: another does it, and the gateway sees no difference', async () => {
  await using nodes = await withDying()
  const { dying, free, full } = nodes
  dying.api.onTranscode = () => new Promise(() => {})
  const answer = post(full)
  await eventually('the segment is there', () => dying.api.sources.length === 1)
  await dying.stop()
  assert.equal((await answer).status, 200)
  assert.deepEqual(Buffer.from(free.api.sources[0]!), SOURCE)
  assert.deepEqual(full.told, [`127.0.0.1:${dying.port} lost`, `127.0.0.1:${free.port} answered`])
})

test('a sibling that is frozen at work on a segment: another does it, since it gives no sign of life', async () => {
  await using nodes = await withDying()
  const { dying: frozen, free, full, records } = nodes
  await using link = await TcpLink.open(frozen.port)
  const address = `127.0.0.1:${link.port}`
  records.rows.set(frozen.id, { ...records.rows.get(frozen.id)!, address })
  await full.members.look()
  frozen.api.onTranscode = () => new Promise(() => {})
  const answer = post(full)
  await eventually('the segment is there', () => frozen.api.sources.length === 1)
  link.freeze()
  assert.equal((await answer).status, 200)
  assert.deepEqual(Buffer.from(free.api.sources[0]!), SOURCE)
  assert.deepEqual(full.told, [`${address} lost`, `127.0.0.1:${free.port} answered`])
})

test('a sibling that dies in the midst of the body: another gets all of it, what was sent before included', async () => {
  await using nodes = await withDying()
  const { dying, free, full } = nodes
  const session = connect(`https://127.0.0.1:${full.port}`, { rejectUnauthorized: false })
  session.on('error', () => {})
  const stream = session.request({
    ':method': 'POST',
    ':path': '/segment',
    'livepeer-segment': formatSegmentHeader(segmentOf(SOURCE)),
  })
  stream.write(SOURCE.subarray(0, 700_000))
  await eventually('it is admitted', () => dying.api.admitted.length === 1)
  await dying.stop()
  await eventually('another has admitted it', () => free.api.admitted.length === 1)
  stream.end(SOURCE.subarray(700_000))
  const [headers] = await once(stream, 'response')
  assert.equal(headers[':status'], 200)
  assert.deepEqual(decodeTranscodeResult(Buffer.concat(await stream.toArray())).seq, 7n)
  assert.deepEqual(Buffer.from(free.api.sources[0]!), SOURCE)
  session.destroy()
})

test('when the second sibling dies too, the segment fails as one that can be sent again', async () => {
  await using nodes = await withDying()
  const { dying, free, full } = nodes
  for (const { api } of [dying, free]) api.onTranscode = () => new Promise(() => {})
  const answer = assert.rejects(post(full), /stream reset|closed/)
  for (const node of [dying, free]) {
    await eventually('the segment is there', () => node.api.sources.length === 1)
    await node.stop()
  }
  await answer
})

/** A program with the certificate of a member's row that answers segments in its own way. */
async function startRubbish(answer: (stream: ServerHttp2Stream) => void) {
  const identity = makeIdentity('localhost', { clock: systemClock, dice: systemDice })
  const server = createSecureServer({ ...identity, maxHeaderListPairs: 200 })
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.resume()
    answer(stream)
  })
  server.on('session', (session) => session.on('error', () => {}))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const fingerprint = new X509Certificate(identity.cert).fingerprint256
  return { address: `127.0.0.1:${port}`, fingerprint, [Symbol.dispose]: () => void server.close() }
}

const admit = (stream: ServerHttp2Stream) => stream.additionalHeaders({ ':status': 103 })
for (const [what, answer, why] of [
  [
    'bytes that are no result',
    (stream: ServerHttp2Stream) => {
      admit(stream)
      stream.respond({ ':status': 200 })
      stream.end(Buffer.alloc(1_000, 255))
    },
    'its answer to a segment cannot be read',
  ],
  [
    'an endless answer',
    (stream: ServerHttp2Stream) => {
      admit(stream)
      stream.respond({ ':status': 200 })
      stream.write(Buffer.alloc(300_000))
    },
    'its answer has more than 262144 bytes',
  ],
  [
    'a redirection',
    (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 302, location: 'https://elsewhere.example/' })
      stream.end('go there')
    },
    'it answered 302 to a segment',
  ],
  [
    'a page of a web server',
    (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 404 })
      stream.end('<html>')
    },
    'it answered 404 to a segment',
  ],
] as const) {
  test(`a sibling that answers rubbish, ${what}, is said so and left out, and another does the segment`, async () => {
    await using cluster = await startSiblings(2)
    const [full, free] = cluster.nodes as [SiblingNode, SiblingNode]
    using rubbish = await startRubbish(answer)
    await full.fill()
    const node = 'e'.repeat(16)
    cluster.records.rows.set(node, {
      ...{ node, instance: node, account: '', roles: ['orchestrator'], version: '1', ...rubbish },
      work: { ...free.work, maxSessions: 100 },
      leaseEnd: Date.now() + 600_000,
    })
    free.work = { ...free.work, sessions: 5 }
    await cluster.renew()
    assert.equal((await post(full)).status, 200)
    assert.deepEqual(Buffer.from(free.api.sources[0]!), SOURCE)
    const [sentence = ''] = full.causes.sentences
    assert.ok(
      sentence.includes(`${rubbish.address} does not answer as a node of this version would: ${why}`),
      sentence,
    )
    assert.equal((await post(full)).status, 200)
    assert.deepEqual(hasDone(free.api), [2, 2])
  })
}

test('nothing is sent to a host whose certificate is not that of the member’s row', async () => {
  await using cluster = await startSiblings(2)
  const [full, other] = cluster.nodes as [SiblingNode, SiblingNode]
  await full.fill()
  const row = cluster.records.rows.get(other.id)!
  cluster.records.rows.set(other.id, {
    ...row,
    fingerprint: Array(32).fill('AB').join(':'),
    leaseEnd: Date.now() + 600_000,
  })
  await full.members.look()
  assert.deepEqual(said(await post(full)), CAPPED)
  assert.deepEqual(hasDone(other.api), [0, 0])
})

test('a stranger can do nothing: without a token of the cluster these paths do not exist', async () => {
  await using cluster = await startSiblings(2, { secret: (index) => new Uint8Array(32).fill(index) })
  const [node, stranger] = cluster.nodes as [SiblingNode, SiblingNode]
  node.api.files.set('abcd/p/1.ts', Buffer.from('a rendition'))
  const unknown = await rawRequest(node.port, H2, { path: '/nothing' })
  for (const [method, path] of [
    ['POST', '/sibling/segment'],
    ['POST', '/sibling/end'],
    ['POST', '/sibling/look'],
    ['GET', '/sibling/hello'],
    ['GET', '/sibling/stream/abcd/p/1.ts'],
    ['POST', '/sibling/keep/abcd/p/1.ts'],
    ['GET', `/sibling/kept/${'a'.repeat(16)}/abcd/p/1.ts`],
    ['POST', '/sibling/successor'],
    ['GET', '/sibling/'],
  ] as const) {
    const call = { from: stranger.id, to: node.id, method, path }
    const forged = makeSiblingToken(new Uint8Array(32).fill(1), call, Date.now())
    for (const token of ['', forged]) {
      const headers = { [SIBLING_HEADER]: token, 'livepeer-sibling-session': 'abcd' }
      const answer = await rawRequest(node.port, H2, { method, path, headers })
      assert.deepEqual(said(answer), said(unknown), `${method} ${path}`)
    }
  }
  assert.deepEqual([node.ended, hasDone(node.api)], [[], [0, 0]])
  await stranger.fill()
  // It may have found out by its look already, and then asks no more.
  const { status } = await post(stranger)
  assert.ok(status === 502 || status === 403, `a node with another secret is told nothing: ${status}`)
  assert.deepEqual(hasDone(node.api), [0, 0])
})

test('a sibling that sends too much, or what cannot be read, changes nothing', async () => {
  await using cluster = await startSiblings(2)
  const [node, sibling] = cluster.nodes as [SiblingNode, SiblingNode]
  const call = (path: string, more: Record<string, string> = {}, transport: typeof H2 = H2) => {
    const what = { from: sibling.id, to: node.id, method: 'POST', path }
    const token = makeSiblingToken(new Uint8Array(32).fill(7), what, Date.now())
    const headers = { [SIBLING_HEADER]: token, ...more }
    return rawRequest(node.port, transport, { method: 'POST', path, headers })
  }
  const large = { 'content-length': '64000001' }
  const refused = await call('/sibling/keep/abcd/p/1.ts', large, HTTP1)
  assert.deepEqual(said(refused), [503, 'the result did not arrive\n'])
  assert.equal((await call(`/sibling/keep/${'a'.repeat(1_001)}`)).status, 404)
  assert.equal(node.successors.kept(sibling.id, 'abcd/p/1.ts'), null)
  for (const [path, headers] of [
    ['/sibling/end', { 'livepeer-sibling-session': 'f'.repeat(65) }],
    ['/sibling/successor', { 'livepeer-sibling-successor': '../a' }],
  ] as const) {
    assert.equal((await call(path, headers)).status, 200, 'what cannot be read is let be')
  }
  assert.deepEqual([node.ended, node.successors.of(sibling.id)], [[], null])
})

test('nodes whose own clocks are wrong by minutes work together, since they go by the database’s', async () => {
  await using cluster = await startSiblings(2, { wrongByMs: [-300_000, 300_000] })
  const [full, free] = cluster.nodes as [SiblingNode, SiblingNode]
  await full.fill()
  assert.equal((await post(full)).status, 200)
  assert.deepEqual(hasDone(free.api), [1, 1])
})

test('a session has five segments handed over at a time, and the sixth is refused', async () => {
  await using cluster = await startSiblings(2)
  const [full, free] = cluster.nodes as [SiblingNode, SiblingNode]
  await full.fill()
  const held = Promise.withResolvers<void>()
  free.api.onTranscode = () => held.promise
  const five = Array.from({ length: 5 }, (_, n) => post(full, { body: Buffer.from('small'), seq: BigInt(n) }))
  await eventually('five are there', () => free.api.sources.length === 5)
  assert.deepEqual(said(await post(full, { body: Buffer.from('small'), seq: 5n })), CAPPED)
  held.resolve()
  assert.deepEqual(
    (await Promise.all(five)).map(({ status }) => status),
    [200, 200, 200, 200, 200],
  )
  const { outcome } = decodeTranscodeResult((await five[0]!).body)
  assert.deepEqual(outcome, { kind: 'error', text: 'OrchestratorBusy' })
})

test('a result is found at whichever node it is asked for, by the id of the one that holds it', async () => {
  await using cluster = await startSiblings(2)
  const [asked, holder] = cluster.nodes as [SiblingNode, SiblingNode]
  const rendition = Buffer.alloc(5_000_000, 'rendition')
  holder.api.files.set('abcd/p 1/7.ts', rendition)
  asked.api.files.set('abcd/p/8.ts', Buffer.from('own'))
  const get = (path: string) => rawRequest(asked.port, H2, { path })
  const fetched = await get(`/stream/${holder.id}/abcd/p%201/7.ts`)
  const direct = await rawRequest(holder.port, H2, { path: `/stream/${holder.id}/abcd/p%201/7.ts` })
  assert.equal(fetched.status, 200)
  assert.ok(fetched.body.equals(rendition))
  assert.deepEqual({ ...fetched.headers, date: '' }, { ...direct.headers, date: '' })
  assert.deepEqual(said(await get(`/stream/${asked.id}/abcd/p/8.ts`)), [200, 'own'])
  const missing = [404, 'ErrNotFound\n']
  assert.deepEqual(said(await get(`/stream/${holder.id}/abcd/p/9.ts`)), missing)
  assert.deepEqual(said(await get(`/stream/${'9'.repeat(16)}/abcd/p/8.ts`)), missing)
  assert.deepEqual(said(await get(`/stream/${holder.id}/${holder.id}/abcd/p%201/7.ts`)), missing, 'one hop')
  await holder.stop()
  await asked.members.look()
  assert.deepEqual(said(await get(`/stream/${holder.id}/abcd/p%201/7.ts`)), missing)
})

test('a result is found at a node that has just started again, whose new certificate is not known yet', async () => {
  await using cluster = await startSiblings(2)
  const [asked, holder] = cluster.nodes as [SiblingNode, SiblingNode]
  holder.api.files.set('abcd/p/7.ts', Buffer.from('rendition'))
  const row = cluster.records.rows.get(holder.id)!
  const fingerprint = Array(32).fill('AB').join(':')
  cluster.records.rows.set(holder.id, {
    ...row,
    instance: 'before',
    fingerprint,
    leaseEnd: Date.now() + 600_000,
  })
  await asked.members.look()
  cluster.records.rows.set(holder.id, { ...row, leaseEnd: Date.now() + 600_000 })
  const path = `/stream/${holder.id}/abcd/p/7.ts`
  assert.deepEqual(said(await rawRequest(asked.port, H2, { path })), [200, 'rendition'])
})

test('results that a node gives away before its end are found at every other node', async () => {
  await using cluster = await startSiblings(3)
  const [leaver, ...others] = cluster.nodes as [SiblingNode, SiblingNode, SiblingNode]
  const bytes = Buffer.alloc(5_000_000, 'rendition')
  const left = [
    { path: 'abcd/p 1%/7.ts', bytes },
    { path: 'abcd/p/8.ts', bytes: Buffer.from('small') },
  ]
  for (const { bytes: held, path } of left) leaver.api.files.set(path, held)
  leaver.api.files.set('abcd/p/6.ts', Buffer.from('fetched already'))
  assert.deepEqual([...(await leaver.successors.giveAway(left))].sort(), left.map(({ path }) => path).sort())
  const get = ({ port }: SiblingNode, path: string) =>
    rawRequest(port, H2, { path: `/stream/${leaver.id}/${path}` })
  for (const node of others) {
    assert.deepEqual(
      said(await get(node, 'abcd/p/6.ts')),
      [200, 'fetched already'],
      'it still answers itself',
    )
  }
  await leaver.stop()
  for (const node of others) {
    const fetched = await get(node, 'abcd/p%201%25/7.ts')
    assert.deepEqual([fetched.status, fetched.headers['content-type']], [200, 'video/MP2T'])
    assert.ok(fetched.body.equals(bytes))
    assert.deepEqual(said(await get(node, 'abcd/p/8.ts')), [200, 'small'])
    const { status } = await get(node, 'abcd/p/6.ts')
    assert.ok(status === 404 || status === 502, `${status}`)
  }
})

test('a session that is ended at one node is ended at all', async () => {
  await using cluster = await startSiblings(3)
  const [first, ...others] = cluster.nodes as [SiblingNode, ...SiblingNode[]]
  first.siblings.ended('abcd1234')
  await eventually('the others know', () => others.every(({ ended }) => ended.length === 1))
  assert.deepEqual(
    others.map(({ ended }) => ended),
    [['abcd1234'], ['abcd1234']],
  )
  assert.deepEqual(first.ended, [])
})

test('a node whose -clusterAddr nobody reaches says so soon after its start, by a sibling’s look', async () => {
  await using cluster = await startSiblings(2, {
    address: (index, port) => `127.0.0.1:${index === 1 ? 1 : port}`,
  })
  const [, node] = cluster.nodes as [SiblingNode, SiblingNode]
  await eventually('it is said', () => node.causes.codes.length > 0)
  assert.match(
    node.causes.sentences[0]!,
    /^the node 127\.0\.0\.1:\d+ of this cluster does not reach this one at 127\.0\.0\.1:1 \(cannot call 127\.0\.0\.1:1: connect ECONNREFUSED 127\.0\.0\.1:1\), so it hands it no segments: give -clusterAddr, the HOST:PORT at which the other nodes reach this one$/,
  )
  assert.deepEqual(cluster.nodes[0]!.causes.codes, [])
})
