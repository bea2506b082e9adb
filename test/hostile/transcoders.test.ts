import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { defaultCapabilities } from '../../src/domain/capabilities.ts'
import type { NodeEvent } from '../../src/domain/events.ts'
import type { Notice } from '../../src/domain/transcoder-notice.ts'
import { TranscoderClient } from '../../src/io/rpc/transcoder-client.ts'
import { AUTHORIZATION } from '../../src/io/rpc/transcoder-endpoint.ts'
import { encodeResult } from '../../src/io/rpc/transcoder-result.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { CauseBook } from '../../src/node/cause-book.ts'
import { EngineCapacity } from '../../src/services/transcoding/engine-capacity.ts'
import { rawRequest, TRANSPORTS } from '../fakes/endpoint.ts'
import { FakeEngine } from '../fakes/engine.ts'
import { RecordingLog } from '../fakes/recording-log.ts'
import { outputOf } from '../fakes/transcoder.ts'
import { eventually } from '../tools/until.ts'
import { SECRET, serveHonest, startVictim, type Victim } from './victim.ts'

/** A transcoder that never answers its tasks. */
function register(t: TestContext, victim: Victim) {
  const client = new TranscoderClient({
    ...{ dice: systemDice, download: async () => new Uint8Array(0), own: null },
  })
  const stop = new AbortController()
  const line = client.line(victim.url)
  const told: Notice[] = []
  const registration = { secret: SECRET, capacity: 100, capabilities: defaultCapabilities('1.0.0') }
  const reading = (async () => {
    for await (const notice of line.notices(registration, stop.signal)) told.push(notice)
  })()
  reading.catch(() => {})
  t.after(() => {
    stop.abort()
    line.close()
  })
  return { told }
}

/** Posts a result for another transcoder's task. */
function forge(victim: Victim, taskId: bigint) {
  const boundary = '4c7b7cd30459fb442d90'
  return rawRequest(victim.port, TRANSPORTS['HTTP/2'], {
    method: 'POST',
    path: '/transcodeResults',
    headers: {
      ...{ authorization: AUTHORIZATION, credentials: SECRET, taskid: String(taskId), pixels: '1' },
      'content-type': `multipart/mixed; boundary=${boundary}`,
    },
    body: encodeResult(outputOf('forged').renditions, [false], boundary),
  })
}

test('a transcoder that guesses the numbers of others’ tasks completes none of them', async (t) => {
  await using victim = await startVictim({ engine: null })
  const { told } = register(t, victim)
  await eventually('it is registered', () => victim.pool.capacity === 100)
  let answer: string | null = null
  const served = serveHonest(victim).then((text) => {
    answer = text
  })
  await eventually('it has the task', () => told.length === 1)
  const [task] = told
  assert.ok(task?.kind === 'task')
  for (let guess = 0n; guess < 20n; guess++) assert.equal((await forge(victim, guess)).status, 200)
  for (const near of [task.taskId - 1n, task.taskId + 1n]) await forge(victim, near < 0n ? 99n : near)
  assert.equal(answer, null, 'the segment still waits for its own transcoder')
  // With the right number it works, because a Go transcoder posts over another connection.
  await forge(victim, task.taskId)
  await served
  assert.equal(answer, 'data')
})

test('wrong secrets do not fill the log, and a right one is accepted meanwhile', async (t) => {
  const log = new RecordingLog()
  const events: NodeEvent[] = []
  const causes = new CauseBook({
    clock: systemClock,
    log,
    events: { tell: (event) => void events.push(event) },
  })
  await using victim = await startVictim({ engine: null, log, causes })
  const register = (secret: string) => {
    const client = new TranscoderClient({
      ...{ dice: systemDice, download: async () => new Uint8Array(0), own: null },
    })
    const line = client.line(victim.url)
    const stop = new AbortController()
    t.after(() => {
      stop.abort()
      line.close()
    })
    const registration = { secret, capacity: 5, capabilities: defaultCapabilities('1.0.0') }
    return line.notices(registration, stop.signal)[Symbol.asyncIterator]().next()
  }
  for (let i = 0; i < 60; i++) await assert.rejects(register(`guess ${i}`), { message: 'invalid secret' })
  assert.deepEqual(log.of('warn'), ['transcoder refused: wrong secret'])
  const [cause] = causes.current
  assert.ok(cause!.count >= 20 && cause!.count <= 50, `${cause!.count} looked at, the others only refused`)
  register(SECRET).catch(() => {})
  await eventually('the right one is registered', () => victim.pool.capacity === 5)
})

test('segments declared longer than they are keep no honest one waiting', async () => {
  // Two workers, each of which takes 0.6 s for 2 s of video.
  const engine = new FakeEngine(systemClock, { parallel: 2, secondTakesMs: 300 })
  engine.lastsMs = () => 2_000
  const capacity = new EngineCapacity(
    { maxSessions: 100, ladder: [] },
    { engine, clock: systemClock, log: silentLog, sample: () => assert.fail('there is no trial') },
  )
  await using victim = await startVictim({ engine: capacity })
  assert.equal(await serveHonest(victim), 'data')
  const lies = Array.from({ length: 4 }, () => serveHonest(victim, 300_000))
  await eventually('they are at work', () => capacity.status().waiting === 2)
  assert.equal(await serveHonest(victim), 'data')
  assert.deepEqual(await Promise.all(lies), ['data', 'data', 'data', 'data'])
})
