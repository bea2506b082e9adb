import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import type { NodeEvent } from '../../domain/events.ts'
import type { PublishedEvent } from '../../domain/published-event.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { NodeError } from '../../lib/errors.ts'
import { Supervisor } from '../../lib/service.ts'
import { EventPublisher, type EventSink } from './event-publisher.ts'

/** A broker that takes all, hangs, or is away. */
class FakeSink implements EventSink {
  readonly name = 'amqp://q.example:5672'
  readonly taken: string[] = []
  readonly batches: number[] = []
  state: 'up' | 'away' | 'hanging' = 'up'
  isOpen = false
  isClosed = false

  async open(): Promise<void> {
    if (this.state === 'away') throw new NodeError<'no-broker'>('no-broker', 'nothing listens there')
    this.isOpen = true
  }

  async send(events: readonly PublishedEvent[], signal: AbortSignal): Promise<void> {
    if (this.state === 'hanging') await new Promise((_, reject) => signal.addEventListener('abort', reject))
    if (this.state === 'away') throw new Error('connect ECONNREFUSED')
    this.batches.push(events.length)
    for (const { body } of events) this.taken.push(body)
  }

  async close(): Promise<void> {
    this.isClosed = true
  }
}

async function setUp(t: TestContext) {
  const clock = new ManualClock()
  const log = new RecordingLog()
  const sink = new FakeSink()
  const told: NodeEvent[] = []
  const publisher = new EventPublisher('amqp', {
    clock,
    log,
    sink,
    events: { tell: (event) => told.push(event) },
  })
  const supervisor = new Supervisor()
  const offer = (...bodies: readonly string[]) => {
    for (const body of bodies) publisher.offer({ type: 'transcode', key: 'k', body })
  }
  t.after(() => supervisor.stop())
  return { clock, log, sink, told, publisher, supervisor, offer }
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i))

test('events are published in their order, many at a time', async (t) => {
  const { offer, publisher, sink, supervisor } = await setUp(t)
  await supervisor.start(publisher)
  assert.ok(sink.isOpen)
  offer(...numbers(0, 250))
  await settle()
  assert.deepEqual(sink.taken, numbers(0, 250))
  assert.ok(Math.max(...sink.batches) <= 100)
  offer('last')
  await settle()
  assert.equal(sink.taken.at(-1), 'last')
  await supervisor.stop()
  assert.ok(sink.isClosed)
})

test('a broker that is away at the start keeps the node from starting', async (t) => {
  const { publisher, sink, supervisor } = await setUp(t)
  sink.state = 'away'
  await assert.rejects(supervisor.start(publisher), { code: 'no-broker' })
  assert.ok(sink.isClosed)
})

test('while a broker is away events wait, it is asked less and less often, and nothing is lost', async (t) => {
  const { clock, log, offer, publisher, sink, supervisor, told } = await setUp(t)
  await supervisor.start(publisher)
  let asked = 0
  const send = sink.send.bind(sink)
  sink.send = (events, signal) => {
    asked++
    return send(events, signal)
  }
  sink.state = 'away'
  offer(...numbers(0, 500))
  await clock.wind(10_000)
  assert.ok(asked >= 4 && asked <= 6, `${asked} times in 10 s`)
  await clock.wind(600_000)
  assert.ok(asked <= 30, `${asked} times in ten minutes`)
  assert.deepEqual(log.of('info'), ['events cannot be published, retrying'])
  assert.deepEqual(log.of('warn'), ['events cannot be published, retrying'], 'once, after two minutes')
  sink.state = 'up'
  await clock.wind(30_000)
  assert.deepEqual(sink.taken, numbers(0, 500))
  assert.deepEqual(told, [])
  assert.deepEqual(log.of('info').slice(1), ['events are published again'])
})

test('what has no room is dropped, the oldest first, counted, and told by one warning', async (t) => {
  const { clock, log, offer, publisher, sink, supervisor, told } = await setUp(t)
  await supervisor.start(publisher)
  sink.state = 'away'
  offer(...numbers(0, 5_000))
  await clock.wind(60_000)
  assert.equal(publisher.waiting, 2_000)
  assert.deepEqual(log.of('warn'), ['events are being dropped'])
  assert.equal(told.length, 3_000)
  assert.deepEqual(told[0], { kind: 'event-dropped', queue: 'amqp', eventType: 'transcode' })
  sink.state = 'up'
  await clock.wind(30_000)
  assert.deepEqual(sink.taken, numbers(3_000, 5_000))
  const line = log.lines.find(({ message }) => message === 'events were dropped')
  assert.deepEqual([line?.level, line?.fields], ['info', { broker: sink.name, dropped: 3_000 }])
  offer('more')
  await settle()
  assert.equal(log.of('warn').length, 1)
})

test('long events take the room of several, and one that is too long is dropped by itself', async (t) => {
  const { offer, publisher, sink, supervisor, told } = await setUp(t)
  await supervisor.start(publisher)
  sink.state = 'hanging'
  offer('first')
  await settle()
  offer(...numbers(0, 100).map((number) => number.padEnd(200_000)))
  assert.ok(publisher.waiting <= 41, `${publisher.waiting} of 200 kB`)
  const dropped = told.length
  offer('x'.repeat(300_000))
  assert.equal(told.length, dropped + 1)
  sink.state = 'up'
})

test('an event that is being sent is never the one that makes room', async (t) => {
  const { offer, publisher, sink, supervisor } = await setUp(t)
  await supervisor.start(publisher)
  const sent = Promise.withResolvers<void>()
  const send = sink.send.bind(sink)
  sink.send = async (events, signal) => {
    await sent.promise
    await send(events, signal)
  }
  offer('first')
  await settle()
  offer(...numbers(0, 2_500))
  sent.resolve()
  await settle()
  await settle()
  assert.deepEqual(sink.taken, ['first', ...numbers(501, 2_500)])
})

test('a node that stops sends what waits, but waits for no broker longer than a second', async (t) => {
  const quick = await setUp(t)
  await quick.supervisor.start(quick.publisher)
  quick.sink.state = 'away'
  quick.offer('a', 'b')
  await settle()
  quick.sink.state = 'up'
  await quick.supervisor.stop()
  assert.deepEqual(quick.sink.taken, ['a', 'b'])

  const { clock, log, offer, publisher, sink, supervisor } = await setUp(t)
  await supervisor.start(publisher)
  sink.state = 'hanging'
  offer('a', 'b')
  await settle()
  const stopped = supervisor.stop()
  await clock.wind(1_000)
  await stopped
  assert.ok(sink.isClosed)
  assert.deepEqual(log.lines.at(-1)?.fields, { broker: sink.name, dropped: 2 })
})
