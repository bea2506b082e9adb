import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type HookAnswer, WebhookServer } from '../../../test/net/webhook-server.ts'
import { PerfStatsPage } from './perf-stats.ts'

const [A, B, C] = ['0xAbC', '0xd', '0xe']
const never = new AbortController().signal

async function setUp(answer: HookAnswer) {
  const server = await WebhookServer.open()
  server.answer = answer
  const stats = new PerfStatsPage({
    url: `${server.url}/stats?x=1`,
    region: 'FRA',
    limitMs: answer.habit === 'hangs' ? 400 : 60_000,
  })
  return { server, stats, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('the scores of one region are read by address, in whatever case it is written', async () => {
  const body = JSON.stringify({
    [A!]: { FRA: { score: 0.9, other: [] }, MDW: { score: 0.1 } },
    [B!]: { MDW: { score: 0.5 } },
    [C!]: { FRA: { score: null } },
    ...{ '0xf': null, '0x1': { FRA: null }, '0x2': {} },
  })
  await using set = await setUp({ body })
  assert.deepEqual([...(await set.stats.fetch(never))], [['0xabc', 0.9]])
  assert.equal(set.server.requests[0]!.path, '/stats?x=1')
})

const bad: readonly (readonly [what: string, answer: HookAnswer, reason: RegExp])[] = [
  ['hangs', { habit: 'hangs' }, /no answer within 0\.4 s/],
  ['never ends', { habit: 'endless' }, /longer than 10000000 bytes/],
  ['fails', { status: 500 }, /it answers 500/],
  ['is no JSON', { body: 'x' }, /not JSON/],
  ['is a list', { body: '[]' }, /cannot be used/],
  ['has a score of text', { body: '{"0x1":{"FRA":{"score":"1"}}}' }, /cannot be used/],
]
for (const [what, answer, reason] of bad) {
  test(`an answer that ${what} gives no scores`, async () => {
    await using set = await setUp(answer)
    await assert.rejects(set.stats.fetch(never), reason)
  })
}
