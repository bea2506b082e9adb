import type { Clock } from '../../lib/clock.ts'
import { abortError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { TranscodeJob, TranscodeOutput, Transcoder } from '../../services/orchestrator.ts'
import { MediaError } from './media-error.ts'
import type { Probe } from './probe.ts'
import { WorkerProcess } from './worker-process.ts'

/** What the engine is given. */
export interface MediaEngineNeeds {
  readonly clock: Clock
  readonly log: Log
  /** How many worker processes are kept: as many segments are worked on at once. */
  readonly workers: number
  /** Jobs after which a worker is replaced by a fresh one. */
  readonly jobsOfALife?: number
}

/** A worker process as the operator may see it. */
export interface WorkerState {
  readonly pid: number | null
  readonly isBusy: boolean
  /** How often it had to be replaced. */
  readonly replaced: number
}

/** The text of a job that was not done in time. Not among the texts that forbid another try. */
export const TOO_LATE = 'Media work took too long'

/** Looking at a segment takes milliseconds; a worker that takes this long hangs. */
const PROBE_DEADLINE_MS = 10_000
/** Decoding is many times faster than real time, and a segment lasts five minutes at most. */
const COUNT_DEADLINE_MS = 60_000
/** How long cancelled work may take to notice before its worker is killed. */
const CANCEL_GRACE_MS = 500
/** Jobs that may wait for a worker; each holds its segment in memory. */
const MAX_WAITING = 256
/** A worker is replaced by a fresh one after this many jobs: native code loses some kilobytes with each. */
const JOBS_OF_A_LIFE = 10_000
/** How long a worker that ended at once stays away, doubled each time up to the maximum. */
const RESTART_MS = { first: 250, most: 30_000 }

interface Task {
  readonly sessionId: string | null
  readonly kind: string
  readonly payload: unknown
  /** Calls off the timer and the listener once the caller has its answer. */
  readonly settled: AbortController
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  stop: (() => void) | null
}

interface Slot {
  worker: WorkerProcess | null
  task: Task | null
  isReady: boolean
  /** Jobs that the worker has done. */
  jobs: number
  replaced: number
}

/**
 * Does media work in warm worker processes, so that native code which reads streams of strangers never runs where
 * keys and balances are. A worker that dies or hangs fails the job it was on and is replaced; no other job notices.
 */
export class MediaEngine implements Service, Transcoder {
  readonly name = 'media'
  readonly #clock: Clock
  readonly #log: Log
  readonly #slots: Slot[]
  readonly #jobsOfALife: number
  readonly #waiting: Task[] = []
  readonly #busySessions = new Set<string>()
  #isRunning = false

  constructor(needs: MediaEngineNeeds) {
    this.#clock = needs.clock
    this.#log = needs.log.child({ part: 'media' })
    this.#jobsOfALife = needs.jobsOfALife ?? JOBS_OF_A_LIFE
    this.#slots = Array.from({ length: Math.max(1, needs.workers) }, () => ({
      worker: null,
      task: null,
      isReady: false,
      jobs: 0,
      replaced: 0,
    }))
  }

  /** Resolves when every worker is ready. Throws when one cannot be started. */
  async start(scope: Scope): Promise<void> {
    this.#isRunning = true
    scope.signal.addEventListener('abort', () => this.#stop(), { once: true })
    const first = this.#slots.map((slot) => {
      const worker = this.#launch(slot)
      scope.spawn('keep a worker', (signal) => this.#keep(slot, worker, signal))
      return worker.ready
    })
    await Promise.all(first)
  }

  /** How many segments are worked on at once. */
  get parallel(): number {
    return this.#slots.length
  }

  /** Makes all renditions of one segment. Rejects with MediaError or, when called off, AbortError. */
  async transcode(job: TranscodeJob, signal: AbortSignal): Promise<TranscodeOutput> {
    const { sessionId, deadlineMs, source, profiles, provider, clip, calcPerceptualHash } = job
    const payload = { source, profiles, provider, clip, calcPerceptualHash }
    return (await this.#do('transcode', payload, { sessionId, deadlineMs, signal })) as TranscodeOutput
  }

  /** Describes a segment. Rejects with MediaError for what is no container. */
  async probe(bytes: Uint8Array, signal: AbortSignal): Promise<Probe> {
    const options = { sessionId: null, deadlineMs: PROBE_DEADLINE_MS, signal }
    return (await this.#do('probe', bytes, options)) as Probe
  }

  /** Decodes a rendition and adds up the pixels of its frames. */
  async countPixels(bytes: Uint8Array, signal: AbortSignal): Promise<bigint> {
    const options = { sessionId: null, deadlineMs: COUNT_DEADLINE_MS, signal }
    return (await this.#do('count pixels', bytes, options)) as bigint
  }

  /** The workers, and how many jobs wait for one. */
  get state(): { readonly workers: readonly WorkerState[]; readonly waiting: number } {
    return {
      workers: this.#slots.map((slot) => ({
        pid: slot.worker?.pid ?? null,
        isBusy: slot.task !== null,
        replaced: slot.replaced,
      })),
      waiting: this.#waiting.length,
    }
  }

  #do(
    kind: string,
    payload: unknown,
    options: { sessionId: string | null; deadlineMs: number; signal: AbortSignal },
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const { signal } = options
    if (!this.#isRunning) return Promise.reject(new MediaError('The media engine is not running'))
    if (signal.aborted) return Promise.reject(abortError(signal))
    if (this.#waiting.length >= MAX_WAITING)
      return Promise.reject(new MediaError('Too much media work is waiting'))
    const settled = new AbortController()
    const task: Task = { sessionId: options.sessionId, kind, payload, settled, resolve, reject, stop: null }
    signal.addEventListener('abort', () => this.#giveUp(task, abortError(signal)), {
      once: true,
      signal: settled.signal,
    })
    this.#clock.sleep(options.deadlineMs, settled.signal).then(
      () => this.#giveUp(task, new MediaError(TOO_LATE)),
      () => {},
    )
    // What belongs to no session is short, and somebody waits to start with its answer.
    if (task.sessionId === null) this.#waiting.unshift(task)
    else this.#waiting.push(task)
    this.#assign()
    return promise
  }

  /** Gives waiting jobs to idle workers, in order, one at a time for each session. */
  #assign(): void {
    for (const slot of this.#slots) {
      if (!slot.isReady || slot.task) continue
      const index = this.#waiting.findIndex(
        (task) => task.sessionId === null || !this.#busySessions.has(task.sessionId),
      )
      if (index < 0) return
      this.#run(slot, slot.worker!, this.#waiting.splice(index, 1)[0]!)
    }
  }

  #run(slot: Slot, worker: WorkerProcess, task: Task): void {
    slot.task = task
    if (task.sessionId !== null) this.#busySessions.add(task.sessionId)
    const call = worker.call(task.kind, task.payload)
    task.stop = () => {
      call.cancel()
      const ended = new AbortController()
      call.result.catch(() => {}).finally(() => ended.abort())
      this.#clock.sleep(CANCEL_GRACE_MS, ended.signal).then(
        () => worker.kill(),
        () => {},
      )
    }
    call.result
      .then(
        (value) => task.resolve(value),
        (error) => task.reject(error),
      )
      .finally(() => {
        task.settled.abort()
        if (task.sessionId !== null) this.#busySessions.delete(task.sessionId)
        slot.task = null
        if (++slot.jobs >= this.#jobsOfALife) this.#retire(slot)
        this.#assign()
      })
  }

  /** Answers the caller at once; the worker is told to stop, and killed when it does not. */
  #giveUp(task: Task, error: unknown): void {
    task.settled.abort()
    task.reject(error)
    const index = this.#waiting.indexOf(task)
    if (index >= 0) this.#waiting.splice(index, 1)
    task.stop?.()
  }

  #retire(slot: Slot): void {
    slot.isReady = false
    void slot.worker?.kill()
  }

  #launch(slot: Slot): WorkerProcess {
    const worker = new WorkerProcess(new URL('./worker.ts', import.meta.url))
    slot.worker = worker
    slot.jobs = 0
    worker.ready.then(
      () => {
        if (slot.worker !== worker) return
        slot.isReady = true
        this.#assign()
      },
      () => {},
    )
    worker.ended.then(() => {
      if (slot.worker === worker) slot.isReady = false
    })
    return worker
  }

  /** Replaces the worker of a slot whenever it ends, until the engine stops. */
  async #keep(slot: Slot, first: WorkerProcess, signal: AbortSignal): Promise<void> {
    let pauseMs = RESTART_MS.first
    for (let worker = first; ; worker = this.#launch(slot)) {
      const wasReady = await worker.ready.then(
        () => true,
        () => false,
      )
      const end = await worker.ended
      if (signal.aborted) return
      slot.replaced++
      if (slot.jobs >= this.#jobsOfALife) this.#log.debug('a media worker retires', { pid: worker.pid })
      else this.#log.warn('a media worker ended and is replaced', { pid: worker.pid, ...end })
      // One that lived dies of its job and is wanted back at once; one that never got ready will not soon.
      pauseMs = wasReady ? RESTART_MS.first : Math.min(RESTART_MS.most, pauseMs * 2)
      if (!wasReady) await this.#clock.sleep(pauseMs, signal)
    }
  }

  #stop(): void {
    this.#isRunning = false
    for (const task of this.#waiting.splice(0)) {
      task.settled.abort()
      task.reject(abortError())
    }
    for (const slot of this.#slots) {
      slot.task?.settled.abort()
      slot.task?.reject(abortError())
      void slot.worker?.kill()
    }
  }
}
