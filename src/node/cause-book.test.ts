import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingLog } from '../../test/fakes/recording-log.ts'
import { CAUSE_EXAMPLES } from '../domain/cause-examples.ts'
import type { CauseCode } from '../domain/cause-facts.ts'
import { type Cause, levelOf, passesAfterMs, sentenceOf, textOf } from '../domain/causes.ts'
import type { NodeEvent } from '../domain/events.ts'
import { ManualClock } from '../lib/clock.ts'
import { Supervisor } from '../lib/service.ts'
import { CauseBook } from './cause-book.ts'

const SENDER = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const OTHER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'

function bookOn() {
  const clock = new ManualClock()
  const log = new RecordingLog()
  const events: NodeEvent[] = []
  const book = new CauseBook({ clock, log, events: { tell: (event) => void events.push(event) } })
  return { clock, log, events, book }
}

test('a cause is logged when it begins, counted while it lasts, and logged with its count when it is over', () => {
  const { book, events, log } = bookOn()
  for (let times = 0; times < 5; times++) {
    book.met({ code: 'chain-unreachable', facts: { reason: 'connection refused' } })
  }
  assert.deepEqual(
    log.lines.map(({ level, message }) => `${level} ${message}`),
    ['error chain not answering'],
  )
  assert.equal(
    log.lines[0]!.fields.why,
    'no endpoint of the chain answers as it should (connection refused): check the endpoints of -ethUrl; the node retries',
  )
  assert.equal(book.current[0]!.count, 5)
  book.over('chain-unreachable')
  assert.deepEqual(book.current, [])
  assert.equal(log.lines.length, 2)
  assert.equal(log.lines[1]!.message, 'over: chain not answering')
  assert.equal(log.lines[1]!.fields.occurrences, 5)
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['problem-begun', ...Array(4).fill('problem-repeated'), 'problem-ended'],
  )
  book.over('chain-unreachable')
  assert.equal(log.lines.length, 2, 'what is not there does not end')
})

test('causes of one code are told apart by what they are about, and the newest facts are shown', () => {
  const { book, log } = bookOn()
  book.met({ code: 'sender-underfunded', facts: { sender: SENDER, text: 'first' } }, SENDER)
  book.met({ code: 'sender-underfunded', facts: { sender: OTHER, text: 'other' } }, OTHER)
  book.met({ code: 'sender-underfunded', facts: { sender: SENDER, text: 'second' } }, SENDER)
  assert.deepEqual(
    book.current.map(({ about, count, says }) => [about, count, says]),
    [
      [SENDER, 2, `gateway ${SENDER} has too little deposit or reserve (second)`],
      [OTHER, 1, `gateway ${OTHER} has too little deposit or reserve (other)`],
    ],
  )
  assert.equal(log.of('warn').length, 2)
})

test('a cause that passes is over some minutes after its last occurrence, another one only when it is ended', async () => {
  const { book, clock, log } = bookOn()
  const supervisor = new Supervisor()
  await supervisor.start(book)
  book.met({ code: 'sender-underfunded', facts: { sender: SENDER, text: 'x' } }, SENDER)
  book.met({ code: 'store-unwritable', facts: { fault: 'the disk is full' } })
  await clock.wind(4 * 60_000)
  book.met({ code: 'sender-underfunded', facts: { sender: SENDER, text: 'x' } }, SENDER)
  await clock.wind(4 * 60_000)
  assert.equal(book.current.length, 2)
  await clock.wind(2 * 60_000)
  assert.deepEqual(
    book.current.map(({ code }) => code),
    ['store-unwritable'],
  )
  assert.deepEqual(log.of('info'), ['over: gateway refused: funds too small'])
  await clock.wind(60 * 60_000)
  assert.equal(book.current.length, 1)
  assert.equal(log.of('error').length, 1, 'what does not occur again is not repeated')
  await supervisor.stop()
})

test('a cause that goes on occurring is logged again every ten minutes, with its count', async () => {
  const { book, clock, log } = bookOn()
  const supervisor = new Supervisor()
  await supervisor.start(book)
  for (let minutes = 0; minutes < 25; minutes++) {
    book.met({ code: 'chain-unreachable', facts: { reason: 'x' } })
    await clock.wind(60_000)
  }
  const [, second, third] = log.lines
  assert.equal(log.lines.length, 3)
  assert.deepEqual([second!.fields.occurrences, second!.fields.newOccurrences], [10, 9])
  assert.deepEqual([third!.fields.occurrences, third!.fields.newOccurrences], [20, 10])
  await supervisor.stop()
})

test('made-up senders share an entry beyond a limit, and end with it', async () => {
  const { book, clock } = bookOn()
  const supervisor = new Supervisor()
  await supervisor.start(book)
  for (let i = 0; i < 5_000; i++) {
    const sender = `0x${i.toString(16).padStart(40, '0')}` as const
    book.met({ code: 'sender-underfunded', facts: { sender, text: 'x' } }, sender)
  }
  assert.equal(book.current.length, 101)
  assert.deepEqual([book.current.at(-1)!.about, book.current.at(-1)!.count], ['others', 4_900])
  await clock.wind(6 * 60_000)
  assert.equal(book.current.length, 0)
  await supervisor.stop()
})

test('metrics show every cause that the roles can meet, with 0 while it is not there', () => {
  const { book } = bookOn()
  const countOf = (cause: string) =>
    book.samples(new Set(['redeemer'])).find(({ labels }) => labels?.cause === cause)?.value
  assert.equal(countOf('no-ether'), 0)
  assert.equal(countOf('no-deposit'), undefined)
  book.met({ code: 'store-unwritable', facts: { fault: 'x' } })
  assert.equal(countOf('store-unwritable'), 1)
  book.over('store-unwritable')
  assert.equal(countOf('store-unwritable'), 0)
})

for (const code of Object.keys(CAUSE_EXAMPLES) as CauseCode[]) {
  test(`${code} is one line however often it occurs, and one more when it is over`, async () => {
    const { book, clock, log } = bookOn()
    const supervisor = new Supervisor()
    await supervisor.start(book)
    const cause = { code, facts: CAUSE_EXAMPLES[code] } as Cause
    for (let times = 0; times < 7; times++) {
      book.met(cause, 'about')
      await clock.wind(30_000)
    }
    assert.deepEqual(
      log.lines.map(({ fields, level, message }) => [level, message, fields.why]),
      [[levelOf(code), textOf(cause).title, sentenceOf(cause)]],
    )
    const passesMs = passesAfterMs(code)
    if (passesMs === null) book.over(code, 'about')
    else await clock.wind(passesMs)
    assert.deepEqual(
      log.lines.slice(1).map(({ fields, level, message }) => [level, message, fields.occurrences]),
      [['info', `over: ${textOf(cause).title}`, 7]],
    )
    assert.deepEqual(book.current, [])
    await supervisor.stop()
  })
}
