import { type Capabilities, satisfies } from '../../domain/capabilities.ts'
import { type Causes, noCauses } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { maxSourceBytes, segmentLimitMs } from '../../domain/segment.ts'
import type { Notice, Registration } from '../../domain/transcoder-notice.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { isAbort, messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { Turns } from '../../lib/turns.ts'
import type { NextSegment, TranscodeJob, TranscodeOutput } from './transcoder.ts'

/** Time before the next registration attempt, growing by half each time (wire.md §13). */
const FIRST_RETRY_MS = 500
/** Nodes that are started together find each other within this time. */
const START_PATIENCE_MS = 15_000
const RETRY_GROWTH = 1.5
const LONGEST_RETRY_MS = 10_000
/** After a registration that lasted this long, the retry time starts from the beginning. */
const GOOD_REGISTRATION_MS = 30_000
/** An orchestrator that refuses a registration does so at once. */
const ACCEPTED_MS = 2_000
/** How often the capacity is compared with the registered one; smaller changes are not worth a new registration. */
const CAPACITY_CHECK_MS = 60_000
const CAPACITY_PART = 0.2
/** Tasks at the same time; each holds its segment in memory. */
const MAX_RUNNING = 256
/** Attempts to deliver a result to an orchestrator that cannot be reached, and the time between them. */
const RESULT_ATTEMPTS = 3
const RESULT_RETRY_MS = 500

/** Why an orchestrator turned a transcoder away for good (wire.md §13). */
export type TurnedAway = 'invalid secret' | 'zero capacity'

/** Why a task is not done; the message is the text that its orchestrator is told (wire.md §13). */
export type TaskFault = 'busy' | 'unreadable' | 'incompatible' | 'mismatch'

class TaskError extends NodeError<TaskFault> {
  override name = 'TaskError'
}

/** The outcome of a task. */
export type TaskOutcome = TranscodeOutput | { readonly error: string }

/** What a transcoder delivers to its orchestrator. */
export interface TaskResult {
  readonly secret: string
  readonly taskId: bigint
  readonly outcome: TaskOutcome
  /** Of each rendition, whether it is MP4. */
  readonly isMp4: readonly boolean[]
}

/** A connection over which a transcoder registers with an orchestrator. */
export interface OrchestratorLine {
  /**
   * Registers and gives what the orchestrator wants done, until the registration ends or is called off; the connection
   * stands until it is closed. Throws NodeError `refused` with the orchestrator's own words.
   */
  notices(registration: Registration, signal: AbortSignal): AsyncIterable<Notice>
  close(): void
}

/** An orchestrator, as its transcoder calls it. */
export interface OrchestratorLink {
  /** Prepares a connection; it connects on registration. */
  line(url: string): OrchestratorLine
  /** Fetches a task's source of at most `maxBytes`, only from addresses that this orchestrator's tasks may name. */
  download(
    url: string,
    task: { readonly orchestrator: string; readonly maxBytes: number },
    signal: AbortSignal,
  ): Promise<Uint8Array>
  /** Delivers the result of a task. */
  deliver(url: string, result: TaskResult, signal: AbortSignal): Promise<void>
}

/** What does the work. */
export interface WorkerEngine {
  /** Sessions that it takes at once just now; after a change the transcoder registers again. */
  readonly sessions: number
  transcode(job: TranscodeJob, signal: AbortSignal): Promise<TranscodeOutput>
  /** False when a segment could certainly not be done in time. */
  canFinish(next: NextSegment): boolean
  /** No more segments of this session will come. */
  sessionEnded(sessionId: string): void
}

export interface StandaloneTranscoderOptions {
  /** Orchestrators to register with, in this order; it works for the first that answers. */
  readonly orchestrators: readonly string[]
  readonly secret: string
  readonly capabilities: Capabilities
  readonly version: string
  /** Its name and what it transcodes on, for the orchestrator's operator. */
  readonly name: string
  readonly hardware: string
}

export interface StandaloneTranscoderNeeds {
  readonly link: OrchestratorLink
  readonly engine: WorkerEngine
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly events: NodeEvents
  readonly causes?: Causes
}

/** Its status, for the operator. */
export interface StandaloneTranscoderStatus {
  /** The orchestrator that it is registered with, or registering with; null between two attempts. */
  readonly orchestrator: string | null
  readonly sinceMs: number | null
  readonly running: number
  readonly done: number
  readonly failed: number
  readonly lastError: string | null
}

/**
 * Transcodes for an orchestrator on another machine: registers with the first of the list that answers, does what it
 * is told, and goes on to the next when that one is gone (wire.md §13).
 */
export class StandaloneTranscoder implements Service {
  readonly name = 'standalone transcoder'
  readonly #options: StandaloneTranscoderOptions
  readonly #needs: StandaloneTranscoderNeeds
  readonly #running = new Set<Promise<void>>()
  readonly #turns = new Turns()
  #leaving = new AbortController()
  #undrained = Promise.withResolvers<void>()
  readonly #abandoned = new AbortController()
  /** Since when no orchestrator takes it; null while one does. */
  #unregisteredMs: number | null = null
  #status: Omit<StandaloneTranscoderStatus, 'running'> = {
    ...{ orchestrator: null, sinceMs: null, done: 0, failed: 0, lastError: null },
  }

  constructor(options: StandaloneTranscoderOptions, needs: StandaloneTranscoderNeeds) {
    this.#options = options
    this.#needs = needs
  }

  start(scope: Scope): void {
    scope.defer(async () => {
      this.#abandoned.abort()
      await Promise.all(this.#running)
    })
    scope.spawn('work for an orchestrator', async (signal) => {
      const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      while (!signal.aborted) {
        const either = AbortSignal.any([signal, this.#leaving.signal])
        await this.#serve(either).catch((error) => {
          if (!either.aborted || !isAbort(error)) throw error
        })
        if (this.#leaving.signal.aborted) await Promise.race([this.#undrained.promise, stopped])
      }
    })
  }

  /** Registers again, after a drain or one whose signal was aborted. */
  undrain(): void {
    if (!this.#leaving.signal.aborted) return
    this.#leaving = new AbortController()
    this.#undrained.resolve()
    this.#undrained = Promise.withResolvers()
  }

  /** Prepares to stop: takes no more tasks and finishes running ones, for `limitMs` at most. Rejects when the signal is aborted. */
  async drain(limitMs: number, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#needs
    this.#leaving.abort()
    if (this.#running.size > 0) log.info('draining: finishing running tasks', { running: this.#running.size })
    const patience = new AbortController()
    const limit = clock.sleep(limitMs, AbortSignal.any([signal, patience.signal]))
    const finished = (async () => {
      while (this.#running.size > 0) await Promise.all(this.#running)
    })()
    try {
      await Promise.race([finished, limit])
    } finally {
      patience.abort()
      limit.catch(() => {})
    }
  }

  status(): StandaloneTranscoderStatus {
    return { ...this.#status, running: this.#running.size }
  }

  async #serve(signal: AbortSignal): Promise<void> {
    const { clock, dice, log } = this.#needs
    const { orchestrators } = this.#options
    let retryMs = FIRST_RETRY_MS
    for (let turn = 0; ; turn++) {
      const url = orchestrators[turn % orchestrators.length]!
      const startedMs = clock.now()
      this.#status = { ...this.#status, orchestrator: url, sinceMs: startedMs }
      log.debug('registering', { orchestrator: url })
      try {
        while ((await this.#workFor(url, signal)) === 'outdated')
          log.info('registering again: the measured capacity has changed', { orchestrator: url })
        this.#status = { ...this.#status, lastError: 'the orchestrator ended the registration' }
      } catch (error) {
        if (signal.aborted && isAbort(error)) throw error
        this.#refuseToGoOn(url, error)
        this.#status = { ...this.#status, lastError: messageOf(error) }
      }
      const held = clock.now() - startedMs >= GOOD_REGISTRATION_MS
      if (held) retryMs = FIRST_RETRY_MS
      this.#unregistered({ orchestrator: url, reason: this.#status.lastError ?? '' })
      this.#status = { ...this.#status, orchestrator: null, sinceMs: null }
      // The wait grows only after the whole list has been tried.
      const isRoundOver = (turn + 1) % orchestrators.length === 0
      await clock.sleep(retryMs * (0.5 + dice.fraction()), signal)
      if (isRoundOver) retryMs = Math.min(retryMs * RETRY_GROWTH, LONGEST_RETRY_MS)
    }
  }

  /** At a common start the orchestrator may come up later: it is a cause only once it lasts. */
  #unregistered(facts: { orchestrator: string; reason: string }): void {
    const { causes = noCauses, clock, log } = this.#needs
    const nowMs = clock.now()
    const isFirst = this.#unregisteredMs === null
    this.#unregisteredMs ??= nowMs
    if (nowMs - this.#unregisteredMs >= START_PATIENCE_MS) {
      const { orchestrators } = this.#options
      causes.met({ code: 'not-registered', facts: { orchestrators, reason: facts.reason } })
    } else log[isFirst ? 'info' : 'debug']('could not register with an orchestrator, retrying', facts)
  }

  /** Throws for refusals that only the operator can fix. */
  #refuseToGoOn(url: string, error: unknown): void {
    if (!(error instanceof NodeError) || error.code !== 'refused') return
    const { host } = new URL(url)
    switch (error.message as TurnedAway) {
      case 'invalid secret':
        throw new NodeError<'turned-away'>(
          'turned-away',
          `the orchestrator at ${host} says "invalid secret": give both the same -orchSecret`,
        )
      case 'zero capacity':
        throw new NodeError<'turned-away'>(
          'turned-away',
          `the orchestrator at ${host} says "zero capacity": give -maxSessions`,
        )
    }
  }

  /** Works until the registration ends, or its capacity is out of date. */
  async #workFor(url: string, signal: AbortSignal): Promise<'ended' | 'outdated'> {
    const { capabilities, hardware, name, secret } = this.#options
    const { engine, link } = this.#needs
    const line = link.line(url)
    const tasks = new Set<Promise<void>>()
    const outdated = new AbortController()
    const over = new AbortController()
    try {
      const registration = { secret, capacity: engine.sessions, capabilities, name, hardware }
      void this.#watchCapacity(registration.capacity, outdated, over.signal).catch(() => {})
      void this.#noteRegistered(over.signal).catch(() => {})
      for await (const notice of line.notices(registration, AbortSignal.any([signal, outdated.signal]))) {
        if (notice.kind === 'teardown') {
          engine.sessionEnded(notice.sessionId)
          continue
        }
        const task: Promise<void> = this.#do(url, notice).finally(() => {
          tasks.delete(task)
          this.#running.delete(task)
        })
        tasks.add(task)
        this.#running.add(task)
      }
      return 'ended'
    } catch (error) {
      if (outdated.signal.aborted && !signal.aborted && isAbort(error)) return 'outdated'
      throw error
    } finally {
      over.abort()
      // The open connection shows the orchestrator that the running tasks are still worked on.
      void Promise.all(tasks).then(() => line.close())
    }
  }

  /** A registration that has held for a while is a good one: nothing tells that it was accepted. */
  async #noteRegistered(signal: AbortSignal): Promise<void> {
    const { causes = noCauses, clock } = this.#needs
    await clock.sleep(ACCEPTED_MS, signal)
    this.#unregisteredMs = null
    causes.over('not-registered')
  }

  /** Ends a registration with an outdated capacity, but only while no task runs: its sessions may move to others. */
  async #watchCapacity(told: number, outdated: AbortController, signal: AbortSignal): Promise<void> {
    const { clock, engine } = this.#needs
    const isTrue = () => Math.abs(engine.sessions - told) <= told * CAPACITY_PART
    do await clock.sleep(CAPACITY_CHECK_MS, signal)
    while (isTrue() || this.#running.size > 0)
    outdated.abort()
  }

  async #do(url: string, notice: Exclude<Notice, { kind: 'teardown' }>): Promise<void> {
    const { clock, events, log } = this.#needs
    const startedMs = clock.now()
    const signal = this.#abandoned.signal
    let outcome: TaskOutcome
    try {
      const output = await this.#transcode(url, notice, signal)
      const pixels = output.renditions.reduce((sum, rendition) => sum + rendition.pixels, 0n)
      const sourceMs = notice.kind === 'task' ? notice.segment.durationMs : 0
      const profiles = notice.kind === 'task' ? notice.segment.profiles.map(({ name }) => name) : []
      events.tell({
        ...{ kind: 'segment-done', side: 'transcoder', durationMs: sourceMs, pixels, profiles },
        tookMs: clock.now() - startedMs,
      })
      this.#status = { ...this.#status, done: this.#status.done + 1 }
      outcome = output
    } catch (error) {
      outcome = { error: messageOf(error) }
      events.tell({ kind: 'segment-failed', side: 'transcoder', failure: 'transcode', reason: outcome.error })
      this.#status = { ...this.#status, failed: this.#status.failed + 1 }
      log.warn('task failed', { taskId: notice.taskId, error })
    }
    await this.#deliver(url, notice, outcome, signal).catch((error) =>
      log.warn('result could not be delivered to the orchestrator', {
        taskId: notice.taskId,
        error: messageOf(error),
      }),
    )
  }

  /** In the order of wire.md §13; every text reaches the gateway as it is. */
  async #transcode(
    url: string,
    notice: Exclude<Notice, { kind: 'teardown' }>,
    signal: AbortSignal,
  ): Promise<TranscodeOutput> {
    if (this.#running.size >= MAX_RUNNING) throw new TaskError('busy', 'TranscoderBusy')
    if (notice.kind === 'unreadable') throw new TaskError('unreadable', notice.text)
    const { segment } = notice
    const { capabilities, version } = this.#options
    if (segment.capabilities && !satisfies(segment.capabilities, capabilities)) {
      throw new TaskError('incompatible', 'incompatible segment capabilities')
    }
    const { clock, engine, link } = this.#needs
    const { durationMs } = segment
    const sessionId = segment.authToken?.sessionId ?? ''
    const limitMs = segmentLimitMs(durationMs)
    if (!engine.canFinish({ sessionId, durationMs, limitMs, before: this.#turns.of(sessionId) })) {
      throw new TaskError('busy', 'TranscoderBusy')
    }
    const maxBytes = maxSourceBytes(durationMs)
    const source = await link.download(notice.url, { orchestrator: url, maxBytes }, signal)
    const deadline = clock.now() + limitMs
    const work = async () => {
      signal.throwIfAborted()
      const deadlineMs = deadline - clock.now()
      if (deadlineMs <= 0) throw new TaskError('busy', 'TranscoderBusy')
      const job: TranscodeJob = {
        ...{ sessionId, source, durationMs, deadlineMs },
        profiles: segment.profiles,
        provider: `Livepeer Transcoder ${version} (${notice.orchestrator})`,
        clip: segment.clip,
        calcPerceptualHash: segment.calcPerceptualHash,
      }
      return await engine.transcode(job, signal)
    }
    const output = await this.#turns.take(sessionId, work, durationMs)
    if (output.renditions.length !== segment.profiles.length) {
      throw new TaskError('mismatch', 'segment / profile mismatch')
    }
    return output
  }

  async #deliver(
    url: string,
    notice: Exclude<Notice, { kind: 'teardown' }>,
    outcome: TaskOutcome,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, events, link } = this.#needs
    const startedMs = clock.now()
    const profiles = notice.kind === 'task' ? notice.segment.profiles : []
    const isMp4 = profiles.map(({ format }) => format === 'mp4')
    const result = { secret: this.#options.secret, taskId: notice.taskId, outcome, isMp4 }
    for (let attempt = 1; ; attempt++) {
      try {
        await link.deliver(url, result, signal)
        events.tell({ kind: 'segment-uploaded', side: 'transcoder', tookMs: clock.now() - startedMs })
        return
      } catch (error) {
        // Delivering a result twice is harmless: the orchestrator ignores the second.
        const mayHelp = error instanceof NodeError && error.code === 'unreachable'
        if (!mayHelp || attempt >= RESULT_ATTEMPTS) throw error
        await clock.sleep(RESULT_RETRY_MS * attempt, signal)
      }
    }
  }
}
