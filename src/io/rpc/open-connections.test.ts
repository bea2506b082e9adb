import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as http2Connect } from 'node:http2'
import { Agent, request as httpsRequest } from 'node:https'
import { createServer, type Socket, connect as tcpConnect } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as tlsConnect } from 'node:tls'
import { type RunningEndpoint, startEndpoint } from '../../../test/fakes/endpoint.ts'
import { GoHttpClient } from '../../../test/fakes/go-http-client.ts'
import type { Routes } from './calls.ts'
import { connectionOf } from './connection-limits.ts'
import { respond } from './server-response.ts'

const never = new AbortController().signal

/** Takes the peer for a node of this operator. */
const TRUSTING: Routes = {
  http: (path) => {
    if (path !== '/trusted') return null
    return async (request, response) => {
      connectionOf(request.socket)?.trust()
      respond(request, response, 200, Buffer.from('welcome'))
    }
  },
}

/** An orchestrator's port that holds its answer to every `/stream/held` until it is released. */
async function startHolding(options: { drainMs?: number } = {}) {
  const running = await startEndpoint({ routes: [TRUSTING], ...options })
  const held = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  running.api.stored = async (path) => {
    if (path === 'held') {
      begun.resolve()
      await held.promise
    }
    return path === 'big' ? Buffer.alloc(300_000, 'x') : Buffer.from(path)
  }
  return { ...running, begun: begun.promise, release: () => held.resolve() }
}

function canConnect(port: number): Promise<boolean> {
  const socket = tcpConnect(port, '127.0.0.1')
  return new Promise<boolean>((resolve) => {
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
  }).finally(() => socket.destroy())
}

/** One HTTP/1.1 answer over the connections of an agent. */
async function ask1(port: number, agent: Agent, path: string) {
  const outgoing = httpsRequest({ host: '127.0.0.1', port, path, agent, rejectUnauthorized: false }).end()
  const [response] = await once(outgoing, 'response')
  let body = ''
  for await (const chunk of response) body += chunk
  return { body, connection: response.headers.connection, port: outgoing.socket?.localPort }
}

test('an endpoint that leaves tells HTTP/2 peers, finishes what runs and refuses connections until it is back', async () => {
  const node = await startHolding()
  await using _ = node
  const session = http2Connect(node.url, { rejectUnauthorized: false })
  const goaway = once(session, 'goaway')
  const stream = session.request({ ':path': '/stream/held' })
  await node.begun
  const left = node.endpoint.leave(10_000, never)
  assert.deepEqual(
    (await goaway).slice(0, 2),
    [0, stream.id],
    'no error, and the last stream is the running one',
  )
  assert.equal(await canConnect(node.port), false)
  node.release()
  let body = ''
  for await (const chunk of stream) body += chunk
  assert.equal(body, 'held')
  await left
  assert.equal(session.destroyed || session.closed, true)
  await node.endpoint.comeBack()
  await using client = new GoHttpClient(node.url)
  assert.equal((await client.send({ path: '/stream/again' })).body.toString(), 'again')
  assert.equal(client.connections, 1)
})

test('over HTTP/1.1 the running answer and one more on each connection in use are given, the last with Connection: close', async () => {
  const node = await startHolding()
  await using _ = node
  const agent = new Agent({ keepAlive: true })
  const running = ask1(node.port, agent, '/stream/held')
  await node.begun
  const used = await ask1(node.port, agent, '/stream/used')
  assert.equal(used.connection, 'keep-alive')
  const left = node.endpoint.leave(10_000, never)
  const last = await ask1(node.port, agent, '/stream/last')
  assert.deepEqual(last, { body: 'last', connection: 'close', port: used.port })
  node.release()
  assert.deepEqual([(await running).body, (await running).connection], ['held', 'close'])
  await left
  await assert.rejects(ask1(node.port, agent, '/stream/after'), { code: 'ECONNREFUSED' })
})

test('a connection that was accepted just before still gets its first request answered', async () => {
  const node = await startHolding()
  await using _ = node
  const early = tcpConnect(node.port, '127.0.0.1')
  await once(early, 'connect')
  await sleep(50)
  const left = node.endpoint.leave(10_000, never)
  await sleep(50)
  const socket = tlsConnect({ socket: early, ALPNProtocols: ['h2'], rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const session = http2Connect(node.url, { createConnection: () => socket })
  const goaway = once(session, 'goaway')
  const stream = session.request({ ':path': '/stream/first' })
  let body = ''
  for await (const chunk of stream) body += chunk
  assert.equal(body, 'first')
  assert.deepEqual((await goaway).slice(0, 2), [0, stream.id])
  await left
})

test('peers that are turned away are answered on new connections for a moment each; those of own nodes stay', async () => {
  const node = await startHolding()
  await using _ = node
  await using own = new GoHttpClient(node.url)
  await own.send({ path: '/trusted' })
  await using client = new GoHttpClient(node.url)
  await client.send({ path: '/stream/before' })
  await sleep(600)
  node.endpoint.connections?.turnAway()
  await Promise.all(Array.from({ length: 20 }, (_, index) => client.send({ path: `/stream/${index}` })))
  assert.equal(client.connections, 2)
  await using late = new GoHttpClient(node.url)
  await late.send({ path: '/trusted' })
  await sleep(600)
  await late.send({ path: '/stream/late' })
  assert.equal(late.connections, 1)
  await client.send({ path: '/stream/later' })
  assert.equal(client.connections, 3)
  await own.send({ path: '/stream/own' })
  assert.equal(own.connections, 1)
  await node.endpoint.comeBack()
  await client.send({ path: '/stream/back' })
  await sleep(600)
  await client.send({ path: '/stream/stays' })
  assert.equal(client.connections, 3)
})

test('connections are counted by their uploads, and the ones chosen are moved', async () => {
  const node = await startHolding()
  await using _ = node
  await using busy = new GoHttpClient(node.url)
  await using idle = new GoHttpClient(node.url)
  await using own = new GoHttpClient(node.url)
  await own.send({ path: '/trusted' })
  await own.send({ path: '/upload', body: Buffer.from('x') })
  for (let turn = 0; turn < 3; turn++) await busy.send({ path: '/upload', body: Buffer.from('x') })
  await idle.send({ path: '/stream/download' })
  const { connections } = node.endpoint
  const [load, ...others] = connections!.loads
  assert.deepEqual([load!.segments, others], [3, []])
  connections!.move([load!.id])
  await busy.send({ path: '/stream/elsewhere' })
  await idle.send({ path: '/stream/here' })
  assert.deepEqual([busy.connections, idle.connections], [2, 1])
  assert.deepEqual(connections!.loads, [])
})

test('a peer that reads slowly gets the whole of an answer that was under way when the endpoint stopped', async () => {
  const node = await startHolding({ drainMs: 20_000 })
  // Small enough for the kernel, so that the exchange is over for the node.
  const huge = Buffer.alloc(2_000_000, 'x')
  node.api.stored = async () => huge
  await using slow = await anyOf([node.port])
  const settings = { initialWindowSize: 2 * huge.length }
  const session = http2Connect(`https://127.0.0.1:${slow.port}`, { rejectUnauthorized: false, settings })
  await once(session, 'connect')
  session.setLocalWindowSize(2 * huge.length)
  const stream = session.request({ ':path': '/stream/huge' })
  let bytes = 0
  stream.on('data', (chunk) => {
    bytes += chunk.length
  })
  const ended = once(stream, 'close')
  slow.pause()
  await sleep(300)
  const stopped = node[Symbol.asyncDispose]()
  await sleep(500)
  slow.resume()
  await Promise.all([stopped, ended])
  assert.deepEqual([stream.rstCode, bytes], [0, huge.length])
})

test('what takes longer than the limit is left to the stop, and an aborted signal ends the waiting', async () => {
  const node = await startHolding()
  await using _ = node
  await using client = new GoHttpClient(node.url)
  const running = client.send({ path: '/stream/held' })
  await node.begun
  await node.endpoint.leave(100, never)
  const abort = new AbortController()
  const again = node.endpoint.leave(60_000, abort.signal)
  abort.abort()
  await assert.rejects(again, { name: 'AbortError' })
  node.release()
  assert.equal((await running).body.toString(), 'held')
})

test('nodes behind one address that leave and come back in turn lose no request of a Go client', async () => {
  const nodes: RunningEndpoint[] = [await startHolding(), await startHolding()]
  await using _ = nodes[0]!
  await using __ = nodes[1]!
  await using address = await anyOf(nodes.map(({ port }) => port))
  await using client = new GoHttpClient(`https://127.0.0.1:${address.port}`)
  let isOver = false
  let answered = 0
  const work = Array.from({ length: 20 }, async (_, index) => {
    for (let turn = 0; !isOver; turn++) {
      const path = turn % 4 === 0 ? 'big' : `${index}-${turn}`
      const { body, status } = await client.send({ path: `/stream/${path}` }, 20_000)
      assert.equal(status, 200)
      assert.equal(body.length, path === 'big' ? 300_000 : path.length)
      answered++
    }
  })
  const settled = Promise.all(work)
  settled.catch(() => {})
  for (let turn = 0; turn < 6; turn++) {
    await sleep(100)
    const { endpoint } = nodes[turn % 2]!
    await endpoint.leave(20_000, never)
    await endpoint.comeBack()
  }
  isOver = true
  await settled
  assert.ok(answered > 100, `${answered} answers`)
  assert.ok(client.connections > 3, `${client.connections} connections`)
})

/** A TCP port that leads to the first of these ports that takes a connection, beginning with the next in turn. */
async function anyOf(
  ports: readonly number[],
): Promise<{ port: number; pause(): void; resume(): void } & AsyncDisposable> {
  let turn = 0
  const links: { readonly near: Socket; readonly far: Socket }[] = []
  const server = createServer(async (near) => {
    near.on('error', () => {})
    const first = turn++
    for (let next = first; next < first + ports.length; next++) {
      const far = tcpConnect(ports[next % ports.length]!, '127.0.0.1')
      const isOpen = await new Promise((resolve) =>
        far.on('connect', () => resolve(true)).on('error', () => resolve(false)),
      )
      if (!isOpen) continue
      near.pipe(far).pipe(near)
      links.push({ near, far })
      near.on('close', () => far.destroy())
      far.on('close', () => near.destroy())
      return
    }
    near.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    port,
    // Answers wait in the kernel.
    pause: () => {
      for (const { far } of links) far.unpipe()
    },
    resume: () => {
      for (const { far, near } of links) far.pipe(near)
    },
    [Symbol.asyncDispose]: async () => void server.close(),
  }
}
