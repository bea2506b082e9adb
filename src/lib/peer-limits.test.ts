import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from './clock.ts'
import { PeerLimits } from './peer-limits.ts'

test('a host may make a burst of calls and then a number per second, without slowing down other hosts', async () => {
  const clock = new ManualClock()
  const limits = new PeerLimits({ callsPerSecond: 10, burst: 50, streams: 1 }, { clock })
  const taken = (host: string, asked = 1_000) => {
    let count = 0
    for (let i = 0; i < asked; i++) if (limits.takeCall(host)) count++
    return count
  }
  assert.equal(taken('a'), 50)
  await clock.wind(1_000)
  assert.equal(taken('a'), 10)
  assert.equal(taken('b'), 50)
  await clock.wind(60_000)
  assert.equal(taken('a'), 50, 'never more than at once')
  await clock.wind(-120_000)
  assert.equal(taken('a'), 0, 'a clock that was set back adds nothing')
})

test('a host has a limited number of streams, and may open another after one ends', () => {
  const limits = new PeerLimits({ callsPerSecond: 1, burst: 1, streams: 2 }, { clock: new ManualClock() })
  const first = limits.takeStream('a')
  assert.ok(first && limits.takeStream('a'))
  assert.equal(limits.takeStream('a'), null)
  assert.ok(limits.takeStream('b'))
  first()
  assert.ok(limits.takeStream('a'))
  assert.equal(limits.takeStream('a'), null)
})

test('hosts beyond ten thousand wait until others are idle', async () => {
  const clock = new ManualClock()
  const limits = new PeerLimits({ callsPerSecond: 1, burst: 2, streams: 1 }, { clock })
  for (let i = 0; i < 10_000; i++) assert.ok(limits.takeCall(`host ${i}`))
  assert.equal(limits.takeCall('one more'), false)
  assert.ok(limits.takeCall('host 5'), 'known hosts are served')
  await clock.wind(1_000)
  assert.ok(limits.takeCall('one more'))
})
