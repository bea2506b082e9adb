import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../../../test/tools/until.ts'
import { Store } from '../../io/store/store.ts'
import { ManualClock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { SecretRing } from './secret-ring.ts'

const MINUTE = 60_000

test('a rotation begins with a new secret; the one before it verifies for an hour, and is then gone for good', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-secrets-'))
  const clock = new ManualClock()
  const store = new Store({ location: join(folder, 'node.sqlite3') }, { dice: seededDice('secrets') })
  await store.open()
  let supervisor = new Supervisor()
  t.after(async () => {
    await supervisor.stop()
    await store.close()
    rmSync(folder, { recursive: true })
  })
  const restart = async (rotate: boolean) => {
    await supervisor.stop()
    supervisor = new Supervisor()
    const ring = new SecretRing('ticket', { secrets: store, clock, log: silentLog }, { rotate })
    await supervisor.start(ring)
    return ring
  }

  const first = await restart(false)
  const [old] = first.keys
  assert.deepEqual((await restart(false)).keys, [old], 'a restart changes nothing')
  const rotated = await restart(true)
  const [young] = rotated.keys
  assert.notDeepEqual(young, old)
  assert.deepEqual(rotated.keys, [young, old])
  await clock.wind(30 * MINUTE)
  assert.deepEqual(
    (await restart(true)).keys,
    [young, old],
    'a node that restarts often does not rotate each time',
  )
  const last = await restart(false)
  await clock.wind(29 * MINUTE)
  assert.deepEqual(last.keys, [young, old])
  await eventually('the old one is gone', async () => {
    await clock.wind(MINUTE)
    return last.keys.length === 1
  })
  assert.deepEqual(last.keys, [young])
  assert.deepEqual((await restart(false)).keys, [young])
})
