import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { DatagramListener } from '../../../test/net/datagrams.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { addressOf, DatagramSocket } from './datagram.ts'
import { type ManagerVariables, ServiceManager } from './service-manager.ts'

const PID = 4711

async function temporaryPath(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-systemd-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'notify')
}

async function started(variables: ManagerVariables) {
  const clock = new ManualClock()
  const supervisor = new Supervisor()
  const manager = new ServiceManager(variables, { clock, log: silentLog, pid: PID })
  await supervisor.start(manager)
  return { clock, manager, supervisor }
}

test('systemd is told each step, in order, on its own socket', async (t) => {
  const socket = await temporaryPath(t)
  using listener = new DatagramListener(socket)
  const { manager, supervisor } = await started({ socket })
  manager.status('waits for\nthe chain')
  manager.ready()
  manager.status('ready')
  manager.stopping()
  await supervisor.stop()
  assert.deepEqual(listener.received, ['STATUS=waits for the chain', 'READY=1', 'STATUS=ready', 'STOPPING=1'])
})

test('an abstract socket works too', async () => {
  const socket = `@livepeer-test-${process.pid}`
  using listener = new DatagramListener(socket)
  const { manager, supervisor } = await started({ socket })
  manager.ready()
  await supervisor.stop()
  assert.deepEqual(listener.received, ['READY=1'])
})

const watchdogs: [variables: Omit<ManagerVariables, 'socket'>, signs: number][] = [
  [{ watchdogUs: '2000000' }, 10],
  [{ watchdogUs: '2000000', watchdogPid: String(PID) }, 10],
  [{ watchdogUs: '2000000', watchdogPid: '1' }, 0],
  [{ watchdogUs: '0' }, 0],
  [{ watchdogUs: 'soon' }, 0],
  [{}, 0],
]
for (const [variables, signs] of watchdogs) {
  test(`${JSON.stringify(variables)} asks for ${signs} signs of life in ten seconds`, async (t) => {
    const socket = await temporaryPath(t)
    using listener = new DatagramListener(socket)
    const { clock, supervisor } = await started({ socket, ...variables })
    await clock.wind(9_999)
    await supervisor.stop()
    assert.deepEqual(
      listener.lines,
      Array.from({ length: signs }, () => 'WATCHDOG=1'),
    )
  })
}

test('what cannot be delivered is told later, in its newest state, with one warning if it takes a second', async (t) => {
  const socket = await temporaryPath(t)
  const [clock, log, supervisor] = [new ManualClock(), new RecordingLog(), new Supervisor()]
  const manager = new ServiceManager({ socket }, { clock, log, pid: PID })
  await supervisor.start(manager)
  manager.status('waits for the chain')
  manager.ready()
  manager.status('ready')
  const warnings = () =>
    log.lines.filter(({ message }) => message === 'systemd not told yet, retrying').length
  await clock.wind(999)
  assert.equal(warnings(), 0)
  await clock.wind(2_001)
  using listener = new DatagramListener(socket)
  await clock.wind(1_000)
  await supervisor.stop()
  assert.deepEqual(listener.received, ['STATUS=ready\nREADY=1'])
  assert.equal(warnings(), 1)
})

test('a path that is no socket is refused', () => {
  for (const path of ['', 'relative', '@', '/', 'vsock:2:1234', `/${'x'.repeat(200)}`]) {
    assert.throws(() => new DatagramSocket(path), { code: 'not-sent' }, path)
  }
  assert.equal(addressOf('/run/notify').toString('latin1').slice(2), '/run/notify\0')
})
