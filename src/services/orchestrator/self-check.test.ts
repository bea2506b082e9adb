import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leftPad } from '../../lib/bytes.ts'
import { ManualClock } from '../../lib/clock.ts'
import { addressOfKey, keccak256, signHash } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { type Pinger, SelfCheck } from './self-check.ts'

const key = leftPad(Uint8Array.of(7), 32)
const otherKey = leftPad(Uint8Array.of(8), 32)
const address = addressOfKey(key)
const serviceUri = 'https://node.example:8935'
const never = new AbortController().signal

const signing = (by: Uint8Array): Pinger => ({ ping: async (_url, value) => signHash(by, keccak256(value)) })
const away: Pinger = { ping: async () => Promise.reject(new Error('connection refused')) }

function selfCheck(client: Pinger, how: { offchain?: boolean; isInCluster?: boolean } = {}) {
  const { isInCluster = false, offchain = false } = how
  const clock = new ManualClock()
  return {
    clock,
    check: new SelfCheck(
      { serviceUri, address, offchain, isInCluster },
      { client, clock, dice: seededDice('x'), log: silentLog },
    ),
  }
}

test('a node that answers with its own key is content', async () => {
  await selfCheck(signing(key)).check.check(never)
})

test('offchain any answer will do', async () => {
  await selfCheck({ ping: async () => new Uint8Array(0) }, { offchain: true }).check.check(never)
})

test('a sibling behind the same address is named, with the advice', async () => {
  await assert.rejects(selfCheck(signing(otherKey)).check.check(never), {
    message: `${addressOfKey(otherKey)} answers at the advertised address https://node.example:8935 instead of ${address}: set -serviceAddr to this node's own address; a balancer's belongs on chain only, unless the nodes behind it share a -store`,
  })
})

test('in a cluster a sibling may answer, but somebody must', async () => {
  const isInCluster = true
  await selfCheck(signing(otherKey), { isInCluster }).check.check(never)
  await assert.rejects(selfCheck(away, { isInCluster }).check.check(never), { code: 'unreachable-self' })
})

test('a balancer that leads here only now and then is found out', async () => {
  let calls = 0
  const { check } = selfCheck({
    ping: (url, value, signal) => signing(++calls === 2 ? otherKey : key).ping(url, value, signal),
  })
  await assert.rejects(check.check(never), { code: 'another-node' })
})

test('an address that cannot be reached ends the node after three tries, with the flags to change', async () => {
  const { check, clock } = selfCheck(away)
  await using supervisor = new Supervisor()
  await supervisor.start(check)
  const failed = assert.rejects(supervisor.failed, {
    message:
      'this node cannot be reached at its advertised address https://node.example:8935 (connection refused): check -serviceAddr and the network in between, or skip this check with -startupAvailabilityCheck=false',
  })
  await clock.wind(10_000)
  await failed
})

test('an address that comes up late is good enough', async () => {
  let calls = 0
  const { check, clock } = selfCheck({
    ping: async (url, value, signal) => (++calls < 3 ? away : signing(key)).ping(url, value, signal),
  })
  await using supervisor = new Supervisor()
  await supervisor.start(check)
  await clock.wind(10_000)
  assert.equal(calls, 5, 'two in vain, and one to each of three connections')
  const stop = new AbortController()
  stop.abort()
  await supervisor.untilStopped(stop.signal)
})
