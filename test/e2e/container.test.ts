import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../devnet/free-port.ts'
import { eventually } from '../tools/until.ts'

/** As the image runs it (deploy/docker/Dockerfile): process 1, a user without rights, nothing to write on but /data and /tmp. */

const LIVEPEER = fileURLToPath(new URL('../../bin/livepeer', import.meta.url))
const USER = '10001'
const INSIDE = `set -e
mount --make-rprivate /
mount --rbind / /mnt
mount -o remount,ro,bind /mnt
mount -t tmpfs tmpfs /mnt/tmp
install --directory --owner ${USER} --group ${USER} --mode 0700 /mnt/tmp/data
exec chroot /mnt setpriv --reuid ${USER} --regid ${USER} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"`
const UNSHARE = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
const canRun =
  spawnSync('unshare', [...UNSHARE, 'sh', '-c', INSIDE, 'sh', LIVEPEER, '-version'], { env: environment() })
    .status === 0

test('the node is process 1 of a container without rights and with a read-only root, and ends cleanly', {
  skip: canRun ? false : 'this machine allows no namespaces, or another user may not read this folder',
}, async (t) => {
  const [service, control] = [await freePort(), await freePort()]
  const flags = [
    '-orchestrator',
    '-transcoder',
    '-serviceAddr',
    `127.0.0.1:${service}`,
    '-dataDir',
    '/tmp/data',
  ]
  const child = spawn(
    'unshare',
    [...UNSHARE, 'sh', '-c', INSIDE, 'sh', LIVEPEER, ...flags, '-cliAddr', `127.0.0.1:${control}`],
    { env: environment(), stdio: ['ignore', 'ignore', 'pipe'] },
  )
  // Where it changes its user, a process no longer dies with its parent.
  t.after(() => node !== null && process.kill(node, 'SIGKILL'))
  let node: number | null = null
  let log = ''
  child.stderr.on('data', (chunk) => {
    log += chunk
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const children = () => readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()
  await eventually('it has begun', () => children() !== '')
  node = Number(children())
  await eventually('the node is ready', () => / ready /.test(log), 60_000).catch((error) =>
    assert.fail(`${error}\n${log}`),
  )
  const health = spawnSync(LIVEPEER, ['health', String(control)], { encoding: 'utf8' })
  assert.equal(health.status, 0, health.stderr)

  const status = readFileSync(`/proc/${node}/status`, 'utf8')
  assert.match(status, new RegExp(`^NSpid:\\t${node}\\t1$`, 'm'))
  assert.match(status, new RegExp(`^Uid:\\t${USER}\\t${USER}`, 'm'))
  assert.match(status, /^CapBnd:\t0+$/m)
  const mounts = readFileSync(`/proc/${node}/mounts`, 'utf8').split('\n')
  assert.match(mounts.filter((line) => / \/ /.test(line)).at(-1)!, / \/ \S+ ro,/)

  process.kill(node, 'SIGTERM')
  assert.equal(await ended, 0, log)
  node = null
  assert.doesNotMatch(log, /ERROR/)
})

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, HOME: '/tmp/data', NODE_COMPILE_CACHE: '/tmp/livepeer' }
}
