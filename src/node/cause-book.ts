import type { CauseCode, Side } from '../domain/cause-facts.ts'
import {
  type Cause,
  type Causes,
  codesOf,
  levelOf,
  passesAfterMs,
  sentenceOf,
  sideOf,
  textOf,
} from '../domain/causes.ts'
import type { NodeEvents } from '../domain/events.ts'
import type { Sample } from '../io/http/metrics.ts'
import type { Clock } from '../lib/clock.ts'
import type { Fields, Log } from '../lib/log.ts'
import type { Scope, Service } from '../lib/service.ts'

/** How often causes that pass by themselves are looked at. */
const SWEEP_MS = 5_000
/** A cause that goes on occurring is logged again after this time, with its count. */
const REMIND_MS = 10 * 60_000
/** Causes at the same time, in all and of one code: peers could make up senders. Further ones share an entry. */
const MAX_CAUSES = 1_000
const MAX_OF_CODE = 100
const OTHERS = 'others'

/** A cause that lasts, for the operator. */
export interface LastingCause {
  readonly code: CauseCode
  readonly side: Side
  /** What it concerns, such as a sender; empty where the code says it all. */
  readonly about: string
  readonly sinceMs: number
  readonly lastMs: number
  /** How often it has occurred. */
  readonly count: number
  /** What is wrong, with its numbers. */
  readonly says: string
  readonly change: string
}

interface Entry {
  cause: Cause
  readonly about: string
  readonly sinceMs: number
  lastMs: number
  count: number
  loggedAtMs: number
  loggedCount: number
}

/**
 * The causes that keep this node from part of its work. Each is logged when it begins, counted while it lasts, and logged
 * once more when it is over; listeners hear the same as events.
 */
export class CauseBook implements Causes, Service {
  readonly name = 'causes'
  readonly #clock: Clock
  readonly #log: Log
  readonly #events: NodeEvents
  readonly #entries = new Map<string, Entry>()

  constructor(needs: { clock: Clock; log: Log; events: NodeEvents }) {
    this.#clock = needs.clock
    this.#log = needs.log
    this.#events = needs.events
  }

  start(scope: Scope): void {
    scope.spawn('end what has passed', async (signal) => {
      for (;;) {
        await this.#clock.sleep(SWEEP_MS, signal)
        this.#sweep()
      }
    })
  }

  met(cause: Cause, about = ''): void {
    const nowMs = this.#clock.now()
    const key = this.#keyOf(cause.code, about)
    const known = this.#entries.get(key)
    const side = sideOf(cause.code)
    if (known) {
      known.cause = cause
      known.lastMs = nowMs
      known.count++
      this.#events.tell({ kind: 'problem-repeated', ...cause, about: known.about, side })
      return
    }
    const entry: Entry = {
      ...{ cause, about: key.slice(cause.code.length + 1) },
      ...{ sinceMs: nowMs, lastMs: nowMs, count: 1, loggedAtMs: nowMs, loggedCount: 1 },
    }
    this.#entries.set(key, entry)
    this.#events.tell({ kind: 'problem-begun', ...cause, about: entry.about, side })
    this.#warn(entry)
  }

  over(code: CauseCode, about = ''): void {
    const key = `${code} ${about}`
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#entries.delete(key)
    const { count, sinceMs } = entry
    const lastedMs = this.#clock.now() - sinceMs
    this.#events.tell({ kind: 'problem-ended', code, about, side: sideOf(code), count, lastedMs })
    const { title } = textOf(entry.cause)
    this.#logOf(entry).info(`over: ${title}`, {
      occurrences: count,
      lastedSeconds: Math.round(lastedMs / 1000),
    })
  }

  /** The causes that last, the oldest first. */
  get current(): readonly LastingCause[] {
    return [...this.#entries.values()].map(({ about, cause, count, lastMs, sinceMs }) => {
      const { change, says } = textOf(cause)
      return { code: cause.code, side: sideOf(cause.code), about, sinceMs, lastMs, count, says, change }
    })
  }

  /** The number of causes of each code that a node of these roles can meet. */
  samples(roles: ReadonlySet<string>): Sample[] {
    const counts = new Map(codesOf(roles).map((code) => [code, 0]))
    for (const { cause } of this.#entries.values()) {
      counts.set(cause.code, (counts.get(cause.code) ?? 0) + 1)
    }
    return [...counts].map(([code, value]) => ({ labels: { cause: code, side: sideOf(code) }, value }))
  }

  #keyOf(code: CauseCode, about: string): string {
    const key = `${code} ${about}`
    if (about === '' || this.#entries.has(key)) return key
    const ofCode = [...this.#entries.values()].filter(({ cause }) => cause.code === code).length
    const isFull = this.#entries.size >= MAX_CAUSES || ofCode >= MAX_OF_CODE
    return isFull ? `${code} ${OTHERS}` : key
  }

  #sweep(): void {
    const nowMs = this.#clock.now()
    for (const entry of [...this.#entries.values()]) {
      const { about, cause, lastMs, loggedAtMs } = entry
      const passesMs = passesAfterMs(cause.code)
      if (passesMs !== null && nowMs - lastMs >= passesMs) this.over(cause.code, about)
      else if (entry.count > entry.loggedCount && nowMs - loggedAtMs >= REMIND_MS) {
        entry.loggedAtMs = nowMs
        this.#warn(entry, { occurrences: entry.count, newOccurrences: entry.count - entry.loggedCount })
        entry.loggedCount = entry.count
      }
    }
  }

  #warn(entry: Entry, fields: Fields = {}): void {
    const { cause } = entry
    const facts = { ...fields, side: sideOf(cause.code), why: sentenceOf(cause) }
    this.#logOf(entry)[levelOf(cause.code)](textOf(cause).title, facts)
  }

  /** The fields of a child log tell lines of the same words apart, so that the log does not fold different causes. */
  #logOf({ about, cause }: Entry): Log {
    return this.#log.child({ cause: cause.code, ...(about !== '' && { about }) })
  }
}
