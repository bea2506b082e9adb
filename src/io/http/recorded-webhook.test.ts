import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { FastClock } from '../../../test/fakes/fast-clock.ts'
import { FakeOrchestrator, profileNamed } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { WebhookServer } from '../../../test/net/webhook-server.ts'
import { recordsIn, Verdicts } from '../../../test/vectors/recorded.ts'
import { NodeError } from '../../lib/errors.ts'
import type { Publication } from '../../services/gateway/publishers.ts'
import { manifestIdOf, urlOf } from '../rtmp/stream-request.ts'
import { AuthWebhook } from './auth-webhook.ts'

/**
 * Every recorded exchange of a Go gateway with its webhook for publishers, against this one: `same`, `better` or `out of
 * scope`, with the reason.
 */

interface Recorded {
  readonly case: string
  /** Of a push. */
  readonly path?: string
  readonly headers?: readonly string[]
  /** Of a publisher over RTMP. */
  readonly input?: { readonly app: string; readonly name: string }
  readonly answer?: {
    readonly status: number
    readonly body: string
    /** Seconds. */
    readonly delay?: number
    readonly headers?: Readonly<Record<string, string>>
  }
  /** The webhook's requests: method and path, and body. */
  readonly asked?: readonly (readonly [request: string, body: string])[]
  /** Of the push; 0: the connection was closed without an answer. */
  readonly status?: number
  readonly parts?: readonly string[]
  /** Streams that began, and the names in URLs of those that are played under another. */
  readonly begun?: readonly string[]
  readonly names?: Readonly<Record<string, string>>
  readonly gets?: readonly (readonly [path: string, status: number])[]
  readonly end?: string
}

type Verdict = 'same' | 'better' | 'out of scope'
/** The status that this gateway answers instead. */
type Row = readonly [cases: RegExp, verdict: Verdict, why: string, status?: number]

const records = recordsIn<Recorded>('webhook.json')

/** A second of the recording takes this long here. */
const SECOND_MS = 25
/** The limit of the webhook, as much shorter, for what must run into it; for the rest a busy machine is given time. */
const LIMIT_MS = 10 * SECOND_MS
const LONG_MS = 60_000

const rows: readonly Row[] = [
  [/answer slow: 12 s/, 'better', 'the first answer takes no longer than the limit of the webhook', 403],
  [/manifestID \.\.\/\.\.$/, 'better', 'no stream has a name that leads out of a folder', 500],
  [/profile field: colorDepth 10?$/, 'better', 'a depth that there is not is refused by name', 500],
  [/profile field: chromaFormat 3/, 'better', 'refused with the reason; the connection is not cut', 500],
  [/profile field: bitrate 1$/, 'better', 'a failure cuts no connection', 200],
  [/profile field: width -2/, 'better', 'a size that there is not is refused by name', 500],
  [/profile field: name with slash/, 'better', 'no rendition has a name that leads into another folder', 500],
  [/profile field: name source/, 'better', 'no rendition takes the place of the source', 500],
  [/second of two with one manifestID/, 'better', 'only the second is refused'],
  [/the first publisher after that/, 'better', 'it goes on'],
  [/^push: /, 'same', ''],
  [/^rtmp: /, 'same', ''],
]

async function setUp() {
  const webhook = await WebhookServer.open()
  const clock = new FastClock(1000 / SECOND_MS)
  const log = new RecordingLog()
  const causes = new RecordingCauses()
  const told = { tell: () => {} }
  const url = `${webhook.url}/hook?who=me`
  const within = (limitMs: number) => new AuthWebhook({ url, limitMs }, { clock, log, causes, events: told })
  const limits = { limitMs: LONG_MS }
  const authority = { decide: (asked: string) => within(limits.limitMs).decide(asked) }
  const profiles = ['low', 'tiny'].map(profileNamed)
  const orchestrators = [new FakeOrchestrator('https://o1:8935')]
  const port = await startGatewayPort({ maxSessions: 500, profiles }, orchestrators, { authority, clock })
  return { webhook, log, limits, port }
}

type World = Awaited<ReturnType<typeof setUp>>

const streamsOf = ({ port: { gateway } }: World) =>
  new Map(gateway.status().map(({ externalId, manifestId }) => [manifestId, externalId]))

/** Pushes a segment as recorded, and compares what the webhook and the publisher see. */
async function compare(world: World, record: Recorded, expected: number): Promise<void> {
  const { port, webhook } = world
  const before = streamsOf(world)
  webhook.requests.length = 0
  const given = Object.fromEntries((record.headers ?? []).map((line) => line.split(/: (.*)/, 2)))
  const answer = await port.push(record.path!, { Accept: 'multipart/mixed', ...given })
  const text = await answer.text()
  assert.equal(answer.status, expected, text)
  if (record.asked) {
    const asked = webhook.requests.map(({ body, method, path }) => [`${method} ${path}`, body])
    const here = record.asked.map(([line, body]) => [line, body.replace(/http:\/\/[^/]*/, port.base)])
    assert.deepEqual(asked, here)
  }
  if (expected === 403 || expected === 500) assert.match(text, /^Could not create stream ID: url=/)
  if (expected !== record.status) return
  const parts = [...text.matchAll(/^Rendition-Name: (.*)\r$/gm)].map(([, name]) => name)
  assert.deepEqual(parts, record.parts ?? [])
  const after = streamsOf(world)
  const begun = [...after.keys()].filter((name) => !before.has(name))
  if (record.begun) assert.deepEqual(begun.sort(), [...record.begun].sort())
  for (const [external, internal] of Object.entries(record.names ?? {})) {
    assert.equal(after.get(internal), external)
  }
  for (const [path, status] of record.gets ?? []) {
    assert.equal((await fetch(`${port.base}${path}`)).status, status, path)
  }
}

/** Publishes over RTMP as recorded, as far as the gateway sees it. */
async function publish({ port, webhook }: World, record: Recorded): Promise<Publication> {
  const { app, name } = record.input ?? { app: 'live', name: 'down' }
  const request = { app, name, tcUrl: `rtmp://127.0.0.1:1938/${app}` }
  webhook.requests.length = 0
  try {
    const grant = await port.gateway.authorize(urlOf(request, ''))
    return port.gateway.publish(manifestIdOf(request), grant)
  } finally {
    const asked = webhook.requests.map(({ body, method, path }) => [`${method} ${path}`, body])
    assert.deepEqual(asked, record.asked ?? [])
  }
}

test('every recorded exchange with the webhook for publishers is the same here, better, or out of scope', async (t) => {
  const world = await setUp()
  const { limits, log, port, webhook } = world
  await using _port = port
  await using _webhook = webhook
  const verdicts = new Verdicts(rows)
  let first: Publication | null = null
  for (const record of records) {
    const [, , , status = record.status ?? 0] = verdicts.about(record.case)
    const { body = '', delay = 0, headers = {}, status: answers = 200 } = record.answer ?? {}
    webhook.answer = { status: answers, body, headers, delayMs: delay * SECOND_MS }
    limits.limitMs = delay > 10 ? LIMIT_MS : LONG_MS
    if (record.case.endsWith('webhook not listening')) await webhook[Symbol.asyncDispose]()
    try {
      if (record.path) {
        await compare(world, record, status)
      } else if (record.case.includes('the first publisher after that')) {
        assert.throws(() => port.gateway.publish('rdup'), /another publisher is sending "rdup"/)
        first?.end('it left')
      } else if (record.end === 'closed') {
        await assert.rejects(publish(world, record), NodeError)
      } else {
        const publication = await publish(world, record)
        assert.deepEqual([publication.manifestId], record.begun)
        if (record.case.includes('first of two')) first = publication
        else publication.end('it left')
      }
    } catch (error) {
      throw new Error(`${record.case}: ${error}`, { cause: error })
    }
  }
  verdicts.conclude(t, 126)
  assert.equal(verdicts.count('out of scope'), 0)
  const answered = records.flatMap(({ answer }) => (answer && answer.body.length > 3 ? [answer.body] : []))
  const logged = JSON.stringify(log.lines)
  for (const body of answered) assert.ok(!logged.includes(body) && !logged.includes(JSON.stringify(body)))
})
