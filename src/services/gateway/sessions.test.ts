import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeNetwork, FakeOrchestrator, keyOf, RecordingPayer, WEIGHTS } from '../../../test/fakes/gateway.ts'
import { jobCapabilities } from '../../domain/capabilities.ts'
import type { OrchestratorInfo } from '../../domain/segment.ts'
import type { SelectionWeights } from '../../domain/selection.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { type Address, addressOfKey } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import { Supervisor } from '../../lib/service.ts'
import type { Search } from './discovery.ts'
import type { Trust } from './orchestrator-source.ts'
import { PerfScores } from './perf-scores.ts'
import type { Assignment } from './session.ts'
import type { Directory, OrchestratorFacts, SessionPoolNeeds } from './session-needs.ts'
import { StreamSessions } from './sessions.ts'

const job = jobCapabilities({ profiles: [], push: true })
const never = new AbortController().signal

/** A directory of lists that tests change; it answers at once, or when its gate opens. */
class Lists implements Directory {
  readonly #clock: ManualClock
  orchestrators: Record<Trust, FakeOrchestrator[]>
  readonly searches: Search[] = []
  gate: Promise<void> | null = null
  /** No orchestrator answers. */
  isAway = false

  constructor(clock: ManualClock, orchestrators: Partial<Record<Trust, FakeOrchestrator[]>>) {
    this.#clock = clock
    this.orchestrators = { trusted: [], untrusted: [], ...orchestrators }
  }

  async size(trust: Trust) {
    return this.orchestrators[trust].length
  }

  async find(search: Search) {
    this.searches.push(search)
    const answers = this.orchestrators[search.trust].map((one) => ({
      info: one.info(this.#clock),
      from: one.url,
    }))
    const found = answers.map(({ info, from }) => ({
      info,
      from,
      suspended: search.suspendedMs(info.transcoder) > 0,
    }))
    await this.gate
    if (this.isAway) return []
    const sorted = [
      ...found.filter(({ suspended }) => !suspended),
      ...found.filter(({ suspended }) => suspended),
    ]
    return sorted.slice(0, search.wanted)
  }
}

function named(...names: string[]): FakeOrchestrator[] {
  return names.map((name, i) => new FakeOrchestrator(name, i + 1))
}

async function setUp(
  orchestrators: Partial<Record<Trust, FakeOrchestrator[]>>,
  weights: SelectionWeights | null = null,
  {
    dice = seededDice('sessions'),
    stakeOf = () => 1n,
    perfScoreOf = () => null,
  }: Partial<Pick<SessionPoolNeeds, 'dice'> & OrchestratorFacts> = {},
) {
  const clock = new ManualClock()
  const payer = new RecordingPayer()
  const lists = new Lists(clock, orchestrators)
  const network = new FakeNetwork(clock, ...Object.values(lists.orchestrators).flat())
  const events: string[] = []
  const sessions = new StreamSessions(
    { weights, capabilities: job },
    {
      directory: lists,
      payer,
      client: network,
      facts: { stakeOf, perfScoreOf },
      clock,
      dice,
      log: silentLog,
      suspended: ({ orchestrator, reason }) => void events.push(`${orchestrator} suspended: ${reason}`),
      swapped: (reason) => void events.push(`swapped: ${reason}`),
    },
  )
  await sessions.open()
  const pick = (durationMs = 2000): Assignment => {
    const assignment = sessions.select(durationMs)
    assert.ok(assignment, 'a session was expected')
    return assignment
  }
  return { clock, payer, lists, network, events, sessions, pick }
}

const keyIn = (assignment: Assignment | null) => assignment?.session.key ?? null

test('a session that keeps up is used again, one that does not yields to those not yet tried', async () => {
  const { sessions, pick, events } = await setUp({ trusted: named('a', 'b', 'c') })
  const first = pick()
  assert.equal(first.session.key, 'a')
  sessions.complete(first, 0.5)
  const second = pick()
  assert.equal(second.session.key, 'a')
  sessions.complete(second, 1.5)
  const third = pick()
  assert.equal(third.session.key, 'b')
  sessions.complete(third, 1.2)
  const fourth = pick()
  assert.equal(fourth.session.key, 'c')
  sessions.complete(fourth, 1.3)
  assert.equal(pick().session.key, 'b', 'all are slow: the least slow')
  assert.deepEqual(events, ['swapped: slow', 'swapped: slow', 'swapped: slow'])
})

test('a swap tells why: its session is busy, fails, or was paid too much', async () => {
  const { clock, events, payer, pick, sessions } = await setUp({ trusted: named('a', 'b', 'c', 'd') })
  pick()
  await clock.wind(2000)
  const second = pick()
  sessions.fail(second, 'x', false)
  const third = pick()
  sessions.complete(third, 0.5)
  assert.equal(pick().session, third.session)
  payer.leftOut.add(third.session.from)
  pick()
  const told = events.filter((event) => event.startsWith('swapped'))
  assert.deepEqual(told, ['swapped: busy', 'swapped: failed', 'swapped: overpaid'])
})

for (const isNeeded of [false, true])
  test(`a session that becomes too expensive is left${isNeeded ? ', unless all are and that may be' : ' in the midst of a stream'}`, async () => {
    const weights = { ...WEIGHTS, maxPrice: Rational.of(5n), ignoreMaxPriceIfNeeded: isNeeded }
    const orchestrators = named('a', 'b')
    for (const one of orchestrators) Object.assign(one, { onchain: true })
    const { clock, events, pick, sessions } = await setUp({ trusted: orchestrators }, weights)
    const first = pick()
    sessions.complete(first, 0.5)
    const raise = (assignment: Assignment) => {
      const cheap = orchestrators.find(({ url }) => url === assignment.session.key)!
      cheap.price = { pricePerUnit: 6n, pixelsPerUnit: 1n }
      sessions.renewed(assignment.session, cheap.info(clock), false)
    }
    raise(first)
    const second = pick()
    assert.notEqual(second.session, first.session)
    assert.deepEqual(events, ['swapped: too-expensive'])
    sessions.complete(second, 0.5)
    assert.equal(pick().session, second.session)
    sessions.complete(second, 0.5)
    raise(second)
    assert.equal(keyIn(sessions.select(2000)), isNeeded ? second.session.key : null)
  })

test('streams on chain begin with orchestrators in the published proportions, whatever is thrown', async () => {
  const weights = { ...WEIGHTS, stakeWeight: 0.3, priceWeight: 0.7, randomWeight: 0, priceExpFactor: 100 }
  const [prices, stakes] = [
    [400n, 700n, 1000n],
    [100n, 100_000n, 300n],
  ]
  const orchestrators = named('a', 'b', 'c')
  for (const [index, one] of orchestrators.entries()) {
    Object.assign(one, { onchain: true, price: { pricePerUnit: prices[index]!, pixelsPerUnit: 1n } })
  }
  const stakeOf = (recipient: string) =>
    stakes[orchestrators.findIndex(({ key }) => addressOfKey(key) === recipient)]!
  const chosen = new Map<string, number>()
  const throws = 400
  for (let count = 0; count < throws; count++) {
    const dice = { ...seededDice('published'), fraction: () => (count + 0.5) / throws }
    const { pick } = await setUp({ untrusted: orchestrators }, weights, { dice, stakeOf })
    const { key } = pick().session
    chosen.set(key, (chosen.get(key) ?? 0) + 1)
  }
  // gateway.md §16: .6655, .3319 and .0025.
  assert.deepEqual(Object.fromEntries(chosen), { a: 266, b: 133, c: 1 })
})

test('a stream on chain begins with an orchestrator that performs well enough, where one does or none is known to', async () => {
  const weights = { ...WEIGHTS, minPerfScore: 0.5 }
  const orchestrators = named('a', 'b', 'c')
  for (const one of orchestrators) one.onchain = true
  const scores = new Map<string, number>()
  const begunWith = async () => {
    const clock = new ManualClock()
    const supervisor = new Supervisor()
    const read = new PerfScores({ stats: { fetch: async () => scores }, clock, log: silentLog })
    if (scores.size > 0) await supervisor.start(read)
    await settle()
    const chosen = new Set<string>()
    for (let count = 0; count < 30; count++) {
      const dice = { ...seededDice('perf'), fraction: () => (count + 0.5) / 30 }
      const facts = { dice, perfScoreOf: (recipient: Address) => read.scoreOf(recipient) }
      const { pick } = await setUp({ untrusted: orchestrators }, weights, facts)
      chosen.add(pick().session.key)
    }
    await supervisor.stop()
    return [...chosen].sort().join()
  }
  const [a, b] = orchestrators.map(({ key }) => addressOfKey(key).toLowerCase())
  assert.equal(await begunWith(), 'a,b,c', 'none is known')
  scores.set(a!, 0.49).set(b!, 0.5)
  assert.equal(await begunWith(), 'b', 'who has no score has 0')
  scores.set(b!, 0.4)
  assert.equal(await begunWith(), 'a,b,c', 'none does')
})

test('a busy session takes the next segment while its oldest is younger than its length', async () => {
  const { clock, sessions, pick } = await setUp({ trusted: named('a', 'b') })
  const first = pick()
  await clock.wind(1999)
  assert.equal(pick().session, first.session)
  await clock.wind(1)
  const other = pick()
  assert.equal(other.session.key, 'b')
  sessions.complete(first, 0.9)
  assert.equal(first.session.state.kind, 'busy')
})

test('with a single orchestrator the limit is twice the length, and after that there is no session', async () => {
  const { clock, sessions, pick } = await setUp({ trusted: named('a') })
  pick()
  await clock.wind(3999)
  assert.equal(keyIn(sessions.select(2000)), 'a')
  await clock.wind(1)
  assert.equal(sessions.select(2000), null)
})

test('a session that was left for a faster one is not lost', async () => {
  const { clock, sessions, pick } = await setUp({ trusted: named('a', 'b') })
  const first = pick()
  await clock.wind(2000)
  const second = pick()
  sessions.complete(first, 0.2)
  await clock.wind(2000)
  assert.equal(pick().session.key, 'a')
  sessions.complete(second, 0.3)
  assert.equal(second.session.state.kind, 'ready')
})

test('states: fresh, busy, ready, and ended with what is still in its hands', async () => {
  const { sessions, pick, payer } = await setUp({ trusted: named('a') })
  const [session] = sessions.all
  const kind = () => session!.state.kind
  assert.equal(kind(), 'fresh')
  const first = pick()
  const second = pick()
  assert.equal(kind(), 'busy')
  sessions.release(first)
  assert.equal(kind(), 'busy')
  sessions.release(second)
  assert.deepEqual(session!.state, { kind: 'fresh' })
  const third = pick()
  const fourth = pick()
  sessions.complete(third, 0.4)
  sessions.complete(fourth, 0.6)
  assert.deepEqual(session!.state, { kind: 'ready', score: 0.6 })
  const fifth = pick()
  const sixth = pick()
  sessions.fail(fifth, 'header timeout', false)
  assert.equal(kind(), 'ended')
  assert.equal(payer.closed, 0, 'a payment session outlives its last segment')
  sessions.fail(sixth, 'header timeout', false)
  assert.equal(payer.closed, 1)
  assert.deepEqual(sessions.all, [])
})

test('a failed orchestrator sits out until the next refresh, and then it is back', async () => {
  const { sessions, pick, events, lists } = await setUp({ trusted: named('a') })
  sessions.fail(pick(), 'unknown error (test)', false)
  assert.equal(sessions.select(2000), null, 'a retry does not wait')
  await settle()
  assert.equal(keyIn(sessions.select(2000)), 'a')
  assert.equal(lists.searches.length, 2)
  assert.deepEqual(events, ['a suspended: unknown error (test)'])
})

test('two segments that fail together in one session are one failure', async () => {
  const { sessions, pick, events } = await setUp({ trusted: named('a', 'b') })
  const [first, second] = [pick(), pick()]
  assert.equal(first.session, second.session)
  sessions.fail(first, 'x', false)
  sessions.fail(second, 'x', false)
  assert.equal(events.filter((event) => event.includes('suspended')).length, 1)
})

test('in a pool of 40, of which 8 are asked for, a failure costs five half minutes, however often it searches', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `o${i}`)
  const { clock, sessions, pick, lists } = await setUp({ trusted: named(...names) })
  assert.equal(sessions.all.length, 8)
  const failed = pick()
  sessions.fail(failed, 'OrchestratorBusy', false)
  const { suspendedMs } = lists.searches[0]!
  for (let left = 5; left > 0; left--) {
    for (let search = 0; search < 3; search++) {
      for (const session of [...sessions.all]) {
        // Empty the pool, so that it looks for more.
        sessions.remove({ session, startedMs: 0, durationMs: 0 }, 'test')
      }
      sessions.select(2000)
      await settle()
      assert.equal(suspendedMs(failed.session.key), left * 30_000)
      assert.ok(sessions.all.every(({ key }) => key !== failed.session.key))
    }
    await clock.wind(30_000)
  }
  assert.equal(suspendedMs(failed.session.key), 0)
})

test('one that fails while it is asked again does not come back with that answer', async () => {
  const { sessions, pick, lists } = await setUp({ trusted: named('a', 'b', 'c', 'd') })
  const assignments = [pick()]
  assert.equal(assignments[0]!.session.key, 'a')
  const gate = Promise.withResolvers<void>()
  lists.gate = gate.promise
  for (const key of ['b', 'c']) {
    const session = sessions.all.find((one) => one.key === key)!
    sessions.remove({ session, startedMs: 0, durationMs: 0 }, 'test')
  }
  sessions.select(2000)
  await settle()
  assert.equal(lists.searches.length, 2)
  sessions.fail(assignments[0]!, 'x', false)
  gate.resolve()
  await settle()
  assert.ok(sessions.all.some(({ key }) => key === 'b'))
  const back = sessions.all.find(({ key }) => key === 'a')
  assert.equal(back, undefined)
})

test('a pool refreshes when few sessions are free, one search at a time', async () => {
  const { sessions, pick, lists, clock } = await setUp({ trusted: named('a', 'b', 'c', 'd') })
  sessions.complete(pick(), 0.5)
  assert.equal(lists.searches.length, 1, 'enough are free')
  const gate = Promise.withResolvers<void>()
  lists.gate = gate.promise
  pick()
  await clock.wind(2000)
  pick()
  await clock.wind(2000)
  pick()
  await clock.wind(30_000)
  sessions.select(2000)
  sessions.select(2000)
  await settle()
  assert.equal(lists.searches.length, 2)
  gate.resolve()
})

test('a complete pool with one orchestrator does not ask it before every segment', async () => {
  const { sessions, pick, lists, clock } = await setUp({ trusted: named('a') })
  for (let i = 0; i < 10; i++) {
    sessions.complete(pick(), 0.5)
    await clock.wind(2000)
  }
  assert.equal(lists.searches.length, 1)
})

test('a stream that began before there was any orchestrator finds them later', async () => {
  const { sessions, lists } = await setUp({})
  assert.equal(await sessions.selectPatiently(2000, 0), null)
  lists.orchestrators.trusted = named('late')
  assert.equal(keyIn(await sessions.selectPatiently(2000, 0)), 'late')
})

for (const trust of ['trusted', 'untrusted'] as const)
  test(`a stream whose first search finds no ${trust} orchestrator ${trust === 'trusted' ? 'searches on' : 'is told at once'}`, async () => {
    const { sessions, lists, clock } = await setUp({})
    lists.orchestrators[trust] = named('behind-balancer')
    lists.isAway = true
    let answer: string | null | undefined
    void sessions.selectPatiently(2000, 3_000).then((assignment) => {
      answer = keyIn(assignment)
    })
    await clock.wind(1_000)
    lists.isAway = false
    await clock.wind(1_000)
    assert.equal(answer, trust === 'trusted' ? 'behind-balancer' : null)
  })

test('a stream whose named orchestrators never answer gives up when its patience ends', async () => {
  const { sessions, lists, clock } = await setUp({ trusted: named('gone') })
  lists.isAway = true
  sessions.remove(sessions.select(2000)!, 'gone')
  let answer: Assignment | null | undefined
  void sessions.selectPatiently(2000, 3_000).then((assignment) => {
    answer = assignment
  })
  await clock.wind(2_900)
  assert.equal(answer, undefined)
  await clock.wind(600)
  assert.equal(answer, null)
  assert.ok(lists.searches.length <= 15, `${lists.searches.length} searches`)
})

test('untrusted orchestrators are tried before trusted ones', async () => {
  const { sessions, pick } = await setUp({ trusted: named('mine'), untrusted: named('theirs') })
  const first = pick()
  assert.equal(first.session.trust, 'untrusted')
  sessions.fail(first, 'x', false)
  assert.equal(pick().session.trust, 'trusted')
})

test('answers without auth token, and on chain without ticket params, make no session', async () => {
  const weights = { ...WEIGHTS, maxPrice: Rational.of(5n) }
  const [a, b, c, d] = named('a', 'b', 'c', 'd')
  for (const one of [a!, c!, d!]) one.onchain = true
  const withoutToken = a!.info.bind(a)
  a!.info = (clock): OrchestratorInfo => ({ ...withoutToken(clock), authToken: null })
  d!.price = { pricePerUnit: 6n, pixelsPerUnit: 1n }
  const { sessions, pick } = await setUp({ trusted: [a!, b!, c!, d!] }, weights)
  assert.deepEqual(
    sessions.all.map(({ key }) => key),
    ['c', 'd'],
  )
  assert.equal(pick().session.key, 'c', 'the other is too dear')
  assert.equal(sessions.all[0]!.info.ticketParams?.recipient, addressOfKey(keyOf(3)))
})

test('a session follows an offer that names another transcoder, unless that has a session', async () => {
  const { sessions, pick, clock, lists, payer } = await setUp({ trusted: named('a', 'b') })
  const first = pick()
  const offer = lists.orchestrators.trusted[0]!.info(clock)
  sessions.renewed(first.session, { ...offer, transcoder: 'a2' }, true)
  assert.equal(first.session.key, 'a2')
  assert.equal(first.session.info.transcoder, 'a2')
  sessions.renewed(first.session, { ...offer, transcoder: '' }, true)
  assert.equal(first.session.info.transcoder, 'a2', 'an offer for no further work leaves the session')
  sessions.renewed(first.session, { ...offer, transcoder: 'b' }, true)
  assert.deepEqual(first.session.state.kind, 'ended')
  assert.deepEqual(
    sessions.all.map(({ key }) => key),
    ['b'],
  )
  assert.equal(payer.closed, 0)
  sessions.release(first)
  assert.equal(payer.closed, 1)
})

test('one address is good for eight sessions, whatever its orchestrator calls itself', async () => {
  const [changing] = named('a')
  const { sessions, payer } = await setUp({ untrusted: [changing!] })
  for (let i = 0; i < 20; i++) {
    changing!.transcoder = `a${i}`
    const assignment = sessions.select(2000)
    await settle()
    await Promise.all([sessions.selectPatiently(2000, 0, new Set(sessions.all.map(({ key }) => key)))])
    if (assignment) sessions.release(assignment)
  }
  assert.equal(sessions.all.length, 8)
  assert.equal(payer.opened, 8)
})

test('at the end the credit left with an orchestrator after one session is not held against it', async () => {
  const { sessions, payer } = await setUp({ trusted: named('a', 'b') })
  await sessions.end(never)
  assert.deepEqual([payer.closed, payer.faults], [2, 0])
})

test('at the end all sessions of both pools are told, used or not, and nothing is given out any more', async () => {
  const orchestrators = named('a', 'b', 'c')
  const { sessions, pick, network, payer } = await setUp({
    trusted: orchestrators.slice(0, 2),
    untrusted: orchestrators.slice(2),
  })
  const working = pick()
  network.endSession = ((original) => async (url: string, token) => {
    await original.call(network, url, token)
    throw new Error('gone already')
  })(network.endSession)
  await sessions.end(never)
  for (const { ended } of orchestrators) assert.equal(ended.length, 1)
  assert.equal(sessions.select(2000), null)
  assert.equal(payer.closed, 2)
  sessions.release(working)
  assert.equal(payer.closed, 3)
})
