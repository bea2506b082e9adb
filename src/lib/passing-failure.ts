import type { Clock } from './clock.ts'
import type { Fields, Log } from './log.ts'

/** By then a poll has failed some twenty times in a row. */
const DEFAULT_AFTER_MS = 120_000

export interface PassingFailureOptions {
  /** A fixed sentence. */
  readonly message: string
  /** What is said once it is over, if the failure was told. */
  readonly over: string
  /** The level of the first one, where the operator may wait for something; debug unless given. */
  readonly first?: 'info'
  /** How long it may last before the operator is warned; two minutes unless given. */
  readonly afterMs?: number
}

/**
 * A failure that as a rule passes by itself, such as that of a poll, which the next one makes good. It is logged at level
 * debug, and as one warning when it has lasted for too long.
 */
export class PassingFailure {
  readonly #options: PassingFailureOptions
  readonly #clock: Clock
  readonly #log: Log
  #sinceMs: number | null = null
  #isWarned = false

  constructor(options: PassingFailureOptions, needs: { clock: Clock; log: Log }) {
    this.#options = options
    this.#clock = needs.clock
    this.#log = needs.log
  }

  /** It failed, once more or for the first time. */
  failed(fields: Fields): void {
    const { afterMs = DEFAULT_AFTER_MS, first, message } = this.#options
    const nowMs = this.#clock.now()
    const isFirst = this.#sinceMs === null
    this.#sinceMs ??= nowMs
    const lastedMs = nowMs - this.#sinceMs
    if (lastedMs < afterMs || this.#isWarned) {
      this.#log[isFirst ? (first ?? 'debug') : 'debug'](message, fields)
      return
    }
    this.#isWarned = true
    this.#log.warn(message, { ...fields, lastedSeconds: Math.round(lastedMs / 1000) })
  }

  /** It works. */
  passed(): void {
    const { first, over } = this.#options
    if (this.#isWarned || (first && this.#sinceMs !== null)) this.#log.info(over)
    this.#sinceMs = null
    this.#isWarned = false
  }
}
