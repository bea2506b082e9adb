import type { Clock } from '../../lib/clock.ts'
import { isAbort } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { NoSessions } from './no-sessions.ts'
import type { OrchestratorCheckResult } from './orchestrator-check.ts'

/** How long after the start the first poll is: nodes that are started together are up by then. */
const FIRST_MS = 60_000
/** The pause between polls, as peers have it (gateway.md §7). */
const PAUSE_MS = 25 * 60_000
/** The pause while nobody would serve. */
const TROUBLED_PAUSE_MS = 60_000
/** In explanations it stands for the next stream; no stream has this name. */
const NEXT_STREAM = ''

/** What the polls work with. */
export interface OrchestratorPollsNeeds {
  /** Asks all orchestrators whether they would serve a stream. */
  readonly check: (signal: AbortSignal) => Promise<OrchestratorCheckResult>
  /** True while there is no stream; streams report by themselves what they lack. */
  readonly isIdle: () => boolean
  readonly noSessions: Pick<NoSessions, 'explain' | 'settled'>
  readonly clock: Clock
  readonly log: Log
}

/**
 * Asks orchestrators between streams whether they would serve one, so that the operator knows their prices, and is told of a
 * missing deposit, a low price limit or orchestrators that are away before the first publisher is.
 */
export class OrchestratorPolls implements Service {
  readonly name = 'orchestrator polls'
  readonly #needs: OrchestratorPollsNeeds
  /** What was told last: the same is not told again. */
  #told = ''

  constructor(needs: OrchestratorPollsNeeds) {
    this.#needs = needs
  }

  start(scope: Scope): void {
    scope.spawn('poll orchestrators between streams', async (signal) => {
      const { clock, isIdle, noSessions } = this.#needs
      let pauseMs = FIRST_MS
      for (;;) {
        await clock.sleep(pauseMs, signal)
        const isServed = isIdle() ? await this.#poll(signal) : true
        if (isServed) noSessions.settled(NEXT_STREAM)
        pauseMs = isServed ? PAUSE_MS : TROUBLED_PAUSE_MS
      }
    })
  }

  /** Whether there is an orchestrator for the next stream; also where that is not known. */
  async #poll(signal: AbortSignal): Promise<boolean> {
    const { check, isIdle, log, noSessions } = this.#needs
    try {
      const { size, skipped, willing } = await check(signal)
      this.#tell(willing, skipped.size)
      if (willing.length > 0 || !isIdle()) return true
      await noSessions.explain(NEXT_STREAM, { size, skipped })
      return false
    } catch (error) {
      if (isAbort(error)) throw error
      log.debug('orchestrators could not be asked between streams', { error })
      return true
    }
  }

  #tell(willing: OrchestratorCheckResult['willing'], unwilling: number): void {
    const prices = willing.flatMap(({ price }) => (price ? [price] : []))
    const [first] = prices
    const lowest = first && prices.reduce((least, one) => (one.cmp(least) < 0 ? one : least), first)
    const told = `${willing.length} ${unwilling} ${lowest}`
    if (told === this.#told) return
    this.#told = told
    this.#needs.log.info('orchestrators asked between streams', {
      ...{ willing: willing.length, unwilling },
      ...(lowest && { lowestPerPixelWei: lowest }),
    })
  }
}
