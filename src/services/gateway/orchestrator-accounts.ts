import {
  BAN_MEMORY_MS,
  banMs,
  type Dealings,
  isOverpaid,
  noDealings,
  type Outcome,
  withOutcome,
} from '../../domain/dealings.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'

/** Orchestrators that are remembered; far above what a gateway asks. */
const MAX_ACCOUNTS = 10_000

/** How long after the end of its ban an orchestrator is still named to the operator. */
const SHOWN_MS = 60 * 60_000

/** An orchestrator that is left out, or was lately, since it was paid too much for what it gave. */
export interface OverpaidOrchestrator {
  /** The address at which it was found. */
  readonly orchestrator: string
  /** What it was paid lately or counts as its due, and what came of it at the agreed price; wei. */
  readonly chargedWei: bigint
  readonly earnedWei: bigint
  /** Until when it is left out. */
  readonly untilMs: number
  /** How often it has been left out. */
  readonly times: number
}

interface Account {
  dealings: Dealings
  bans: number
  ban: OverpaidOrchestrator | null
}

/**
 * What each orchestrator was paid and what came of it, over all streams. One that was paid more than twice its price
 * is left out for a while and named (payments.md §7). It goes by the address at which an orchestrator was found, since
 * all that it says of itself may change with each answer.
 */
export class OrchestratorAccounts {
  readonly #clock: Clock
  readonly #log: Log
  /** The least recently paid first. */
  readonly #accounts = new Map<string, Account>()

  constructor(needs: { clock: Clock; log: Log }) {
    this.#clock = needs.clock
    this.#log = needs.log
  }

  /** Counts what came of a payment. */
  settle(orchestrator: string, outcome: Outcome): void {
    // What is still on its way belongs to what it was left out for.
    if (this.isLeftOut(orchestrator)) return
    const nowMs = this.#clock.now()
    const account = this.#take(orchestrator, nowMs)
    account.dealings = withOutcome(account.dealings, outcome, nowMs)
    if (!isOverpaid(account.dealings)) return
    const { earned, lost } = account.dealings
    const forMs = banMs(++account.bans)
    account.ban = {
      ...{ orchestrator, chargedWei: earned + lost, earnedWei: earned },
      ...{ untilMs: nowMs + forMs, times: account.bans },
    }
    account.dealings = noDealings(nowMs)
    this.#log.warn('orchestrator suspended: paid more than twice its price', {
      orchestrator,
      chargedWei: earned + lost,
      earnedWei: earned,
      forMs,
    })
  }

  /** Whether an orchestrator gets no work now since it was paid too much. */
  isLeftOut(orchestrator: string): boolean {
    const ban = this.#accounts.get(orchestrator)?.ban
    return !!ban && ban.untilMs > this.#clock.now()
  }

  /** Those that are left out now, or were within the last hour. */
  get overpaid(): readonly OverpaidOrchestrator[] {
    const nowMs = this.#clock.now()
    return [...this.#accounts.values()].flatMap(({ ban }) =>
      ban && nowMs - ban.untilMs <= SHOWN_MS ? [ban] : [],
    )
  }

  #take(orchestrator: string, nowMs: number): Account {
    const known = this.#accounts.get(orchestrator)
    const account = known ?? { dealings: noDealings(nowMs), bans: 0, ban: null }
    if (account.ban && nowMs - account.ban.untilMs > BAN_MEMORY_MS)
      Object.assign(account, { bans: 0, ban: null })
    this.#accounts.delete(orchestrator)
    this.#accounts.set(orchestrator, account)
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size <= MAX_ACCOUNTS) break
      this.#accounts.delete(oldest)
    }
    return account
  }
}
