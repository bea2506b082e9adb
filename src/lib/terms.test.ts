import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { FakeLeader } from '../../test/fakes/leader.ts'
import { ManualClock } from './clock.ts'
import { silentLog } from './log.ts'
import { type Service, Supervisor } from './service.ts'
import { type TermWork, whileLeading } from './terms.ts'

async function world(t: TestContext, work: TermWork) {
  const clock = new ManualClock()
  const leader = new FakeLeader()
  const supervisor = new Supervisor()
  t.after(() => supervisor.stop())
  const service: Service = {
    name: 'led',
    start: (scope) =>
      scope.spawn('lead', (signal) => whileLeading(leader, work, { clock, log: silentLog }, signal)),
  }
  await supervisor.start(service)
  const lead = async (epoch: bigint | null) => {
    leader.set(epoch)
    await clock.wind(0)
    await clock.wind(0)
  }
  return { clock, lead, supervisor }
}

test('services run in each term, and are stopped at its end and with the node', async (t) => {
  const happened: string[] = []
  const w = await world(t, async (epoch, supervisor, term) => {
    term.addEventListener('abort', () => happened.push(`over ${epoch}`))
    await supervisor.start({
      name: 'work',
      start: (scope) => {
        happened.push(`start ${epoch}`)
        scope.defer(() => void happened.push(`stop ${epoch}`))
      },
    })
  })
  await w.clock.wind(5_000)
  assert.deepEqual(happened.splice(0), [])
  await w.lead(1n)
  assert.deepEqual(happened.splice(0), ['start 1'])
  await w.lead(null)
  assert.deepEqual(happened.splice(0), ['over 1', 'stop 1'])
  await w.lead(3n)
  // Another term may follow without a pause.
  await w.lead(5n)
  assert.deepEqual(happened.splice(0), ['start 3', 'over 3', 'stop 3', 'start 5'])
  await w.supervisor.stop()
  assert.deepEqual(happened, ['over 5', 'stop 5'])
})

test('work that cannot begin is tried again, and given up when the term is over', async (t) => {
  let tries = 0
  let isWell = false
  const w = await world(t, async () => {
    tries++
    if (!isWell) throw new Error('the store is away')
  })
  await w.lead(1n)
  await w.clock.wind(3_000)
  assert.equal(tries, 4)
  isWell = true
  await w.clock.wind(3_000)
  assert.equal(tries, 5)
})

test('a start that hangs does not outlive its term', async (t) => {
  const starts: bigint[] = []
  const w = await world(t, (epoch) => {
    starts.push(epoch)
    return new Promise(() => {})
  })
  await w.lead(1n)
  await w.lead(2n)
  assert.deepEqual(starts, [1n, 2n])
})

test('a service that fails during its term fails the node', async (t) => {
  const w = await world(t, (_, supervisor) =>
    supervisor.start({
      name: 'work',
      start: (scope) => scope.spawn('do it', () => Promise.reject(new Error('a fault of the program'))),
    }),
  )
  await w.lead(1n)
  await assert.rejects(w.supervisor.failed, /work: do it failed: Error: a fault of the program/)
})
