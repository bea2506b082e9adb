import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import { SegmentAccounts } from './segment-accounts.ts'

test('what a node of a cluster sets aside bears its name, so that it is freed when the node is gone', () => {
  const needs = {
    ...{ balances: { owed: async () => Rational.zero }, records: { endSegment: async () => {} } },
    ...{ clock: new ManualClock(), dice: seededDice('holders'), log: silentLog },
  }
  const order = {
    ...({ sender: '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf', sessionId: 's', manifestId: 'm' } as const),
    ...{ payment: null, segment: new Uint8Array(32), pixels: 1n, lifeMs: 1_000 },
  }
  const holderOf = (process?: string) => {
    const accounts = new SegmentAccounts(
      { ticketEv: 1n, idleSessionMs: 1_000, ...(process && { process }) },
      needs,
    )
    return accounts.holdFor(order, Rational.one, Rational.zero).holder
  }
  assert.match(
    holderOf('0123456789abcdef/fedcba9876543210'),
    /^0123456789abcdef\/fedcba9876543210\/0x[0-9a-f]{32}$/,
  )
  assert.match(holderOf(), /^0x[0-9a-f]{32}$/)
})
