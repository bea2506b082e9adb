import assert from 'node:assert/strict'
import { test } from 'node:test'
import payments from '../../test/vectors/payments.json' with { type: 'json' }
import { clampFloat, maxFloat, reserveShare } from './float.ts'

for (const row of payments.float) {
  test(`float of ${JSON.stringify(row)}`, () => {
    const [deposit, pending] = [BigInt(row.deposit), BigInt(row.pending)]
    const reserve = {
      fundsRemaining: BigInt(row.remaining),
      claimedInCurrentRound: BigInt(row.claimedInRound),
    }
    const share = reserveShare(reserve, BigInt(row.pool), BigInt(row.claimed))
    assert.equal(maxFloat(share, deposit, pending), BigInt(row.maxFloat))
  })
}

test('what others claimed in this round still counts towards the share, as on chain', () => {
  const share = (remaining: bigint, claimed: bigint, own: bigint) =>
    reserveShare({ fundsRemaining: remaining, claimedInCurrentRound: claimed }, 10n, own)
  assert.equal(share(1000n, 0n, 0n), 100n)
  assert.equal(share(990n, 10n, 10n), 90n)
  assert.equal(share(900n, 100n, 100n), 0n)
})

test('pending tickets do not reduce the float from a deposit of three times their value on', () => {
  assert.equal(maxFloat(100n, 30n, 10n), 100n)
  assert.equal(maxFloat(100n, 29n, 10n), 90n)
  assert.equal(maxFloat(100n, 10n ** 30n, 0n), 100n)
})

test('a negative float is offered as zero', () => {
  assert.equal(clampFloat(-90n), 0n)
  assert.equal(clampFloat(0n), 0n)
  assert.equal(clampFloat(142n), 142n)
})
