import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import {
  FakeNetwork,
  FakeOrchestrator,
  keyOf,
  keySigner,
  RecordingPayer,
} from '../../../test/fakes/gateway.ts'
import { defaultCapabilities, jobCapabilities } from '../../domain/capabilities.ts'
import type { NodeEvent } from '../../domain/events.ts'
import { presets } from '../../domain/rendition.ts'
import type { Reach } from '../../domain/segment.ts'
import { requestHash } from '../../domain/signed-hashes.ts'
import type { SkippedOffer } from '../../domain/skipped-offer.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { addressOfKey, signedBy, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { Discovery, type DiscoveryOptions, type Search } from './discovery.ts'
import type { Candidate } from './orchestrator-source.ts'

const job = jobCapabilities({ profiles: presets.slice(0, 1), push: true })
const never = new AbortController().signal

function setUp(
  orchestrators: FakeOrchestrator[],
  options: Partial<DiscoveryOptions> & {
    asked?: readonly string[]
    mustBePayable?: boolean
    reach?: Reach
  } = {},
) {
  const clock = new ManualClock()
  const told: NodeEvent[] = []
  const network = new FakeNetwork(clock, ...orchestrators)
  const payer = new RecordingPayer()
  const causes = new RecordingCauses()
  const urls = options.asked ?? orchestrators.map(({ url }) => url)
  const mustBePayable = options.mustBePayable ?? false
  const candidates: Candidate[] = urls.map((url) => ({
    url,
    trust: 'trusted',
    mustBePayable,
    reach: options.reach ?? 'any',
  }))
  const signer = keySigner(keyOf(1))
  const discovery = new Discovery(
    { timeoutMs: 500, extraNodes: 0, blocklist: [], ...options },
    {
      source: { candidates: async () => candidates, stakeOf: () => 0n },
      client: network,
      signer,
      payer,
      causes,
      clock,
      dice: seededDice('discovery'),
      log: silentLog,
      events: { tell: (event) => void told.push(event) },
    },
  )
  const find = async (search: Partial<Search> = {}) => {
    const found = await discovery.find(
      { trust: 'trusted', wanted: urls.length, capabilities: job, suspendedMs: () => 0, ...search },
      never,
    )
    return found.map(({ info }) => info.transcoder)
  }
  return { clock, network, payer, causes, discovery, find, signer, told }
}

function several(count: number): FakeOrchestrator[] {
  return Array.from({ length: count }, (_, i) => new FakeOrchestrator(`https://o${i}:8935`, i + 1))
}

/** Resolves with the value and the time it took on the manual clock. */
async function timed<T>(clock: ManualClock, work: Promise<T>): Promise<[T, number]> {
  const started = clock.now()
  let at = -1
  const done = work.then((value) => {
    at = clock.now() - started
    return value
  })
  for (let i = 0; i < 700 && at < 0; i++) {
    await settle()
    if (at < 0) await clock.wind(10)
  }
  return [await done, at]
}

test('all are asked at once, and a search ends as soon as enough have answered', async () => {
  const orchestrators = several(4)
  orchestrators.forEach((orchestrator, i) => {
    orchestrator.infoDelayMs = 100 * (4 - i)
  })
  const { clock, find, network } = setUp(orchestrators)
  const [found, ms] = await timed(clock, find({ wanted: 2 }))
  assert.deepEqual(found, ['https://o3:8935', 'https://o2:8935'], 'the fastest first')
  assert.equal(ms, 200)
  assert.equal(network.asked.length, 4)
})

test('who gave no offer is told, once each: refusals when they come, silence at the end of the search', async () => {
  const orchestrators = several(5)
  orchestrators[0]!.infoError = new NodeError('unreachable', 'connection refused')
  orchestrators[1]!.infoError = new NodeError('refused', 'Invalid orchestrator request: OrchestratorCapped')
  orchestrators[2]!.infoDelayMs = 60_000
  orchestrators[3]!.infoError = new NodeError('refused', 'insufficient sender reserve')
  orchestrators[4]!.infoDelayMs = 5_000
  const { clock, find, told } = setUp(orchestrators)
  const [found, ms] = await timed(clock, find())
  assert.deepEqual([found, ms], [['https://o4:8935'], 6_000])
  const reasons = told.flatMap((event) =>
    event.kind === 'discovery-failed' ? [`${event.orchestrator} ${event.reason}`] : [],
  )
  assert.deepEqual(reasons.sort(), [
    'https://o0:8935 unreachable',
    'https://o1:8935 capped',
    'https://o2:8935 no-answer',
    'https://o3:8935 refused',
  ])
})

test('a search ends at 0.5, 1, 2 or 4 s if anyone was found, and at 6 s if not', async () => {
  for (const [fastestMs, endsAtMs, count] of [
    [400, 500, 1],
    [600, 1000, 1],
    [1500, 2000, 1],
    [3000, 4000, 1],
    [5000, 6000, 1],
    [7000, 6000, 0],
  ] as const) {
    const orchestrators = several(2)
    orchestrators[0]!.infoDelayMs = fastestMs
    orchestrators[1]!.infoDelayMs = 60_000
    const { clock, find } = setUp(orchestrators)
    const [found, ms] = await timed(clock, find())
    assert.equal(found.length, count, `${fastestMs}`)
    assert.equal(ms, endsAtMs, `${fastestMs}`)
    assert.equal(clock.sleepers, 0, 'calls still under way are given up')
  }
})

test('a search ends at once when all have answered or failed', async () => {
  const orchestrators = several(2)
  for (const orchestrator of orchestrators)
    orchestrator.infoError = new NodeError('refused', 'OrchestratorCapped')
  const { clock, find } = setUp(orchestrators, { asked: ['https://o0:8935', 'https://missing:1'] })
  assert.deepEqual(await timed(clock, find()), [[], 0])
  const empty = setUp([])
  assert.deepEqual(await timed(empty.clock, empty.find()), [[], 0])
})

test('a search is given up when its stream ends', async () => {
  const orchestrators = several(1)
  orchestrators[0]!.infoDelayMs = 60_000
  const { clock, discovery } = setUp(orchestrators)
  const stop = new AbortController()
  const search = discovery.find(
    { trust: 'trusted', wanted: 1, capabilities: job, suspendedMs: () => 0 },
    stop.signal,
  )
  await settle()
  stop.abort()
  await assert.rejects(search, { name: 'AbortError' })
  assert.equal(clock.sleepers, 0)
})

test('the request is signed over our own address and asks for the job', async () => {
  const [orchestrator] = several(1)
  const { find, signer } = setUp([orchestrator!])
  await find()
  const [request] = orchestrator!.infoRequests
  assert.equal(request!.address, signer.address)
  assert.ok(signedBy(signer.address, requestHash(signer.address), request!.sig))
  assert.equal(request!.capabilities, job)
  assert.equal(request!.ignoreCapacityCheck, false)
})

test('the suspended only fill up what is wanted, the soonest back first', async () => {
  const orchestrators = several(4)
  const penalties = new Map([
    ['https://o0:8935', 3],
    ['https://o1:8935', 1],
  ])
  orchestrators[2]!.infoDelayMs = 20
  orchestrators[3]!.infoDelayMs = 10
  const penalty = (url: string) => penalties.get(url) ?? 0
  const table: readonly [number, string[]][] = [
    [1, ['o3']],
    [2, ['o3', 'o2']],
    [3, ['o3', 'o2', 'o1']],
    [4, ['o3', 'o2', 'o1', 'o0']],
  ]
  for (const [wanted, expected] of table) {
    const { clock, find } = setUp(orchestrators)
    const [found] = await timed(clock, find({ wanted, suspendedMs: penalty }))
    assert.deepEqual(
      found,
      expected.map((name) => `https://${name}:8935`),
    )
  }
})

test('an orchestrator that takes no work, does not suit the job or is blocked is skipped', async () => {
  const table: readonly [string, (orchestrator: FakeOrchestrator) => void, readonly string[], boolean][] = [
    ['suits', () => {}, [], true],
    ['takes no work', (o) => (o.transcoder = ''), [], false],
    ['tells no capabilities', (o) => (o.capabilities = null), [], false],
    [
      'cannot slice',
      (o) => (o.capabilities = { ...defaultCapabilities('1'), bitstring: [4099n] }),
      [],
      false,
    ],
    ['blocked by address', (o) => (o.onchain = true), [addressOfKey(keyOf(1))], false],
    [
      'blocked by recipient',
      (o) => Object.assign(o, { onchain: true, recipient: addressOfKey(keyOf(9)) }),
      [addressOfKey(keyOf(9)).slice(2).toUpperCase()],
      false,
    ],
    ['another is blocked', (o) => (o.onchain = true), [` ${addressOfKey(keyOf(8))} `], true],
    ['an empty list blocks no address, not even the zero address', () => {}, [''], true],
    ['offchain, zero blocked', () => {}, [ZERO_ADDRESS], false],
  ]
  for (const [claim, change, blocklist, taken] of table) {
    const [orchestrator] = several(1)
    change(orchestrator!)
    const { find } = setUp([orchestrator!], { blocklist })
    assert.equal((await find()).length, taken ? 1 : 0, claim)
  }
})

test('an orchestrator of the pool that cannot be paid is not used', async () => {
  const table: readonly [string, (o: FakeOrchestrator, payer: RecordingPayer) => void, boolean][] = [
    ['payable', () => {}, true],
    ['no address', (o) => (o.onchain = false), false],
    ['no price', (o) => (o.price = null), false],
    ['price of nothing', (o) => (o.price = { pricePerUnit: 1n, pixelsPerUnit: 0n }), false],
    ['negative price', (o) => (o.price = { pricePerUnit: -1n, pixelsPerUnit: 1n }), false],
    ['free', (o) => (o.price = { pricePerUnit: 0n, pixelsPerUnit: 1n }), true],
    [
      'params refused',
      (_, payer) => (payer.refuseValidation = () => new NodeError('params-refused', 'ticketParams is nil')),
      false,
    ],
  ]
  for (const [claim, change, taken] of table) {
    const [orchestrator] = several(1)
    orchestrator!.onchain = true
    const { find, payer } = setUp([orchestrator!], { mustBePayable: true })
    change(orchestrator!, payer)
    assert.equal((await find()).length, taken ? 1 : 0, claim)
  }
})

test('further nodes are followed one level deep, up to extraNodes each, none twice', async () => {
  const orchestrators = several(5)
  const urls = orchestrators.map(({ url }) => url)
  orchestrators[0]!.nodes = [urls[1]!, urls[2]!, urls[3]!]
  orchestrators[1]!.nodes = [urls[4]!]
  for (const [extraNodes, wanted, expected] of [
    [0, 1, 1],
    [0, 5, 1],
    [1, 5, 2],
    [3, 5, 4],
    [3, 2, 2],
    [9, 9, 4],
    [2, 0, 0],
  ] as const) {
    const { find, network, discovery } = setUp(orchestrators, { extraNodes, asked: [urls[0]!] })
    assert.equal((await find({ wanted })).length, expected, `${extraNodes} ${wanted}`)
    assert.ok(!network.asked.includes(urls[4]!), 'the second level is not followed')
    assert.equal(await discovery.size('trusted'), 1 + extraNodes)
    assert.equal(await discovery.size('untrusted'), 0)
  }
})

test('the nodes of one that takes no work itself are followed all the same', async () => {
  const orchestrators = several(3)
  const urls = orchestrators.map(({ url }) => url)
  orchestrators[0]!.transcoder = ''
  orchestrators[0]!.nodes = [urls[1]!, urls[0]!, urls[2]!]
  const { find } = setUp(orchestrators, { extraNodes: 3, asked: [urls[0]!] })
  assert.deepEqual((await find({ wanted: 4 })).toSorted(), [urls[1], urls[2]])
})

test('what the chain lists, and what one at a public address names, is asked at public addresses only', async () => {
  const [front, back] = several(2)
  front!.nodes = [back!.url]
  for (const [listed, answered, expected] of [
    ['any', undefined, ['any', 'any']],
    ['any', 'public', ['any', 'public']],
    ['public', 'public', ['public', 'public']],
  ] as const) {
    const { discovery, network } = setUp([front!, back!], {
      asked: [front!.url],
      extraNodes: 1,
      reach: listed,
    })
    const reaches: unknown[] = []
    const info = network.info.bind(network)
    network.info = async (url, request, options, signal) => {
      reaches.push(options.reach)
      const answer = await info(url, request, options, signal)
      return answered ? { ...answer, reach: answered } : answer
    }
    await discovery.find({ trust: 'trusted', wanted: 2, capabilities: job, suspendedMs: () => 0 }, never)
    assert.deepEqual(reaches, expected)
  }
})

test('one that was paid too much is not asked, and cannot pass for another', async () => {
  const [bad, good] = several(2)
  bad!.transcoder = good!.url
  good!.infoDelayMs = 10
  const { clock, discovery, find, network, payer } = setUp([bad!, good!])
  payer.leftOut.add(bad!.url)
  assert.equal(await discovery.size('trusted'), 1)
  const [found] = await timed(clock, find({ wanted: 2 }))
  assert.deepEqual(found, [good!.url])
  assert.deepEqual(network.asked, [good!.url])
})

test('two addresses of one transcoder count once', async () => {
  const orchestrators = several(3)
  orchestrators[1]!.transcoder = orchestrators[0]!.url
  const { find } = setUp(orchestrators)
  assert.equal(new Set(await find({ wanted: 3 })).size, 2)
  assert.equal((await find({ wanted: 3 })).length, 2)
})

test('a search tells of each orchestrator that it does not use, and why', async () => {
  const [unfit, late, gone, refusing, payable] = several(5)
  unfit!.capabilities = null
  late!.infoDelayMs = 20_000
  gone!.isAway = true
  refusing!.infoError = new NodeError('refused', 'Invalid orchestrator request: OrchestratorCapped')
  const { clock, find, payer } = setUp([unfit!, late!, gone!, refusing!, payable!], { mustBePayable: true })
  payable!.onchain = true
  payer.refuseValidation = () => new NodeError('sender-cannot-pay', 'no sender deposit')
  const skipped = new Map<string, SkippedOffer>()
  const [found] = await timed(clock, find({ skipped: (url, why) => skipped.set(url, why) }))
  assert.deepEqual(found, [])
  assert.deepEqual(skipped.get(unfit!.url), {
    kind: 'unfit',
    missing: ['auth tokens', 'slicing of segments'],
  })
  assert.deepEqual(skipped.get(late!.url), { kind: 'silent', reason: 'no answer within 6000 ms' })
  assert.deepEqual(skipped.get(gone!.url), { kind: 'silent', reason: `nothing listens at ${gone!.url}` })
  assert.deepEqual(skipped.get(refusing!.url), { kind: 'full' })
  assert.deepEqual(skipped.get(payable!.url), { kind: 'unpayable' })
})

test('a listed orchestrator that makes no offer is a cause until it makes one; a full one is none', async () => {
  const [away, full] = several(2)
  away!.isAway = true
  full!.infoError = new NodeError('refused', 'Invalid orchestrator request: OrchestratorCapped')
  const { causes, clock, find } = setUp([away!, full!])
  await timed(clock, find())
  await timed(clock, find())
  assert.deepEqual(causes.told, [`orchestrator-unusable ${away!.url} begun`])
  away!.isAway = false
  await timed(clock, find())
  assert.deepEqual(causes.codes, [])
})
