import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { nullEngine } from '../../bench/null-engine.ts'
import { freePort } from '../../devnet/free-port.ts'
import { defaultCapabilities } from '../../src/domain/capabilities.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { runNode } from '../../src/node/node.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import { INFO, startEndpoint } from '../fakes/endpoint.ts'
import { FastClock } from '../fakes/fast-clock.ts'
import { settingsOf } from '../fakes/settings.ts'
import { eventually } from '../tools/until.ts'

/** A gateway in this process, whose minutes last three seconds. */
const TIMES = 20

test('a gateway without a stream tells that its orchestrator is away, until it is back', async () => {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-idle-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const [http, control, service] = await Promise.all([freePort(), freePort(), freePort()])
  const at = (port: number) => `127.0.0.1:${port}`
  const line = `-gateway -rtmpAddr none -httpAddr ${at(http)} -cliAddr ${at(control)} -orchAddr ${at(service)} -dataDir ${folder}`
  const env = { version: '1', clock: new FastClock(TIMES), dice: systemDice, log: silentLog, cpus: 1 }
  const stop = new AbortController()
  const running = runNode(settingsOf(line), { ...env, media: nullEngine, prompt: null }, stop.signal)
  stack.defer(async () => {
    stop.abort()
    await running
  })

  const causes = async () => {
    const answer = await fetch(`http://${at(control)}/status`).catch(() => null)
    return answer?.ok ? (((await answer.json()) as NodeStatus).causes ?? []) : null
  }
  await eventually('it is told', async () => {
    return (await causes())?.some(({ code }) => code === 'orchestrators-silent') === true
  })
  const [cause] = (await causes())!.filter(({ code }) => code === 'orchestrators-silent')
  assert.match(cause!.says, new RegExp(`the only orchestrator does not answer: https://${at(service)} `))

  const endpoint = stack.use(await startEndpoint({ port: service }))
  const authToken = { token: Uint8Array.of(1), sessionId: '0a1b2c3d', expiration: 2n ** 40n }
  const offer = { ...INFO, authToken, capabilities: defaultCapabilities('0.9.1'), transcoder: endpoint.url }
  endpoint.api.onInfo = async () => offer
  await eventually('it is over', async () => {
    return (await causes())?.some(({ code }) => code === 'orchestrators-silent') === false
  })
})
