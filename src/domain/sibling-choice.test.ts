import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bitstringOf } from './capabilities.ts'
import type { MemberWork, SeenMember } from './member.ts'
import { haveRoom, type SiblingNews, siblingsToAsk } from './sibling-choice.ts'

const NO_NEWS: SiblingNews = { handed: 0, isOut: false, isFull: false }

function member(node: string, work: Partial<MemberWork>, changes: Partial<SeenMember> = {}): SeenMember {
  return {
    ...{ node, instance: node, account: '', roles: ['orchestrator'], version: '1', address: `${node}:1` },
    ...{ fingerprint: 'AB', leftMs: 5_000 },
    work: { takesSegments: true, maxSessions: 10, sessions: 0, segments: 0, ...work },
    ...changes,
  }
}

for (const [what, siblings, order, room, news = {}] of [
  ['nobody', [], [], false],
  [
    'the most room for its size comes first',
    [
      member('a', { sessions: 5 }),
      member('b', { maxSessions: 100, sessions: 40 }),
      member('c', { sessions: 9 }),
    ],
    ['b', 'a', 'c'],
    true,
  ],
  [
    'of equals the one renewed last',
    [member('a', {}, { leftMs: 3_000 }), member('b', {}, { leftMs: 6_000 })],
    ['b', 'a'],
    true,
  ],
  [
    'full ones are asked last',
    [member('a', { sessions: 10 }), member('b', { sessions: 9 })],
    ['b', 'a'],
    true,
  ],
  [
    'full ones have no room',
    [member('a', { sessions: 10 }), member('b', { sessions: 12 })],
    ['a', 'b'],
    false,
  ],
  ['one that drains is not asked', [member('a', { takesSegments: false })], [], false],
  ['one that cannot be called is not asked', [member('a', {}, { fingerprint: '' })], [], false],
  ['one that failed is not asked', [member('a', {})], [], false, { a: { ...NO_NEWS, isOut: true } }],
  [
    'one that has just refused is asked last',
    [member('a', {}), member('b', { sessions: 9 })],
    ['b', 'a'],
    true,
    { a: { ...NO_NEWS, isFull: true } },
  ],
  [
    'what it was handed since counts',
    [member('a', { sessions: 2 }), member('b', { sessions: 3 })],
    ['b', 'a'],
    true,
    { a: { ...NO_NEWS, handed: 8 } },
  ],
] as const satisfies readonly (readonly [
  string,
  readonly SeenMember[],
  readonly string[],
  boolean,
  Readonly<Record<string, SiblingNews>>?,
])[]) {
  test(`which siblings are asked to take a segment: ${what}`, () => {
    const newsOf = (node: string) => (news as Readonly<Record<string, SiblingNews>>)[node] ?? NO_NEWS
    assert.deepEqual(
      siblingsToAsk(siblings, newsOf).map(({ node }) => node),
      order,
    )
    assert.equal(haveRoom(siblings, newsOf), room)
  })
}

test('one that says that it cannot do a segment is not asked', () => {
  const siblings = [
    member('a', { can: [1, 2] }),
    member('b', { can: [1, 70], sessions: 1 }),
    member('c', { sessions: 2 }),
  ]
  const asked = (needed: readonly number[]) =>
    siblingsToAsk(siblings, () => NO_NEWS, bitstringOf(needed)).map(({ node }) => node)
  assert.deepEqual(asked([]), ['a', 'b', 'c'])
  assert.deepEqual(asked([1, 2]), ['a', 'c'])
  assert.deepEqual(asked([70]), ['b', 'c'], 'an older one does not say what it can do')
})
