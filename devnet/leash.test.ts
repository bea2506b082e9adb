import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { membersOf } from '../test/tools/processes.ts'
import { eventually } from '../test/tools/until.ts'
import { release, spawnLeashed } from './leash.ts'

/** A parent of its own, which can be killed. */
const PARENT = `
  import { spawnLeashed } from ${JSON.stringify(new URL('./leash.ts', import.meta.url).href)}
  console.log(spawnLeashed('sleep', ['1000']).pid)
  if (process.argv[1] === 'throws') setTimeout(() => { throw new Error('a bug') }, 100)
`

const isSleeping = (pid: number) => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n'

for (const how of ['is killed', 'throws'] as const) {
  test(`a program ends when its parent ${how}`, async () => {
    const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', PARENT, how]
    const parent = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'ignore'] })
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    if (how === 'is killed') {
      await eventually('the program itself', () => isSleeping(pid))
      parent.kill('SIGKILL')
    }
    await eventually('the end of the program and its watcher', () => membersOf(pid).length === 0, 3_000)
  })
}

test('the process id, signals and the exit code are those of the program', async () => {
  const child = spawnLeashed('sh', ['-c', 'trap "exit 7" TERM; echo $$; while :; do sleep 0.05; done'])
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  assert.equal(Number(line.toString()), child.pid)
  child.kill('SIGTERM')
  const [code] = (await once(child, 'exit')) as [number]
  assert.equal(code, 7)
})

test('a program has only children of its own, and no watcher is left once it has ended', async () => {
  const child = spawnLeashed('sleep', ['1000'])
  const pid = child.pid!
  await eventually('the program itself', () => isSleeping(pid))
  assert.equal(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim(), '')
  await eventually('its watcher', () => membersOf(pid).length === 2)
  await release(child)
  await eventually('the end of both', () => membersOf(pid).length === 0, 3_000)
})

test('a program that is not there is reported, and nothing is left', async () => {
  const child = spawnLeashed('/no/such/program', [])
  const pid = child.pid!
  const [code] = (await once(child, 'exit')) as [number]
  assert.notEqual(code, 0)
  await eventually('the end of its watcher', () => membersOf(pid).length === 0, 3_000)
})
