import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { type HookAnswer, WebhookServer } from '../../../test/net/webhook-server.ts'
import { GatewayWebhook } from './gateway-webhook.ts'

const GATEWAY = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'

/** Only what hangs runs into its limit: a busy machine is given time for the rest. */
async function setUp(limitMs = 60_000) {
  const webhook = await WebhookServer.open()
  const causes = new RecordingCauses()
  const url = `${webhook.url}/hook?key=swordfish`
  const authority = new GatewayWebhook({ url, limitMs }, { causes })
  return { webhook, causes, authority, [Symbol.asyncDispose]: () => webhook[Symbol.asyncDispose]() }
}

test('the webhook is told the account of the gateway, and may set its price', async () => {
  await using set = await setUp()
  set.webhook.answer = { body: '{"PriceInfo":{"pricePerUnit":1200,"pixelsPerUnit":1000}}' }
  const verdict = await set.authority.decide(GATEWAY)
  assert.equal(verdict.kind === 'allowed' && verdict.price?.toString(), '6/5')
  assert.equal(set.webhook.requests[0]!.body, `{"id":"${GATEWAY}"}`)
  for (const body of ['{}', '{"priceInfo":null}', '{"other":1}', 'null']) {
    set.webhook.answer = { body }
    const { kind } = await set.authority.decide(GATEWAY)
    assert.equal(kind, body === 'null' ? 'denied' : 'allowed', body)
  }
})

const failing: readonly (readonly [what: string, answer: HookAnswer, reason: RegExp])[] = [
  ['hangs', { habit: 'hangs' }, /no answer within 0\.4 s/],
  ['never ends', { habit: 'endless' }, /longer than 100000 bytes/],
  ['cuts the connection', { habit: 'cuts' }, /socket hang up|ECONNRESET/],
  ['is no JSON', { body: 'secret' }, /it is not JSON/],
  ['is empty', { body: '' }, /it is not JSON/],
  [
    'has a price of text',
    { body: '{"priceInfo":{"pricePerUnit":"secret","pixelsPerUnit":1}}' },
    /expected number/,
  ],
  ['has a price below 0', { body: '{"priceInfo":{"pricePerUnit":-1,"pixelsPerUnit":1}}' }, /is negative/],
  [
    'has a price for no pixels',
    { body: '{"priceInfo":{"pricePerUnit":1,"pixelsPerUnit":0}}' },
    /pixels per unit is 0/,
  ],
]
for (const [what, answer, reason] of failing) {
  test(`an answer that ${what} lets no gateway in, and the operator is told`, async () => {
    await using set = await setUp(answer.habit === 'hangs' ? 400 : undefined)
    set.webhook.answer = answer
    const verdict = await set.authority.decide(GATEWAY)
    assert.equal(verdict.kind, 'denied')
    assert.match(set.causes.sentences[0]!, reason)
    assert.doesNotMatch(JSON.stringify([verdict, set.causes.sentences]), /secret|swordfish/)
    if (answer.habit === 'hangs') return
    set.webhook.answer = { status: 403, body: 'secret' }
    assert.deepEqual(await set.authority.decide(GATEWAY), { kind: 'denied', reason: 'status=403' })
    assert.deepEqual(set.causes.codes, [], 'once it decides')
  })
}

test('no more than 100 questions wait at once', async () => {
  await using set = await setUp()
  set.webhook.answer = { body: '{}', delayMs: 100 }
  const verdicts = await Promise.all(Array.from({ length: 120 }, () => set.authority.decide(GATEWAY)))
  assert.equal(verdicts.filter(({ kind }) => kind === 'allowed').length, 100)
  assert.equal(set.webhook.requests.length, 100)
})
