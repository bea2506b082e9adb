import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'

/** How often scores are read (gateway.md §9). */
const EVERY_MS = 10 * 60_000
/** After a failure they are read again after this time. */
const RETRY_MS = 60_000

/** Where scores come from. */
export interface PerfStats {
  /** Scores by address in lower case. Rejects with a NodeError after a bounded time. */
  fetch(signal: AbortSignal): Promise<ReadonlyMap<string, number>>
}

/** The performance scores of orchestrators; those that were read last stay while there are no newer ones. */
export class PerfScores implements Service {
  readonly name = 'performance scores'
  readonly #needs: { readonly stats: PerfStats; readonly clock: Clock; readonly log: Log }
  readonly #unreadable: PassingFailure
  #scores: ReadonlyMap<string, number> | null = null

  constructor(needs: { readonly stats: PerfStats; readonly clock: Clock; readonly log: Log }) {
    this.#needs = needs
    const words = {
      message: 'could not read the performance scores of orchestrators',
      over: 'performance scores of orchestrators read again',
    }
    this.#unreadable = new PassingFailure(words, needs)
  }

  start(scope: Scope): void {
    const { clock, stats } = this.#needs
    scope.spawn('read performance scores', async (signal) => {
      for (;;) {
        let pauseMs = EVERY_MS
        try {
          this.#scores = await stats.fetch(signal)
          this.#unreadable.passed()
        } catch (error) {
          if (isAbort(error)) return
          this.#unreadable.failed({ reason: messageOf(error) })
          pauseMs = RETRY_MS
        }
        await clock.sleep(pauseMs, signal)
      }
    })
  }

  /** The score of an orchestrator, 0 if it has none; null while no scores are known. */
  scoreOf(recipient: Address): number | null {
    return this.#scores && (this.#scores.get(recipient.toLowerCase()) ?? 0)
  }
}
