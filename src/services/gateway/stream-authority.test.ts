import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { StreamAdmissions, type StreamVerdict, sharedUrl } from './stream-authority.ts'

function setUp(...verdicts: StreamVerdict[]) {
  const clock = new ManualClock()
  const asked: string[] = []
  const decide = async (url: string): Promise<StreamVerdict> => {
    asked.push(url)
    await clock.sleep(100)
    return verdicts.length > 1 ? verdicts.shift()! : verdicts[0]!
  }
  const admissions = new StreamAdmissions({ decide }, clock)
  const ask = async (url: string) => {
    const answer = admissions.ask(url, sharedUrl(url)).then(
      () => 'allowed',
      (error) => error.code as string,
    )
    await clock.wind(100)
    return answer
  }
  return { admissions, asked, ask, clock }
}

const DENIED: StreamVerdict = { kind: 'denied', reason: 'no' }
const ALLOWED: StreamVerdict = { kind: 'allowed', grant: null }

test('segments of one stream that arrive together are asked about once', async () => {
  const { ask, asked } = setUp(ALLOWED)
  const answers = await Promise.all(['/live/a/0.ts', '/live/a/1.ts', '/live/b/0.ts'].map(ask))
  assert.deepEqual(answers, ['allowed', 'allowed', 'allowed'])
  assert.deepEqual(asked, ['/live/a/0.ts', '/live/b/0.ts'])
})

test('a denial counts for 2 s for the same stream, and an answer that decides nothing for no time', async () => {
  const { ask, asked, clock } = setUp(DENIED, { kind: 'undecided', reason: '' }, ALLOWED)
  assert.equal(await ask('/live/a/0.ts'), 'stream-denied')
  assert.equal(await ask('/live/a/1.ts'), 'stream-denied')
  assert.equal(asked.length, 1)
  await clock.wind(2_000)
  assert.equal(await ask('/live/a/2.ts'), 'stream-denied')
  assert.equal(asked.length, 2)
  assert.equal(await ask('/live/a/2.ts'), 'allowed')
  assert.equal(asked.length, 3)
})

test('a flood of new names fills no memory and asks no more than 100 questions at once', async () => {
  const { admissions, ask, asked } = setUp(DENIED)
  for (let round = 0; round < 12; round++) {
    await Promise.all(Array.from({ length: 100 }, (_, i) => ask(`/live/n${round}-${i}/0.ts`)))
  }
  assert.equal(asked.length, 1_200)
  assert.equal(admissions.remembered, 1_000)
  const codes = await Promise.all(Array.from({ length: 101 }, (_, i) => ask(`/live/m${i}/0.ts`)))
  assert.equal(codes.filter((code) => code === 'stream-refused').length, 1)
  assert.equal(asked.length, 1_300)
})
