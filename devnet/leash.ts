import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

/**
 * Runs a program and stays in the foreground of a pipe: when whoever holds the pipe's other end is gone, however it
 * ended, the read ends and the program is killed. So nothing is left behind, not even by a parent that was killed.
 */
const LEASH = '"$0" "$@" & child=$!; read -r _; kill -9 $child 2>/dev/null; wait $child 2>/dev/null'

/** A program that does not outlive this process. */
export type Leashed = ChildProcessByStdio<Writable, Readable, Readable>

/** Starts a program that does not outlive this process. */
export function spawnLeashed(program: string, args: readonly string[]): Leashed {
  const child = spawn('sh', ['-c', LEASH, program, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // A session of its own, so that Ctrl-C in a terminal reaches only the parent, which then stops things in order.
    detached: true,
  })
  child.stdin.on('error', () => {})
  return child
}

/** Ends it at once; resolves when it is gone. */
export async function release(child: Leashed): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.stdin.end()
  await gone
}
