import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { QuietReport } from './quiet-week.ts'

/** A week, and a bit. */
const ROUNDS = 8

test('a healthy orchestrator and its redeemer write no warning and no error in a week and alert nobody, and tell their work', async (t) => {
  const worker = new Worker(new URL('./quiet-week.ts', import.meta.url), { workerData: ROUNDS })
  const [report] = (await once(worker, 'message')) as [QuietReport]
  const { alerts, days, looks, loud, told, won } = report
  t.diagnostic(JSON.stringify({ days, won, ...told }))
  assert.deepEqual(loud, [])
  assert.deepEqual(alerts, [])
  assert.ok(looks > 3_000, `alerts were looked for ${looks} times`)
  assert.ok(days >= 7, `${days} days`)
  assert.ok(won > 100, `${won} tickets won`)
  for (const line of ['o1 ticket won', 'o1 ticket delivered', 'o1 ticket redeemed', 'r1 ticket redeemed'])
    assert.ok(told[line]! >= won, `${line}: ${told[line]}`)
  assert.ok(told['r1 reward called']! >= ROUNDS)
  // The first round began before the nodes. The redeemer's node has a line for its rewards too.
  assert.equal(told['o1 work of the last round'], ROUNDS)
  assert.equal(told['r1 work of the last round'], 2 * ROUNDS)
})
