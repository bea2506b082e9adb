import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { type MediaAbilities, visibleName } from '../../domain/media-abilities.ts'
import { WORKER_DIED } from '../../domain/offences.ts'
import { abortError } from '../../lib/errors.ts'
import { MediaError } from './media-error.ts'
import { MessagePipe } from './message-pipe.ts'
import { type Answer, answers, answersTo, type WorkKind } from './worker-answers.ts'

/** What is asked of a worker process. */
export interface WorkerRequest {
  readonly id: number
  /** Null cancels the request of that id. */
  readonly task: { readonly kind: WorkKind; readonly payload: unknown } | null
}

/** Why a request failed is told in no more than this. */
export const MAX_REASON_CHARS = 10_000

const messageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('begun'), id: z.number() }),
  z.object({ kind: z.literal('done'), id: z.number(), value: z.unknown() }),
  z.object({
    kind: z.literal('failed'),
    id: z.number(),
    message: z.string().max(MAX_REASON_CHARS),
    aborted: z.boolean(),
  }),
])

/** What a worker process says: first that it is ready; of each request that it is begun, then one answer. */
export type WorkerMessage = z.infer<typeof messageSchema>

/** How a worker process ended. */
export interface WorkerEnd {
  readonly code: number | null
  readonly signal: string | null
  /** The last of what it wrote to stderr: native code tells there why it gives up. */
  readonly stderr: string
}

/** One piece of work that a worker is asked for. */
export interface WorkerCall<Value> {
  /** Rejects with MediaError, or AbortError once cancelled work has ended. */
  readonly result: Promise<Value>
  /** Whether the worker has said that it is at it; before, its end is not this work's doing. */
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
/** A process that is killed is gone at once, unless a driver holds it: then it counts as gone after so long. */
const KILL_LIMIT_MS = 5_000
/** The pipe on which requests and answers go, as the worker numbers it. */
export const WORKER_PIPE = 3

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

  /** Starts the process on a module that calls `serveRequests`. */
  constructor(module: URL, setUp: WorkerSetUp = { gpu: null, folder: null }) {
    this.#ready.promise.catch(() => {})
    this.#child = spawn(process.execPath, [fileURLToPath(module), JSON.stringify(setUp.gpu)], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: environmentOf(setUp),
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR_CHARS)
    })
    // There is none where the system gives this process no more files; that is told as an error.
    const pipe = this.#child.stdio?.[WORKER_PIPE] as Duplex | undefined
    this.#pipe = pipe
      ? new MessagePipe(pipe, {
          message: (message) => this.#receive(message),
          nonsense: (why) => this.#distrust(why),
        })
      : null
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
      reject(new MediaError(WORKER_DIED))
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
    // What a dying process does not receive is answered by its end.
    if (this.#alive) this.#pipe?.send(request)
  }

  #receive(received: unknown): void {
    if (!this.#isTrusted) return
    const { data: message } = messageSchema.safeParse(received)
    if (!message) this.#distrust('a message of no known kind')
    else if (message.kind === 'ready') this.#ready.resolve()
    else {
      const call = this.#calls.get(message.id)
      if (call) this.#hear(call, message)
      else this.#distrust('an answer that nobody waits for')
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
    if (message.kind === 'failed')
      call.reject(message.aborted ? abortError() : new MediaError(message.message))
    else call.resolve(answer!.data)
  }

  /** Code that says what it never would is no longer its own master. */
  #distrust(why: string): void {
    this.#isTrusted = false
    this.#stderr = `it said ${why}`
    void this.kill()
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
    CUDA_VISIBLE_DEVICES: gpu === null ? '' : visibleName(gpu.device ?? '', process.env.CUDA_VISIBLE_DEVICES),
  }
}
