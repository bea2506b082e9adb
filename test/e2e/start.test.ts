import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../devnet/free-port.ts'
import { until } from '../tools/until.ts'

const BIN = fileURLToPath(new URL('../../bin/livepeer', import.meta.url))

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'livepeer-start-'))
})
after(() => rm(folder, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function launch(args: readonly string[], options: { bin?: string; env?: Record<string, string> } = {}) {
  const rtmp = args.includes('-gateway') ? ['-rtmpAddr', 'none'] : []
  const child = spawn(options.bin ?? BIN, [...rtmp, ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HOME: folder, ...options.env },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = new Promise<Ended>((resolve) =>
    child.once('close', (code) => resolve({ code, stdout, stderr })),
  )
  return { child, ended }
}

/** The message of the last log line, without time and level; or the line itself. */
function sentence(stderr: string): string {
  const line = stderr.trim().split('\n').at(-1) ?? ''
  return line.replace(/^\S+ ERROR /, '')
}

async function isReady(control: string): Promise<true | null> {
  return fetch(`http://${control}/healthz`).then(
    ({ ok }) => ok || null,
    () => null,
  )
}

test('the node runs from any directory, through a link, on npm’s Node.js, as one process', async () => {
  const link = join(folder, 'livepeer')
  await symlink(BIN, link)
  const control = `127.0.0.1:${await freePort()}`
  const args = [
    '-gateway',
    '-httpAddr',
    `127.0.0.1:${await freePort()}`,
    '-cliAddr',
    control,
    '-dataDir',
    'link',
  ]
  const { child, ended } = launch(args, { bin: link })
  await until(() => isReady(control), 'readiness')
  assert.match(
    await readlink(`/proc/${child.pid}/exe`),
    /node_modules\/node(-linux-x64)?\/.*node$|node_modules\/node\/bin\/node$/,
  )
  child.kill('SIGTERM')
  const { code, stderr } = await ended
  assert.equal(code, 0, stderr)
})

test('a secret from the environment is used, and neither the process nor its workers show it', async () => {
  const control = `127.0.0.1:${await freePort()}`
  const service = `127.0.0.1:${await freePort()}`
  const args = ['-orchestrator', '-transcoder', '-serviceAddr', service, '-cliAddr', control]
  const { child, ended } = launch([...args, '-dataDir', 'secret'], { env: { LP_CLITOKEN: 'swordfish' } })
  await until(() => isReady(control), 'readiness')
  const status = (headers: Record<string, string>) =>
    fetch(`http://${control}/status`, { headers }).then((answer) => answer.status)
  assert.deepEqual([await status({}), await status({ authorization: 'Bearer swordfish' })], [401, 200])
  for (const pid of [child.pid!, ...(await childrenOf(child))])
    assert.doesNotMatch(await readFile(`/proc/${pid}/environ`, 'latin1'), /swordfish|LP_CLITOKEN/)
  child.kill('SIGTERM')
  const { code, stderr } = await ended
  assert.equal(code, 0)
  assert.doesNotMatch(stderr, /swordfish/)
})

test('a node continues when its log is no longer read', async () => {
  const control = `127.0.0.1:${await freePort()}`
  const args = ['-gateway', '-httpAddr', `127.0.0.1:${await freePort()}`, '-v', '5']
  const { child, ended } = launch([...args, '-cliAddr', control, '-dataDir', 'unread'])
  child.stderr.destroy()
  child.stdout.destroy()
  await until(() => isReady(control), 'readiness')
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
})

test('kill ends the node itself and its workers', async () => {
  const control = `127.0.0.1:${await freePort()}`
  const service = await freePort()
  const args = [
    '-orchestrator',
    '-transcoder',
    '-serviceAddr',
    `127.0.0.1:${service}`,
    '-cliAddr',
    control,
    '-dataDir',
    'killed',
  ]
  const { child, ended } = launch(args)
  await until(() => isReady(control), 'readiness')
  const workers = await childrenOf(child)
  assert.ok(workers.length > 0, 'it has workers')
  child.kill('SIGKILL')
  await ended
  await until(
    async () => ((await Promise.all(workers.map(isAlive))).some(Boolean) ? null : true),
    'the end of its workers',
  )
})

test('a node with an unreachable service address exits with the reason and a nonzero code', async () => {
  const nowhere = await freePort()
  const { ended } = launch([
    ...[
      '-orchestrator',
      '-transcoder',
      '-serviceAddr',
      `127.0.0.1:${nowhere}`,
      '-httpAddr',
      `127.0.0.1:${await freePort()}`,
    ],
    ...['-cliAddr', `127.0.0.1:${await freePort()}`, '-dataDir', 'nowhere'],
  ])
  const { code, stderr } = await ended
  assert.equal(code, 1)
  assert.match(
    sentence(stderr),
    new RegExp(`^this node cannot be reached at its advertised address https://127.0.0.1:${nowhere} `),
  )
})

test('a second node cannot use a data directory that is in use', async () => {
  const control = `127.0.0.1:${await freePort()}`
  const first = launch([
    '-orchestrator',
    '-transcoder',
    '-serviceAddr',
    `127.0.0.1:${await freePort()}`,
    '-cliAddr',
    control,
    '-dataDir',
    'shared',
  ])
  await until(() => isReady(control), 'readiness')
  const second = await launch([
    ...['-orchestrator', '-transcoder', '-serviceAddr', `127.0.0.1:${await freePort()}`],
    ...['-cliAddr', `127.0.0.1:${await freePort()}`, '-dataDir', 'shared'],
  ]).ended
  first.child.kill('SIGTERM')
  await first.ended
  assert.equal(second.code, 1)
  assert.equal(
    sentence(second.stderr),
    'another process is using shared/livepeer-ts.sqlite3: stop it first, or give this one its own -dataDir',
  )
})

test('an unusable data folder ends the start with one sentence, except for a gateway', async () => {
  await writeFile(join(folder, 'in-its-place'), 'x')
  const control = `127.0.0.1:${await freePort()}`
  const at = ['-cliAddr', control, '-dataDir', 'in-its-place']
  const orchestrator = ['-orchestrator', '-transcoder', '-serviceAddr', `127.0.0.1:${await freePort()}`]
  const { code, stderr } = await launch([...orchestrator, ...at]).ended
  assert.equal(code, 1)
  assert.equal(
    sentence(stderr),
    'the data folder in-its-place cannot be used, there is a file where a folder should be: fix that, or give another with -dataDir',
  )
  const gateway = launch([
    ...['-gateway', '-orchAddr', `127.0.0.1:${await freePort()}`, ...at],
    ...['-httpAddr', `127.0.0.1:${await freePort()}`],
  ])
  await until(() => isReady(control), 'readiness')
  gateway.child.kill('SIGTERM')
  const ended = await gateway.ended
  assert.equal(ended.code, 0)
  assert.match(ended.stderr, /WARN {2}data folder not usable, the gateway runs without it and keeps nothing/)
})

test('a wrong start exits at once with one sentence and a nonzero code', async (t) => {
  const busy = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => busy.once('listening', resolve))
  t.after(() => busy.close())
  const { port } = busy.address() as AddressInfo
  const account = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
  const control = `127.0.0.1:${await freePort()}`
  const onChain = ['-gateway', '-network', 'devnet', '-ethUrl', 'http://127.0.0.1:1', '-cliAddr', control]
  onChain.push('-ethController', '0xD8E8328501E9645d16Cf49539efC04f734606ee4')
  const cases: { args: string[]; env?: Record<string, string>; code: number; says: string }[] = [
    { args: ['-gatway'], code: 2, says: 'there is no flag -gatway: did you mean -gateway?' },
    {
      args: ['-gateway', 'false'],
      code: 2,
      says: '"false" after -gateway is not its value: write -gateway=false',
    },
    {
      args: ['-gateway', ' ', '-network', 'devnet'],
      code: 1,
      says: 'no Controller contract is known for -network devnet: give -ethController',
    },
    {
      args: ['-transcoder', '-orchAddr', '127.0.0.1:8935'],
      code: 1,
      says: '-transcoder without -orchestrator needs -orchSecret, the secret it shares with its orchestrator',
    },
    {
      args: [...onChain, '-ethAcctAddr', account, '-dataDir', 'unknown-account'],
      code: 1,
      says: `-ethAcctAddr ${account} is not in the keystore unknown-account/keystore, which holds none; no account is created in its place`,
    },
    {
      args: [...onChain, '-dataDir', 'no-password'],
      code: 1,
      says: 'the keystore no-password/keystore is empty and a new account needs a password: give one with -ethPassword, as text or as the path of a file',
    },
    {
      args: [...onChain, '-ethKeystorePath', 'no-such-place', '-dataDir', 'no-keystore'],
      code: 1,
      says: '-ethKeystorePath no-such-place does not exist: name a directory or a key file',
    },
    {
      args: ['-gateway', '-cliAddr', `127.0.0.1:${port}`],
      code: 1,
      says: `the control API cannot listen on 127.0.0.1:${port}: another process uses that port; choose another -cliAddr`,
    },
  ]
  for (const { args, env, code, says } of cases) {
    const ended = await launch(args, env ? { env } : {}).ended
    assert.equal(ended.code, code, `${args.join(' ')}\n${ended.stderr}`)
    assert.ok(sentence(ended.stderr).startsWith(says), `${args.join(' ')} said: ${ended.stderr}`)
  }
})

async function childrenOf({ pid }: ChildProcess): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.trim().split(/\s+/).filter(Boolean).map(Number)
}

async function isAlive(pid: number): Promise<boolean> {
  return readFile(`/proc/${pid}/stat`, 'utf8').then(
    (stat) => !stat.includes(') Z '),
    () => false,
  )
}
