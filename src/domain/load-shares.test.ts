import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConnectionLoad, connectionsToMove } from './load-shares.ts'

const node = (sessions: number, maxSessions = 40, takesSegments = true) => ({
  work: { takesSegments, maxSessions, sessions, segments: 0 },
})
const connection = (id: number, segments: number, ageMs = 60_000): ConnectionLoad => ({ id, segments, ageMs })
const alike = (count: number, ageMs?: number) =>
  Array.from({ length: count }, (_, id) => connection(id, 5, ageMs))

const cases: readonly [
  what: string,
  own: ReturnType<typeof node>,
  siblings: readonly ReturnType<typeof node>[],
  connections: readonly ConnectionLoad[],
  moved: readonly number[],
][] = [
  ['an even load stays', node(10), [node(10), node(9)], alike(10), []],
  ['a little more than its share stays', node(12), [node(9), node(9)], alike(12), []],
  ['a node alone keeps everything', node(20), [], alike(20), []],
  ['siblings that drain get nothing', node(20), [node(0, 40, false)], alike(20), []],
  ['siblings without room get nothing', node(20, 40), [node(2, 2)], alike(20), []],
  [
    'half of the excess is moved, a quarter of the connections at most',
    node(20),
    [node(0), node(0)],
    alike(20),
    [0, 1, 2, 3, 4],
  ],
  ['half of a small excess is moved', node(16), [node(10), node(10)], alike(16), [0, 1]],
  ['shares go by the size of nodes', node(20, 40), [node(10, 20)], alike(20), []],
  ['a larger sibling has a larger share', node(12, 20), [node(4, 80)], alike(8), [0, 1]],
  ['new connections stay for a while', node(20), [node(0), node(0)], alike(20, 9_000), []],
  [
    'the only connection moves when its turn is over',
    node(20),
    [node(0), node(0)],
    [connection(7, 50, 20_000)],
    [7],
  ],
  ['and not before', node(20), [node(0), node(0)], [connection(7, 50, 19_000)], []],
  [
    'of a large one and small ones the small ones go',
    node(20),
    [node(0), node(0)],
    [connection(1, 80), connection(2, 10), connection(3, 10)],
    [2],
  ],
  [
    'a connection without segments is left alone',
    node(20),
    [node(0)],
    [connection(1, 0), connection(2, 0)],
    [],
  ],
  ['a single session is not worth a move', node(1), [node(0), node(0)], [connection(1, 5)], []],
]

for (const [what, own, siblings, connections, moved] of cases) {
  test(what, () => assert.deepEqual(connectionsToMove(own, siblings, connections), moved))
}
