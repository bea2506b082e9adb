import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FastClock } from '../../../test/fakes/fast-clock.ts'
import { FakeOrchestrator, profileNamed } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { recordsIn, Verdicts } from '../../../test/vectors/recorded.ts'
import { transcodeEvent } from '../../domain/published-event.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import type { StreamAuthority } from '../../services/gateway/stream-authority.ts'
import { streamConfigOf, streamFieldsOf } from './stream-config.ts'

/**
 * Every recorded exchange of a Go gateway with its AMQP broker, against the events of this one: `same`, `better`, or where else it
 * is compared. The broker itself is a real one in `src/io/amqp/rabbitmq.test.ts`.
 */

interface Recorded {
  readonly case: string
  readonly status?: number
  readonly events?: readonly {
    readonly key: string
    readonly streamId: string
    readonly segment: { readonly seqNo: number; readonly byteSize: number }
    readonly success: boolean
    readonly attempts: readonly unknown[]
  }[]
}

type Verdict = 'same' | 'better' | 'elsewhere'
type Row = readonly [cases: RegExp, verdict: Verdict, why: string]

const records = recordsIn<Recorded>('events.json')

const rows: readonly Row[] = [
  [/^exchanges /, 'elsewhere', 'what is declared is seen at a broker'],
  [/^-metadataAmqpExchange/, 'elsewhere', 'what is declared is seen at a broker'],
  [
    /^-metadataQueueUri amqp:/,
    'elsewhere',
    'a broker that refuses, or is away; the password stays out of the log',
  ],
  [/^-metadataQueueUri (http|foo)/, 'elsewhere', 'settings refuse it in a sentence without the URL'],
  [/^no orchestrator reachable/, 'better', 'the latency tells how long an orchestrator was searched for'],
  [/^RTMP stream/, 'better', 'the first GOP and the last segments have their events too'],
  [/./, 'same', ''],
]

/** What a webhook says of the names in URLs. */
const GRANTS: Readonly<Record<string, object>> = {
  e1: { manifestID: 'int1', streamID: 'strm-1' },
  e2: { manifestID: 'int2', sessionID: 'sess-2' },
  e3: { manifestID: 'int3', streamID: 'a.b.c#*' },
  none: { manifestID: 'none', profiles: [] },
}

const authority: StreamAuthority = {
  decide: async (url) => {
    const fields = streamFieldsOf(GRANTS[new URL(url).pathname.split('/')[2]!] ?? { manifestID: 'plain' })
    const names = { sessionId: fields.sessionID ?? null, streamId: fields.streamID ?? null }
    return { kind: 'allowed', grant: { config: streamConfigOf(fields), ...names } }
  },
}

/** The name that is pushed to in a recorded case, and its segment's extension and words. */
function pushOf(what: string): { readonly name: string; readonly extension: string; readonly words: string } {
  const name = /^segment \d/.test(what)
    ? 'e1'
    : ({ 'sessionID only': 'e2', 'streamID with dots': 'e3', 'zero profiles': 'none' }[what] ?? 'p1')
  const extension = what === 'mp4 segment' ? 'mp4' : 'ts'
  return { name, extension, words: what === 'zero-frame segment' ? 'zero codec=h264' : 'codec=h264' }
}

const source = { id: 'x', node: 'HOST', nowMs: 0, shown: maskUrl }

async function setUp({ withWebhook = true } = {}) {
  const orchestrator = new FakeOrchestrator('https://127.0.0.1:8936')
  const clock = new FastClock(100)
  const options = { profiles: ['low', 'tiny'].map(profileNamed) }
  const given = { clock, ...(withWebhook && { authority }) }
  return { orchestrator, port: await startGatewayPort(options, [orchestrator], given) }
}

type World = Awaited<ReturnType<typeof setUp>>

/** The events that would be published since they were last asked for. */
function published({ port }: World) {
  return port.events.splice(0).flatMap((event) => {
    if (event.kind !== 'segment-tried') return []
    const { body, key } = transcodeEvent(event, source)
    const { attempts, latencyMs, segment, startTime, streamId, success } = JSON.parse(body)
    assert.ok(latencyMs >= 0 && startTime > 1e12)
    const bare = attempts.map(({ latencyMs: _, ...attempt }: { latencyMs: number }) => attempt)
    return [{ key, streamId, segment, success, attempts: bare }]
  })
}

async function push({ port, orchestrator }: World, record: Recorded, name?: string): Promise<number> {
  const { extension, words, ...at } = pushOf(record.case)
  const [event] = record.events ?? []
  const isFailing = record.case.includes('fails')
  orchestrator.outcome = isFailing ? { kind: 'error', text: 'TranscoderInvalidVideo' } : null
  const length = event?.segment.byteSize ?? 100
  const body = length < 20 ? 'x'.repeat(length) : `${words} x=`.padEnd(length, 'x')
  const path = `/live/${name ?? at.name}/${event?.segment.seqNo ?? 9}.${extension}`
  const duration = record.case === 'invalid duration' ? '301000' : '2000'
  const headers = { Accept: 'multipart/mixed', 'Content-Duration': duration }
  const answer = await port.push(path, headers, body)
  await answer.arrayBuffer()
  return answer.status
}

/** Sends what a publisher over RTMP sends, as the RTMP port hands it on. */
async function publish({ port: { gateway } }: World, record: Recorded): Promise<void> {
  const publication = gateway.publish('rt1')
  for (const { segment } of record.events!) {
    const bytes = new Uint8Array(segment.byteSize)
    const one = { sequence: BigInt(segment.seqNo), format: 'mpegts', bytes, durationMs: 2_000 } as const
    const about = { externalId: 'rt1', resolution: '', clip: null, config: null, isPublished: true }
    await gateway.serve({ ...about, ...one }, new AbortController().signal)
  }
  publication.end('it left')
}

test('every recorded event about a segment is the same here, or better', async (t) => {
  const world = await setUp()
  await using _port = world.port
  const open = await setUp({ withWebhook: false })
  await using _open = open.port
  const verdicts = new Verdicts(rows)
  for (const record of records) {
    const [, verdict] = verdicts.about(record.case)
    if (verdict === 'elsewhere') continue
    try {
      let used = world
      if (record.case.startsWith('RTMP')) {
        used = open
        await publish(open, record)
      } else if (record.case.startsWith('no orchestrator')) {
        used = open
        open.orchestrator.isAway = true
        assert.equal(await push(open, record, 'noo'), record.status)
      } else if (record.case !== 'stream end') {
        assert.equal(await push(world, record), record.status)
      }
      assert.deepEqual(published(used), record.events)
    } catch (error) {
      throw new Error(`${record.case}: ${error}`, { cause: error })
    }
  }
  verdicts.conclude(t, 38)
  assert.equal(verdicts.count('elsewhere'), 7)
})

test('a gateway that may not try tells that nothing was tried (gateway.md §13)', async () => {
  const port = await startGatewayPort({ maxAttempts: 0 })
  await using _port = port
  await port.push('/live/m/0.ts')
  await port.push('/live/m/1.ts', {}, 'zero codec=h264')
  const told = port.events.filter((event) => event.kind === 'segment-tried')
  assert.deepEqual(
    told.map(({ attempts, isDone, sequence }) => [attempts, isDone, sequence]),
    [[null, false, 0n]],
  )
})

test('each attempt is told, and that none was left after them', async () => {
  const orchestrators = ['https://o1:8935', 'https://o2:8935'].map((url) => new FakeOrchestrator(url))
  for (const one of orchestrators) one.outcome = { kind: 'error', text: 'unknown error (test)' }
  const port = await startGatewayPort({ maxAttempts: 3 }, orchestrators, { clock: new FastClock(100) })
  await using _port = port
  assert.equal((await port.push('/live/m/0.ts')).status, 503)
  const [told] = port.events.filter((event) => event.kind === 'segment-tried')
  assert.equal(told?.isDone, false)
  const attempts = told?.attempts?.map(({ error, orchestrator }) => [orchestrator === '', error])
  assert.deepEqual(attempts?.slice(0, 2), [
    [false, 'unknown error (test)'],
    [false, 'unknown error (test)'],
  ])
  assert.deepEqual(attempts?.slice(2), [[true, null]])
})
