import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Address, ZERO_ADDRESS } from '../lib/crypto.ts'
import { NO_HINTS, type PoolPlace, poolHints } from './pool-hints.ts'

const addressOf = (name: string) => `0x${Buffer.from(name).toString('hex').padEnd(40, '0')}` as Address
const [a, b, c, me] = ['a', 'b', 'c', 'me'].map(addressOf) as [Address, Address, Address, Address]
const none = ZERO_ADDRESS

const pool = (...places: [Address, bigint][]): PoolPlace[] =>
  places.map(([address, stake]) => ({ address, stake }))

const CASES: [string, PoolPlace[], bigint, bigint, Address, Address][] = [
  ['alone in the pool', pool([me, 5n]), 6n, 10n, none, none],
  ['stays first', pool([me, 9n], [a, 5n]), 10n, 10n, none, a],
  ['stays last', pool([a, 9n], [b, 5n], [me, 1n]), 2n, 10n, b, none],
  ['overtakes one', pool([a, 9n], [b, 5n], [me, 4n]), 6n, 10n, a, b],
  ['overtakes all', pool([a, 9n], [b, 5n], [me, 4n]), 10n, 10n, none, a],
  ['is placed behind equal stakes', pool([a, 9n], [b, 5n], [me, 4n]), 5n, 10n, b, none],
  ['the last of a full pool stays last', pool([a, 9n], [me, 5n], [c, 1n]), 6n, 3n, a, c],
  ['joins a pool with room', pool([a, 9n], [b, 5n]), 7n, 3n, a, b],
  ['takes the last place of a full pool', pool([a, 9n], [b, 5n], [c, 1n]), 2n, 3n, b, none],
  [
    'pushes out the last of a full pool and takes the place before it',
    pool([a, 9n], [b, 5n], [c, 1n]),
    7n,
    3n,
    a,
    b,
  ],
  ['does not enter with the same stake as the last', pool([a, 9n], [b, 5n]), 5n, 2n, none, none],
  ['an empty pool', [], 5n, 2n, none, none],
  ['a pool without places', [], 5n, 0n, none, none],
]

for (const [claim, places, stake, maxSize, prev, next] of CASES) {
  test(`${claim}: the hints name the neighbours`, () => {
    assert.deepEqual(poolHints(places, { address: me, stake }, maxSize), { prev, next })
  })
}

/** What the contract's list accepts without a search (contracts.md §8.2). */
function isAccepted(list: readonly PoolPlace[], stake: bigint, prev: Address, next: Address): boolean {
  if (list.length === 0) return prev === none && next === none
  if (prev === none) return next === list[0]!.address && stake >= list[0]!.stake
  if (next === none) return prev === list.at(-1)!.address && stake <= list.at(-1)!.stake
  const at = list.findIndex(({ address }) => address === prev)
  return list[at + 1]?.address === next && list[at]!.stake >= stake && stake >= list[at + 1]!.stake
}

test('in any pool, a member whose stake grows gets hints that the contract accepts', () => {
  fc.assert(
    fc.property(
      fc.array(fc.bigInt(1n, 20n), { maxLength: 12 }),
      fc.bigInt(1n, 20n),
      fc.bigInt(0n, 20n),
      (stakes, before, reward) => {
        const others = stakes.map((stake, index) => ({ address: addressOf(`o${index}`), stake }))
        const inside = [...others, { address: me, stake: before }].sort((x, y) => Number(y.stake - x.stake))
        const hints = poolHints(inside, { address: me, stake: before + reward }, BigInt(inside.length))
        const list = inside.filter(({ address }) => address !== me)
        return isAccepted(list, before + reward, hints.prev, hints.next)
      },
    ),
  )
})

test('in any pool, a new member gets hints for the list without the evicted one, or none', () => {
  fc.assert(
    fc.property(
      fc.array(fc.bigInt(1n, 20n), { minLength: 1, maxLength: 12 }),
      fc.bigInt(1n, 20n),
      fc.boolean(),
      (stakes, stake, full) => {
        const list = stakes
          .map((each, index) => ({ address: addressOf(`o${index}`), stake: each }))
          .sort((x, y) => Number(y.stake - x.stake))
        const hints = poolHints(list, { address: me, stake }, BigInt(list.length + (full ? 0 : 1)))
        if (!full) return isAccepted(list, stake, hints.prev, hints.next)
        const last = list.pop()!
        if (stake <= last.stake) return hints.prev === NO_HINTS.prev && hints.next === NO_HINTS.next
        return isAccepted(list, stake, hints.prev, hints.next)
      },
    ),
  )
})
