import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

/**
 * Runs a program while reading a pipe: when the other end is closed, however its owner ended, the read returns and the
 * program is killed. Nothing is left behind, even if the parent was killed.
 */
const LEASH = '"$0" "$@" & child=$!; read -r _; kill -9 $child 2>/dev/null; wait $child 2>/dev/null'

/** A program that ends with this process. */
export type Leashed = ChildProcessByStdio<Writable, Readable, Readable>

/** Starts a program that ends with this process. */
export function spawnLeashed(program: string, args: readonly string[]): Leashed {
  const child = spawn('sh', ['-c', LEASH, program, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // In its own session, so that Ctrl-C in a terminal reaches only the parent, which then stops things in order.
    detached: true,
  })
  child.stdin.on('error', () => {})
  return child
}

/** Kills it; resolves once it has exited. */
export async function release(child: Leashed): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.stdin.end()
  await gone
}
