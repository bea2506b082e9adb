import { rm } from 'node:fs/promises'
import type { Clock } from '../../../lib/clock.ts'
import { messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { Lane } from './lanes.ts'
import type { WorkerProcess } from './worker-process.ts'

/** How long a worker that ended at once stays away, doubled each time up to the maximum. */
const RESTART_MS = { first: 250, most: 30_000 }
/** An idle worker that keeps more than this part of its bound is replaced: what one stream left is not the next one's fault. */
const IDLE_PART = 0.5

/** A worker process as the operator sees it. */
export interface WorkerState {
  readonly pid: number | null
  readonly isBusy: boolean
  /** How often it had to be replaced. */
  readonly replaced: number
}

export interface WorkerSlotOptions {
  /** Jobs after which the worker is replaced by a fresh one. */
  readonly maxJobs: number
  /** Resident memory at which the worker is killed, in bytes. */
  readonly maxBytes: number
}

export interface WorkerSlotNeeds {
  readonly clock: Clock
  readonly log: Log
  /** Starts a worker for a device, with a folder of its own. Throws what the system says when it gives no process, or no folder. */
  launch(gpu: Lane['gpu']): { readonly worker: WorkerProcess; readonly folder: string }
  /** Called when a worker takes jobs. */
  ready(): void
}

/** A place for one worker: keeps a process there, and replaces it when it ends, has done its jobs or outgrows its memory. */
export class WorkerSlot {
  lane: Lane
  /** Whether the worker has a job. */
  isBusy = false
  /** Whether no worker was ever wanted here. */
  isCold = true
  /** The session of the worker's last segment. */
  lastSession: string | null = null
  readonly #options: WorkerSlotOptions
  readonly #needs: WorkerSlotNeeds
  #worker: WorkerProcess | null = null
  #isReady = false
  /** To be replaced once it is idle. */
  #isDue = false
  /** Jobs that the worker was given. */
  #jobs = 0
  #replaced = 0

  constructor(lane: Lane, options: WorkerSlotOptions, needs: WorkerSlotNeeds) {
    this.lane = lane
    this.#options = options
    this.#needs = needs
  }

  /** Whether a job can be given to the worker. */
  get isFree(): boolean {
    return this.#isReady && !this.isBusy
  }

  /** Whether a worker is on its way. */
  get isStarting(): boolean {
    return !this.isCold && !this.#isReady
  }

  get state(): WorkerState {
    return { pid: this.#worker?.pid ?? null, isBusy: this.isBusy, replaced: this.#replaced }
  }

  /** Takes the worker for a job; only while it is free. */
  take(session: string | null): WorkerProcess {
    this.isBusy = true
    this.#jobs++
    if (session !== null) this.lastSession = session
    return this.#worker!
  }

  /** The job is over. A worker that has done its jobs, or keeps too much memory, is replaced. */
  free(): void {
    this.isBusy = false
    if (this.#jobs >= this.#options.maxJobs || this.#isDue || this.#exceedsIdleMemory()) this.#retire()
  }

  /** Replaces the worker, once it is idle. */
  retire(): void {
    if (this.isBusy) this.#isDue = true
    else this.#retire()
  }

  /** Kills the worker where it is busy with too much memory, and replaces it where it is idle with more than it should keep. */
  checkMemory(): void {
    const { isBusy } = this
    if (this.isFree && this.#exceedsIdleMemory()) this.#retire()
    const worker = this.#worker
    const bytes = isBusy && worker ? (worker.residentBytes ?? 0) : 0
    const { maxBytes: most } = this.#options
    if (bytes <= most) return
    this.#needs.log.warn('media worker killed: it outgrew its memory', { pid: worker!.pid, bytes, most })
    void worker!.kill()
  }

  kill(): void {
    void this.#worker?.kill()
  }

  /** Starts a worker. Throws what the system says when it gives no process, or no place for a folder. */
  launch(): WorkerProcess {
    this.isCold = false
    const { worker, folder } = this.#needs.launch(this.lane.gpu)
    this.#worker = worker
    this.#jobs = 0
    this.#isDue = false
    worker.ready.then(
      () => {
        if (this.#worker !== worker || this.#isDue) return
        this.#isReady = true
        this.#needs.ready()
      },
      () => {},
    )
    worker.ended.then(() => {
      if (this.#worker === worker) this.#isReady = false
      // A worker that was killed leaves its files behind.
      void rm(folder, { recursive: true, force: true }).catch(() => {})
    })
    return worker
  }

  /** Starts a worker; null where that fails, which is logged: `keep` tries again. */
  tryLaunch(): WorkerProcess | null {
    try {
      return this.launch()
    } catch (error) {
      this.#needs.log.warn('media worker could not be started, retrying', { error: messageOf(error) })
      return null
    }
  }

  /** Replaces the worker whenever it ends, or could not be started, until the engine stops. */
  async keep(first: WorkerProcess | null, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#needs
    let worker: WorkerProcess | null = first
    for (let pauseMs = RESTART_MS.first; ; ) {
      const end = await worker?.ended
      if (signal.aborted) return
      if (end) {
        this.#replaced++
        if (this.#isDue) log.debug('media worker retired', { pid: worker!.pid })
        else log.warn('media worker ended, replacing it', { pid: worker!.pid, ...end })
      }
      // A worker that has run jobs crashed on one: restart it now. One that never ran a job restarts with back-off.
      const hasWorked = worker !== null && (this.#jobs > 0 || this.#isDue)
      pauseMs = hasWorked ? RESTART_MS.first : Math.min(RESTART_MS.most, pauseMs * 2)
      if (!hasWorked) await clock.sleep(pauseMs, signal)
      worker = this.tryLaunch()
    }
  }

  #retire(): void {
    this.#isReady = false
    this.#isDue = true
    void this.#worker?.kill()
  }

  /** Whether a worker without a job keeps more memory than it should. */
  #exceedsIdleMemory(): boolean {
    return (this.#worker?.residentBytes ?? 0) > this.#options.maxBytes * IDLE_PART
  }
}
