import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { FakeOrchestrator } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { FakeStreams } from '../../../test/fakes/published-streams.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { impatientClient } from '../../../test/net/impatient-client.ts'
import {
  bytesOf,
  chunksOf,
  command,
  plainHello,
  plainReply,
  publishing,
  setChunkSize,
} from '../../../test/net/rtmp.ts'
import { RtmpClient } from '../../../test/net/rtmp-client.ts'
import { avcConfig as CONFIG, media } from '../../../test/net/rtmp-conversations.ts'
import { WebhookServer } from '../../../test/net/webhook-server.ts'
import { eventually } from '../../../test/tools/until.ts'
import { noCauses } from '../../domain/causes.ts'
import { ManualClock, systemClock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { NodeError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import type { StreamGrant } from '../../services/gateway/stream-authority.ts'
import { AuthWebhook } from '../http/auth-webhook.ts'
import { MESSAGE, type Message } from './chunks.ts'
import { RtmpPort, type RtmpPortOptions } from './rtmp-port.ts'

async function setUp(t: TestContext, options: Partial<RtmpPortOptions> = {}) {
  const gateway = new FakeStreams()
  const clock = new ManualClock()
  const log = new RecordingLog()
  const supervisor = new Supervisor()
  const port = new RtmpPort(
    { host: '127.0.0.1', port: 0, maxDurationMs: 60_000, ...options },
    { gateway, clock, dice: seededDice('rtmp'), log },
  )
  await supervisor.start(port)
  t.after(() => supervisor.stop())
  return { gateway, clock, log, port, client: () => RtmpClient.open(port.port) }
}

const key = (timestamp: number) => media(MESSAGE.video, timestamp, 0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0x88)
const frame = (timestamp: number) => media(MESSAGE.video, timestamp, 0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, 0x9a)
/** A key frame of one unit. */
function largeKey(timestamp: number, length: number): Message {
  const payload = Buffer.alloc(9 + length, 1)
  payload.set([0x17, 1, 0, 0, 0])
  payload.writeUInt32BE(length, 5)
  payload[9] = 0x65
  return { type: MESSAGE.video, streamId: 1, timestamp, payload }
}
function largeFrame(timestamp: number, length: number): Message {
  const message = largeKey(timestamp, length)
  message.payload[0] = 0x27
  return message
}
/** Pictures at 2 a second with a key frame every 2 s, from and to these ms. */
const pictures = (fromMs: number, toMs: number) =>
  Array.from({ length: (toMs - fromMs) / 500 }, (_, i) => fromMs + i * 500).map((at) =>
    at % 2000 === 0 ? key(at) : frame(at),
  )

test('a published stream arrives in segments, of which the last is served when the client ends it', async (t) => {
  const { client, gateway, log } = await setUp(t)
  const publisher = await (await client()).begin(...publishing('live', 'movie/secret?token=swordfish'))
  await publisher.hears('NetStream.Publish.Start')
  publisher.say(CONFIG, ...pictures(0, 5000))
  await eventually('two segments', () => gateway.segments.length === 2)
  publisher.say(command(1, 'deleteStream', 6, null, 1))
  await eventually('the end', () => gateway.ended.length > 0)
  assert.deepEqual(
    gateway.segments.map(({ durationMs, externalId, format, sequence }) => [
      externalId,
      format,
      sequence,
      durationMs,
    ]),
    [
      ['movie', 'mpegts', 0n, 2000],
      ['movie', 'mpegts', 1n, 2000],
      ['movie', 'mpegts', 2n, 1000],
    ],
  )
  assert.deepEqual(gateway.ended, ['movie: the client ended it'])
  assert.doesNotMatch(JSON.stringify(log.lines), /secret|swordfish/)
  // The connection can publish again.
  publisher.say(...publishing('live', 'again').slice(3))
  await eventually('the second stream', () => gateway.names.has('again'))
  publisher.socket.destroy()
  await eventually('its end', () => !gateway.names.has('again'))
})

test('nothing that arrived is lost of a publisher that closes without reading an answer', async (t) => {
  const { gateway, port } = await setUp(t)
  const group = (index: number, bytes: number) => [largeKey(index * 2000, bytes), frame(index * 2000 + 1000)]
  // The longer a connection is read quickly, the more the system takes while it is not.
  const before = Array.from({ length: 30 }, (_, index) => group(index, 100_000)).flat()
  // Several answers to the first read; the second read has the rest.
  const asks = [7, 8, 9].map((id) => command(0, 'createStream', id, null))
  const client = await impatientClient(
    port.port,
    Buffer.concat([plainHello(), plainReply, bytesOf([...publishing('live', 'movie'), CONFIG, ...before])]),
    bytesOf([...asks, ...group(30, 40_000), ...group(31, 40_000)]),
  )
  await eventually('29 segments', () => gateway.segments.length === 29)
  client.leave()
  await eventually('the end', () => gateway.ended.length > 0)
  assert.equal(gateway.segments.length, 32)
})

test('a publisher that names no stream gets a random name', async (t) => {
  const { client, gateway } = await setUp(t)
  const publisher = await (await client()).begin(...publishing('', ''))
  await publisher.hears('NetStream.Publish.Start')
  assert.match([...gateway.names].join(), /^[0-9a-f]{8}$/)
  publisher.socket.destroy()
})

test('a second publisher of a name is told so, and the first goes on', async (t) => {
  const { client, gateway } = await setUp(t)
  const first = await (await client()).begin(...publishing('live', 'movie'), CONFIG, ...pictures(0, 2000))
  await first.hears('NetStream.Publish.Start')
  const second = await (await client()).begin(...publishing('live', 'movie'))
  await second.hears('NetStream.Publish.BadName')
  await second.closes()
  first.say(...pictures(2000, 4500))
  await eventually('segments of the first', () => gateway.segments.length === 2)
  assert.equal(first.isClosed, false)
})

const refused: readonly (readonly [what: string, message: Message, reason: string])[] = [
  [
    'HEVC in enhanced RTMP',
    media(MESSAGE.video, 0, 0x90, 0x68, 0x76, 0x63, 0x31, 1),
    'HEVC video cannot be served: send H.264',
  ],
  [
    'HEVC by its private number',
    media(MESSAGE.video, 0, 0x1c, 0, 0, 0, 0),
    'HEVC video cannot be served: send H.264',
  ],
  ['AV1', media(MESSAGE.video, 0, 0x90, 0x61, 0x76, 0x30, 0x31, 1), 'AV1 video cannot be served: send H.264'],
  ['Speex', media(MESSAGE.audio, 0, 0xb6, 1, 2), 'Speex audio cannot be served: send AAC or MP3'],
]
for (const [what, message, reason] of refused) {
  test(`${what} is refused by name at once`, async (t) => {
    const { client, log } = await setUp(t)
    const publisher = await (await client()).begin(...publishing('live', 'movie'), message)
    await publisher.hears('NetStream.Publish.Rejected')
    await publisher.closes()
    assert.ok(
      log.lines.some(({ fields }) => fields?.reason === reason),
      JSON.stringify(log.lines),
    )
  })
}

test('silent clients are disconnected: before they publish, and while they do', async (t) => {
  const { client, clock, gateway, log, port } = await setUp(t)
  const mute = await client()
  const silent = await (await client()).begin(...publishing('live', 'movie'), CONFIG, ...pictures(0, 1000))
  await silent.hears('NetStream.Publish.Start')
  await eventually('the first pictures', () => port.bytesHeld > 0)
  await clock.wind(12_000)
  await mute.closes()
  await silent.hears('NetStream.Publish.Idle')
  await silent.closes()
  assert.deepEqual(
    gateway.segments.map(({ durationMs }) => durationMs),
    [1000],
  )
  assert.ok(log.lines.some(({ fields }) => fields?.reason === 'no media came for 10 s'))
  await eventually('its end', () => gateway.ended.length === 1)
  assert.equal(port.bytesHeld, 0)
})

test('a publisher far slower than its stream is disconnected', async (t) => {
  const { client, clock, log } = await setUp(t)
  const slow = await (await client()).begin(...publishing('live', 'movie'), CONFIG, key(0))
  await slow.hears('NetStream.Publish.Start')
  for (let second = 1; second <= 65 && !slow.isClosed; second++) {
    slow.say(frame(second * 100))
    await new Promise((resolve) => setTimeout(resolve, 5))
    await clock.wind(1_000)
  }
  await slow.hears('NetStream.Publish.Rejected')
  assert.ok(
    log.lines.some(({ fields }) => /^only \d\.\d s of the stream came in 60 s$/.test(`${fields?.reason}`)),
  )
})

test('a publisher that the gateway does not read meanwhile is not too slow, nor silent', async (t) => {
  const { client, clock, gateway } = await setUp(t)
  const work = Promise.withResolvers<void>()
  let serving = 0
  gateway.serve = () => {
    serving++
    return work.promise
  }
  // With eight at work it is not read.
  const eager = await (await client()).begin(...publishing('live', 'movie'), CONFIG, ...pictures(0, 18_500))
  await eager.hears('NetStream.Publish.Start')
  await eventually('eight segments at work', () => serving >= 8)
  await clock.wind(65_000)
  work.resolve()
  await clock.wind(5_000)
  assert.equal(eager.isClosed, false)
  eager.say(...pictures(18_500, 20_500))
  await clock.wind(2_000)
  assert.equal(eager.isClosed, false)
})

test('a player gets the parameters and then frames from a key frame on, and is told the end', async (t) => {
  const { client } = await setUp(t)
  const publisher = await (await client()).begin(...publishing('live', 'movie'), CONFIG, key(0), frame(500))
  await publisher.hears('NetStream.Publish.Start')
  const player = await (await client()).begin(
    command(0, 'connect', 1, { app: 'live' }),
    command(0, 'createStream', 2, null),
    command(1, 'play', 3, null, 'movie/any-key'),
  )
  await player.hears('NetStream.Play.Start')
  publisher.say(frame(1000), key(2000), frame(2500))
  const videos = () => player.messages.filter(({ type }) => type === MESSAGE.video)
  await eventually('pictures', () => videos().length === 3)
  assert.deepEqual(
    videos().map(({ payload, timestamp }) => [timestamp, payload[0], payload[1]]),
    [
      [0, 0x17, 0],
      [2000, 0x17, 1],
      [2500, 0x27, 1],
    ],
  )
  publisher.socket.destroy()
  await player.hears('NetStream.Play.Stop')
  await player.closes()
})

test('a player of an unknown stream is told so', async (t) => {
  const { client } = await setUp(t)
  const player = await (await client()).begin(
    command(0, 'connect', 1, { app: 'live' }),
    command(1, 'play', 3, null, 'nosuch'),
  )
  await player.hears('NetStream.Play.StreamNotFound')
  await player.closes()
})

test('connections of one host and bytes held are bounded', async (t) => {
  const { client, port } = await setUp(t, { maxConnectionsPerHost: 2, maxBytesHeld: 50_000 })
  const first = await (await client()).begin(...publishing('live', 'movie'), CONFIG, key(0))
  await client()
  await eventually('two connections', () => port.connections === 2)
  const third = await client()
  await third.closes().catch(() => {})
  await eventually('the third to be refused', () => third.socket.destroyed || third.isClosed)
  first.say(...Array.from({ length: 400 }, (_, i) => frame(i + 1)))
  await first.hears('NetStream.Publish.Rejected')
})

test('segments at work count; above half of the limit large publishers are refused, small ones are not', async (t) => {
  const { client, gateway, port } = await setUp(t, { maxBytesHeld: 1_280_000 })
  const work = Promise.withResolvers<void>()
  gateway.serve = () => work.promise
  const small = await (await client()).begin(...publishing('live', 'small'), CONFIG, ...pictures(0, 1000))
  await small.hears('NetStream.Publish.Start')
  const greedy = await (await client()).begin(...publishing('live', 'greedy'), CONFIG)
  await greedy.hears('NetStream.Publish.Start')
  for (let n = 0; n < 5; n++) greedy.say(largeKey(n * 2_000, n < 4 ? 150_000 : 10_000))
  await eventually('what is at work counts', () => port.bytesHeld > 600_000)
  let at = 8_000
  while (port.bytesHeld < 633_000) {
    const before = port.bytesHeld
    greedy.say(largeFrame(++at, 2_000))
    await eventually('it is read', () => port.bytesHeld > before)
  }
  small.say(largeKey(2_000, 8_000))
  await eventually('half of what may be held', () => port.bytesHeld > 640_000)
  greedy.say(largeFrame(++at, 2_000))
  await greedy.hears('NetStream.Publish.Rejected')
  await greedy.closes()
  assert.equal(small.isClosed, false)
  assert.ok(gateway.names.has('small'))
  work.resolve()
  await eventually('the work is done', () => port.bytesHeld < 10_000)
  small.socket.destroy()
  await eventually('nothing is left', () => port.bytesHeld === 0)
})

test('players that read nothing are bounded together, and the others go on', async (t) => {
  const { client, port } = await setUp(t, { maxBytesUnsent: 500_000 })
  const publisher = await (await client()).begin(...publishing('live', 'movie'), CONFIG, key(0))
  await publisher.hears('NetStream.Publish.Start')
  const play = async () => {
    const player = await (await client()).begin(
      command(0, 'connect', 1, { app: 'live' }),
      command(1, 'play', 3, null, 'movie'),
    )
    await player.hears('NetStream.Play.Start')
    return player
  }
  const [reads, ...others] = [await play(), await play(), await play()]
  for (const { socket } of others) socket.pause()
  // More than what a system keeps for a connection.
  for (let n = 1; n <= 60 && port.connections > 2; n++) {
    publisher.say(largeKey(n * 100, 200_000))
    await eventually('it arrives', () => reads!.messages.some(({ timestamp }) => timestamp === n * 100))
    assert.ok(port.bytesUnsent < 1_500_000, `${port.bytesUnsent}`)
  }
  assert.equal(port.connections, 2, 'those that read nothing are gone')
  assert.equal(reads!.isClosed, false)
  await eventually('nothing of theirs is left', () => port.bytesUnsent === 0)
  publisher.socket.destroy()
})

test('a publisher waits for the webhook, and nothing that it sends meanwhile is lost', async (t) => {
  const { client, clock, gateway } = await setUp(t)
  const asked: string[] = []
  const decision = Promise.withResolvers<StreamGrant | null>()
  gateway.authorize = (url) => {
    asked.push(url)
    return decision.promise
  }
  const publisher = await client()
  const media = [CONFIG, ...pictures(0, 4500)]
  await publisher.begin(...publishing('live', 'movie/key?token=a&b', 'rtmp://gw.example:1935/live'), ...media)
  await eventually('the question', () => asked.length === 1)
  await clock.wind(9_000)
  assert.deepEqual(publisher.codes, [])
  decision.resolve(null)
  await publisher.hears('NetStream.Publish.Start')
  await eventually('two segments', () => gateway.segments.length === 2)
  assert.deepEqual(asked, ['rtmp://gw.example:1935/live/movie/key?token=a&b'])
})

test('what a publisher sends before the webhook decides is counted, and bounded in number', async (t) => {
  const { client, gateway, log, port } = await setUp(t)
  const decision = Promise.withResolvers<StreamGrant | null>()
  gateway.authorize = () => decision.promise
  const large = media(MESSAGE.video, 0, 0x27, 1, 0, 0, 0, ...Array<number>(20_000).fill(1))
  const patient = await (await client()).begin(...publishing('live', 'movie'), CONFIG, large)
  await eventually('the bytes', () => port.bytesHeld > 20_000)
  // One message of many, whose last byte comes right behind the request.
  const tag = [9, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x27, 0, 0, 0, 12]
  const payload = Uint8Array.from(Array.from({ length: 2_001 }, () => tag).flat())
  const aggregate = { ...media(MESSAGE.aggregate, 0), payload }
  const chunks = chunksOf(aggregate, { chunkBytes: payload.length - 1, chunkStream: 6 })
  const hasty = await client()
  const [request, before] = [publishing('live', 'other').at(-1)!, publishing('live', 'other').slice(0, -1)]
  await hasty.begin(...before, setChunkSize(payload.length - 1))
  hasty.socket.write(Buffer.concat([chunks.subarray(0, -2), chunksOf(request), chunks.subarray(-2)]))
  await hasty.closes()
  const reasons = log.lines.map(({ fields }) => fields?.reason)
  assert.ok(
    reasons.includes('more than 2000 messages came before the stream was accepted'),
    JSON.stringify(reasons),
  )
  decision.resolve(null)
  await patient.hears('NetStream.Publish.Start')
  patient.socket.destroy()
  await eventually('both ends', () => port.connections === 0)
  assert.equal(port.bytesHeld, 0)
  assert.deepEqual([...gateway.names], [])
})

test('a name that a webhook may take for another is refused before it is asked', async (t) => {
  const { client, gateway } = await setUp(t)
  const asked: string[] = []
  gateway.authorize = async (url) => {
    asked.push(url)
    return null
  }
  for (const name of ['victim/../mine', 'victim/%2e%2E/mine', 'victim/..\\mine', 'victim/.\t./mine']) {
    const publisher = await (await client()).begin(...publishing('live', name))
    await publisher.hears('NetStream.Publish.BadName')
    await publisher.closes()
  }
  assert.deepEqual(asked, [])
  const other = await (await client()).begin(...publishing('live', 'mine..x?from=../victim'))
  await other.hears('NetStream.Publish.Start')
  other.socket.destroy()
})

test('a publisher that the webhook denies is told so, and its key is in no log', async (t) => {
  const { client, gateway, log } = await setUp(t)
  gateway.authorize = () =>
    Promise.reject(new NodeError('stream-denied', 'the webhook denies it with status 403'))
  const publisher = await (await client()).begin(...publishing('live', 'swordfish/secret?token=swordfish'))
  await publisher.hears('NetStream.Publish.BadName')
  await publisher.closes()
  assert.equal(gateway.names.size, 0)
  assert.deepEqual(log.of('warn'), ['publisher refused'])
  assert.doesNotMatch(JSON.stringify(log.lines), /secret|swordfish/)
})

test('a publisher that leaves before the webhook decides leaves nothing behind', async (t) => {
  const { client, gateway, port } = await setUp(t)
  const decision = Promise.withResolvers<StreamGrant | null>()
  let isAsked = false
  gateway.authorize = () => {
    isAsked = true
    return decision.promise
  }
  const publisher = await (await client()).begin(...publishing('live', 'movie'), CONFIG)
  await eventually('the question', () => isAsked)
  publisher.socket.resetAndDestroy()
  decision.resolve(null)
  await eventually('the end', () => port.connections === 0)
  await eventually('its name is free', () => gateway.names.size === 0)
})

test('a publisher with a key is played under the name and with the renditions that the webhook gives', async (t) => {
  await using webhook = await WebhookServer.open()
  webhook.answer = { body: '{"manifestID":"shown","presets":["P144p30fps16x9"]}' }
  const told = { tell: () => {} }
  const needs = { clock: systemClock, log: silentLog, events: told, causes: noCauses }
  const authority = new AuthWebhook({ url: webhook.url }, needs)
  await using http = await startGatewayPort({}, [new FakeOrchestrator('https://o1:8935')], { authority })
  const supervisor = new Supervisor()
  const port = new RtmpPort(
    { host: '127.0.0.1', port: 0, maxDurationMs: 60_000 },
    { gateway: http.gateway, dice: seededDice('rtmp'), ...needs },
  )
  await supervisor.start(port)
  t.after(() => supervisor.stop())
  const publisher = await (await RtmpClient.open(port.port)).begin(
    ...publishing('live', 'swordfish?token=a', 'rtmp://gw.example/live'),
    ...[CONFIG, ...pictures(0, 4500)],
  )
  await publisher.hears('NetStream.Publish.Start')
  assert.equal(webhook.requests[0]!.body, '{"url":"rtmp://gw.example/live/swordfish?token=a"}')
  const get = async (path: string) => (await fetch(`${http.base}${path}`)).text()
  await eventually('a rendition', async () => (await get('/stream/shown.m3u8')).includes('P144p30fps16x9'))
  assert.match(await get('/stream/shown/P144p30fps16x9.m3u8'), /shown\/P144p30fps16x9\/0\.ts/)
  assert.equal(await get('/stream/swordfish.m3u8'), 'ErrNotFound\n')
  webhook.answer = { status: 403 }
  assert.equal((await http.push('/live/shown/9.ts')).status, 403, 'a viewer who pushes to what it plays')
  const second = await (await RtmpClient.open(port.port)).begin(...publishing('live', 'wrong'))
  await second.hears('NetStream.Publish.BadName')
  publisher.socket.destroy()
})

test('sound alone is played as it came, in every rendition', async (t) => {
  const orchestrator = new FakeOrchestrator('https://o1:8935')
  await using http = await startGatewayPort({}, [orchestrator])
  const supervisor = new Supervisor()
  const needs = { gateway: http.gateway, clock: systemClock, dice: seededDice('rtmp'), log: silentLog }
  const port = new RtmpPort({ host: '127.0.0.1', port: 0, maxDurationMs: 60_000 }, needs)
  await supervisor.start(port)
  t.after(() => supervisor.stop())
  const sound = (timestamp: number, ...payload: readonly number[]) =>
    media(MESSAGE.audio, timestamp, 0xaf, ...payload)
  const frames = Array.from({ length: 200 }, (_, n) => sound(n * 23, 1, n, 2, 3))
  const publisher = await (await RtmpClient.open(port.port)).begin(
    ...publishing('live', 'radio'),
    ...[sound(0, 0, 0x12, 0x10), ...frames],
  )
  await publisher.hears('NetStream.Publish.Start')
  const get = (path: string) => fetch(`${http.base}/stream/radio/${path}`)
  const hasTwo = async (track: string) => (await (await get(`${track}.m3u8`)).text()).includes('/1.ts')
  for (const track of ['source', 'P144p30fps16x9']) {
    await eventually(`two segments of ${track}`, () => hasTwo(track))
  }
  const [source, rendition] = await Promise.all(
    ['source', 'P144p30fps16x9'].map(async (track) => (await get(`${track}/0.ts`)).text()),
  )
  assert.equal(rendition, source)
  assert.equal(orchestrator.submissions.length, 0)
  publisher.socket.destroy()
})
