import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { FAKE_WORKER, fakedEngine } from '../../../../test/fakes/engine-of-fakes.ts'
import { useOwnTmpdir } from '../../../../test/tools/own-tmpdir.ts'
import { eventually } from '../../../../test/tools/until.ts'
import type { VictimReport } from '../../../../test/workers/sandbox-victim.ts'
import { WORKER_DIED } from '../../../domain/offences.ts'
import { silentLog } from '../../../lib/log.ts'
import { tryOutInProcess } from '../engine/hardware.ts'
import { WorkerProcess } from '../engine/worker-process.ts'
import { Sandbox } from './sandbox.ts'

useOwnTmpdir()
const VICTIM = fileURLToPath(new URL('../../../../test/workers/sandbox-victim.ts', import.meta.url))
const NODE_FLAGS = ['--disable-warning=ExperimentalWarning']
/** Starts a program where the system refuses new namespaces, as many containers do. */
const REFUSING = ['unshare', '-Ur', 'sh', '-c', 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"', 'sh']

const refuses = () =>
  spawnSync(REFUSING[0]!, [...REFUSING.slice(1), 'unshare', '-U', 'true']).status === 1 &&
  spawnSync(REFUSING[0]!, [...REFUSING.slice(1), 'true']).status === 0

interface Played extends Partial<VictimReport> {
  readonly error?: string
}

async function play(t: TestContext, mode: string, before: readonly string[] = []): Promise<Played> {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-sandbox-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const words = [...before, process.execPath, ...NODE_FLAGS, VICTIM, mode, folder]
  const child = spawn(words[0]!, words.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SECRET: 'swordfish' },
  })
  return JSON.parse(await text(child.stdout)) as Played
}

const done = (played: Played) =>
  Object.entries(played.results ?? {})
    .filter(([, result]) => result.startsWith('done'))
    .map(([name]) => name)

function assertOwnsNothing(played: Played): void {
  assert.equal(played.error, undefined)
  assert.deepEqual(done(played), ['writes in its own folder'], JSON.stringify(played.results))
  assert.deepEqual([played.signals, played.connections], [0, 0])
  assert.equal(played.database, 'of the database')
}

suite('a compromised media worker', { concurrency: 1 }, () => {
  test('reads no secret, reaches no host, starts no program and writes only to its folder', async (t) => {
    const played = await play(t, 'auto')
    const warned = played.lines!.find((line) => line.includes('not fully confined'))
    t.diagnostic(`walls: ${played.walls!.join(', ') || 'none'}; ${warned ?? 'nothing is missing'}`)
    if (warned) {
      // The system refuses something, which is reported with its reason. The walls that stand are tested below.
      assert.match(
        warned,
        /"missing":"(namespaces|Landlock|seccomp|all walls|unreadable parent)[^"]*: [^"]+"/,
      )
      return
    }
    assertOwnsNothing(played)
    const status = (name: string) => new RegExp(`^${name}:\\t(.*)$`, 'm').exec(played.status!)?.[1]
    assert.deepEqual(
      [status('NoNewPrivs'), status('Seccomp'), status('CapEff'), status('CapBnd')],
      ['1', '2', '0000000000000000', '0000000000000000'],
    )
    assert.equal(status('NSpid')!.split('\t').length, 2, 'processes of its own')
    for (const limit of [
      'core file size +0',
      'file size +1073741824',
      'data size +8589934592',
      'open files +1024',
    ])
      assert.match(played.limits!, new RegExp(`Max ${limit} `))
  })

  test('gains nothing even if the system refuses namespaces, which is reported', async (t) => {
    if (!refuses()) return t.skip('no namespaces can be made in which others are refused')
    const played = await play(t, 'auto', REFUSING)
    const warned = played.lines!.find((line) => line.includes('media workers are not fully confined'))
    assert.match(warned ?? '', /"level":"warn".*"missing":"namespaces: unshare: .*No space left on device/)
    if (!played.walls!.includes('Landlock') || !played.walls!.includes('seccomp'))
      return t.diagnostic(`the system has no Landlock or seccomp: ${warned}`)
    assertOwnsNothing(played)
  })

  test('gains much without walls', async (t) => {
    const played = await play(t, 'off')
    assert.match(played.lines!.join(''), /"level":"warn".*media workers are not confined/)
    for (const name of [
      ...[
        'reads the parent’s environment',
        'reads the keystore',
        'writes the database',
        'signals the parent',
      ],
      ...[
        'reads another worker’s folder',
        'runs a shell',
        'connects to the loopback',
        'connects from a thread',
      ],
    ])
      assert.ok(done(played).includes(name), `${name}: ${played.results![name]}`)
    assert.equal(played.signals, 1)
    assert.equal(played.database, 'gone')
  })

  test('is not started if all walls are required and one does not stand', async (t) => {
    if (!refuses()) return t.skip('no namespaces can be made in which others are refused')
    assert.match(
      (await play(t, 'required', REFUSING)).error!,
      /^media workers cannot be confined as -mediaSandbox required demands \(namespaces: unshare: .*\): let the system allow it, or give -mediaSandbox auto/,
    )
  })
})

test('memory and environment of a process with confined workers are closed to other processes of its user', async (t) => {
  // The system's administrator may read everything.
  const asUser = process.getuid!() === 0 ? ['setpriv', '--reuid=4711', '--regid=4711', '--clear-groups'] : []
  const run = (words: readonly string[]) => {
    const [file, ...args] = [...asUser, ...words]
    return spawn(file!, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, SECRET: 'x' },
    })
  }
  const script = (
    mode: string,
  ) => `const { Sandbox } = await import(${JSON.stringify(new URL('./sandbox.ts', import.meta.url).href)})
    const log = { info() {}, warn() {} }
    await Sandbox.open({ mode: ${JSON.stringify(mode)}, log })
    console.log('open'); setInterval(() => {}, 1000)`
  const readsOf = async (mode: string): Promise<boolean | null> => {
    const victim = run([process.execPath, ...NODE_FLAGS, '--input-type=module', '-e', script(mode)])
    t.after(() => victim.kill('SIGKILL'))
    const [said] = await Promise.race([once(victim.stdout, 'data'), once(victim, 'exit')])
    if (!Buffer.isBuffer(said)) return null
    return (await text(run(['cat', `/proc/${victim.pid}/environ`]).stdout)).includes('SECRET=x')
  }
  const without = await readsOf('off')
  if (without === null) return t.skip('another user cannot run this project where it lies')
  assert.deepEqual([without, await readsOf('auto')], [true, false])
})

suite('a confined worker', { concurrency: 1 }, async () => {
  const sandbox = await Sandbox.open({ mode: 'auto', log: silentLog })
  const launch: NonNullable<Parameters<typeof fakedEngine>[0]['launch']> = (setUp) =>
    new WorkerProcess(FAKE_WORKER, { ...setUp, sandbox })

  test('decodes and encodes everything that an unconfined one does', async () => {
    assert.deepEqual(await tryOutInProcess(null, { sandbox }), await tryOutInProcess(null))
  })

  test('on a GPU sees its own processes in /proc, which drivers read', async () => {
    await using set = await fakedEngine({ launch, gpus: 1 })
    assert.equal(await set.done('a'), '0')
    const seen = await set.done('a', 'processes')
    if (sandbox.walls.includes('namespaces')) assert.match(seen, /^1,\d+$/)
  })

  test('is known by its own process id, ignores SIGTERM, and is replaced when it is killed', async () => {
    await using set = await fakedEngine({ launch })
    const pid = () => set.engine.state.workers[0]!.pid!
    process.kill(pid(), 'SIGTERM')
    assert.equal(await set.done('a'), 'cores')
    const first = pid()
    process.kill(first, 'SIGKILL')
    assert.equal(await set.done('a'), 'cores')
    assert.notEqual(pid(), first)
    await eventually('it is told', () =>
      set.lines.some(
        (line) => line.includes('media worker ended, replacing it') && line.includes('"signal":"SIGKILL"'),
      ),
    )
    await assert.rejects(set.done('b', 'die'), { message: WORKER_DIED })
    assert.equal(await set.done('a'), 'cores')
  })

  test('is ended when it exceeds its memory, hangs, or sends invalid messages', async () => {
    await using set = await fakedEngine({ launch, maxWorkerBytes: 300 << 20 })
    await assert.rejects(set.done('a', 'grow'), { message: WORKER_DIED })
    assert.ok(set.lines.some((line) => line.includes('outgrew its memory')))
    assert.equal(await set.done('a'), 'cores')
    await assert.rejects(set.done('b', 'loop', { deadlineMs: 300 }), { message: 'Media work took too long' })
    await assert.rejects(set.done('c', 'nonsense'), { message: WORKER_DIED })
    assert.equal(await set.done('d'), 'cores')
  })

  test('leaves no process and no file behind when the engine stops', async () => {
    const ours = () => readdirSync(tmpdir()).filter((name) => name.startsWith('livepeer-media-'))
    const before = new Set(ours())
    let pid = 0
    {
      await using set = await fakedEngine({ launch })
      pid = set.engine.state.workers[0]!.pid!
      await assert.rejects(set.done('a', 'leave', { deadlineMs: 500 }), {
        message: 'Media work took too long',
      })
    }
    await eventually('it is gone', () => !existsSync(`/proc/${pid}`))
    assert.deepEqual(
      ours().filter((name) => !before.has(name)),
      [],
    )
  })

  test('that hangs ends with its parent, even if that is killed, along with everything around it', async () => {
    const here = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
    const script = `const { Sandbox } = await import(${here('./sandbox.ts')})
      const { WorkerProcess } = await import(${here('../engine/worker-process.ts')})
      const { silentLog } = await import(${here('../../../lib/log.ts')})
      const sandbox = await Sandbox.open({ mode: 'auto', log: silentLog })
      const worker = new WorkerProcess(new URL(${JSON.stringify(FAKE_WORKER.href)}), { gpu: null, folder: null, sandbox })
      await worker.ready
      worker.call('transcode', { provider: 'loop' })
      console.log(worker.pid); setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, [...NODE_FLAGS, '--input-type=module', '-e', script])
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    const children = spawnSync('ps', ['-o', 'pid=', '--ppid', String(parent.pid)], {
      encoding: 'utf8',
    }).stdout
    parent.kill('SIGKILL')
    for (const one of [pid, ...children.trim().split(/\s+/).map(Number)])
      await eventually(`process ${one} is gone`, () => !existsSync(`/proc/${one}`))
  })
})
