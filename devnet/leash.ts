import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

/**
 * Becomes the program, with a watcher beside it that reads a pipe of this process. When the other end closes, however its
 * owner ended, the watcher kills the program; a line on the pipe calls the watcher off. The watcher is not a child
 * of the program, which counts its children.
 */
const LEASH = '((read -r _ <&3 || kill -9 $$) >/dev/null 2>&1 &); exec 3<&-; exec "$0" "$@"'
const CALLED_OFF = 'over\n'

/** A program that ends with this process. */
export type Leashed = ChildProcessByStdio<null, Readable, Readable>

/** The user as whom a program runs. */
export interface RunAs {
  readonly uid: number
  readonly gid: number
}

/**
 * Starts a program that ends with this process, even if this one is killed. Its process id is the program's own. It runs as
 * another user where one is given.
 */
export function spawnLeashed(program: string, args: readonly string[], runAs?: RunAs): Leashed {
  const child = spawn('sh', ['-c', LEASH, program, ...args], {
    ...runAs,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    // In its own session, so that Ctrl-C in a terminal reaches only the parent, which then stops things in order.
    detached: true,
  })
  const leash = child.stdio[3] as Writable
  leash.on('error', () => {})
  // Once the program has ended, its number may be another process's.
  child.once('exit', () => leash.end(CALLED_OFF))
  return child as unknown as Leashed
}

/** Kills it; resolves once it has exited. */
export async function release(child: Leashed): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}
