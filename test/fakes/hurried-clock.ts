import { setTimeout as sleepTimeout } from 'node:timers/promises'
import { ManualClock } from '../../src/lib/clock.ts'

const TICK_MS = 10
/** A late tick lets no more time pass than this, so that a busy machine does not take it from those who have to answer. */
const LONGEST_TICK_MS = 20
/** Ticks in a row for which time stands still, at most, while work is under way. */
const MAX_TICKS_STILL = 100

/**
 * The system's time, which can be hurried: for nodes that wait for minutes, on a chain and a network that are real. Others
 * answer in real time, so while they do, time should stand still: `isUnderWay` says when.
 */
export class HurriedClock extends ManualClock implements AsyncDisposable {
  readonly #isUnderWay: () => boolean
  readonly #passing: Promise<void>
  #times = 1
  #isStopped = false

  constructor(isUnderWay: () => boolean = () => false) {
    super(Date.now())
    this.#isUnderWay = isUnderWay
    this.#passing = this.#pass()
  }

  /** Lets time pass so many times faster until the work is done. */
  async hurry<Result>(work: () => Promise<Result>, times = 100): Promise<Result> {
    this.#times = times
    try {
      return await work()
    } finally {
      this.#times = 1
    }
  }

  /** Stops time. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true
    await this.#passing
  }

  async #pass(): Promise<void> {
    let stillFor = 0
    for (let beforeMs = performance.now(); !this.#isStopped; ) {
      await sleepTimeout(TICK_MS)
      const nowMs = performance.now()
      // Clocks tell whole milliseconds.
      const passedMs = Math.min(Math.round(nowMs - beforeMs), LONGEST_TICK_MS)
      beforeMs = nowMs
      if (this.#times > 1 && this.#isUnderWay() && stillFor++ < MAX_TICKS_STILL) continue
      stillFor = 0
      await this.wind(passedMs * this.#times)
    }
  }
}
