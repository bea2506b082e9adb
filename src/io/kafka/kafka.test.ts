import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { after, before, suite, test } from 'node:test'
import { Admin, Consumer, stringDeserializers } from '@platformatic/kafka'
import { freePort } from '../../../devnet/free-port.ts'
import { LOOPBACK } from '../../../devnet/tcp-link.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { hasKafka, Kafka } from '../../../test/net/kafka.ts'
import { eventually } from '../../../test/tools/until.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemDice } from '../../lib/dice.ts'
import { Supervisor } from '../../lib/service.ts'
import { EventPublisher } from '../../services/publishing/event-publisher.ts'
import { makeCertificate } from '../rpc/certificate.ts'
import { KafkaSink } from './kafka-sink.ts'

const never = new AbortController().signal
const TOPIC = 'livepeer-gateway'
const event = (body: string, key = 'movie') => ({ type: 'segment-tried', key, body })
const PASSWORD = 'swordfish'

const names = {
  name: 'kafka',
  issuer: null,
  dnsNames: ['localhost'],
  ipAddresses: [LOOPBACK],
  validMs: 86_400_000,
}
const identity = makeCertificate(
  { ...names, mayCall: false, mayServe: true, maySign: true },
  { clock: systemClock, dice: systemDice },
)

const sinkAt = (port: number, options: Partial<ConstructorParameters<typeof KafkaSink>[0]> = {}) =>
  new KafkaSink(
    {
      ...{ brokers: [{ host: LOOPBACK, port }], topic: TOPIC, user: '', password: '', clientId: 'gw' },
      ...options,
    },
    { clock: systemClock },
  )

suite('events at a real Kafka', { skip: hasKafka() ? false : 'Kafka is not installed (see .ci/run)' }, () => {
  let kafka: Kafka
  let consumer: Consumer<string, string, string, string>
  const got: { key: string; value: string; partition: number }[] = []

  before(async () => {
    kafka = await Kafka.start({ user: 'me', password: PASSWORD, ...identity })
  })
  after(async () => {
    await Promise.resolve(consumer?.close(true)).catch(() => {})
    await kafka?.[Symbol.asyncDispose]()
  })

  test('without its topic, they are refused with a reason, and taken once it is there', async () => {
    const sink = sinkAt(kafka.link.port)
    await assert.rejects(sink.send([event('{}')], never), { code: 'not-sent', message: /unknown|topic/i })
    const bootstrapBrokers = [`${LOOPBACK}:${kafka.link.port}`]
    const admin = new Admin({ clientId: 'admin', bootstrapBrokers })
    await admin.createTopics({ topics: [TOPIC], partitions: 3, replicas: 1 })
    await admin.close()
    consumer = new Consumer({
      groupId: 'test',
      clientId: 'c',
      bootstrapBrokers,
      deserializers: stringDeserializers,
    })
    const stream = await consumer.consume({ topics: [TOPIC], mode: 'earliest' })
    stream.on('data', ({ key, partition, value }) => got.push({ key, partition, value }))
    await eventually('the topic', () =>
      sink.send([event('{"first":1}', '')], never).then(
        () => true,
        () => false,
      ),
    )
    await sink.close()
    await eventually('the first event', () => got.length > 0)
    assert.equal(got[0]!.value, '{"first":1}')
  })

  test('events of one stream are in one partition, in order, with their key', async () => {
    got.length = 0
    const sink = sinkAt(kafka.link.port)
    const sent = Array.from({ length: 60 }, (_, i) => event(`{"i":${i},"é":"☃"}`, `stream ${i % 6}`))
    await sink.send(sent.slice(0, 30), never)
    await sink.send(sent.slice(30), never)
    await sink.close()
    await eventually('all of them', () => got.length === 60)
    for (let stream = 0; stream < 6; stream++) {
      const own = got.filter(({ key }) => key === `stream ${stream}`)
      assert.equal(new Set(own.map(({ partition }) => partition)).size, 1)
      assert.deepEqual(
        own.map(({ value }) => value),
        sent.filter(({ key }) => key === `stream ${stream}`).map(({ body }) => body),
      )
    }
  })

  test('events wait while the connection is cut, and come in order once it is back', async (t) => {
    got.length = 0
    const log = new RecordingLog()
    const supervisor = new Supervisor()
    t.after(() => supervisor.stop())
    const sink = sinkAt(kafka.link.port)
    const told: unknown[] = []
    const publisher = new EventPublisher('kafka', {
      ...{ sink, clock: systemClock, log, events: { tell: (one) => told.push(one) } },
    })
    await supervisor.start(publisher)
    let next = 0
    const offer = () => {
      for (let i = 0; i < 100; i++) publisher.offer(event(String(next++)))
    }
    const isAllThere = () => new Set(got.map(({ value }) => value)).size === next
    offer()
    await eventually('the first', isAllThere)
    kafka.link.cut()
    offer()
    await eventually('a failure', () => log.of('info').length > 0)
    kafka.link.restore()
    await eventually('the second', isAllThere)
    const firsts = [...new Set(got.map(({ value }) => Number(value)))]
    assert.deepEqual(
      firsts,
      [...firsts].sort((a, b) => a - b),
    )
    assert.deepEqual([told, log.of('warn'), log.of('error')], [[], [], []])
  })

  test('with a user they go over TLS, and a wrong password or an unknown certificate is told without the password', async () => {
    got.length = 0
    const secure = { user: 'me', password: PASSWORD, ca: identity.cert }
    const sink = sinkAt(kafka.securePort, secure)
    await sink.send([event('secret')], never)
    await sink.close()
    await eventually('the event', () => got.some(({ value }) => value === 'secret'))
    const hide = (error: Error) => !error.message.includes('wrongfish') && !error.message.includes(PASSWORD)
    const wrong = sinkAt(kafka.securePort, { ...secure, password: 'wrongfish' })
    await assert.rejects(
      wrong.send([event('x')], never),
      (error: Error) => hide(error) && /authentication/i.test(error.message),
    )
    const { ca: _, ...unknown } = secure
    await assert.rejects(
      sinkAt(kafka.securePort, unknown).send([event('x')], never),
      (error: Error) => hide(error) && /certificate/i.test(error.message),
    )
  })
})

test('a broker that is not there, hangs up or answers nonsense is told with a reason', async (t) => {
  await assert.rejects(sinkAt(await freePort()).send([event('x')], never), {
    code: 'not-sent',
    message: /ECONNREFUSED/,
  })
  for (const answer of [
    '',
    'HTTP/1.1 400 Bad Request\r\n\r\n',
    '\0\0\0\u0004\0\0\0\u0063',
    '\xff'.repeat(100),
  ]) {
    const server = createServer((socket: Socket) => {
      socket.on('error', () => {})
      socket.once('data', () =>
        answer === '' ? socket.destroy() : socket.end(Buffer.from(answer, 'latin1')),
      )
    })
    await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve))
    t.after(() => server.close())
    const sink = sinkAt((server.address() as { port: number }).port)
    await assert.rejects(sink.send([event('x')], never), { code: 'not-sent' })
  }
})
