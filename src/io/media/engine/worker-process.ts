import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { type MediaAbilities, visibleName } from '../../../domain/media-abilities.ts'
import { WORKER_DIED } from '../../../domain/offences.ts'
import { abortError } from '../../../lib/errors.ts'
import type { Launch, Sandbox } from '../sandbox/sandbox.ts'
import { MediaError } from './media-error.ts'
import { MessagePipe } from './message-pipe.ts'
import { type Answer, answers, answersTo, type WorkKind } from './worker-answers.ts'
import { MAX_REASON_CHARS, WORKER_PIPE, type WorkerRequest } from './worker-protocol.ts'

const messageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('begun'), id: z.number() }),
  z.object({ kind: z.literal('done'), id: z.number(), value: z.unknown() }),
  z.object({
    kind: z.literal('failed'),
    id: z.number(),
    message: z.string().max(MAX_REASON_CHARS),
    aborted: z.boolean(),
    /** Pixels decoded and encoded before it failed. */
    workDone: z
      .object({ decodedPixels: z.bigint().nonnegative(), encodedPixels: z.bigint().nonnegative() })
      .exactOptional(),
  }),
])

/** What a worker process says: first that it is ready; of each request that it is begun, then one answer. */
export type WorkerMessage = z.infer<typeof messageSchema>

/** How a worker process ended. */
export interface WorkerEnd {
  readonly code: number | null
  readonly signal: string | null
  /** The end of its stderr: native code writes there why it gives up. */
  readonly stderr: string
}

/** One piece of work that a worker is asked for. */
export interface WorkerCall<Value> {
  /** Rejects with MediaError, or AbortError once cancelled work has ended. */
  readonly result: Promise<Value>
  /** Whether the worker has begun; if it ended before that, this work is not the cause. */
  readonly hasBegun: boolean
  cancel(): void
}

interface Call {
  readonly kind: WorkKind
  /** Whether an answer of the right shape is one to what was asked. */
  readonly fits: (value: unknown) => boolean
  hasBegun: boolean
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

const KEPT_STDERR_CHARS = 2000
/** A killed process is gone at once, unless a driver holds it: then it counts as gone after this time. */
const KILL_LIMIT_MS = 5_000

/** How a worker process is set up. */
export interface WorkerSetUp {
  /** The GPU it works on, by the number that `-nvidia` has for it, and what that does; null for the cores. */
  readonly gpu: Pick<MediaAbilities, 'device' | 'decodes' | 'encodes'> | null
  /** Where it may keep temporary files; null where it makes none. */
  readonly folder: string | null
  /** The walls around it; absent for what reads nothing of strangers. */
  readonly sandbox?: Sandbox | undefined
}

/** A shell reports a process ended by a signal with a code above this. */
const SIGNAL_CODES = 128

/** Only these reach a worker: native code that reads streams of strangers is given no secrets. */
const PASSED_ENVIRONMENT = [
  'PATH',
  'TMPDIR',
  'TZ',
  'LANG',
  'LD_LIBRARY_PATH',
  'FONTCONFIG_PATH',
  'SSL_CERT_FILE',
  'CUDA_DEVICE_ORDER',
]

/**
 * Encoders take hundreds of megabytes at each segment's start. Where glibc keeps what they give back, in pieces of up to
 * 4 MiB, the next segment finds it without asking the system for zeroed pages; larger pieces go back whole.
 */
const MEMORY_HABITS = { MALLOC_MMAP_THRESHOLD_: String(4 << 20), MALLOC_TRIM_THRESHOLD_: String(1 << 30) }

/** A process of its own in which native media code runs. It ends with this process, however this one ends. */
export class WorkerProcess {
  readonly #child: ChildProcess
  readonly #pipe: MessagePipe | null
  readonly #calls = new Map<number, Call>()
  readonly #ready = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<WorkerEnd>()
  #nextId = 1
  #stderr = ''
  #alive = true
  #isTrusted = true
  readonly #isWrapped: boolean
  #innerPid: number | null = null

  /** Starts the process on a module that calls `serveRequests`. */
  constructor(module: URL, setUp: WorkerSetUp = { gpu: null, folder: null }) {
    this.#ready.promise.catch(() => {})
    const { args, cwd, env, file, isWrapped } = launchOf(fileURLToPath(module), setUp)
    this.#isWrapped = isWrapped
    this.#child = spawn(file, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...environmentOf(setUp), ...env },
      ...(cwd === undefined ? {} : { cwd }),
      // A terminal's Ctrl-C must not end the sandbox around the worker; the worker itself ignores it.
      detached: isWrapped,
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR_CHARS)
    })
    // There is no pipe when the system is out of file descriptors; the `error` event reports it.
    const pipe = this.#child.stdio?.[WORKER_PIPE] as Duplex | undefined
    this.#pipe = pipe
      ? new MessagePipe(pipe, {
          message: (message) => this.#receive(message),
          nonsense: (why) => this.#distrust(why),
        })
      : null
    this.#child.once('error', (error) => this.#end({ code: null, signal: null, stderr: String(error) }))
    // On `close` the sandbox's processes are gone too.
    this.#child.once('close', (code, signal) => {
      const wrapped = isWrapped ? signalOf(code) : null
      this.#end({ code: wrapped ? null : code, signal: wrapped ?? signal, stderr: this.#stderr })
    })
  }

  /** Undefined when the process could not be started. Of a confined worker, as it is known outside. */
  get pid(): number | undefined {
    if (!this.#isWrapped || !this.#alive || this.#child.pid === undefined) return this.#child.pid
    this.#innerPid ??= innermost(this.#child.pid)
    return this.#innerPid ?? this.#child.pid
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

  /** Asks for one piece of work. */
  call<Kind extends WorkKind>(kind: Kind, payload: unknown): WorkerCall<Answer<Kind>> {
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<Answer<Kind>>()
    const call: Call = {
      ...{ kind, fits: answersTo(kind, payload), hasBegun: false },
      ...{ resolve: resolve as (value: unknown) => void, reject },
    }
    if (this.#alive) {
      this.#calls.set(id, call)
      this.#send({ id, task: { kind, payload } })
    } else {
      reject(new MediaError(WORKER_DIED, { code: 'media-death' }))
    }
    return {
      result: promise,
      get hasBegun() {
        return call.hasBegun
      },
      cancel: () => this.#send({ id, task: null }),
    }
  }

  /** Kills the process at once and waits until it is gone, or counts as gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    const limit = setTimeout(() => {
      this.#end({
        code: null,
        signal: null,
        stderr: `it is still there ${KILL_LIMIT_MS / 1000} s after a kill -9`,
      })
    }, KILL_LIMIT_MS)
    await this.#ended.promise
    clearTimeout(limit)
  }

  #send(request: WorkerRequest): void {
    // Requests that a dying process does not receive are rejected when it ends.
    if (this.#alive) this.#pipe?.send(request)
  }

  #receive(received: unknown): void {
    if (!this.#isTrusted) return
    const { data: message } = messageSchema.safeParse(received)
    if (!message) this.#distrust('a message of no known kind')
    else if (message.kind === 'ready') {
      // The process found before may have been one of the sandbox's.
      this.#innerPid = null
      this.#ready.resolve()
    } else {
      const call = this.#calls.get(message.id)
      if (call) this.#hear(call, message)
      else this.#distrust('an answer to no request')
    }
  }

  #hear(call: Call, message: Exclude<WorkerMessage, { kind: 'ready' }>): void {
    if (message.kind === 'begun') {
      if (call.hasBegun) this.#distrust('twice that it has begun')
      call.hasBegun = true
      return
    }
    call.hasBegun = true
    const answer = message.kind === 'done' ? answers[call.kind].safeParse(message.value) : null
    if (answer && !(answer.success && call.fits(answer.data))) {
      this.#distrust(`an answer of another shape than ${call.kind} has`)
      return
    }
    this.#calls.delete(message.id)
    if (message.kind === 'failed') {
      const { aborted, workDone } = message
      call.reject(aborted ? abortError() : new MediaError(message.message, { details: { workDone } }))
    } else call.resolve(answer!.data)
  }

  /** A worker that breaks the protocol has been taken over: kill it. */
  #distrust(why: string): void {
    this.#isTrusted = false
    this.#stderr = `it said ${why}`
    void this.kill()
  }

  #end(end: WorkerEnd): void {
    this.#alive = false
    const error = new MediaError(WORKER_DIED, { code: 'media-death', details: { ...end } })
    this.#ready.reject(error)
    for (const call of this.#calls.values()) call.reject(error)
    this.#calls.clear()
    this.#ended.resolve(end)
  }
}

function launchOf(module: string, { folder, gpu, sandbox }: WorkerSetUp): Launch {
  const args = [JSON.stringify(gpu)]
  if (sandbox) return sandbox.launch({ module, args, pipe: WORKER_PIPE, folder, usesGpu: gpu !== null })
  return { file: process.execPath, args: ['--disable-sigusr1', module, ...args], env: {}, isWrapped: false }
}

function signalOf(code: number | null): string | null {
  if (code === null || code <= SIGNAL_CODES) return null
  const names = Object.entries(constants.signals)
  return names.find(([, number]) => number === code - SIGNAL_CODES)?.[0] ?? null
}

/** The process at the end of a row of children; null where the system does not tell. */
function innermost(pid: number): number | null {
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
    return child ? (innermost(Number(child)) ?? Number(child)) : pid
  } catch {
    return null
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
    CUDA_VISIBLE_DEVICES: gpu === null ? '' : visibleName(gpu.device ?? '', process.env.CUDA_VISIBLE_DEVICES),
  }
}
