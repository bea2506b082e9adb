import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { eventsTo } from '../../../test/fakes/events.ts'
import { FakePayer } from '../../../test/fakes/payer.ts'
import { FakeRedeemer } from '../../../test/fakes/redeemer.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { RedeemerPeers } from './redeemer-peers.ts'
import { RemoteFloat } from './remote-float.ts'

const SENDER = new FakePayer('gateway').address
const UNKNOWN = { deposit: 0n, withdrawRound: 0n, fundsRemaining: 0n, claimedInCurrentRound: 0n }

async function world(t: TestContext) {
  const clock = new ManualClock()
  const own = { value: 1_000n as bigint | null }
  const [first, second] = [new FakeRedeemer('first', clock), new FakeRedeemer('second', clock)]
  first.floatOf.set(SENDER, 600n)
  second.floatOf.set(SENDER, 500n)
  const needs = { clock, log: silentLog }
  const peers: string[] = []
  const events = eventsTo({
    'peer-up': ({ name }) => void peers.push(`${name} up`),
    'peer-down': ({ name, reason }) => void peers.push(`${name} ${reason}`),
  })
  const redeemers = new RedeemerPeers({ probed: SENDER }, { ...needs, events, connections: [first, second] })
  const senders = {
    info: async () => UNKNOWN,
    payable: async () => 0n,
    maxFloat: async () => {
      if (own.value === null) throw new NodeError('chain-unreachable', 'no answer from the chain')
      return own.value
    },
  }
  const floats = new RemoteFloat({ ...needs, senders, redeemers })
  const supervisor = new Supervisor()
  for (const service of [redeemers, floats]) await supervisor.start(service)
  t.after(() => supervisor.stop())
  const rest = async () => {
    for (let i = 0; i < 20; i++) await settle()
  }
  await rest()
  const asked = first.asked
  return {
    ...{ clock, own, first, second, floats, peers, rest, asked },
    /** The float, with time passing until it is known. */
    async float(): Promise<bigint> {
      const known = floats.maxFloat(SENDER)
      let isKnown = false
      const done = () => {
        isKnown = true
      }
      known.then(done, done)
      for (let i = 0; i < 40 && !isKnown; i++) {
        await rest()
        if (!isKnown) await clock.wind(100)
      }
      return known
    },
    async pass(ms: number) {
      await clock.wind(ms)
      await rest()
    },
  }
}

test('the redeemer’s float counts, but never more than the own view', async (t) => {
  const w = await world(t)
  assert.equal(await w.float(), 600n)
  w.own.value = 400n
  assert.equal(await w.float(), 400n)
  assert.equal(w.floats.isAlone, false)
})

test('a float is asked for once and then follows what the redeemer tells', async (t) => {
  const w = await world(t)
  assert.equal(await w.float(), 600n)
  assert.equal(w.first.streams, 1)
  w.first.tell(SENDER, 123n)
  await w.rest()
  assert.equal(await w.float(), 123n)
  w.first.tell(SENDER, 0n)
  await w.rest()
  assert.equal(await w.float(), 0n)
  assert.equal(w.first.asked, w.asked + 1)
})

test('while no redeemer answers half of the own view serves, and says so', async (t) => {
  const w = await world(t)
  w.first.mood = 'away'
  w.second.mood = 'away'
  assert.equal(await w.float(), 500n)
  assert.equal(w.floats.isAlone, true)
  w.first.mood = 'well'
  await w.pass(3_000)
  assert.equal(await w.float(), 600n)
  assert.equal(w.floats.isAlone, false)
  assert.deepEqual(w.peers.slice(-3), ['first away', 'second away', 'first up'])
})

test('the next redeemer is asked when the preferred one does not answer', async (t) => {
  const w = await world(t)
  w.first.mood = 'away'
  assert.equal(await w.float(), 500n)
  assert.equal(w.second.streams, 1)
})

test('a redeemer that hangs costs an offer a second and a half, and the next ones nothing', async (t) => {
  const w = await world(t)
  w.first.mood = 'frozen'
  w.second.mood = 'frozen'
  const before = w.clock.now()
  assert.equal(await w.float(), 500n)
  assert.ok(w.clock.now() - before <= 2_000)
  await w.pass(15_000)
  const then = w.clock.now()
  assert.equal(await w.float(), 500n)
  assert.equal(w.clock.now(), then)
})

test('a float whose stream broke is not believed any more', async (t) => {
  const w = await world(t)
  assert.equal(await w.float(), 600n)
  w.first.mood = 'away'
  w.first.reset()
  await w.rest()
  assert.equal(w.floats.size, 0)
  assert.equal(await w.float(), 500n)
})

test('without the chain the redeemer’s word is enough; without both there is an error', async (t) => {
  const w = await world(t)
  w.own.value = null
  assert.equal(await w.float(), 600n)
  w.first.mood = 'away'
  w.second.mood = 'away'
  w.first.reset()
  await w.rest()
  await assert.rejects(w.float(), { code: 'chain-unreachable' })
})

test('the stream of a float that is no longer used is closed', async (t) => {
  const w = await world(t)
  await w.float()
  await w.pass(4 * 60_000)
  assert.equal(w.first.streams, 1)
  await w.pass(3 * 60_000)
  assert.equal(w.first.streams, 0)
  assert.equal(w.floats.size, 0)
})
