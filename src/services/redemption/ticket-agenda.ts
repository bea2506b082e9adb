import { byUrgency, isLastChance, paramsAreLive, type RoundClock } from '../../domain/redemption.ts'
import type { Ticket } from '../../domain/ticket.ts'
import type { Hex } from '../../lib/bytes.ts'
import { settle } from '../../lib/clock.ts'
import { firstOf } from '../../lib/first-of.ts'

/** Tickets worked on at the same time; more wait for their turn. */
const MAX_AT_WORK = 96
/** Tickets sorted at once, out of any number: a few times as many as are worked on. */
const MAX_IN_ORDER = 500
/** Tickets checked before the event loop gets a turn: about a millisecond. */
const LOOKED_AT_ONCE = 2_000
const FIRST_RETRY_MS = 5_000
const LONGEST_RETRY_MS = 5 * 60_000
/** The longest wait when a ticket is about to expire. */
const LONGEST_LAST_RETRY_MS = 10_000

/** A ticket to be worked on, and when. */
export interface Task {
  readonly id: Hex
  readonly ticket: Pick<Ticket, 'faceValue' | 'expirationParams' | 'paramsExpirationBlock'>
  failures: number
  retryAtMs: number
  atWork: boolean
}

/** What an agenda is for. */
export interface AgendaOptions<T extends Task> {
  /** Whether a ticket cannot be worked on yet; absent: while its params are accepted. */
  readonly waits?: (ticket: Task['ticket'], clock: RoundClock) => boolean
  /** Until when another process is to work on a ticket, in ms; null when this one may. Absent: this one may. */
  readonly leftUntilMs?: (task: T, nowMs: number, clock: RoundClock) => number | null
}

/** Decides which ticket is next: the most urgent first; no ticket holds up another. */
export class TicketAgenda<T extends Task> {
  readonly #tasks = new Map<Hex, T>()
  /** The most urgent of those that are ready, the least urgent first; rebuilt when something changed or a retry is due. */
  #ready: T[] = []
  /** Whether more tasks are ready than those. */
  #hasMore = false
  /** Added since `#ready` was built. */
  #added: T[] = []
  #isStale = true
  #nextRetryMs = Number.POSITIVE_INFINITY
  #atWork = 0
  readonly #waits: (ticket: Task['ticket'], clock: RoundClock) => boolean
  readonly #leftUntilMs: AgendaOptions<T>['leftUntilMs']

  constructor(options: AgendaOptions<T> = {}) {
    this.#waits = options.waits ?? paramsAreLive
    this.#leftUntilMs = options.leftUntilMs
  }

  get size(): number {
    return this.#tasks.size
  }

  has(id: Hex): boolean {
    return this.#tasks.has(id)
  }

  add(task: T): void {
    this.#tasks.set(task.id, task)
    this.#added.push(task)
  }

  delete(task: T): void {
    this.#tasks.delete(task.id)
  }

  /** All tasks, in no order. */
  all(): Iterable<T> {
    return this.#tasks.values()
  }

  /** The round or L1 block has changed: other tasks may be ready now. */
  lookAgain(): void {
    this.#isStale = true
  }

  /** Retries at once the tasks whose condition has been met. */
  retry(which: (task: T) => boolean): void {
    for (const task of this.#tasks.values()) if (which(task)) this.retryNow(task)
  }

  /** Retries one task at once. */
  retryNow(task: T): void {
    task.retryAtMs = 0
    task.failures = 0
    this.#isStale = true
  }

  /** Retries these tasks at once; returns whether any of them is on the agenda. */
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

  /** Delays a task, longer each time. */
  delay(task: T, nowMs: number, clock: RoundClock): void {
    const last = isLastChance(task.ticket.expirationParams.creationRound, clock)
    const longest = last ? LONGEST_LAST_RETRY_MS : LONGEST_RETRY_MS
    task.retryAtMs = nowMs + Math.min(FIRST_RETRY_MS * 2 ** Math.min(task.failures++, 16), longest)
  }

  /**
   * Finds the tasks to work on next, if something has changed. Yields to the event loop; changes made meanwhile count
   * next time.
   */
  async prepare(nowMs: number, clock: RoundClock): Promise<void> {
    if (this.#atWork >= MAX_AT_WORK) return
    const isUsedUp = this.#hasMore && this.#ready.length === 0
    if (this.#isStale || isUsedUp || nowMs >= this.#nextRetryMs) await this.#findReady(nowMs, clock)
    else if (this.#added.length > 0) this.#takeIn(nowMs, clock)
  }

  /** The next of the tasks that `prepare` found, or null; it is in work until `done`. */
  take(): T | null {
    while (this.#atWork < MAX_AT_WORK) {
      const task = this.#ready.pop()
      if (!task) return null
      if (task.atWork || !this.has(task.id)) continue
      task.atWork = true
      this.#atWork++
      return task
    }
    return null
  }

  /** Ends the work on a task. */
  done(task: T): void {
    task.atWork = false
    this.#atWork--
    if (this.has(task.id)) this.#nextRetryMs = Math.min(this.#nextRetryMs, task.retryAtMs)
  }

  /** When a task is ready next if nothing happens, in ms of the clock. */
  get nextMs(): number {
    if (this.#atWork >= MAX_AT_WORK) return Number.POSITIVE_INFINITY
    return this.#hasMore && this.#ready.length === 0 ? 0 : this.#nextRetryMs
  }

  async #findReady(nowMs: number, clock: RoundClock): Promise<void> {
    this.#isStale = false
    this.#nextRetryMs = Number.POSITIVE_INFINITY
    this.#added = []
    let first: T[] = []
    let found: T[] = []
    let ready = 0
    const sift = () => {
      ready += found.length
      first = firstOf([...first, ...found], MAX_IN_ORDER, (a, b) => byUrgency(a.ticket, b.ticket))
      found = []
    }
    let looked = 0
    for (const task of this.#tasks.values()) {
      if (this.#isReady(task, nowMs, clock)) found.push(task)
      if (++looked % LOOKED_AT_ONCE > 0) continue
      sift()
      await settle()
    }
    sift()
    this.#ready = first.reverse()
    this.#hasMore = ready > first.length
  }

  /** Inserts the added tasks without checking the others. */
  #takeIn(nowMs: number, clock: RoundClock): void {
    const ready = this.#added.filter((task) => this.has(task.id) && this.#isReady(task, nowMs, clock))
    this.#added = []
    if (ready.length > 0)
      this.#ready = [...this.#ready, ...ready].sort((a, b) => byUrgency(b.ticket, a.ticket))
  }

  /** Whether a task can be worked on; otherwise notes when it is to be retried. */
  #isReady(task: T, nowMs: number, clock: RoundClock): boolean {
    if (task.atWork || this.#waits(task.ticket, clock)) return false
    const leftUntilMs = this.#leftUntilMs?.(task, nowMs, clock) ?? null
    if (leftUntilMs !== null) {
      this.#nextRetryMs = Math.min(this.#nextRetryMs, leftUntilMs)
      return false
    }
    const isPatient = task.retryAtMs > nowMs + LONGEST_LAST_RETRY_MS
    if (isPatient && isLastChance(task.ticket.expirationParams.creationRound, clock)) task.retryAtMs = nowMs
    if (task.retryAtMs <= nowMs) return true
    this.#nextRetryMs = Math.min(this.#nextRetryMs, task.retryAtMs)
    return false
  }
}
