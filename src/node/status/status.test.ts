import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../../../test/fakes/settings.ts'
import { ManualClock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { NodeAlertFacts } from '../alert-facts.ts'
import { Parts } from '../parts.ts'
import { readingsOf } from '../readings.ts'
import { StatusFacts } from './facts.ts'
import { statusOf } from './status.ts'

/** The status of an offchain node with these flags, of which nothing is started. */
function nodeOf(line: string) {
  const settings = settingsOf(line)
  const env = {
    ...{ version: '1', clock: new ManualClock(), dice: seededDice('status'), log: silentLog, cpus: 2 },
  }
  const parts = new Parts(settings, null, env)
  const facts = new StatusFacts(parts, env)
  const progress = { version: '1', nowMs: 0, waitingFor: null, hasStarted: true, drain: null }
  return {
    status: () => statusOf({ parts, facts }, progress),
    maxSessions: async () => {
      const samples = await readingsOf(parts, facts, new NodeAlertFacts(parts, facts)).max_sessions_total!()
      return samples[0]?.value
    },
  }
}

const SERVICE = '-serviceAddr 127.0.0.1:8935'

for (const [line, maxSessions, hasEngine] of [
  ['-gateway -orchAddr a -maxSessions 3', 3, false],
  [`-orchestrator -orchSecret s ${SERVICE}`, 0, false],
  [`-orchestrator -orchSecret s ${SERVICE} -maxSessions auto`, 0, false],
  [`-orchestrator -transcoder ${SERVICE}`, 10, true],
  [`-orchestrator -transcoder ${SERVICE} -maxSessions auto`, 1, true],
  ['-transcoder -orchSecret s -orchAddr a -maxSessions 4', 4, true],
] as const) {
  test(`${line} shows a capacity of ${maxSessions} in status and metrics before it has measured one`, async () => {
    const node = nodeOf(line)
    const { capacity } = await node.status()
    assert.equal(capacity?.maxSessions, maxSessions)
    assert.equal(capacity?.engine?.sessions, hasEngine ? maxSessions : undefined)
    assert.equal(await node.maxSessions(), maxSessions)
  })
}
