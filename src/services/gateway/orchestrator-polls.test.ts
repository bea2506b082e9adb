import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import type { SkippedOffer } from '../../domain/skipped-offer.ts'
import { ManualClock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { silentLog } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import { Supervisor } from '../../lib/service.ts'
import { NoSessions } from './no-sessions.ts'
import type { OrchestratorCheckResult } from './orchestrator-check.ts'
import { OrchestratorPolls } from './orchestrator-polls.ts'

const MINUTE_MS = 60_000
const ADDRESS: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'

async function setUp() {
  const clock = new ManualClock()
  const causes = new RecordingCauses()
  const lines: string[] = []
  const world = {
    isIdle: true,
    asked: 0,
    /** Wei per pixel of those that would serve. */
    prices: [] as bigint[],
    skipped: new Map<string, SkippedOffer>(),
    error: null as Error | null,
  }
  const noSessions = new NoSessions({ foundAt: 'listed' }, { causes, paying: null })
  const polls = new OrchestratorPolls({
    ...{ clock, noSessions, isIdle: () => world.isIdle },
    log: { ...silentLog, info: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields)}`) },
    check: async (): Promise<OrchestratorCheckResult> => {
      world.asked++
      if (world.error) throw world.error
      const { prices, skipped } = world
      const willing = prices.map((wei, index) => {
        return { url: `https://o${index}`, address: ADDRESS, price: Rational.of(wei) }
      })
      return { willing, skipped, size: prices.length + skipped.size, causes: [], funds: null }
    },
  })
  const supervisor = new Supervisor()
  await supervisor.start(polls)
  return {
    ...{ clock, causes, lines, noSessions, world },
    [Symbol.asyncDispose]: () => supervisor.stop(),
  }
}

const SILENT: SkippedOffer = { kind: 'silent', reason: 'connection refused' }

test('a minute after the start and every 25 minutes orchestrators are asked, and their lowest price is logged', async () => {
  await using set = await setUp()
  set.world.prices = [7n, 5n, 6n]
  set.world.skipped.set('https://away', SILENT)
  await set.clock.wind(MINUTE_MS - 1)
  assert.equal(set.world.asked, 0)
  await set.clock.wind(1)
  assert.equal(set.world.asked, 1)
  const told = JSON.stringify({ willing: 3, unwilling: 1, lowestPerPixelWei: Rational.of(5n) })
  assert.deepEqual(set.lines, [`orchestrators asked between streams ${told}`])
  await set.clock.wind(25 * MINUTE_MS - 1)
  assert.equal(set.world.asked, 1)
  await set.clock.wind(1)
  assert.equal(set.world.asked, 2)
  assert.deepEqual(set.causes.told, [], 'an orchestrator that is away is not a cause while others serve')
})

test('while nobody would serve the reasons are causes, which end within a minute after somebody does', async () => {
  await using set = await setUp()
  set.world.skipped.set('https://away', SILENT)
  await set.clock.wind(MINUTE_MS)
  assert.deepEqual(set.causes.codes, ['orchestrators-silent'])
  assert.match(set.causes.sentences[0]!, /the only orchestrator does not answer: https:\/\/away/)
  set.world.skipped.set('https://away', { kind: 'blocked' })
  await set.clock.wind(MINUTE_MS)
  assert.deepEqual(set.causes.codes, ['orchestrators-blocked'])
  set.world.prices = [5n]
  set.world.skipped.clear()
  await set.clock.wind(MINUTE_MS)
  assert.deepEqual(set.causes.codes, [])
})

test('a gateway that knows no orchestrator is told so, too', async () => {
  await using set = await setUp()
  await set.clock.wind(MINUTE_MS)
  assert.deepEqual(set.causes.codes, ['no-orchestrators'])
})

test('streams tell by themselves: nobody is asked while there is one, and what a poll found is over', async () => {
  await using set = await setUp()
  set.world.skipped.set('https://away', SILENT)
  await set.clock.wind(MINUTE_MS)
  set.world.isIdle = false
  await set.clock.wind(MINUTE_MS)
  assert.deepEqual([set.world.asked, set.causes.codes], [1, []])
  set.world.isIdle = true
  await set.clock.wind(25 * MINUTE_MS)
  // A stream that lacks the same keeps its cause.
  await set.noSessions.explain('movie', { size: 1, skipped: set.world.skipped })
  set.world.isIdle = false
  await set.clock.wind(MINUTE_MS)
  assert.deepEqual(set.causes.told, [
    ...['orchestrators-silent begun', 'orchestrators-silent ended', 'orchestrators-silent begun'],
  ])
})

test('a question that fails blames nobody, and the next one is asked as usual', async () => {
  await using set = await setUp()
  set.world.error = new Error('the chain cannot be read')
  await set.clock.wind(MINUTE_MS)
  assert.deepEqual(set.causes.told, [])
  set.world.error = null
  await set.clock.wind(25 * MINUTE_MS)
  assert.deepEqual([set.world.asked, set.causes.codes], [2, ['no-orchestrators']])
})
