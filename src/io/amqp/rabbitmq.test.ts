import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { after, before, suite, test } from 'node:test'
import { type ChannelModel, type ConsumeMessage, connect } from 'amqplib'
import { freePort } from '../../../devnet/free-port.ts'
import { LOOPBACK, TcpLink } from '../../../devnet/tcp-link.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { hasRabbit, Rabbit } from '../../../test/net/rabbitmq.ts'
import { eventually } from '../../../test/tools/until.ts'
import { systemClock } from '../../lib/clock.ts'
import { Supervisor } from '../../lib/service.ts'
import { EventPublisher } from '../../services/publishing/event-publisher.ts'
import { AmqpSink } from './amqp-sink.ts'

/** Against a real RabbitMQ, what was recorded of a Go gateway with one: exchanges, properties, refusals. */
const records: readonly {
  readonly case: string
  readonly exchanges?: readonly unknown[]
  readonly exit?: number
}[] = JSON.parse(readFileSync(new URL('../../../test/vectors/events.json', import.meta.url), 'utf8'))

const EXCHANGE = 'lp_golivepeer_metadata'
const event = (body: string, key = 'broadcaster.stream_health.transcode.m.movie') => ({
  type: 'transcode',
  key,
  body,
})
const never = new AbortController().signal

const sinkOf = (url: string, exchange = EXCHANGE, timeoutMs = 5_000) =>
  new AmqpSink({ url, exchange, timeoutMs }, { clock: systemClock })

suite('events at a real RabbitMQ', { skip: hasRabbit() ? false : 'RabbitMQ is not installed' }, () => {
  let rabbit: Rabbit
  let model: ChannelModel

  before(async () => {
    rabbit = await Rabbit.start()
    model = await connect(rabbit.url())
  })
  after(async () => {
    await model?.close().catch(() => {})
    await rabbit?.[Symbol.asyncDispose]()
  })

  /** Whether the exchange is there; with `kind`, whether it is just so. */
  async function hasExchange(name: string, kind?: { type: string; durable: boolean }): Promise<boolean> {
    const channel = await model.createChannel()
    channel.on('error', () => {})
    try {
      if (!kind) await channel.checkExchange(name)
      else await channel.assertExchange(name, kind.type, { durable: kind.durable })
      await channel.close()
      return true
    } catch {
      return false
    }
  }

  /** What a queue with this binding gets from now on. */
  async function consume(exchange: string, binding = '#'): Promise<ConsumeMessage[]> {
    const channel = await model.createChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.bindQueue(queue, exchange, binding)
    const got: ConsumeMessage[] = []
    await channel.consume(queue, (message) => message && got.push(message), { noAck: true })
    return got
  }

  const texts = (messages: readonly ConsumeMessage[]) => messages.map(({ content }) => content.toString())

  test('exchanges are declared as recorded, when a gateway starts', async () => {
    assert.deepEqual(records[0]?.exchanges, [])
    assert.equal(await hasExchange(EXCHANGE), false)
    for (const name of [EXCHANGE, 'my_ex']) {
      const sink = sinkOf(rabbit.url(), name)
      await sink.open(never)
      await sink.close()
      const recorded = records.flatMap(({ exchanges = [] }) => exchanges).map((row) => JSON.stringify(row))
      assert.ok(recorded.includes(JSON.stringify([name, 'topic', 'true', 'false', 'false', '[]'])))
      assert.equal(await hasExchange(name, { type: 'topic', durable: true }), true)
      assert.equal(await hasExchange(name, { type: 'topic', durable: false }), false)
    }
  })

  test('events come in order, with the recorded properties, and are routed by their keys', async () => {
    const sink = sinkOf(rabbit.url())
    await sink.open(never)
    const [all, movie] = [await consume(EXCHANGE), await consume(EXCHANGE, 'broadcaster.*.transcode.m.movie')]
    const keys = [
      'broadcaster.stream_health.transcode.i.a.b.c#*',
      'broadcaster.stream_health.transcode.m.movie',
    ]
    await sink.send([event('{"a":1}', keys[0]), event('{"b":"é"}', keys[1])], never)
    await eventually('both', () => all.length === 2 && movie.length === 1)
    assert.deepEqual(texts(all), ['{"a":1}', '{"b":"é"}'])
    assert.deepEqual(
      all.map(({ fields }) => fields.routingKey),
      keys,
    )
    const { contentType, deliveryMode, priority } = all[0]!.properties
    assert.deepEqual([contentType, deliveryMode, priority], ['application/json', 1, 1])
    await sink.close()
  })

  test('a broker that refuses, or that is not there, keeps the gateway from starting, without the password', async () => {
    const wrong = rabbit.url(rabbit.port, 'swordfish')
    const nowhere = rabbit.url(await freePort())
    for (const [url, exchange, why] of [
      [wrong, EXCHANGE, /ACCESS-REFUSED/],
      [nowhere, EXCHANGE, /ECONNREFUSED/],
      [rabbit.url(), 'amq.direct', /PRECONDITION[_-]FAILED/],
      [
        rabbit.url().replace(/\/$/, '/nosuch'),
        EXCHANGE,
        /has no such virtual host, or does not let this user in/,
      ],
    ] as const) {
      await assert.rejects(sinkOf(url, exchange).open(never), ({ code, message }: NodeJS.ErrnoException) => {
        assert.equal(code, 'no-broker')
        assert.match(
          message,
          /^no events can be published to the AMQP broker of -metadataQueueUri amqp:\/\/127\.0/,
        )
        assert.match(message, why)
        assert.doesNotMatch(message, /swordfish|guest:/)
        assert.match(message, /correct -metadataQueueUri, or leave it out$/)
        return true
      })
    }
    assert.deepEqual(
      records.filter(({ exit }) => exit !== undefined).map(({ exit }) => exit),
      [2, 2, 2, 2],
    )
  })

  test('events wait while the connection is cut, hangs, or is refused, and come in order once it is back', async (t) => {
    await using link = await TcpLink.open(rabbit.port)
    const log = new RecordingLog()
    const told: unknown[] = []
    const supervisor = new Supervisor()
    t.after(() => supervisor.stop())
    const sink = sinkOf(rabbit.url(link.port), EXCHANGE, 500)
    const publisher = new EventPublisher('amqp', {
      ...{ sink, clock: systemClock, log, events: { tell: (one) => told.push(one) } },
    })
    await supervisor.start(publisher)
    const got = await consume(EXCHANGE)
    let next = 0
    const offer = (count: number) => {
      for (let i = 0; i < count; i++) publisher.offer(event(String(next++)))
    }
    const isAllThere = () => new Set(texts(got)).size === next
    offer(300)
    await eventually('the first', isAllThere)
    link.cut()
    offer(300)
    await eventually('a failure', () => log.of('info').length > 0)
    link.restore()
    await eventually('the second', isAllThere)
    link.freeze()
    offer(300)
    const failures = () => log.lines.filter(({ message }) => message.startsWith('events cannot')).length
    const before = failures()
    await eventually('a broker that confirms nothing', () => failures() > before)
    link.restore()
    await eventually('the third', isAllThere)
    offer(1)
    await eventually('the last', isAllThere)
    // Sent again they may come twice, but never one before an earlier one.
    const firsts = [...new Set(texts(got))]
    assert.deepEqual(
      firsts,
      [...firsts].sort((a, b) => Number(a) - Number(b)),
    )
    assert.deepEqual([told, log.of('warn'), log.of('error')], [[], [], []])
    await supervisor.stop()
  })
})

test('a broker that never answers is given up after a while', async (t) => {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => {}).resume()))
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as { port: number }
  const impatient = {
    now: () => Date.now(),
    sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 100, signal),
  }
  const sink = new AmqpSink(
    { url: `amqp://${LOOPBACK}:${port}`, exchange: 'x', timeoutMs: 1_000 },
    { clock: impatient },
  )
  await assert.rejects(sink.open(never), {
    message: /the broker does not answer within 10 s; correct -metadataQueueUri/,
  })
  await eventually(
    'the end of the connection',
    () => sockets[0]?.closed === true || sockets[0]?.readableEnded === true,
  )
})
