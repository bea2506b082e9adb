import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { BodyError, type BodyLimits, ByteBudget, readBody } from './request-body.ts'

/**
 * Serves one request, as written by `send`, over a real socket, reads its body within these limits, and returns the
 * outcome.
 */
async function received(
  limits: Partial<BodyLimits> & { budget?: ByteBudget },
  send: (socket: Socket) => Promise<void> | void,
  headers = 'transfer-encoding: chunked',
): Promise<{ outcome: unknown; held: number }> {
  const budget = limits.budget ?? new ByteBudget(1_000_000)
  const outcome = Promise.withResolvers<unknown>()
  const server = createServer((request: IncomingMessage) => {
    readBody(request, { maxBytes: 10_000, stallMs: 5_000, ...limits, budget }).then(
      (bytes) => outcome.resolve(Buffer.from(bytes).toString()),
      outcome.resolve,
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => {})
  try {
    socket.write(`POST / HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n`)
    await send(socket)
    return { outcome: await outcome.promise, held: budget.held }
  } finally {
    socket.destroy()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
const END = '0\r\n\r\n'

test('a body is read whole, and its bytes stay counted until they are given back', async () => {
  assert.deepEqual(await received({}, (socket) => void socket.write(chunk('one ') + chunk('two') + END)), {
    outcome: 'one two',
    held: 7,
  })
})

const refused: readonly [
  claim: string,
  limits: Partial<BodyLimits> & { budget?: ByteBudget },
  send: (socket: Socket) => Promise<void> | void,
  code: string,
  text: string,
  headers?: string,
][] = [
  [
    'has a content-length above the limit',
    {},
    () => {},
    'body-too-large',
    'input bigger than max buffer size',
    'content-length: 10001',
  ],
  [
    'exceeds the limit without a content-length',
    {},
    (socket) => void socket.write(chunk('x'.repeat(10_000)) + chunk('x')),
    'body-too-large',
    'input bigger than max buffer size',
  ],
  [
    'falls silent',
    { stallMs: 100 },
    (socket) => void socket.write(chunk('x')),
    'body-stalled',
    'nothing came for 0.1 s',
  ],
  [
    'arrives below the minimum rate',
    { stallMs: 200, slowest: { bytes: 10, perMs: 300 } },
    async (socket) => {
      for (let i = 0; i < 30 && !socket.destroyed; i++) {
        socket.write(chunk('x'))
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
    'body-stalled',
    'the body comes too slowly',
  ],
  [
    'trickles without ever stalling',
    { stallMs: 200, totalMs: 500 },
    async (socket) => {
      for (let i = 0; i < 30 && !socket.destroyed; i++) {
        socket.write(chunk('x'))
        await new Promise((resolve) => setTimeout(resolve, 25))
      }
    },
    'body-stalled',
    'the body comes too slowly',
  ],
  [
    'breaks off',
    {},
    (socket) => {
      socket.write(chunk('x'), () => socket.destroy())
    },
    'body-broken-off',
    'the connection broke off',
  ],
  [
    'finds no room left in the budget',
    { budget: new ByteBudget(5) },
    (socket) => void socket.write(chunk('123') + chunk('456')),
    'no-room',
    'too many bytes are being received at once',
  ],
  [
    'is cancelled',
    { signal: AbortSignal.abort() },
    (socket) => void socket.write(chunk('x')),
    'unwanted',
    'the request was cancelled',
  ],
]

for (const [claim, limits, send, code, text, headers] of refused) {
  test(`a body that ${claim} is refused (${text}) and releases its room`, async () => {
    const { outcome, held } = await received(limits, send, headers)
    assert.ok(outcome instanceof BodyError, String(outcome))
    assert.deepEqual([outcome.code, outcome.message, held], [code, text, 0])
  })
}
