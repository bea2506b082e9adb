import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openLog } from './log.ts'

function logged(write: (log: ReturnType<typeof openLog>) => void, pretty = true): string {
  let text = ''
  write(openLog({ level: 'debug', pretty, write: (line) => (text += line) }))
  return text.replace(/^\d\d:\d\d:\d\d\.\d{3} /, '')
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
  for (const pretty of [true, false]) {
    const text = logged((log) => log.error(long, { long, list: [long], error: new Error(long) }), pretty)
    assert.ok(text.length < (pretty ? 10_000 : 110_000), `${text.length}`)
  }
  assert.match(
    logged((log) => log.info('cut', { long })),
    /long=x{2000}… \(100000 characters\)\n$/,
  )
})
