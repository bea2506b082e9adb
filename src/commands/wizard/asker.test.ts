import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineAsker } from './asker.ts'

function askerOf(...chunks: string[]) {
  let written = ''
  const input = (async function* () {
    yield* chunks
  })()
  const stop = new AbortController()
  const asker = new LineAsker(
    input,
    (text) => {
      written += text
    },
    stop.signal,
  )
  return { asker, stop, written: () => written }
}

test('lines of a pipe are answers, however they are cut, and the last one may lack its end', async () => {
  const { asker, written } = askerOf('on', 'e\ntwo\r\n\nlast')
  assert.equal(await asker.line({ text: 'First' }), 'one')
  assert.equal(await asker.line({ text: 'Second' }), 'two')
  assert.equal(await asker.line({ text: 'Third', fallback: 'known' }), 'known')
  assert.equal(await asker.line({ text: 'Fourth' }), 'last')
  await assert.rejects(asker.line({ text: 'Fifth' }), { code: 'input-ended' })
  assert.equal(written(), 'First > one\nSecond > two\nThird (default: known) > \nFourth > last\nFifth > ')
})

test('a line that is no answer ends the reading: the next one is not taken for it', async () => {
  const { asker } = askerOf('none\n1\n')
  const check = (answer: string) => (/^\d$/.test(answer) ? null : `${answer} is no number`)
  await assert.rejects(asker.line({ text: 'Number', check }), {
    code: 'bad-line',
    message: 'none is no number',
  })
})

test('a text is all that is left, without the end of its last line', async () => {
  const { asker } = askerOf('1\nhello\n', 'world\n')
  await asker.line({ text: 'Number' })
  assert.equal(await asker.text('Text'), 'hello\nworld')
  await assert.rejects(asker.line({ text: 'More' }), { code: 'input-ended' })
})

test('an input without end is refused before it fills the memory', async () => {
  const { asker } = askerOf('x'.repeat(600_000), 'x'.repeat(600_000))
  await assert.rejects(asker.line({ text: 'Line' }), {
    code: 'bad-line',
    message: /more than 1000000 characters/,
  })
})

test('an interruption ends a question that waits for its line', async () => {
  const stop = new AbortController()
  const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) }
  const asker = new LineAsker(silent, () => {}, stop.signal)
  const asked = asker.line({ text: 'Line' })
  stop.abort()
  await assert.rejects(asked, { code: 'interrupted' })
  await assert.rejects(asker.text('Text'), { code: 'interrupted' })
})
