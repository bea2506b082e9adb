import type { ChildProcess } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { NodeError } from '../src/lib/errors.ts'
import { spawnLeashed } from './leash.ts'

const BIN = fileURLToPath(new URL('../bin/livepeer', import.meta.url))
const READY_TIMEOUT_MS = 60_000
const READY_POLL_MS = 50
const STATUS_TIMEOUT_MS = 10_000
/** How long a node may take to exit before it is killed. */
const STOP_TIMEOUT_MS = 2_000
const KEPT_OUTPUT = 20_000

/** Replaces the node's own `main.ts`: a node with other parts, or one that is observed. */
export interface NodeEntry {
  /** Path of the module. */
  readonly module: string
  readonly nodeFlags?: readonly string[]
}

export interface NodeCommand {
  readonly name: string
  /** The arguments of `livepeer`. */
  readonly flags: readonly string[]
  /** Path of the program; default: that of this folder. */
  readonly program?: string
  /** A module to run instead of the node's own, and flags for Node.js before it. */
  readonly entry?: NodeEntry
  /** Address of the control API, which is polled for readiness. */
  readonly control: string
  /** File for its output, in addition to the part kept for error messages. */
  readonly logFile?: string
}

/** The command as a user would type it; with `program` as the path of the node's own. */
export function commandLine(command: Pick<NodeCommand, 'flags'>, program = 'livepeer'): string {
  return [program, ...command.flags].map(quoted).join(' ')
}

/** The command that can be typed in any folder. */
export function fullCommandLine(command: Pick<NodeCommand, 'flags'>): string {
  return commandLine(command, BIN)
}

function quoted(word: string): string {
  return /^[\w./:@,=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

function programOf({ entry, flags, program = BIN }: NodeCommand): [program: string, args: string[]] {
  if (!entry) return [program, [...flags]]
  // The flags of bin/livepeer.
  const nodeFlags = [
    '--disable-sigusr1',
    '--max-http-header-size=1048576',
    '--max-semi-space-size=16',
    '--disable-warning=ExperimentalWarning',
  ]
  return [process.execPath, [...nodeFlags, ...(entry.nodeFlags ?? []), entry.module, ...flags]]
}

/** A node as a separate process, started by its command line. */
export class NodeProcess {
  readonly command: NodeCommand
  #child: ChildProcess | null = null
  #output = ''

  constructor(command: NodeCommand) {
    this.command = command
  }

  /** Starts it and resolves once it is ready. Throws NodeError `node-failed` with its last output. */
  async start(signal?: AbortSignal): Promise<void> {
    this.launch()
    const deadline = Date.now() + READY_TIMEOUT_MS
    while (!(await this.isReady())) {
      if (!this.isRunning) throw this.#failure('ended before it was ready')
      signal?.throwIfAborted()
      if (Date.now() > deadline) throw this.#failure(`was not ready after ${READY_TIMEOUT_MS / 1000} s`)
      await sleep(READY_POLL_MS)
    }
  }

  /** Starts it without waiting. */
  launch(): void {
    this.#output = ''
    const child = spawnLeashed(...programOf(this.command))
    this.#child = child
    const file = this.#logFile()
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-KEPT_OUTPUT)
        file?.write(chunk)
      })
    }
    child.once('close', () => file?.end())
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** How it ended: `exit code 1`, or `killed by SIGKILL`. */
  get ending(): string {
    const signal = this.#child?.signalCode
    return signal ? `killed by ${signal}` : `exit code ${this.exitCode}`
  }

  get exitCode(): number | null {
    return this.#child?.exitCode ?? null
  }

  /** The end of its output. */
  get output(): string {
    return this.#output
  }

  /** Whether it reports that it is ready. */
  async isReady(): Promise<boolean> {
    return (await this.#health())?.ok === true
  }

  /** Whether a node answers at its control API, this process or another. */
  async answers(): Promise<boolean> {
    return (await this.#health()) !== null
  }

  /** Its status from the control API. */
  async status<Status>(): Promise<Status> {
    const response = await fetch(`http://${this.command.control}/status`, {
      signal: AbortSignal.timeout(STATUS_TIMEOUT_MS),
    })
    if (!response.ok) throw this.#failure(`answered /status with ${response.status}`)
    return (await response.json()) as Status
  }

  /** Resolves once the process has exited. */
  async ended(): Promise<void> {
    const child = this.#child
    if (!child || !this.isRunning) return
    await new Promise((resolve) => child.once('exit', resolve))
  }

  /** Sends SIGKILL, like a crash. Resolves once the process has exited. */
  async kill(): Promise<void> {
    const ended = this.ended()
    this.#child?.kill('SIGKILL')
    await ended
  }

  /** Sends SIGTERM: it finishes its work and exits. */
  async drain(): Promise<void> {
    const ended = this.ended()
    this.#child?.kill('SIGTERM')
    await ended
  }

  /** Sends SIGINT, and SIGKILL if it does not exit. */
  async stop(): Promise<void> {
    const ended = this.ended()
    this.#child?.kill('SIGINT')
    await Promise.race([ended, sleep(STOP_TIMEOUT_MS)])
    await this.kill()
  }

  async #health(): Promise<Response | null> {
    return fetch(`http://${this.command.control}/healthz`, { signal: AbortSignal.timeout(1_000) }).catch(
      () => null,
    )
  }

  #logFile() {
    if (!this.command.logFile) return null
    mkdirSync(dirname(this.command.logFile), { recursive: true })
    const file = createWriteStream(this.command.logFile, { flags: 'a' })
    // A full disk costs the log, not the network.
    file.on('error', () => {})
    return file
  }

  #failure(what: string): NodeError {
    const last = this.#output.trim().split('\n').slice(-5).join('\n') || 'it said nothing'
    return new NodeError('node-failed', `${this.command.name} ${what}:\n${last}`)
  }
}
