import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from './clock.ts'
import { openLog } from './log.ts'
import { foldRepeats } from './log-fold.ts'

function folded() {
  const lines: string[] = []
  const clock = new ManualClock()
  const write = (line: string) => {
    const { level: _l, time: _t, msg, ...fields } = JSON.parse(line)
    lines.push([msg, ...Object.entries(fields).map(([key, value]) => `${key}=${value}`)].join(' '))
  }
  return { lines, clock, log: foldRepeats(openLog({ level: 'debug', write }), clock) }
}

test('4,200 repeats of a warning within 92 seconds become eight lines that account for all of them', async () => {
  const { clock, lines, log } = folded()
  for (let i = 0; i < 4_200; i++) {
    log.warn('a ticket could not be redeemed', { ticket: i })
    await clock.wind(22)
  }
  await clock.wind(60_000)
  log.info('anything')
  assert.equal(lines.length, 3 + 1 + 3 + 1 + 1)
  assert.equal(lines[0], 'a ticket could not be redeemed ticket=0')
  const counts = lines.map((line) => Number(/repeated=(\d+)/.exec(line)?.[1] ?? 0))
  assert.equal(counts.reduce((sum, count) => sum + count) + 6, 4_200)
  assert.match(lines.at(-2)!, /^a ticket could not be redeemed ticket=4199 repeated=\d+$/)
})

test('warnings with other words, scopes or levels are counted separately', async () => {
  const { lines, log } = folded()
  for (let i = 0; i < 3; i++) log.warn('one')
  log.warn('two')
  log.child({ part: 'a' }).warn('one')
  log.child({ part: 'b' }).warn('one')
  for (let i = 0; i < 5; i++) log.error('one')
  for (let i = 0; i < 5; i++) log.info('one')
  assert.equal(lines.length, 16)
  log.warn('one')
  log.child({ part: 'a' }).warn('one')
  assert.equal(lines.length, 17)
})

test('a warning that repeats rarely is written each time', async () => {
  const { clock, lines, log } = folded()
  for (let i = 0; i < 10; i++) {
    log.warn('now and then', { i })
    await clock.wind(30_000)
  }
  assert.deepEqual(
    lines,
    Array.from({ length: 10 }, (_, i) => `now and then i=${i}`),
  )
})
