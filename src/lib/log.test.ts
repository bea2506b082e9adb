import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LogFormat, logFormatOf, openLog } from './log.ts'
import { Rational } from './rational.ts'

function logged(write: (log: ReturnType<typeof openLog>) => void, format: LogFormat = 'pretty'): string {
  let text = ''
  write(openLog({ level: 'debug', format, write: (line) => (text += line) }))
  return text.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /, '')
}

test('a line is a fixed sentence followed by its fields', () => {
  const line = logged((log) =>
    log.info('segment done', { stream: 'a/b c', number: 5n, ok: true, none: null }),
  )
  assert.equal(line, 'INFO  segment done  stream=a/b c number=5 ok=true none=null\n')
})

test('no value breaks its line, moves the cursor or reverses text', () => {
  const evil = 'x\n12:00:00.000 ERROR the keys are lost \u001b[2J\u202e\u009b'
  const text = logged((log) => {
    log.warn(`said ${evil}`, {
      plain: evil,
      nested: { deep: [evil] },
      error: new Error(evil, { cause: new Error(evil) }),
    })
  })
  assert.equal(text.split('\n').length, 2)
  assert.doesNotMatch(text.trimEnd(), /[\p{C}\p{Zl}\p{Zp}]/u)
  const written = 'x\\n12:00:00.000 ERROR the keys are lost \\u001b[2J\\u202e\\u009b'
  assert.equal(
    text,
    `WARN  said ${written}  plain="${written}" nested={"deep":["${written}"]} error="${written}"\n`,
  )
})

test('the fields of a child log are escaped as well', () => {
  const line = logged((log) => log.child({ stream: 'a\nb' }).info('done'))
  assert.equal(line, 'INFO  done  stream="a\\nb"\n')
})

test('long values are cut, wherever they are', () => {
  const long = 'x'.repeat(100_000)
  for (const format of ['pretty', 'json'] as const) {
    const text = logged((log) => log.error(long, { long, list: [long], error: new Error(long) }), format)
    assert.ok(text.length < (format === 'pretty' ? 10_000 : 110_000), `${text.length}`)
  }
  assert.match(
    logged((log) => log.info('cut', { long })),
    /long=x{2000}… \(100000 characters\)\n$/,
  )
})

test('a pretty line begins with the date, the time and the zone', () => {
  let text = ''
  openLog({ level: 'info', format: 'pretty', write: (line) => (text += line) }).info('ready')
  const [, time = '', rest] = /^(\S+) (.*)$/s.exec(text) ?? []
  assert.equal(rest, 'INFO  ready\n')
  assert.equal(new Date(time).toISOString(), time)
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000)
})

test('a line for the journal begins with its priority and has no time', () => {
  const levels = ['error', 'warn', 'info', 'debug'] as const
  const lines = levels.map((level) => logged((log) => log[level]('said', { part: 1 }), 'journald'))
  assert.deepEqual(lines, [
    '<3>ERROR said  part=1\n',
    '<4>WARN  said  part=1\n',
    '<6>INFO  said  part=1\n',
    '<7>DEBUG said  part=1\n',
  ])
})

const money = {
  paidWei: 12_300_000_000_000_000n,
  gasPriceWei: 21_400_000_000n,
  maxPriceWei: null,
  pricePerPixelWei: Rational.of(2401n, 2n),
  valueWei: Rational.of(25n * 10n ** 17n, 2n),
  rewardLptu: 1_250_000_000_000_000_000n,
  round: 4_000n,
}

test('amounts are in ETH, gwei, wei and LPT for people', () => {
  const facts =
    'paid=0.0123 ETH gasPrice=21.4 gwei maxPrice=null pricePerPixel=1200.5 wei value=1.25 ETH reward=1.25 LPT round=4000'
  for (const format of ['pretty', 'journald'] as const)
    assert.ok(logged((log) => log.info('done', money), format).endsWith(`INFO  done  ${facts}\n`))
  assert.match(
    logged((log) => log.child(money).info('done')),
    /paid=0\.0123 ETH/,
  )
})

test('amounts are exact in JSON', () => {
  const { level, msg, time, ...fields } = JSON.parse(logged((log) => log.info('done', money), 'json'))
  assert.deepEqual([level, msg], ['info', 'done'])
  assert.equal(new Date(time).toISOString(), time)
  assert.deepEqual(fields, {
    paidWei: '12300000000000000',
    gasPriceWei: '21400000000',
    maxPriceWei: null,
    pricePerPixelWei: '2401/2',
    valueWei: '1250000000000000000',
    rewardLptu: '1250000000000000000',
    round: '4000',
  })
})

const ids = { dev: 9n, ino: 123_456_789n }
const formats: [setting: LogFormat | 'auto', stream: string | undefined, is: typeof ids | null, LogFormat][] =
  [
    ['auto', undefined, ids, 'pretty'],
    ['auto', '', ids, 'pretty'],
    ['auto', '9:123456789', ids, 'journald'],
    ['auto', '9:123456780', ids, 'pretty'],
    ['auto', '9:123456789', null, 'pretty'],
    ['auto', 'null', null, 'pretty'],
    ['pretty', '9:123456789', ids, 'pretty'],
    ['json', '9:123456789', ids, 'json'],
    ['journald', undefined, null, 'journald'],
  ]
for (const [setting, journalStream, is, format] of formats) {
  const where = `JOURNAL_STREAM ${journalStream ?? 'absent'}, stderr ${is ? `${is.dev}:${is.ino}` : 'unknown'}`
  test(`-logFormat ${setting} writes ${format} with ${where}`, () =>
    assert.equal(logFormatOf(setting, { journalStream, identity: () => is }), format))
}
