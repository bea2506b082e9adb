import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { MediaAbilities } from '../../domain/media-abilities.ts'
import { abortError } from '../../lib/errors.ts'
import { MediaError } from './media-error.ts'

/** What is asked of a worker process. */
export interface WorkerRequest {
  readonly id: number
  /** Null cancels the request of that id. */
  readonly task: { readonly kind: string; readonly payload: unknown } | null
}

/** What a worker process says: first that it is ready, then one answer to each request. */
export type WorkerMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string; readonly aborted: boolean }

/** How a worker process ended. */
export interface WorkerEnd {
  readonly code: number | null
  readonly signal: string | null
  /** The last of what it wrote to stderr: native code tells there why it gives up. */
  readonly stderr: string
}

interface Call {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** The text of a job whose worker ended under it. Not among the texts that forbid another try. */
export const WORKER_DIED = 'Media worker died'

const KEPT_STDERR_CHARS = 2000

/** How a worker process is set up. */
export interface WorkerSetUp {
  /** The GPU it works on, by the number that `-nvidia` has for it, and what that does; null for the cores. */
  readonly gpu: Pick<MediaAbilities, 'device' | 'decodes' | 'encodes'> | null
  /** Where it may keep temporary files; null where it makes none. */
  readonly folder: string | null
}

/** Only these reach a worker: native code that reads streams of strangers is given no secrets. */
const PASSED_ENVIRONMENT = [
  'PATH',
  'TMPDIR',
  'TZ',
  'LANG',
  'LD_LIBRARY_PATH',
  'FONTCONFIG_PATH',
  'SSL_CERT_FILE',
]

/**
 * Encoders take hundreds of megabytes at each segment's start. Where glibc keeps what they give back, in pieces of up to
 * 4 MiB, the next segment finds it without asking the system for zeroed pages; larger pieces go back whole.
 */
const MEMORY_HABITS = { MALLOC_MMAP_THRESHOLD_: String(4 << 20), MALLOC_TRIM_THRESHOLD_: String(1 << 30) }

/** A process of its own in which native media code runs. It ends with this process, however this one ends. */
export class WorkerProcess {
  readonly #child: ChildProcess
  readonly #calls = new Map<number, Call>()
  readonly #ready = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<WorkerEnd>()
  #nextId = 1
  #stderr = ''
  #alive = true

  /** Starts the process on a module that calls `serveRequests`. */
  constructor(module: URL, setUp: WorkerSetUp = { gpu: null, folder: null }) {
    this.#ready.promise.catch(() => {})
    this.#child = fork(module, [JSON.stringify(setUp.gpu)], {
      execPath: process.execPath,
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: environmentOf(setUp),
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR_CHARS)
    })
    this.#child.on('message', (message) => this.#receive(message as WorkerMessage))
    this.#child.once('error', (error) => this.#end({ code: null, signal: null, stderr: String(error) }))
    this.#child.once('exit', (code, signal) => this.#end({ code, signal, stderr: this.#stderr }))
  }

  /** Undefined when the process could not be started. */
  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Resident memory, in bytes; null where the system does not tell. */
  get residentBytes(): number | null {
    try {
      const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]
      return kilobytes === undefined ? null : Number(kilobytes) * 1024
    } catch {
      return null
    }
  }

  /** Resolves once requests are taken; rejects when the process ends before. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Resolves when the process is gone. */
  get ended(): Promise<WorkerEnd> {
    return this.#ended.promise
  }

  /** Asks for one piece of work. Rejects with MediaError, or AbortError once a cancelled request has ended. */
  call(kind: string, payload: unknown): { readonly result: Promise<unknown>; cancel(): void } {
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    if (this.#alive) {
      this.#calls.set(id, { resolve, reject })
      this.#send({ id, task: { kind, payload } })
    } else {
      reject(new MediaError(WORKER_DIED))
    }
    return { result: promise, cancel: () => this.#send({ id, task: null }) }
  }

  /** Kills the process at once and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended.promise
  }

  #send(request: WorkerRequest): void {
    // What a dying process does not receive is answered by its end.
    if (this.#alive && this.#child.connected) this.#child.send(request, () => {})
  }

  #receive(message: WorkerMessage): void {
    if (message.kind === 'ready') {
      this.#ready.resolve()
      return
    }
    const call = this.#calls.get(message.id)
    if (!call) return
    this.#calls.delete(message.id)
    if (message.kind === 'done') call.resolve(message.value)
    else call.reject(message.aborted ? abortError() : new MediaError(message.message))
  }

  #end(end: WorkerEnd): void {
    this.#alive = false
    const error = new MediaError(WORKER_DIED, { details: { ...end } })
    this.#ready.reject(error)
    for (const call of this.#calls.values()) call.reject(error)
    this.#calls.clear()
    this.#ended.resolve(end)
  }
}

function environmentOf({ folder, gpu }: WorkerSetUp): Record<string, string> {
  const passed = PASSED_ENVIRONMENT.flatMap((name) => {
    const value = process.env[name]
    return value ? [[name, value] as const] : []
  })
  return {
    ...Object.fromEntries(passed),
    ...MEMORY_HABITS,
    ...(folder === null ? {} : { TMPDIR: folder, CUDA_CACHE_PATH: folder }),
    // A worker sees its own GPU only, so that nothing in it can take another.
    CUDA_VISIBLE_DEVICES: gpu === null ? '' : visibleName(gpu.device ?? ''),
  }
}

/** An operator who shows this process only some GPUs counts those. */
function visibleName(device: string): string {
  const shown = process.env.CUDA_VISIBLE_DEVICES?.split(',') ?? []
  return shown[Number(device)] ?? device
}
