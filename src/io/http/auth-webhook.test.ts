import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { type HookAnswer, WebhookServer } from '../../../test/net/webhook-server.ts'
import type { NodeEvent } from '../../domain/events.ts'
import type { Clock } from '../../lib/clock.ts'
import { Supervisor } from '../../lib/service.ts'
import { AuthWebhook } from './auth-webhook.ts'

const ALLOWS: HookAnswer = { body: '{"manifestID":"movie"}' }
const STREAM = 'rtmp://gw.example/live/movie?token=a&b=<c>'
/** Of real time, which only what hangs needs: a busy machine is given time for the rest. */
const LIMIT_MS = 60_000
const SHORT_MS = 400

/** A clock on which pauses take no time. */
const NO_TIME: Clock = { now: () => 0, sleep: async () => {} }

async function setUp(path = '/hook', limitMs = LIMIT_MS) {
  const webhook = await WebhookServer.open()
  const log = new RecordingLog()
  const causes = new RecordingCauses()
  const events: NodeEvent[] = []
  const url = `${webhook.url.replace('//', '//user:swordfish@')}${path}`
  const authority = new AuthWebhook(
    { url, limitMs },
    { clock: NO_TIME, log, causes, events: { tell: (event) => void events.push(event) } },
  )
  return {
    webhook,
    authority,
    log,
    causes,
    events,
    [Symbol.asyncDispose]: () => webhook[Symbol.asyncDispose](),
  }
}

test('the webhook is asked with the whole URL, as JSON that peers write, and by its own credentials', async () => {
  await using set = await setUp('/hook?key=swordfish')
  set.webhook.answer = { body: '{"manifestID":"internal","sessionID":"s1","timeoutMultiplier":3}' }
  const verdict = await set.authority.decide(STREAM)
  assert.deepEqual(verdict, {
    kind: 'allowed',
    grant: {
      config: { manifestId: 'internal', profiles: null, timeoutMultiplier: 3, forceSessionReinit: false },
      ...{ sessionId: 's1', streamId: null },
      recording: { store: null, publicUrl: null, previousSessions: [] },
      objectStore: null,
    },
  })
  const [asked] = set.webhook.requests
  assert.equal(asked!.body, '{"url":"rtmp://gw.example/live/movie?token=a\\u0026b=\\u003cc\\u003e"}')
  assert.equal(`${asked!.method} ${asked!.path}`, 'POST /hook?key=swordfish')
  assert.equal(asked!.headers['content-type'], 'application/json')
  assert.equal(asked!.headers.authorization, `Basic ${btoa('user:swordfish')}`)
  assert.deepEqual(
    set.events.map((event) => event.kind === 'stream-judged' && event.outcome),
    ['allowed'],
  )
})

const undecided: readonly (readonly [what: string, answer: HookAnswer, tries: number, reason: RegExp])[] = [
  ['hangs', { habit: 'hangs' }, 1, /no answer within \d+(\.\d+)? s/],
  ['never ends its answer', { habit: 'endless' }, 1, /its answer is longer than 1000000 bytes/],
  ['cuts the connection', { habit: 'cuts' }, 3, /socket hang up|ECONNRESET/],
  ['breaks its answer off', { habit: 'breaks-off' }, 3, /its answer broke off/],
  ['is behind a proxy that finds nobody', { status: 503, body: 'secret' }, 3, /it answers 503/],
  ['answers no JSON', { body: 'secret <html>' }, 1, /it is not JSON/],
  ['answers a field of another type', { body: '{"manifestID":"secret","presets":"secret"}' }, 1, /presets/],
  [
    'redirects to another protocol',
    { status: 302, headers: { location: 'ftp://secret/' } },
    1,
    /redirects to/,
  ],
]
for (const [what, answer, tries, reason] of undecided) {
  test(`a webhook that ${what} decides nothing: the stream is refused, and the operator is told`, async () => {
    await using set = await setUp('/hook', answer.habit === 'hangs' ? SHORT_MS : LIMIT_MS)
    set.webhook.answer = answer
    const verdict = await set.authority.decide(STREAM)
    assert.equal(verdict.kind, 'undecided')
    assert.equal(set.webhook.requests.length, tries)
    assert.deepEqual(set.causes.codes, ['auth-webhook-failing'])
    assert.match(set.causes.sentences[0]!, reason)
    const told = JSON.stringify([set.causes.sentences, set.log.lines, verdict])
    assert.doesNotMatch(told, /swordfish|secret|token/)
    if (answer.habit === 'hangs') return
    set.webhook.answer = ALLOWS
    assert.equal((await set.authority.decide(STREAM)).kind, 'allowed')
    assert.deepEqual(set.causes.codes, [], 'once it answers again')
  })
}

test('what comes after a failed try counts, and a refusal is never asked about again', async () => {
  await using set = await setUp()
  set.webhook.next.push({ habit: 'cuts' }, { status: 502 }, ALLOWS)
  assert.equal((await set.authority.decide(STREAM)).kind, 'allowed')
  for (const status of [201, 204, 400, 403, 404, 500]) {
    set.webhook.requests.length = 0
    set.webhook.answer = { status, body: status === 204 ? '' : 'secret' }
    const verdict = await set.authority.decide(STREAM)
    assert.equal(verdict.kind, 'denied')
    assert.doesNotMatch(JSON.stringify([verdict, set.log.lines]), /secret/)
    assert.equal(set.webhook.requests.length, 1)
  }
  set.webhook.answer = { body: '{"streamID":"123"}' }
  const reason = 'empty manifest id not allowed'
  assert.deepEqual(await set.authority.decide(STREAM), { kind: 'denied', reason })
  assert.deepEqual(set.causes.codes, [])
})

test('the webhook says where a stream is saved, and nothing shows its keys', async () => {
  await using set = await setUp()
  const answers = (objectStore: string) => {
    set.webhook.answer = { body: JSON.stringify({ manifestID: 'm', objectStore }) }
    return set.authority.decide(STREAM)
  }
  const verdict = await answers('s3://key:swordfish@eu-west-1/bucket/live')
  assert.ok(verdict.kind === 'allowed')
  assert.equal(verdict.grant?.objectStore?.shown, 's3://eu-west-1/bucket')
  assert.match(JSON.stringify(verdict.grant?.objectStore?.place), /swordfish/)
  const refused = await answers('xyz://key:swordfish@h/b')
  assert.ok(refused.kind === 'unusable')
  assert.match(refused.reason, /^objectStore begins with xyz:\/\/, which is no store: give a folder, /)
  assert.doesNotMatch(JSON.stringify([verdict, refused, set.log.lines, set.causes.sentences]), /swordfish/)
})

test('fields for others than this gateway are taken as they are, and how often results are compared', async () => {
  await using set = await setUp()
  const answers = (fields: object) => {
    set.webhook.answer = { body: JSON.stringify({ manifestID: 'm', ...fields }) }
    return set.authority.decide(STREAM)
  }
  const plain = {
    recordObjectStoreUrl: 'https://r.example',
    previousSessions: ['a'],
    streamID: 's',
    streamKey: 'k',
  }
  assert.equal((await answers(plain)).kind, 'allowed')
  assert.deepEqual(set.causes.codes, [])
  const compared = await answers({ verificationFreq: 2 })
  assert.ok(compared.kind === 'allowed')
  assert.equal(compared.grant?.config.verificationFrequency, 2)
  const verdict = await answers({ recordObjectStore: 's3://key:swordfish@h/b' })
  assert.equal(verdict.kind, 'unusable')
  assert.deepEqual(set.causes.codes, [])
  assert.doesNotMatch(JSON.stringify([verdict, set.causes.sentences, set.log.lines]), /swordfish/)
})

test('of a recording the webhook says who may see it, where it lies and what it is joined with', async () => {
  await using set = await setUp()
  const answers = (status: number, body: string) => {
    set.webhook.answer = { status, body }
    return set.authority.judge('http://gw.example/recordings/a/index.m3u8')
  }
  assert.deepEqual(await answers(200, ''), { kind: 'allowed', grant: null })
  const fields = { manifestID: 'm', recordObjectStore: 's3+https://KEY:swordfish@store.example/bucket/' }
  const joined = { recordObjectStoreUrl: 'https://cdn.example/x', previousSessions: ['z'] }
  const verdict = await answers(200, JSON.stringify({ ...fields, ...joined }))
  assert.ok(verdict.kind === 'allowed' && verdict.grant)
  assert.match(verdict.grant.store!.shown, /store\.example/)
  assert.equal(verdict.grant.publicUrl, 'https://cdn.example/x')
  assert.deepEqual(verdict.grant.previousSessions, ['z'])
  assert.doesNotMatch(JSON.stringify([verdict, set.log.lines]), /swordfish/)
  // What is wrong with profiles is nothing to those who watch.
  const odd = await answers(200, '{"manifestID":"m","profiles":[{"profile":"none such"}]}')
  assert.equal(odd.kind, 'allowed')
  const line = await answers(200, '{"manifestID":"m","recordObjectStoreUrl":"x\\n#EXT"}')
  assert.ok(line.kind === 'allowed' && line.grant?.publicUrl === null)
  assert.deepEqual(await answers(403, 'no'), { kind: 'denied', isUnknown: false })
  assert.deepEqual(await answers(403, 'it was not found'), { kind: 'denied', isUnknown: true })
  assert.deepEqual(await answers(403, `not found ${'x'.repeat(9_000)}`), { kind: 'denied', isUnknown: false })
  assert.deepEqual(await answers(200, '{}'), { kind: 'denied', isUnknown: false })
})

test('a node that stops waits for no webhook', async () => {
  await using set = await setUp()
  const supervisor = new Supervisor()
  await supervisor.start(set.authority)
  set.webhook.answer = { habit: 'hangs' }
  const asked = set.authority.decide(STREAM)
  await supervisor.stop()
  assert.equal((await asked).kind, 'undecided')
  assert.deepEqual(set.causes.codes, [])
})
