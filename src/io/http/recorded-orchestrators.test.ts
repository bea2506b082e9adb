import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { FastClock } from '../../../test/fakes/fast-clock.ts'
import { FakeOrchestrator } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { WebhookServer } from '../../../test/net/webhook-server.ts'
import { eventually } from '../../../test/tools/until.ts'
import { recordsIn, Verdicts } from '../../../test/vectors/recorded.ts'
import { ManualClock } from '../../lib/clock.ts'
import { ZERO_ADDRESS } from '../../lib/crypto.ts'
import { silentLog } from '../../lib/log.ts'
import { WebhookOrchestrators } from '../../services/gateway/webhook-orchestrators.ts'
import { GatewayWebhook } from './gateway-webhook.ts'
import { WebhookList } from './orchestrator-list.ts'

/**
 * Every recorded exchange of Go nodes with the webhook of an orchestrator and with that of `-orchWebhookUrl`, against
 * this node's: `same` or `better`.
 */

interface Recorded {
  readonly case: string
  readonly answer?: {
    readonly status: number
    readonly body: string /** Seconds. */
    readonly delay?: number
  }
  /** The webhook's requests: method and path, and body. */
  readonly asked?: readonly (readonly [request: string, body: string])[]
  /** Of a push; 0: the connection was closed without an answer. */
  readonly status?: number
  readonly pool?: readonly string[]
  readonly requestsWithPush?: number
  /** Seconds. */
  readonly requestTimes?: readonly number[]
}

type Verdict = 'same' | 'better'
/** What this node does instead. */
interface Ours {
  readonly status?: number
  readonly pool?: readonly string[]
}
type Row = readonly [cases: RegExp, verdict: Verdict, why: string, ours: Ours]

const records = recordsIn<Recorded>('orchestrators.json')

/** A second of the recording takes this long here. */
const SECOND_MS = 25
/** The limit of a list, as much shorter, for what must run into it; for the rest a busy machine is given time. */
const LIMIT_MS = 3 * SECOND_MS
const LONG_MS = 60_000
const LISTED = 'https://127.0.0.1:8941'

const rows: readonly Row[] = [
  [/no scheme$/, 'better', 'read as in -orchAddr', { status: 200, pool: [LISTED] }],
  [/score 0\.5$/, 'better', 'untrusted, but used', { status: 200 }],
  [/score 2$/, 'better', 'trusted, and no connection is cut', { status: 200 }],
  [/slow 4 s$/, 'better', 'the first answer waits for one request, not for four', {}],
  [/^-orchWebhookUrl polling/, 'same', 'once a minute; a running stream keeps its sessions', {}],
  [/^↳ a new stream after that/, 'same', '', {}],
  [/^-orchWebhookUrl: /, 'same', 'and no more than one request for a stream', {}],
  [/^orchestrator -authWebhookUrl/, 'same', '', {}],
]

async function asksOrchestratorsWebhook(webhook: WebhookServer, record: Recorded): Promise<void> {
  const options = { url: `${webhook.url}/o?x=1`, limitMs: LONG_MS }
  const verdict = await new GatewayWebhook(options, { causes: new RecordingCauses() }).decide(ZERO_ADDRESS)
  assert.equal(verdict.kind, record.status === 200 ? 'allowed' : 'denied')
  const asked = webhook.requests.map(({ body, method, path }) => [`${method} ${path}`, body])
  // A search of a Go gateway asks twice where it is refused.
  assert.deepEqual(asked, record.asked!.slice(0, 1))
  if (record.case.endsWith('priceInfo'))
    assert.equal(`${verdict.kind === 'allowed' && verdict.price}`, '100/7')
}

async function lists(webhook: WebhookServer, record: Recorded, ours: Ours): Promise<void> {
  const clock = new FastClock(1000 / SECOND_MS)
  const isSlow = record.case.endsWith('slow 4 s')
  const list = new WebhookList({ url: `${webhook.url}/w?y=2`, limitMs: isSlow ? LIMIT_MS : LONG_MS })
  const needs = { webhook: webhook.url, clock, log: silentLog, causes: new RecordingCauses() }
  const source = new WebhookOrchestrators({ list, ...needs })
  await using port = await startGatewayPort({}, [new FakeOrchestrator(LISTED)], { clock, source })
  const answer = await port.push('/live/movie/0.ts')
  assert.equal(answer.status, ours.status ?? record.status)
  const pool = (await source.candidates()).map(({ url }) => url)
  assert.deepEqual(pool, ours.pool ?? record.pool)
  assert.deepEqual(
    webhook.requests.map(({ body, method, path }) => `${method} ${path}${body}`),
    ['GET /w?y=2'],
  )
}

/** One segment each 5 s for 135 s; the answer turns into [] after 70 s. */
async function polls(record: Recorded): Promise<void> {
  const clock = new ManualClock()
  const startMs = clock.now()
  const fetched: number[] = []
  let listed = [{ address: LISTED, score: 1 }]
  const list = {
    fetch: async () => {
      fetched.push((clock.now() - startMs) / 1000)
      return listed
    },
  }
  const needs = { webhook: '', clock, log: silentLog, causes: new RecordingCauses() }
  const source = new WebhookOrchestrators({ list, ...needs })
  for (let second = 0; second <= 135; second += 5) {
    if (second > 70) listed = []
    await source.candidates()
    await clock.wind(5_000)
  }
  assert.deepEqual(fetched, [0, 60, 120])
  assert.deepEqual(
    fetched,
    record.requestTimes!.map((seconds) => Math.max(0, Math.round(seconds / 60) * 60)),
  )
  assert.deepEqual(await source.candidates(), [])
}

test('every recorded exchange with the webhooks for orchestrators is the same here or better', async (t) => {
  const verdicts = new Verdicts(rows)
  for (const record of records) {
    const [, , , ours] = verdicts.about(record.case)
    await using webhook = await WebhookServer.open()
    const { body = '[]', delay = 0, status = 200 } = record.answer ?? {}
    webhook.answer = { status, body, delayMs: delay * SECOND_MS }
    try {
      if (record.asked) await asksOrchestratorsWebhook(webhook, record)
      else if (record.requestTimes) await polls(record)
      else await lists(webhook, record, ours)
    } catch (error) {
      throw new Error(`${record.case}: ${error}`, { cause: error })
    }
  }
  verdicts.conclude(t, 29)
})

test('a stream that begins while the list is empty is transcoded once there are orchestrators (edge 13)', async () => {
  await using webhook = await WebhookServer.open()
  webhook.answer = { body: '[]' }
  const clock = new FastClock(1_000)
  const list = new WebhookList({ url: webhook.url, limitMs: LONG_MS })
  const needs = { webhook: webhook.url, clock, log: silentLog, causes: new RecordingCauses() }
  const source = new WebhookOrchestrators({ list, ...needs })
  await using port = await startGatewayPort({}, [new FakeOrchestrator(LISTED)], { clock, source })
  const first = await port.push('/live/movie/0.ts')
  assert.equal(first.status, 503)
  await first.text()
  webhook.answer = { body: JSON.stringify([{ address: LISTED, score: 0 }]) }
  let sequence = 1
  await eventually('a segment is transcoded', async () => {
    const answer = await port.push(`/live/movie/${sequence++}.ts`)
    await answer.text()
    return answer.status === 200
  })
  assert.equal(port.gateway.status().length, 1)
})
