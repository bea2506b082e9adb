import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { Pace } from './rpc-pace.ts'

/** A provider that answers a limited number of requests in any second, asked for as many as the pace allows. */
async function askFor(
  seconds: number,
  perSecond: (second: number) => number,
  retryAfterMs: number | null = null,
): Promise<{ answered: number[]; refused: number }> {
  const clock = new ManualClock()
  const pace = new Pace(clock)
  const start = clock.now()
  const answered: number[] = []
  let refused = 0
  for (let ms = 0; ms < seconds * 1_000; ms += 10) {
    const now = clock.now()
    for (let room = Math.min(32, pace.ready); room > 0; room--) {
      pace.sent(1)
      const recent = answered.filter((at) => at > now - 1_000).length
      if (recent < perSecond((now - start) / 1_000)) {
        answered.push(now)
        pace.answered(now)
      } else {
        refused++
        pace.refused(now, retryAfterMs)
      }
    }
    await clock.wind(10)
  }
  return { answered: answered.map((at) => at - start), refused }
}

test('the rate of a provider is learnt: most of what it allows is used, little is refused', async () => {
  for (const limit of [5, 15, 100]) {
    for (const retryAfterMs of [null, 1_000]) {
      const { answered, refused } = await askFor(120, () => limit, retryAfterMs)
      const share = answered.length / (limit * 120)
      assert.ok(share > 0.7, `${limit} a second: ${share} of it used`)
      assert.ok(refused < 32 + 0.1 * answered.length, `${limit} a second: ${refused} refused`)
    }
  }
})

test('a provider that gives more later is asked for more, one that gives less for less', async () => {
  const { answered, refused } = await askFor(240, (second) => (second < 60 ? 5 : second < 180 ? 50 : 5))
  const between = (from: number, to: number) =>
    answered.filter((at) => at >= from * 1_000 && at < to * 1_000).length
  assert.ok(between(170, 180) > 200, `${between(170, 180)}`)
  assert.ok(between(200, 240) > 120, `${between(200, 240)}`)
  assert.ok(refused < 0.1 * answered.length + 40, `${refused} of ${answered.length}`)
})

test('a provider that refuses everything is asked ever less', async () => {
  const { refused } = await askFor(600, () => 0)
  assert.ok(refused > 15 && refused < 32 + 30, `${refused}`)
})

test('until the first refusal nothing is held up, and then everything as long as the provider says', async () => {
  const clock = new ManualClock()
  const pace = new Pace(clock)
  assert.equal(pace.ready, Number.POSITIVE_INFINITY)
  assert.equal(pace.waitMs, 0)
  pace.sent(1)
  pace.refused(clock.now(), 90_000)
  assert.equal(pace.blockedMs, 90_000)
  assert.equal(pace.waitMs, 90_000)
  pace.refused(clock.now(), 24 * 3_600_000)
  assert.equal(pace.blockedMs, 300_000)
  await clock.wind(300_000)
  assert.equal(pace.ready, 1)
})
