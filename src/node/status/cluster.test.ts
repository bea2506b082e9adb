import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_WORK, type SeenMember } from '../../domain/member.ts'
import { clusterFigures } from './cluster.ts'

test('the status lists the members in one order, with how long a silent one has been silent', () => {
  const seen = (digit: string, leftMs: number): SeenMember => ({
    ...{ node: digit.repeat(16), instance: '1'.repeat(16), account: '0xA', roles: ['orchestrator'] },
    ...{
      version: '1',
      address: `10.0.0.${digit}:8935`,
      fingerprint: 'secret to no one',
      work: NO_WORK,
      leftMs,
    },
  })
  const leads = [{ duty: 'redeem', forMs: 7_000 }] as const
  const all = [seen('2', 4_000), { ...seen('1', 3_000), leads }, { ...seen('3', -1_500.4), leads }]
  const { isIn, members, node } = clusterFigures({ node: '1'.repeat(16), isIn: false, all })
  assert.deepEqual(
    members.map((member) => member.leads),
    [leads, [], []],
    'a silent one leads nothing any more',
  )
  assert.deepEqual([node, isIn], ['1'.repeat(16), false])
  assert.deepEqual(
    members.map(({ address, alive, seenMs, silentMs }) => [address, alive, silentMs, seenMs]),
    [
      ['10.0.0.1:8935', true, 0, 3_000],
      ['10.0.0.2:8935', true, 0, 2_000],
      ['10.0.0.3:8935', false, 1_500, 7_500],
    ],
  )
})
