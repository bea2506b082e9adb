import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVERY_EVENT } from '../../../test/fakes/every-event.ts'
import { FEED_KINDS, feedLine, MAX_LINES, withLine } from './feed.ts'

/** As the node sends it. */
function sent(event: object): string {
  return JSON.stringify({ ...event, atMs: 5 }, (_, value) =>
    typeof value === 'bigint' ? value.toString() : value,
  )
}

test('every kind that is asked for is told in a sentence without holes', () => {
  const told = new Map(EVERY_EVENT.map((event) => [event.kind as string, feedLine(sent(event))]))
  for (const kind of FEED_KINDS) {
    const line = told.get(kind)
    assert.ok(line, `${kind} is a kind of event`)
    assert.equal(line.atMs, 5)
    assert.doesNotMatch(line.text, /undefined|null|NaN|unknown amount| {2}|: $/, kind)
  }
  for (const [kind, line] of told) if (!FEED_KINDS.includes(kind)) assert.equal(line, null, kind)
})

test('amounts are told in their units, and reasons in the words of livepeer status', () => {
  const ticket = { ticket: '0x01', sender: '0xAb', faceValue: 10n ** 17n }
  const cases: [event: object, tone: string, text: string][] = [
    [
      { kind: 'ticket-redeemed', ...ticket, paid: 10n ** 17n, fee: 1n, txHash: null },
      'good',
      'a ticket of 0.1 ETH was redeemed and paid 0.1 ETH',
    ],
    [
      { kind: 'ticket-redeemed', ...ticket, paid: null, fee: null, txHash: null },
      'good',
      'a ticket of 0.1 ETH was redeemed',
    ],
    [
      { kind: 'ticket-refused', ...ticket, reason: 'underfunded' },
      'bad',
      'a ticket of 0.1 ETH expired while its sender had no funds for it',
    ],
    [
      { kind: 'reward-called', round: 7n, reward: 3n * 10n ** 18n, fee: 1n, txHash: '0x' },
      'good',
      'called the reward of round 7: 3 LPT',
    ],
    [{ kind: 'rewards-missed', first: 3n, last: 3n }, 'bad', 'round 3 ended without its reward'],
    [
      { kind: 'peer-down', peer: 'redeemer', name: 'r:8935', reason: 'away' },
      'bad',
      'the redeemer r:8935 is away: away',
    ],
  ]
  for (const [event, tone, text] of cases)
    assert.deepEqual(feedLine(sent(event)), { atMs: 5, tone, text }, JSON.stringify(text))
})

test('what is no event of this kind is not told, and no text takes more than its line', () => {
  for (const text of [
    '',
    '[]',
    'null',
    '{"kind":"round-begun"}',
    '{"kind":"constructor","atMs":1}',
    '{"kind":7}',
  ])
    assert.equal(feedLine(text), null, text)
  const odd = feedLine(sent({ kind: 'stream-begun', manifestId: `\u202e\n${'x'.repeat(1_000)}` }))
  assert.ok(odd && odd.text.length < 200 && !/[\p{Cc}\p{Cf}]/u.test(odd.text))
  assert.equal(feedLine(sent({ kind: 'ticket-won', faceValue: { a: 1 } }))?.text.includes('object'), false)
})

test('the newest lines are kept', () => {
  let lines: ReturnType<typeof withLine> = []
  for (let atMs = 0; atMs < MAX_LINES + 10; atMs++) lines = withLine(lines, { atMs, tone: 'plain', text: '' })
  assert.deepEqual([lines.length, lines[0]!.atMs], [MAX_LINES, MAX_LINES + 9])
})
