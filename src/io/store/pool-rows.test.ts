import assert from 'node:assert/strict'
import { test } from 'node:test'
import { poolInText } from './pool-rows.ts'

const ADDRESS = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const member = {
  ...{ address: ADDRESS, serviceUri: 'https://o.example:8935', stake: '7' },
  ...{ activationRound: '1', deactivationRound: '99' },
}
const text = (changes: object) => JSON.stringify({ readAtMs: 5, members: [{ ...member, ...changes }] })

test('a text that no node wrote is no pool', () => {
  assert.equal(poolInText(text({}))?.members[0]?.stake, 7n)
  for (const other of [
    null,
    '',
    '[]',
    '{"readAtMs":5}',
    text({ address: 'nobody' }),
    text({ stake: -1 }),
    text({ stake: '1e9' }),
    text({ activationRound: '9'.repeat(79) }),
    text({ serviceUri: 'x'.repeat(2_001) }),
    JSON.stringify({ readAtMs: 5, members: Array.from({ length: 10_001 }, () => member) }),
  ]) {
    assert.equal(poolInText(other), null, other?.slice(0, 100))
  }
})
