import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { canConnect } from '../../devnet/tcp-link.ts'
import { familyOf, isAlive } from '../tools/processes.ts'
import { eventually, until } from '../tools/until.ts'

/** The program behind `npm start`. */
export const DEVNET_MAIN = fileURLToPath(new URL('../../devnet/main.ts', import.meta.url))
/** Longer than a network takes to start and to transcode on a machine that is busy with other tests. */
const SAY_LIMIT_MS = 240_000
/** How long processes and ports may outlive it. */
const LEFT_LIMIT_MS = 3_000

/** `npm start` as a process, on ports of its own: several tests start one at once. */
export class Devnet {
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  stdout = ''
  stderr = ''

  constructor(args: readonly string[]) {
    const flags = ['--disable-warning=ExperimentalWarning', '--max-http-header-size=1048576']
    this.child = spawn(process.execPath, [...flags, DEVNET_MAIN, '--free-ports', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child.stdout!.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.child.stderr!.on('data', (chunk) => {
      this.stderr += chunk
    })
    this.ended = new Promise((resolve) => this.child.once('close', resolve))
  }

  /** Waits for a pattern in the output; fails with the whole output if the process ends first. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const ended = this.ended.then((code) => ({ code }))
    const found = until(async () => pattern.exec(this.stdout + this.stderr), `${pattern}`, SAY_LIMIT_MS)
    const first = await Promise.race([found, ended]).catch((error) => {
      this.child.kill('SIGKILL')
      assert.fail(`${error}: ${this.stdout}${this.stderr}`)
    })
    if (!Array.isArray(first)) assert.fail(`it ended with ${first.code}: ${this.stdout}${this.stderr}`)
    return first
  }

  /** All its descendant processes, and those that watch over them. */
  family(): number[] {
    return familyOf(this.child.pid!).filter((pid) => pid !== this.child.pid)
  }

  /** The ports that it has named. */
  get ports(): number[] {
    return [...new Set([...this.stdout.matchAll(/127\.0\.0\.1:(\d+)/g)].map((match) => Number(match[1])))]
  }

  /** Its temporary folder, once it has named one. */
  get folder(): string | null {
    return /[^\s']*\/livepeer-devnet-\w+/.exec(this.stdout)?.[0] ?? null
  }
}

/** Resolves once none of the processes is left, and no port open; the last may be there for a moment. */
export async function nothingLeft(family: readonly number[], ports: readonly number[] = []): Promise<void> {
  const left = () => family.filter(isAlive)
  const until = performance.now() + LEFT_LIMIT_MS
  await eventually('no process left', () => left().length === 0, LEFT_LIMIT_MS)
  for (const port of ports) {
    const limitMs = Math.max(0, until - performance.now())
    await eventually(`port ${port} closed`, async () => !(await canConnect(port)), limitMs)
  }
}
