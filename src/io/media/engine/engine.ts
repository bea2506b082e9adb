import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { MediaAbilities } from '../../../domain/media-abilities.ts'
import type { Fingerprint } from '../../../domain/result-comparison.ts'
import type { Inspection } from '../../../domain/sound-state.ts'
import type { Clock } from '../../../lib/clock.ts'
import { abortError, messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { programUrl } from '../../../lib/program-files.ts'
import type { Scope, Service } from '../../../lib/service.ts'
import type { OffenderRegister, Origin } from '../../../services/transcoding/offenders.ts'
import type { TranscodeJob, TranscodeOutput, Transcoder } from '../../../services/transcoding/transcoder.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { tryOutInProcess } from './hardware.ts'
import { type DeviceState, type Lane, Lanes } from './lanes.ts'
import { BusyError, MediaError } from './media-error.ts'
import { openWorkFolder } from './work-folder.ts'
import type { Answer, Probe, WorkKind } from './worker-answers.ts'
import { WorkerProcess, type WorkerSetUp } from './worker-process.ts'
import { WorkerSlot, type WorkerState } from './worker-slot.ts'

/** What the engine needs. */
export interface MediaEngineNeeds {
  readonly clock: Clock
  readonly log: Log
  /** How many worker processes are kept for each device: as many segments are worked on at once. */
  readonly workers: number
  /** Whether one starts with the engine, and each other when work first waits for one; otherwise all start at once. */
  readonly growsOnDemand?: boolean
  /** Cores for all of them together; as many as workers if absent. */
  readonly cores?: number
  /** The GPUs to work on; none for the cores. */
  readonly devices?: readonly MediaAbilities[]
  /** Refuses streams that end workers; null or absent refuses none. */
  readonly offenders?: OffenderRegister | null
  /** The walls around the workers; none where absent. */
  readonly sandbox?: Sandbox | undefined
  /** Those around workers on GPUs, where these need others. */
  readonly gpuSandbox?: Sandbox | undefined
  /** Jobs after which a worker is replaced by a fresh one. */
  readonly maxJobsPerWorker?: number
  /** Resident memory at which a worker is killed, in bytes. */
  readonly maxWorkerBytes?: number
  /** Starts a worker; by default a process with FFmpeg in it. */
  readonly launch?: (setUp: WorkerSetUp) => WorkerProcess
  /** Tests a GPU that has failed several times; by default in a process of its own. Rejects with the reason. */
  readonly tryOut?: (device: string, signal: AbortSignal) => Promise<unknown>
}

/** The workers, how many jobs wait for one, and the GPUs. */
export interface EngineState {
  readonly workers: readonly WorkerState[]
  readonly waiting: number
  readonly devices: readonly DeviceState[]
}

/** The text of a job that was not done in time. Not among the texts that forbid another try. */
export const TOO_LATE = 'Media work took too long'

/** Probing a segment takes milliseconds; a worker that takes this long hangs. */
const PROBE_DEADLINE_MS = 10_000
/** Decoding is many times faster than real time, and a segment lasts five minutes at most. */
const COUNT_DEADLINE_MS = 60_000
/** Cancelled work gets this long to stop before its worker is killed. */
const CANCEL_GRACE_MS = 2_000
/** Jobs that may wait for a worker; each holds its segment in memory. */
const MAX_WAITING = 256
/** A worker is replaced by a fresh one after this many jobs: native code loses 5 to 15 KB with each. */
const MAX_JOBS_PER_WORKER = 3_000
/**
 * A worker does one segment at a time, so this bounds a session. 4096x2304 to four renditions, one of them as large, took
 * 2.8 GiB with the most threads that there are.
 */
const MAX_WORKER_BYTES = 4 * 2 ** 30
const MEMORY_CHECK_MS = 1_000

interface Task {
  readonly kind: WorkKind
  readonly payload: object
  /** Null for what belongs to no session and may be done anywhere. */
  readonly job: TranscodeJob | null
  /** The stream and gateway that are blamed when it ends workers. */
  readonly origin: Origin | null
  /** Calls off the timer and the listener once the caller has its answer. */
  readonly settled: AbortController
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  stop: (() => void) | null
  /** Its caller has cancelled it; the segment is not to blame. */
  isCalledOff: boolean
}

/**
 * Does media work in warm worker processes, so that native code which reads streams of strangers never runs where
 * keys and balances are. A worker that dies, hangs or outgrows its memory fails its job and is replaced; no
 * other job is affected.
 */
export class MediaEngine implements Service, Transcoder {
  readonly name = 'media'
  readonly #needs: MediaEngineNeeds
  readonly #clock: Clock
  readonly #log: Log
  readonly #lanes: Lanes
  readonly #slots: readonly WorkerSlot[]
  readonly #waiting: Task[] = []
  readonly #running = new Set<Task>()
  /** Sessions that have a worker: none has two, even while work that was given up is still ending. */
  readonly #busySessions = new Set<string>()
  readonly #offenders: OffenderRegister | null
  #launched = 0
  #folder: string | null = null
  #scope: Scope | null = null

  constructor(needs: MediaEngineNeeds) {
    this.#needs = needs
    this.#clock = needs.clock
    this.#log = needs.log.child({ part: 'media' })
    this.#offenders = needs.offenders ?? null
    this.#lanes = new Lanes(needs.devices ?? [], { clock: needs.clock, log: this.#log })
    const options = {
      maxJobs: needs.maxJobsPerWorker ?? MAX_JOBS_PER_WORKER,
      maxBytes: needs.maxWorkerBytes ?? MAX_WORKER_BYTES,
    }
    const slotNeeds = {
      ...{ clock: needs.clock, log: this.#log },
      launch: (gpu: Lane['gpu']) => this.#launch(gpu),
      ready: () => this.#assign(),
    }
    this.#slots = this.#lanes.all.flatMap((lane) =>
      Array.from({ length: Math.max(1, needs.workers) }, () => new WorkerSlot(lane, options, slotNeeds)),
    )
  }

  /** Resolves when every worker that starts with the engine is ready. Throws when one cannot be started. */
  async start(scope: Scope): Promise<void> {
    const folder = await openWorkFolder()
    scope.defer(() => folder.remove())
    this.#folder = folder.path
    this.#scope = scope
    scope.signal.addEventListener('abort', () => this.#stop(), { once: true })
    const warm = this.#needs.growsOnDemand ? this.#slots.slice(0, 1) : this.#slots
    const first = warm.map((slot) => {
      const worker = slot.launch()
      this.#keep(slot, worker)
      return worker.ready
    })
    scope.spawn('watch the memory of workers', (signal) => this.#watchMemory(signal))
    await Promise.all(first)
  }

  /** How many segments are worked on at once. */
  get parallel(): number {
    return this.#slots.length
  }

  /**
   * Makes all renditions of one segment. Rejects with MediaError or, when called off, AbortError; at once where a session
   * or its payer has ended several workers of late.
   */
  async transcode(job: TranscodeJob, signal: AbortSignal): Promise<TranscodeOutput> {
    const { calcPerceptualHash, clip, deadlineMs, maxPixels, profiles, provider, source } = job
    const payload = { source, profiles, provider, clip, calcPerceptualHash, maxPixels: maxPixels ?? null }
    const options = { job, origin: job, deadlineMs, signal }
    const { deviceFault, output } = await this.#do('transcode', payload, options)
    if (deviceFault !== null)
      this.#log.debug('segment failed on the GPU and was transcoded on the CPU', { reason: deviceFault })
    return output
  }

  /** No more segments of this session will come. */
  sessionEnded(sessionId: string): void {
    this.#lanes.end(sessionId)
  }

  /** Describes a segment, of a stream that may be named. Rejects with MediaError for what is no container. */
  async probe(bytes: Uint8Array, signal: AbortSignal, streamId?: string): Promise<Probe> {
    const origin = streamId === undefined ? null : { sessionId: streamId }
    return await this.#do('probe', bytes, { job: null, origin, deadlineMs: PROBE_DEADLINE_MS, signal })
  }

  /**
   * Decodes a rendition, or the input of a stream that is named, and adds up the pixels of its frames. Rejects with
   * BusyError when no worker was free in time, with MediaError for what cannot be decoded.
   */
  async countPixels(bytes: Uint8Array, signal: AbortSignal, streamId?: string): Promise<bigint> {
    if (streamId === undefined) return this.#lookAt('count pixels', bytes, signal)
    const options = { job: null, origin: { sessionId: streamId }, deadlineMs: COUNT_DEADLINE_MS, signal }
    return await this.#do('count pixels', bytes, options)
  }

  /** Decodes a rendition, its sound too. Rejects as `countPixels` does. */
  inspect(bytes: Uint8Array, signal: AbortSignal): Promise<Inspection> {
    return this.#lookAt('inspect', bytes, signal)
  }

  /** Decodes a rendition and describes what it shows and sounds like. Rejects as `countPixels` does. */
  fingerprint(bytes: Uint8Array, signal: AbortSignal): Promise<Fingerprint> {
    return this.#lookAt('fingerprint', bytes, signal)
  }

  /** Tries twice: the worker may have died of something else, over which no orchestrator loses its session. */
  async #lookAt<Kind extends 'count pixels' | 'inspect' | 'fingerprint'>(
    kind: Kind,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<Answer<Kind>> {
    const options = { job: null, origin: null, deadlineMs: COUNT_DEADLINE_MS, signal }
    const look = () => this.#do(kind, bytes, options)
    return await look().catch((error) => (isDeath(error) ? look() : Promise.reject(error)))
  }

  get state(): EngineState {
    return {
      workers: this.#slots.map(({ state }) => state),
      waiting: this.#waiting.length,
      devices: this.#lanes.state,
    }
  }

  async #do<Kind extends WorkKind>(
    kind: Kind,
    payload: object,
    options: { job: TranscodeJob | null; origin: Origin | null; deadlineMs: number; signal: AbortSignal },
  ): Promise<Answer<Kind>> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const { job, origin, signal } = options
    if (!this.#scope || this.#scope.signal.aborted)
      throw new MediaError('The media engine is not running', { code: 'media-stopped' })
    if (signal.aborted) throw abortError(signal)
    if (origin) this.#offenders?.assertWelcome(origin)
    if (this.#waiting.length >= MAX_WAITING) throw new BusyError()
    const settled = new AbortController()
    const task: Task = {
      ...{ kind, payload, job, origin, settled, resolve, reject, stop: null, isCalledOff: false },
    }
    const callOff = () => {
      task.isCalledOff = true
      this.#giveUp(task, abortError(signal))
    }
    // Not with the listener's own `signal` option: Node forgets all but the last of several on one signal.
    signal.addEventListener('abort', callOff, { once: true })
    settled.signal.addEventListener('abort', () => signal.removeEventListener('abort', callOff), {
      once: true,
    })
    this.#clock.sleep(options.deadlineMs, settled.signal).then(
      () => this.#giveUp(task, this.#waiting.includes(task) ? new BusyError() : tooLate()),
      () => {},
    )
    this.#enqueue(task)
    this.#assign()
    return (await promise) as Answer<Kind>
  }

  /** Work without a session is short, and a stream may wait for it to start: it goes first. */
  #enqueue(task: Task): void {
    const before = task.job ? -1 : this.#waiting.findIndex(({ job }) => job !== null)
    if (before < 0) this.#waiting.push(task)
    else this.#waiting.splice(before, 0, task)
  }

  /** Gives waiting jobs to idle workers, in order, one worker to a session. */
  #assign(): void {
    let starting = this.#slots.filter(({ isStarting }) => isStarting).length
    for (const task of [...this.#waiting]) {
      if (task.job && this.#busySessions.has(task.job.sessionId)) continue
      const slot = this.#slotFor(task)
      if (!slot) {
        if (starting > 0) starting--
        else this.#startAnother()
        continue
      }
      this.#waiting.splice(this.#waiting.indexOf(task), 1)
      try {
        // Its stream may have ended workers since it was queued.
        if (task.origin) this.#offenders?.assertWelcome(task.origin)
        void this.#run(slot, task)
      } catch (error) {
        this.#giveUp(task, error)
      }
    }
  }

  /** Starts a worker that was not needed until now, if there is one. */
  #startAnother(): void {
    const slot = this.#slots.find(({ isCold }) => isCold)
    if (slot) this.#keep(slot, slot.tryLaunch())
  }

  #keep(slot: WorkerSlot, worker: WorkerProcess | null): void {
    this.#scope!.spawn('keep a worker', (signal) => slot.keep(worker, signal))
  }

  /** An idle worker of the session's device: the one that did its last segment, or the first, which is the warmest. */
  #slotFor({ job }: Task): WorkerSlot | null {
    const lane = job && this.#lanes.of(job)
    const idle = this.#slots.filter((slot) => slot.isFree && (!lane || slot.lane === lane))
    return idle.find(({ lastSession }) => job && lastSession === job.sessionId) ?? idle[0] ?? null
  }

  async #run(slot: WorkerSlot, task: Task): Promise<void> {
    const { job } = task
    const { lane } = slot
    const worker = slot.take(job?.sessionId ?? null)
    this.#running.add(task)
    if (job) this.#busySessions.add(job.sessionId)
    const call = worker.call(task.kind, job ? { ...task.payload, cores: this.#coresNow() } : task.payload)
    job?.onBegin?.()
    task.stop = () => {
      call.cancel()
      const ended = new AbortController()
      call.result.catch(() => {}).finally(() => ended.abort())
      this.#clock.sleep(CANCEL_GRACE_MS, ended.signal).then(
        () => worker.kill(),
        () => {},
      )
    }
    let isAgain = false
    try {
      const value = await call.result
      if (task.kind === 'transcode') this.#noteDevice(lane, (value as Answer<'transcode'>).deviceFault)
      task.resolve(value)
    } catch (error) {
      const isDead = isDeath(error)
      isAgain = isDead && !call.hasBegun && !task.settled.signal.aborted
      if (isDead && call.hasBegun && !task.isCalledOff) {
        if (task.origin) this.#offenders?.blame(task.origin)
        if (job) this.#noteDevice(lane, 'its worker died')
      }
      if (!isAgain) task.reject(error)
    }
    task.stop = null
    if (!isAgain) task.settled.abort()
    if (job) this.#busySessions.delete(job.sessionId)
    this.#running.delete(task)
    // A task that the worker had not begun is queued again, and its stream is not blamed.
    if (isAgain) this.#waiting.unshift(task)
    slot.free()
    this.#assign()
  }

  /** Cores for each running segment, at least one. */
  #coresNow(): number {
    const cores = this.#needs.cores ?? this.#needs.workers
    return Math.max(1, Math.floor(cores / Math.max(1, this.#busySessions.size)))
  }

  /** Answers the caller at once; tells the worker to stop, and kills it when it does not. */
  #giveUp(task: Task, error: unknown): void {
    task.settled.abort()
    task.reject(error)
    const index = this.#waiting.indexOf(task)
    if (index >= 0) this.#waiting.splice(index, 1)
    task.stop?.()
  }

  /** Three failures in a row may be a stream's fault: a GPU is taken out of service only if it fails its test too. */
  #noteDevice(lane: Lane, fault: string | null): void {
    const { gpu } = lane
    if (!gpu || !this.#lanes.isSuspect(lane, fault)) return
    this.#scope!.spawn('try a GPU out', async (signal) => {
      const sandbox = this.#sandboxFor(gpu)
      const tryOut = this.#needs.tryOut ?? ((device, signal) => tryOutInProcess(device, { sandbox, signal }))
      const verdict = await tryOut(gpu.device!, signal).then(() => null, messageOf)
      signal.throwIfAborted()
      if (this.#lanes.judge(lane, verdict)) this.#leave(lane)
    })
  }

  /** Moves the workers of a GPU that is out of service to the other GPUs, or to the CPU. */
  #leave(lane: Lane): void {
    // The GPU was at fault, not the streams.
    this.#offenders?.forgive()
    const others = this.#lanes.inService
    const workersOn = (one: Lane) => this.#slots.filter((slot) => slot.lane === one).length
    for (const slot of this.#slots.filter((slot) => slot.lane === lane)) {
      if (others.length > 0) slot.lane = others.toSorted((a, b) => workersOn(a) - workersOn(b))[0]!
      slot.retire()
    }
  }

  #sandboxFor(gpu: Lane['gpu']): Sandbox | undefined {
    return (gpu && this.#needs.gpuSandbox) ?? this.#needs.sandbox
  }

  /** Throws the system's error when no process or folder can be made. */
  #launch(gpu: Lane['gpu']): { worker: WorkerProcess; folder: string } {
    const folder = join(this.#folder!, String(this.#launched++))
    mkdirSync(folder, { mode: 0o700, recursive: true })
    const sandbox = this.#sandboxFor(gpu)
    return { worker: (this.#needs.launch ?? launchWorker)({ gpu, folder, sandbox }), folder }
  }

  async #watchMemory(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#clock.sleep(MEMORY_CHECK_MS, signal)
      for (const slot of this.#slots) slot.checkMemory()
    }
  }

  #stop(): void {
    for (const task of [...this.#waiting.splice(0), ...this.#running]) {
      task.settled.abort()
      task.reject(abortError())
    }
    for (const slot of this.#slots) slot.kill()
  }
}

function isDeath(error: unknown): boolean {
  return error instanceof MediaError && error.code === 'media-death'
}

function tooLate(): MediaError {
  return new MediaError(TOO_LATE, { code: 'media-late' })
}

function launchWorker(setUp: WorkerSetUp): WorkerProcess {
  return new WorkerProcess(programUrl('io/media/worker/worker'), setUp)
}
