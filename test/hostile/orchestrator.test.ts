import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { ALLOWED_LOSSES } from '../../src/domain/dealings.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { Rational } from '../../src/lib/rational.ts'
import { FEE, type HostileOrchestrator, PRICE, startWorld } from './orchestrator-world.ts'

/** Orchestrators that take more than their price, or use a gateway to reach its own network. */

const SEGMENTS = 40
/** A whole ticket is always left as credit, and one more may be started. */
const PAYMENTS_OF_CREDIT = 2

/** The most that an orchestrator may get: twice its price, some payments for nothing, and its remaining credit. */
function boundOf({ earned, largest }: HostileOrchestrator): Rational {
  const payments = BigInt(ALLOWED_LOSSES + 1 + PAYMENTS_OF_CREDIT)
  return earned.add(earned).add(largest.mul(Rational.of(payments)))
}

function assertBounded(orchestrator: HostileOrchestrator): void {
  const bound = boundOf(orchestrator)
  const times = orchestrator.paid.div(Rational.of(FEE)).toFixed(1)
  assert.ok(
    orchestrator.paid.cmp(bound) <= 0,
    `${times} times a segment's fee, above ${bound.div(Rational.of(FEE)).toFixed(1)}`,
  )
}

test('an honest orchestrator with fresh params in each result serves every segment at its price', async () => {
  await using world = await startWorld()
  const { orchestrator } = world
  assert.equal(await world.pushMany(SEGMENTS), SEGMENTS)
  assert.equal(orchestrator.segments.length, SEGMENTS)
  // A ticket of 150 fees is bought at the start, and one more because a whole one must be left.
  assert.ok(orchestrator.paid.cmp(Rational.of(301n * FEE)) < 0)
  const used = new Set(orchestrator.segments.map(({ segment }) => segment.authToken!.sessionId))
  assert.equal(used.size, 1)
  assert.deepEqual(world.accounts.overpaid, [])
})

test('a price that rises up to twice the first, at requested renewals, is paid', async () => {
  await using world = await startWorld()
  const { orchestrator } = world
  orchestrator.price = (n) => ({ pricePerUnit: n === 0 ? 1000n : 1900n, pixelsPerUnit: 1n })
  orchestrator.onResultInfo = () => null
  await world.pushMany(5)
  world.rounds.l1Block += 40n
  for (let i = 0; i < 5; i++) assert.equal(await world.push(), 'served')
  assert.equal(orchestrator.segments.at(-1)!.payment!.expectedPrice!.pricePerUnit, 1900n)
  assert.deepEqual(world.accounts.overpaid, [])
})

test('a new auth session with each result: the gateway keeps its own and loses nothing', async () => {
  await using world = await startWorld()
  const { orchestrator } = world
  orchestrator.onResultInfo = (info) => ({ ...info, authToken: orchestrator.token() })
  assert.equal(await world.pushMany(SEGMENTS), SEGMENTS)
  assert.ok(
    orchestrator.paid.cmp(Rational.of(301n * FEE)) < 0,
    orchestrator.paid.div(Rational.of(FEE)).toFixed(1),
  )
  assertBounded(orchestrator)
})

test('another recipient, price or address with each result: the gateway pays as before', async () => {
  await using world = await startWorld()
  const { orchestrator } = world
  let n = 0n
  orchestrator.onResultInfo = (info) => ({
    ...info,
    transcoder: `${orchestrator.url}/x${n++}`,
    priceInfo: { pricePerUnit: 1900n + n, pixelsPerUnit: 1n },
    ticketParams: {
      ...info.ticketParams!,
      recipient: `0x${(n + 1000n).toString(16).padStart(40, '0')}` as const,
    },
  })
  assert.equal(await world.pushMany(SEGMENTS), SEGMENTS)
  for (const { payment } of orchestrator.segments) assert.deepEqual(payment!.expectedPrice, PRICE)
  assert.ok(orchestrator.paid.cmp(Rational.of(301n * FEE)) < 0)
  assertBounded(orchestrator)
})

test('tokens of a minute are not renewed for each segment', async () => {
  await using world = await startWorld()
  const { orchestrator } = world
  orchestrator.tokenSeconds = 60n
  assert.equal(await world.pushMany(SEGMENTS), SEGMENTS)
  const used = new Set(orchestrator.segments.map(({ segment }) => segment.authToken!.sessionId))
  assert.equal(used.size, 1)
  assertBounded(orchestrator)
})

test('params of two blocks are renewed, and the credit is kept', async () => {
  await using world = await startWorld()
  const { orchestrator } = world
  orchestrator.paramsBlocks = 2n
  orchestrator.onResultInfo = () => null
  for (let i = 0; i < SEGMENTS; i++) {
    world.rounds.l1Block++
    assert.equal(await world.push(), 'served')
  }
  const used = new Set(orchestrator.segments.map(({ segment }) => segment.authToken!.sessionId))
  assert.equal(used.size, 1)
  assertBounded(orchestrator)
})

const taking: readonly [claim: string, change: (orchestrator: HostileOrchestrator) => void][] = [
  [
    'a price that differs slightly at each renewal, so that each starts a new session',
    (orchestrator) => {
      orchestrator.paramsBlocks = 2n
      orchestrator.onResultInfo = () => null
      orchestrator.price = (n) => ({ pricePerUnit: 1000n + BigInt(Math.max(0, n)), pixelsPerUnit: 1n })
    },
  ],
  ['payments for nothing', (orchestrator) => (orchestrator.error = 'something went wrong')],
  [
    'a stream without key frames that has some',
    (orchestrator) => (orchestrator.error = 'No keyframes in input'),
  ],
  [
    'a thousand times the delivered pixels',
    (orchestrator) =>
      (orchestrator.onRendition = (rendition) => ({ ...rendition, pixels: rendition.pixels * 1000n })),
  ],
  [
    'missing renditions',
    (orchestrator) =>
      (orchestrator.onRendition = (rendition) => ({ ...rendition, url: `${rendition.url}.none` })),
  ],
  [
    'results signed with another key',
    (orchestrator) =>
      (orchestrator.onResultInfo = (info) => ({
        ...info,
        address: '0x00000000000000000000000000000000000000aa',
      })),
  ],
]

for (const [claim, change] of taking) {
  test(`${claim}: it gets some payments, then is suspended for every stream and named in the log`, async () => {
    await using world = await startWorld()
    const { accounts, orchestrator } = world
    change(orchestrator)
    const pushed = await (async () => {
      for (let i = 0; i < SEGMENTS; i++) {
        if (accounts.isLeftOut(orchestrator.url)) return i
        world.rounds.l1Block++
        await world.push()
      }
      return SEGMENTS
    })()
    assertBounded(orchestrator)
    assert.ok(pushed < SEGMENTS, 'it was never left out')
    assert.deepEqual(
      accounts.overpaid.map((one) => one.orchestrator),
      [orchestrator.url],
    )
    assert.ok(
      world.warnings.includes(`orchestrator suspended: paid more than twice its price ${orchestrator.url}`),
    )
    const { paid } = orchestrator
    const result = await world.push()
    assert.ok(result !== 'served' && result.code === 'no-sessions', String(result))
    assert.deepEqual(orchestrator.paid, paid)
  })
}

test('a stream without key frames: the orchestrator that says so is paid as it asks, and not left out', async () => {
  await using world = await startWorld()
  world.media.fault = new NodeError('media', 'No keyframes in input')
  world.orchestrator.error = 'No keyframes in input'
  assert.equal(await world.pushMany(SEGMENTS), SEGMENTS)
  assert.equal(world.orchestrator.segments.length, SEGMENTS)
  assert.deepEqual(world.accounts.overpaid, [])
})

/** A host of the gateway's own network, which must not be called. */
async function startInside(host = '127.0.0.1', location: string | null = null) {
  const asked: string[] = []
  let connections = 0
  const server: Server = createServer((request, response) => {
    asked.push(request.url ?? '')
    if (location) response.writeHead(302, { location })
    response.end(Buffer.alloc(15_360, 'x'))
  })
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const { port } = server.address() as AddressInfo
  return {
    ...{ asked, port },
    get connections() {
      return connections
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '0.0.0.0', '2130706433']) {
  test(`a rendition at ${host}, which is not where the segment went, is not fetched`, async () => {
    await using inside = await startInside()
    await using world = await startWorld()
    world.orchestrator.onRendition = (rendition) => ({
      ...rendition,
      url: `http://${host}:${inside.port}/secret`,
    })
    const result = await world.push()
    assert.ok(result !== 'served', 'it was fetched from there')
    assert.deepEqual([inside.asked, inside.connections], [[], 0])
  })
}

test('a redirect from a public address to an internal one is not followed', async () => {
  await using inside = await startInside()
  await using outside = await startInside('127.0.0.2', `http://127.0.0.1:${inside.port}/secret`)
  await using world = await startWorld({ names: { isPublic: (ip) => ip === '127.0.0.2' } })
  world.orchestrator.onRendition = (rendition) => ({
    ...rendition,
    url: `http://127.0.0.2:${outside.port}/x`,
  })
  assert.ok((await world.push()) !== 'served')
  assert.ok(outside.asked.length > 0, 'a public address is asked')
  assert.equal(inside.connections, 0)
})

test('a name that is public when checked and internal afterwards is not resolved again', async () => {
  await using inside = await startInside()
  const answers = ['127.0.0.2', '127.0.0.1']
  let resolved = 0
  await using world = await startWorld({
    names: {
      isPublic: (ip) => ip === '127.0.0.2',
      resolve: (_name, _options, callback) =>
        callback(null, [{ address: answers[resolved++ % 2]!, family: 4 }]),
    },
  })
  world.orchestrator.onRendition = (rendition) => ({
    ...rendition,
    url: `http://rebinding.example:${inside.port}/x`,
  })
  for (let i = 0; i < 4; i++) assert.ok((await world.push()) !== 'served')
  assert.ok(resolved >= 2, 'the name was looked up')
  assert.equal(inside.connections, 0)
})

test('an orchestrator at a public address cannot direct segments into the own network', async () => {
  await using inside = await startInside('127.0.0.3')
  await using world = await startWorld({ names: { isPublic: (ip) => ip === '127.0.0.1' } })
  // Here loopback stands for the internet, and one of its addresses for the gateway's network.
  world.orchestrator.onOffer = (info) => ({ ...info, transcoder: `http://127.0.0.3:${inside.port}` })
  assert.ok((await world.push()) !== 'served')
  assert.deepEqual([inside.asked, inside.connections], [[], 0])
})

test('a rendition of 40 MB where kilobytes are expected is given up', async () => {
  await using world = await startWorld()
  world.orchestrator.bytes = Buffer.alloc(40_000_000, 'x')
  assert.ok((await world.push()) !== 'served')
})
