import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../../devnet/free-port.ts'
import { pushSegment } from '../../devnet/publisher.ts'
import { LOOPBACK } from '../../devnet/tcp-link.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { hostAndPort } from '../../src/lib/hosts.ts'
import { makeSegment } from '../media/media.ts'
import { testNodes } from './nodes.ts'

/** The package as users get it: packed, and installed into an empty folder. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const INSTALL_MS = 280_000
/** A package with more has what nobody needs who runs a node. */
const MAX_PACKED_BYTES = 2_000_000
const SEGMENT_MS = 1_000

const run = promisify(execFile)

test('the packed program is installed into an empty folder, and transcodes from any other', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-install-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: ROOT })
  const packed = join(folder, stdout.trim().split('\n').at(-1)!)
  const { size } = await stat(packed)
  t.diagnostic(`${size} bytes packed`)
  assert.ok(size < MAX_PACKED_BYTES, `${size} bytes packed`)
  const [, stated] = /Packed it has ([\d.]+) MB/.exec(await readFile(join(ROOT, 'README.md'), 'utf8')) ?? []
  assert.ok(Math.abs(size / 1e6 - Number(stated)) < 0.3, `${size} bytes, and the README says ${stated} MB`)

  const prefix = join(folder, 'prefix')
  // A download that stalls is begun again in time; npm’s own limit is as long as that of the whole test.
  const retry = ['--fetch-timeout', '60000']
  const options = ['--prefix', prefix, '--prefer-offline', '--no-audit', '--no-fund', ...retry]
  await run('npm', ['install', '--global', ...options, packed], { cwd: folder, timeout: INSTALL_MS })
  assert.deepEqual((await readdir(join(prefix, 'bin'))).sort(), [
    'livepeer',
    'livepeer_bench',
    'livepeer_cli',
  ])
  assert.deepEqual((await readdir(join(prefix, 'share/man/man1'))).sort(), ['livepeer.1', 'livepeer_cli.1'])
  const inside = await readdir(join(prefix, 'lib/node_modules/livepeer-ts'))
  for (const name of ['src', 'test', 'devnet']) assert.ok(!inside.includes(name), name)

  const livepeer = join(prefix, 'bin/livepeer')
  const answered = (program: string, ...args: string[]) =>
    run(join(prefix, 'bin', program), args, { cwd: '/' })
  const head = await run('git', ['rev-parse', 'HEAD'], { cwd: ROOT }).catch(() => null)
  const commit = head ? ` \\(commit ${head.stdout.slice(0, 12)}\\)` : ''
  assert.match(
    (await answered('livepeer', '-version')).stdout,
    new RegExp(`^livepeer-ts ${packageJson.version}${commit}\\n`),
  )
  assert.match((await answered('livepeer_bench', '-h')).stdout, /^Usage: livepeer_bench/)
  assert.match((await answered('livepeer_cli', '-h')).stdout, /^Usage: livepeer_cli/)

  const { node } = await testNodes(t, { program: livepeer })
  const [service, http] = [hostAndPort(LOOPBACK, await freePort()), hostAndPort(LOOPBACK, await freePort())]
  const orchestrator = await node('orchestrator', ['-orchestrator', '-transcoder', '-serviceAddr', service])
  await orchestrator.start()
  const gateway = await node('gateway', [
    ...['-gateway', '-orchAddr', service, '-httpAddr', http, '-transcodingOptions', 'P144p30fps16x9'],
  ])
  await gateway.start()
  const page = await fetch(`http://${orchestrator.command.control}/console/main.js`)
  assert.deepEqual([page.status, (await page.text()).length > 50_000], [200, true], 'its console')
  const bytes = await makeSegment({ width: 160, height: 90, fps: 10, durationMs: SEGMENT_MS })
  const pushed = await pushSegment(`http://${http}`, 'installed', { seq: 0, bytes, durationMs: SEGMENT_MS })
  assert.equal(pushed.status, 200, pushed.text)
  assert.equal(pushed.renditions.length, 1)
  const { stdout: screen } = await answered('livepeer', 'status', orchestrator.command.control)
  assert.match(screen, /1 node\b/)
})
