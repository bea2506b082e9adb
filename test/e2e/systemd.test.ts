import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../devnet/free-port.ts'
import { DatagramListener } from '../net/datagrams.ts'
import { eventually } from '../tools/until.ts'

const BIN = fileURLToPath(new URL('../../bin/livepeer', import.meta.url))

test('systemd is told when the node starts, is ready, lives and stops, and no other process answers for it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-systemd-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const socket = join(folder, 'notify')
  using listener = new DatagramListener(socket)
  const flags = [
    ...['-orchestrator', '-transcoder', '-serviceAddr', `127.0.0.1:${await freePort()}`],
    ...['-cliAddr', `127.0.0.1:${await freePort()}`, '-dataDir', join(folder, 'data')],
  ]
  const child = spawn(BIN, flags, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '400000' },
  })
  let log = ''
  child.stderr.on('data', (chunk) => {
    log += chunk
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  t.after(() => child.kill('SIGKILL'))
  await listener.hears('READY=1').catch((error) => assert.fail(`${error}\n${log}`))
  const steps = listener.lines.filter((line) => line.startsWith('STATUS='))
  assert.ok(steps.includes('STATUS=waits for media to start'), steps.join('\n'))
  assert.equal(steps.at(-1), 'STATUS=ready')
  assert.ok(listener.lines.indexOf('READY=1') > listener.lines.indexOf('STATUS=waits for media to start'))

  const signs = () => listener.lines.filter((line) => line === 'WATCHDOG=1').length
  const before = signs()
  await eventually('further signs of life', () => signs() >= before + 3)

  const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
  const workers = children.split(' ').filter((pid) => pid.trim() !== '')
  assert.ok(workers.length > 0)
  for (const pid of workers)
    assert.doesNotMatch(await readFile(`/proc/${pid}/environ`, 'latin1'), /NOTIFY_SOCKET|WATCHDOG_/)

  child.kill('SIGTERM')
  assert.equal(await ended, 0, log)
  const { lines } = listener
  assert.ok(lines.includes('STOPPING=1'))
  assert.ok(lines.indexOf('STOPPING=1') > lines.indexOf('READY=1'))
  assert.doesNotMatch(log, /WARN|ERROR/)
})

test('a node goes on when systemd cannot be told', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-systemd-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const control = `127.0.0.1:${await freePort()}`
  const http = `127.0.0.1:${await freePort()}`
  const flags = ['-gateway', '-rtmpAddr', 'none', '-httpAddr', http, '-cliAddr', control]
  const child = spawn(BIN, [...flags, '-dataDir', join(folder, 'data')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, NOTIFY_SOCKET: 'vsock:2:1234' },
  })
  let log = ''
  child.stderr.on('data', (chunk) => {
    log += chunk
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const isReady = () =>
    fetch(`http://${control}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    )
  await eventually('readiness', isReady)
  child.kill('SIGTERM')
  assert.equal(await ended, 0, log)
  assert.match(log, /WARN {2}systemd cannot be told of this node/)
})

const UNIT = fileURLToPath(new URL('../../deploy/systemd/livepeer@.service', import.meta.url))
const hasSystemd = spawnSync('systemd-analyze', ['--version']).error === undefined

test('the unit is one that systemd takes, and gives a node little beyond its work', {
  skip: !hasSystemd,
}, (t) => {
  const analyze = (...args: string[]) =>
    spawnSync('systemd-analyze', [...args, UNIT], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    })
  const verified = analyze('verify')
  assert.equal(`${verified.status} ${verified.stdout}${verified.stderr}`, '0 ')
  const { stdout } = analyze('security', '--offline=true', '--no-pager')
  const [, exposure] = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout) ?? []
  t.diagnostic(`exposure ${exposure}`)
  assert.ok(Number(exposure) <= 5, stdout)
})
