import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import type { AuthToken } from '../../src/domain/segment.ts'
import { formatSegmentHeader } from '../../src/io/rpc/headers.ts'
import type { OrchestratorEndpointNeeds } from '../../src/io/rpc/orchestrator-endpoint.ts'
import { fetchSource } from '../../src/io/rpc/source-fetch.ts'
import { FREE } from '../../src/services/orchestrator/segment-accounts.ts'
import { openRaw, rawRequest, TRANSPORTS } from '../fakes/endpoint.ts'
import { eventually } from '../tools/until.ts'
import { segmentOf, serveHonest, startVictim, tokenOf } from './victim.ts'

const HTTP1 = TRANSPORTS['HTTP/1.1 by ALPN']

/** An upload that is never completed. */
interface Upload {
  readonly socket: Socket
  /** The answer so far. */
  readonly heard: () => string
  readonly isClosed: () => boolean
}

/** Announces a segment and sends its start. */
async function beginUpload(
  port: number,
  authToken: AuthToken,
  options: { announced: number; sent?: number; durationMs?: number },
): Promise<Upload> {
  const socket = await openRaw(port, HTTP1)
  let heard = ''
  let isClosed = false
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    heard += chunk
  })
  socket.on('close', () => {
    isClosed = true
  })
  const header = formatSegmentHeader(segmentOf(Buffer.alloc(1), authToken, options.durationMs))
  socket.write(
    `POST /segment HTTP/1.1\r\nhost: x\r\ncontent-length: ${options.announced}\r\nlivepeer-segment: ${header}\r\ncontent-type: video/MP2T\r\n\r\n`,
  )
  const { sent = 0 } = options
  if (sent > 0 && !socket.write(Buffer.alloc(sent)))
    await Promise.race([once(socket, 'drain'), once(socket, 'close')])
  return { socket, heard: () => heard, isClosed: () => isClosed }
}

test('slow uploads of one session leave room for others', async () => {
  const MB = 1_000_000
  await using victim = await startVictim({ bodies: { maxBufferedBytes: 40 * MB, maxSegmentBytes: 10 * MB } })
  const token = await tokenOf(victim)
  const uploads: Upload[] = []
  for (let i = 0; i < 4; i++) {
    uploads.push(await beginUpload(victim.port, token, { announced: 10 * MB, sent: 10 * MB - 1 }))
  }
  assert.equal(await serveHonest(victim), 'data')
  for (const { socket } of uploads) socket.destroy()
})

test('a session has five uploads at once, and the sixth gets OrchestratorBusy', async () => {
  await using victim = await startVictim()
  const token = await tokenOf(victim)
  const uploads: Upload[] = []
  for (let i = 0; i < 6; i++)
    uploads.push(await beginUpload(victim.port, token, { announced: 1_000, sent: 1 }))
  await eventually('one is refused', () => uploads.some(({ heard }) => heard() !== ''))
  const refused = uploads.filter(({ heard }) => heard() !== '')
  assert.equal(refused.length, 1)
  assert.match(refused[0]!.heard(), /^HTTP\/1\.1 503 .*OrchestratorBusy\n$/s)
  assert.equal(await serveHonest(victim), 'data')
  for (const { socket } of uploads) socket.destroy()
})

test('requests with unchecked payments are limited per host', async () => {
  const judged = Promise.withResolvers<void>()
  await using victim = await startVictim({
    maxSessions: 100,
    bodies: { admissionsPerHost: 10 },
    recipient: { admit: () => judged.promise.then(() => FREE) },
  })
  const uploads: Upload[] = []
  for (let i = 0; i < 15; i++) {
    uploads.push(await beginUpload(victim.port, await tokenOf(victim), { announced: 1_000, sent: 1 }))
  }
  const refused = () => uploads.filter(({ heard }) => /^HTTP\/1\.1 503 .*OrchestratorBusy\n$/s.test(heard()))
  await eventually('five are refused', () => refused().length === 5, 10_000)
  for (const { socket } of uploads) socket.destroy()
  judged.resolve()
  await eventually('its room is free', () => victim.orchestrator.sessionCount === 0, 10_000)
  assert.equal(await serveHonest(victim), 'data')
})

test('a source may be no larger than its declared duration allows', async () => {
  await using victim = await startVictim()
  const token = await tokenOf(victim)
  for (const [durationMs, announced, isTaken] of [
    [2_000, 41_000_000, true],
    [2_000, 41_000_001, false],
    [10_000, 141_000_000, true],
    [10_000, 141_000_001, false],
    [300_000, 300_000_000, true],
    [300_000, 300_000_001, false],
  ] as const) {
    const upload = await beginUpload(victim.port, token, { announced, durationMs })
    if (isTaken) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      assert.equal(upload.heard(), '', `${announced} bytes of ${durationMs} ms`)
    } else {
      await eventually('an answer', () => upload.heard() !== '', 10_000)
      assert.match(upload.heard(), /^HTTP\/1\.1 500 /)
    }
    upload.socket.destroy()
  }
})

test('an upload that trickles is ended, whatever its segment’s duration', async () => {
  await using victim = await startVictim({ bodies: { slowest: { bytes: 10_000, perMs: 500 } } })
  const token = await tokenOf(victim)
  const options = { announced: 10_000_000, sent: 1, durationMs: 300_000 }
  const upload = await beginUpload(victim.port, token, options)
  const trickle = setInterval(() => upload.socket.write('x'), 50)
  try {
    assert.equal(await serveHonest(victim), 'data')
    await eventually('it is ended', upload.isClosed, 10_000)
  } finally {
    clearInterval(trickle)
    upload.socket.destroy()
  }
})

test('sessions that never finished a segment keep no other session away', async () => {
  for (const end of ['break off', 'send something else'] as const) {
    await using victim = await startVictim({ maxSessions: 2 })
    const tokens = [await tokenOf(victim), await tokenOf(victim)]
    const isWhole = end === 'send something else'
    const uploads: Upload[] = []
    for (const token of tokens) {
      uploads.push(await beginUpload(victim.port, token, { announced: 1_000, sent: isWhole ? 1_000 : 500 }))
    }
    if (isWhole) await eventually('they are refused', () => uploads.every(({ heard }) => heard() !== ''))
    else await eventually('they are admitted', () => victim.orchestrator.sessionCount === 2)
    for (const { socket } of uploads) socket.destroy()
    await eventually('the places are free', () => victim.orchestrator.sessionCount === 0, 10_000)
    assert.equal(await serveHonest(victim), 'data')
  }
})

test('a segment sent as a URI cannot make this node call its own network', async () => {
  let requests = 0
  const inside = createServer((_, response) => {
    requests++
    response.end('a secret of this network')
  })
  await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve))
  const { port } = inside.address() as AddressInfo
  const publicOnly: OrchestratorEndpointNeeds['fetchSource'] = (url, limits, signal) =>
    fetchSource(url, { limits, rule: { public: true, hosts: [] } }, signal)
  try {
    for (const fetchSource of [null, publicOnly]) {
      await using victim = await startVictim({ needs: { fetchSource } })
      const authToken = await tokenOf(victim)
      for (const host of ['127.0.0.1', 'localhost', '[::1]', '[::ffff:7f00:1]', '0x7f000001', '0.0.0.0']) {
        const answer = await rawRequest(victim.port, HTTP1, {
          method: 'POST',
          path: '/segment',
          headers: {
            'livepeer-segment': formatSegmentHeader(segmentOf(Buffer.alloc(1), authToken)),
            'content-type': 'application/vnd+livepeer.uri',
          },
          body: Buffer.from(`http://${host}:${port}/latest/meta-data/`),
        })
        assert.equal(answer.status, 400, host)
      }
      assert.equal(await serveHonest(victim), 'data')
    }
    assert.equal(requests, 0)
  } finally {
    inside.close()
  }
})
