import { mkdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { leastLoaded, sessionCost } from '../../domain/device-load.ts'
import type { MediaAbilities } from '../../domain/media-abilities.ts'
import type { Clock } from '../../lib/clock.ts'
import { abortError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { TranscodeJob, TranscodeOutput, Transcoder } from '../../services/orchestrator.ts'
import { MediaError } from './media-error.ts'
import { Offenders } from './offenders.ts'
import type { Probe } from './probe.ts'
import { openWorkFolder } from './work-folder.ts'
import type { WorkerOutput } from './worker.ts'
import { WORKER_DIED, WorkerProcess, type WorkerSetUp } from './worker-process.ts'

/** What the engine is given. */
export interface MediaEngineNeeds {
  readonly clock: Clock
  readonly log: Log
  /** How many worker processes are kept for each device: as many segments are worked on at once. */
  readonly workers: number
  /** How many cores there are for all of them; as many as workers, where nothing is said. */
  readonly cores?: number
  /** The GPUs to work on; none for the cores. */
  readonly devices?: readonly MediaAbilities[]
  /** Jobs after which a worker is replaced by a fresh one. */
  readonly jobsOfALife?: number
  /** Resident memory at which a worker is ended, in bytes. */
  readonly maxWorkerBytes?: number
  /** Makes a worker; where nothing is said, a process with FFmpeg in it. */
  readonly launch?: (setUp: WorkerSetUp) => WorkerProcess
}

/** A worker process as the operator may see it. */
export interface WorkerState {
  readonly pid: number | null
  readonly isBusy: boolean
  /** How often it had to be replaced. */
  readonly replaced: number
}

/** A GPU as the operator may see it. */
export interface DeviceState {
  readonly device: string
  readonly sessions: number
  /** Why it is not used any more; null while it is. */
  readonly outOfService: string | null
}

/** The workers, how many jobs wait for one, and the GPUs. */
export interface EngineState {
  readonly workers: readonly WorkerState[]
  readonly waiting: number
  readonly devices: readonly DeviceState[]
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
/** A worker is replaced by a fresh one after this many jobs: native code loses 5 to 15 KB with each. */
const JOBS_OF_A_LIFE = 3_000
/** How long a worker that ended at once stays away, doubled each time up to the maximum. */
const RESTART_MS = { first: 250, most: 30_000 }
/** A worker does one segment at a time, so this bounds a session: 4096x2304 with four renditions stays below 2 GiB. */
const MAX_WORKER_BYTES = 3 * 2 ** 30
const MEMORY_CHECK_MS = 1_000
/** A session that sends nothing for so long gives up its place on a device (transcoding.md §5.1). */
const SESSION_IDLE_MS = 70_000
/** Segments in a row at which a GPU fails, and the cores do not, before it is taken out of service. */
const DEVICE_FAULTS = 3

interface Task {
  readonly kind: string
  readonly payload: object
  /** Null for what belongs to no session and may be done anywhere. */
  readonly job: TranscodeJob | null
  /** Calls off the timer and the listener once the caller has its answer. */
  readonly settled: AbortController
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  stop: (() => void) | null
  /** Its caller does not wait any more, for no fault of the segment. */
  isCalledOff: boolean
}

/** A device and its workers. */
interface Lane {
  readonly gpu: MediaAbilities | null
  readonly slots: readonly Slot[]
  /** By session, what it costs and when it was last heard of. */
  readonly sessions: Map<string, { readonly cost: number; lastMs: number }>
  faults: number
  outOfService: string | null
}

interface Slot {
  worker: WorkerProcess | null
  task: Task | null
  lastSession: string | null
  isReady: boolean
  /** To be replaced once it is idle. */
  isDue: boolean
  /** Jobs that the worker has done. */
  jobs: number
  replaced: number
}

/**
 * Does media work in warm worker processes, so that native code which reads streams of strangers never runs where
 * keys and balances are. A worker that dies, hangs or outgrows its memory fails the job it was on and is replaced; no
 * other job notices.
 */
export class MediaEngine implements Service, Transcoder {
  readonly name = 'media'
  readonly #needs: MediaEngineNeeds
  readonly #clock: Clock
  readonly #log: Log
  readonly #lanes: readonly Lane[]
  readonly #jobsOfALife: number
  readonly #waiting: Task[] = []
  readonly #busySessions = new Set<string>()
  readonly #offenders: Offenders
  #nextLane = 0
  #launched = 0
  #folder: string | null = null
  #isRunning = false

  constructor(needs: MediaEngineNeeds) {
    this.#needs = needs
    this.#clock = needs.clock
    this.#log = needs.log.child({ part: 'media' })
    this.#offenders = new Offenders({ clock: needs.clock, log: this.#log })
    this.#jobsOfALife = needs.jobsOfALife ?? JOBS_OF_A_LIFE
    const gpus: readonly (MediaAbilities | null)[] = needs.devices?.length ? needs.devices : [null]
    this.#lanes = gpus.map((gpu) => ({
      gpu,
      slots: Array.from({ length: Math.max(1, needs.workers) }, newSlot),
      sessions: new Map(),
      faults: 0,
      outOfService: null,
    }))
  }

  /** Resolves when every worker is ready. Throws when one cannot be started. */
  async start(scope: Scope): Promise<void> {
    this.#isRunning = true
    const folder = await openWorkFolder()
    this.#folder = folder
    scope.defer(() => rm(folder, { recursive: true, force: true }))
    scope.signal.addEventListener('abort', () => this.#stop(), { once: true })
    const first = this.#lanes.flatMap((lane) =>
      lane.slots.map((slot) => {
        const worker = this.#launch(lane, slot)
        scope.spawn('keep a worker', (signal) => this.#keep(lane, slot, worker, signal))
        return worker.ready
      }),
    )
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
    this.#offenders.assertWelcome(job)
    const { calcPerceptualHash, clip, deadlineMs, profiles, provider, source } = job
    const payload = { source, profiles, provider, clip, calcPerceptualHash }
    const { deviceFault, output } = (await this.#do('transcode', payload, {
      job,
      deadlineMs,
      signal,
    })) as WorkerOutput
    if (deviceFault !== null) this.#log.debug('the cores did what a GPU failed at', { reason: deviceFault })
    return output
  }

  /** No more segments of this session will come. */
  sessionEnded(sessionId: string): void {
    for (const { sessions } of this.#lanes) sessions.delete(sessionId)
  }

  /** Describes a segment. Rejects with MediaError for what is no container. */
  async probe(bytes: Uint8Array, signal: AbortSignal): Promise<Probe> {
    const options = { job: null, deadlineMs: PROBE_DEADLINE_MS, signal }
    return (await this.#do('probe', bytes, options)) as Probe
  }

  /** Decodes a rendition and adds up the pixels of its frames. */
  async countPixels(bytes: Uint8Array, signal: AbortSignal): Promise<bigint> {
    const options = { job: null, deadlineMs: COUNT_DEADLINE_MS, signal }
    return (await this.#do('count pixels', bytes, options)) as bigint
  }

  get state(): EngineState {
    return {
      workers: this.#slots.map((slot) => ({
        pid: slot.worker?.pid ?? null,
        isBusy: slot.task !== null,
        replaced: slot.replaced,
      })),
      waiting: this.#waiting.length,
      devices: this.#lanes.flatMap(({ gpu, outOfService, sessions }) =>
        gpu ? [{ device: gpu.device!, sessions: sessions.size, outOfService }] : [],
      ),
    }
  }

  get #slots(): readonly Slot[] {
    return this.#lanes.flatMap(({ slots }) => slots)
  }

  #do(
    kind: string,
    payload: object,
    options: { job: TranscodeJob | null; deadlineMs: number; signal: AbortSignal },
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const { job, signal } = options
    if (!this.#isRunning) return Promise.reject(new MediaError('The media engine is not running'))
    if (signal.aborted) return Promise.reject(abortError(signal))
    if (this.#waiting.length >= MAX_WAITING)
      return Promise.reject(new MediaError('Too much media work is waiting'))
    const settled = new AbortController()
    const task: Task = { kind, payload, job, settled, resolve, reject, stop: null, isCalledOff: false }
    const callOff = () => {
      task.isCalledOff = true
      this.#giveUp(task, abortError(signal))
    }
    signal.addEventListener('abort', callOff, { once: true, signal: settled.signal })
    this.#clock.sleep(options.deadlineMs, settled.signal).then(
      () => this.#giveUp(task, new MediaError(TOO_LATE)),
      () => {},
    )
    // What belongs to no session is short, and somebody waits to start with its answer.
    if (job === null) this.#waiting.unshift(task)
    else this.#waiting.push(task)
    this.#assign()
    return promise
  }

  /** Gives waiting jobs to idle workers, in order, one at a time for each session. */
  #assign(): void {
    for (const task of [...this.#waiting]) {
      if (task.job && this.#busySessions.has(task.job.sessionId)) continue
      const place = this.#placeFor(task)
      if (!place) continue
      this.#waiting.splice(this.#waiting.indexOf(task), 1)
      this.#run(place.lane, place.slot, task)
    }
  }

  /** An idle worker of the session's device: the one that did its last segment, if that is idle. */
  #placeFor({ job }: Task): { lane: Lane; slot: Slot } | null {
    const lanes = job ? [this.#laneOf(job)] : this.#lanes
    const idle = lanes.flatMap((lane) =>
      lane.slots.flatMap((slot) => (slot.isReady && !slot.task ? [{ lane, slot }] : [])),
    )
    return idle.find(({ slot }) => job && slot.lastSession === job.sessionId) ?? idle[0] ?? null
  }

  /** The device of a session; a new one goes to the one that has least to do (transcoding.md §5.1). */
  #laneOf({ profiles, sessionId }: TranscodeJob): Lane {
    const nowMs = this.#clock.now()
    const own = this.#lanes.find(({ sessions }) => sessions.has(sessionId))
    if (own) {
      own.sessions.get(sessionId)!.lastMs = nowMs
      return own
    }
    for (const { sessions } of this.#lanes) {
      for (const [id, { lastMs }] of sessions) if (nowMs - lastMs > SESSION_IDLE_MS) sessions.delete(id)
    }
    const inService = this.#lanes.filter(({ outOfService }) => outOfService === null)
    const lanes = inService.length > 0 ? inService : this.#lanes
    const loads = lanes.map(({ sessions }) => [...sessions.values()].reduce((sum, { cost }) => sum + cost, 0))
    const lane = lanes[leastLoaded(loads, this.#nextLane++)]!
    lane.sessions.set(sessionId, { cost: sessionCost(profiles), lastMs: nowMs })
    return lane
  }

  #run(lane: Lane, slot: Slot, task: Task): void {
    const { job } = task
    const worker = slot.worker!
    slot.task = task
    if (job) {
      this.#busySessions.add(job.sessionId)
      slot.lastSession = job.sessionId
    }
    const call = worker.call(task.kind, job ? { ...task.payload, cores: this.#coresNow() } : task.payload)
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
        (value) => {
          if (job) this.#noteDevice(lane, (value as WorkerOutput).deviceFault)
          task.resolve(value)
        },
        (error) => {
          if (error instanceof MediaError && error.message === WORKER_DIED) {
            if (job && !task.isCalledOff) this.#offenders.blame(job)
            if (job) this.#noteDevice(lane, 'its worker died')
          }
          task.reject(error)
        },
      )
      .finally(() => {
        task.settled.abort()
        if (job) this.#busySessions.delete(job.sessionId)
        slot.task = null
        if (++slot.jobs >= this.#jobsOfALife || slot.isDue) this.#retire(slot)
        this.#assign()
      })
  }

  /** The cores for one more segment: all that the others leave, one at least. */
  #coresNow(): number {
    const busy = this.#slots.filter(({ task }) => task?.job).length
    return Math.max(1, Math.floor((this.#needs.cores ?? this.#needs.workers) / Math.max(1, busy)))
  }

  /** Answers the caller at once; the worker is told to stop, and killed when it does not. */
  #giveUp(task: Task, error: unknown): void {
    task.settled.abort()
    task.reject(error)
    const index = this.#waiting.indexOf(task)
    if (index >= 0) this.#waiting.splice(index, 1)
    task.stop?.()
  }

  /** A GPU that fails again and again is taken out: its workers go on without it. */
  #noteDevice(lane: Lane, fault: string | null): void {
    if (!lane.gpu || lane.outOfService !== null) return
    lane.faults = fault === null ? 0 : lane.faults + 1
    if (fault === null || lane.faults < DEVICE_FAULTS) return
    lane.outOfService = fault
    lane.sessions.clear()
    const left = this.#lanes.filter(({ outOfService }) => outOfService === null).length
    this.#log.error(
      left > 0
        ? 'a GPU is taken out of service, its sessions go to the others: see to it and start the node again'
        : 'the last GPU is taken out of service, its sessions go on on the cores: see to it and start the node again',
      { gpu: lane.gpu.device, reason: fault, segmentsFailed: lane.faults, gpusLeft: left },
    )
    for (const slot of lane.slots) {
      if (slot.task) slot.isDue = true
      else this.#retire(slot)
    }
  }

  #retire(slot: Slot): void {
    slot.isReady = false
    slot.isDue = true
    void slot.worker?.kill()
  }

  #launch(lane: Lane, slot: Slot): WorkerProcess {
    const gpu = lane.outOfService === null ? lane.gpu : null
    const folder = join(this.#folder!, String(this.#launched++))
    mkdirSync(folder, { mode: 0o700 })
    const worker = (this.#needs.launch ?? launchWorker)({ gpu, folder })
    slot.worker = worker
    slot.jobs = 0
    slot.isDue = false
    worker.ready.then(
      () => {
        if (slot.worker !== worker || slot.isDue) return
        slot.isReady = true
        this.#assign()
      },
      () => {},
    )
    worker.ended.then(() => {
      if (slot.worker === worker) slot.isReady = false
      // What a worker that was killed left behind.
      void rm(folder, { recursive: true, force: true }).catch(() => {})
    })
    return worker
  }

  /** Replaces the worker of a slot whenever it ends, until the engine stops. */
  async #keep(lane: Lane, slot: Slot, first: WorkerProcess, signal: AbortSignal): Promise<void> {
    let pauseMs = RESTART_MS.first
    for (let worker = first; ; worker = this.#launch(lane, slot)) {
      const wasReady = await worker.ready.then(
        () => true,
        () => false,
      )
      const end = await worker.ended
      if (signal.aborted) return
      slot.replaced++
      if (slot.isDue) this.#log.debug('a media worker retires', { pid: worker.pid })
      else this.#log.warn('a media worker ended and is replaced', { pid: worker.pid, ...end })
      // One that lived dies of its job and is wanted back at once; one that never got ready will not soon.
      pauseMs = wasReady ? RESTART_MS.first : Math.min(RESTART_MS.most, pauseMs * 2)
      if (!wasReady) await this.#clock.sleep(pauseMs, signal)
    }
  }

  async #watchMemory(signal: AbortSignal): Promise<void> {
    const most = this.#needs.maxWorkerBytes ?? MAX_WORKER_BYTES
    for (;;) {
      await this.#clock.sleep(MEMORY_CHECK_MS, signal)
      for (const { task, worker } of this.#slots) {
        const bytes = task && worker ? (worker.residentBytes ?? 0) : 0
        if (bytes <= most) continue
        this.#log.warn('a media worker outgrew its memory and is ended', { pid: worker!.pid, bytes, most })
        void worker!.kill()
      }
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

function launchWorker(setUp: WorkerSetUp): WorkerProcess {
  return new WorkerProcess(new URL('./worker.ts', import.meta.url), setUp)
}

function newSlot(): Slot {
  return { worker: null, task: null, lastSession: null, isReady: false, isDue: false, jobs: 0, replaced: 0 }
}
