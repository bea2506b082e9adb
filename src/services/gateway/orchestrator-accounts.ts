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

/** The most accounts; far more than a gateway has orchestrators. */
const MAX_ACCOUNTS = 10_000

/** An orchestrator is shown to the operator for this long after its ban. */
const SHOWN_MS = 60 * 60_000

/** An orchestrator that is banned, or recently was, because it was paid too much for what it delivered. */
export interface OverpaidOrchestrator {
  /** The address at which it was found. */
  readonly orchestrator: string
  /** In wei: what it was paid recently, and the value of the pixels it delivered at the agreed price. */
  readonly chargedWei: bigint
  readonly earnedWei: bigint
  /** When its ban ends. */
  readonly untilMs: number
  /** How often it has been banned. */
  readonly times: number
}

interface Account {
  dealings: Dealings
  bans: number
  ban: OverpaidOrchestrator | null
}

/**
 * Counts what each orchestrator was paid and what it delivered, over all streams. One that was paid more than twice its
 * price is banned for a while and shown to the operator (payments.md §7). Orchestrators are identified by the address
 * at which they were found, since everything in their answers may change each time.
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

  /** Counts the outcome of a payment. */
  settle(orchestrator: string, outcome: Outcome): void {
    // Payments made before the ban are part of the reason for it.
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

  /** Whether an orchestrator is banned now because it was paid too much. */
  isLeftOut(orchestrator: string): boolean {
    const ban = this.#accounts.get(orchestrator)?.ban
    return !!ban && ban.untilMs > this.#clock.now()
  }

  /** Orchestrators that are banned now, or were within the last hour. */
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
