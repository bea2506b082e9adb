import { byUrgency, isLastChance, paramsAreLive, type RoundClock } from '../domain/redemption.ts'
import type { Ticket } from '../domain/ticket.ts'
import type { Hex } from '../lib/bytes.ts'

/** Tickets worked on at the same time; more wait for their turn. */
const MAX_AT_WORK = 96
const FIRST_RETRY_MS = 5_000
const LONGEST_RETRY_MS = 5 * 60_000
/** When a ticket is about to expire there is no time to be patient. */
const LONGEST_LAST_RETRY_MS = 10_000

/** A ticket to be worked on, and when. */
export interface Task {
  readonly id: Hex
  readonly ticket: Pick<Ticket, 'faceValue' | 'expirationParams' | 'paramsExpirationBlock'>
  failures: number
  retryAtMs: number
  atWork: boolean
}

/** Which ticket is next: each comes up by itself, the most urgent first, and none holds up another. */
export class TicketAgenda<T extends Task> {
  readonly #tasks = new Map<Hex, T>()
  /** Those that can be worked on, the least urgent first; made anew when something changed or a retry is due. */
  #ready: T[] = []
  #isStale = true
  #nextRetryMs = Number.POSITIVE_INFINITY
  #atWork = 0
  readonly #waits: (ticket: Task['ticket'], clock: RoundClock) => boolean

  /** `waits` tells whether a ticket cannot be worked on yet; absent: while its params are accepted. */
  constructor(options: { waits?: (ticket: Task['ticket'], clock: RoundClock) => boolean } = {}) {
    this.#waits = options.waits ?? paramsAreLive
  }

  get size(): number {
    return this.#tasks.size
  }

  has(id: Hex): boolean {
    return this.#tasks.has(id)
  }

  add(task: T): void {
    this.#tasks.set(task.id, task)
    this.#isStale = true
  }

  delete(task: T): void {
    this.#tasks.delete(task.id)
  }

  /** All tasks, the most urgent first. */
  all(): T[] {
    return [...this.#tasks.values()].sort((a, b) => byUrgency(a.ticket, b.ticket))
  }

  /** Rounds or L1 blocks have moved: other tasks may be ready now. */
  lookAgain(): void {
    this.#isStale = true
  }

  /** What some tasks waited for has happened: they are tried at once. */
  retry(which: (task: T) => boolean): void {
    for (const task of this.#tasks.values()) {
      if (!which(task)) continue
      task.retryAtMs = 0
      task.failures = 0
    }
    this.#isStale = true
  }

  /** What these tasks waited for has happened; tells whether any of them is here. */
  wake(ids: readonly Hex[]): boolean {
    let any = false
    for (const id of ids) {
      const task = this.#tasks.get(id)
      if (!task) continue
      task.retryAtMs = 0
      task.failures = 0
      any = true
    }
    if (any) this.#isStale = true
    return any
  }

  /** Puts a task off, longer each time. */
  delay(task: T, nowMs: number, clock: RoundClock): void {
    const last = isLastChance(task.ticket.expirationParams.creationRound, clock)
    const longest = last ? LONGEST_LAST_RETRY_MS : LONGEST_RETRY_MS
    task.retryAtMs = nowMs + Math.min(FIRST_RETRY_MS * 2 ** Math.min(task.failures++, 16), longest)
  }

  /** The next task to work on, or null; it is at work until `done`. */
  take(nowMs: number, clock: RoundClock): T | null {
    if (this.#isStale || nowMs >= this.#nextRetryMs) this.#findReady(nowMs, clock)
    const task = this.#atWork < MAX_AT_WORK ? this.#ready.pop() : undefined
    if (!task) return null
    task.atWork = true
    this.#atWork++
    return task
  }

  /** A task is not at work any more. */
  done(task: T): void {
    task.atWork = false
    this.#atWork--
    if (this.has(task.id)) this.#nextRetryMs = Math.min(this.#nextRetryMs, task.retryAtMs)
  }

  /** When, by the clock, there will be something to take although nothing happens. */
  get nextMs(): number {
    return this.#atWork < MAX_AT_WORK ? this.#nextRetryMs : Number.POSITIVE_INFINITY
  }

  #findReady(nowMs: number, clock: RoundClock): void {
    this.#isStale = false
    this.#nextRetryMs = Number.POSITIVE_INFINITY
    this.#ready = []
    for (const task of this.#tasks.values()) {
      if (task.atWork || this.#waits(task.ticket, clock)) continue
      const isPatient = task.retryAtMs > nowMs + LONGEST_LAST_RETRY_MS
      if (isPatient && isLastChance(task.ticket.expirationParams.creationRound, clock)) task.retryAtMs = nowMs
      if (task.retryAtMs <= nowMs) this.#ready.push(task)
      else this.#nextRetryMs = Math.min(this.#nextRetryMs, task.retryAtMs)
    }
    this.#ready.sort((a, b) => byUrgency(b.ticket, a.ticket))
  }
}
