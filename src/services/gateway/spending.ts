import type { Clock } from '../../lib/clock.ts'

const MINUTE_MS = 60_000
/** Spending is averaged over this time, or over the time since the first payment if that is shorter. */
const WINDOW_MINUTES = 60
const HOUR_MS = WINDOW_MINUTES * MINUTE_MS

/** How long funds last at the present spending; null while nothing is spent. Amounts are wei. */
export interface FundsOutlook {
  readonly perHour: bigint
  readonly depositLastsMs: number | null
  /** From when the deposit is used up. */
  readonly reserveLastsMs: number | null
}

/** What a gateway lately spent: the expected value of the tickets that it sent, by minute. */
export class Spending {
  readonly #clock: Clock
  /** By minute, the oldest first. */
  readonly #byMinute = new Map<number, bigint>()
  #firstMs: number | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts a payment, in wei. */
  add(wei: bigint): void {
    if (wei <= 0n) return
    const minute = this.#minute
    this.#firstMs ??= this.#clock.now()
    this.#byMinute.set(minute, (this.#byMinute.get(minute) ?? 0n) + wei)
    this.#forgetOld()
  }

  /** Wei an hour at the present spending. */
  get perHour(): bigint {
    this.#forgetOld()
    if (this.#firstMs === null) return 0n
    const spent = [...this.#byMinute.values()].reduce((sum, wei) => sum + wei, 0n)
    const sinceMs = Math.min(HOUR_MS, Math.max(MINUTE_MS, this.#clock.now() - this.#firstMs))
    return (spent * BigInt(HOUR_MS)) / BigInt(Math.ceil(sinceMs))
  }

  get #minute(): number {
    return Math.floor(this.#clock.now() / MINUTE_MS)
  }

  #forgetOld(): void {
    const oldest = this.#minute - WINDOW_MINUTES
    for (const minute of this.#byMinute.keys()) if (minute <= oldest) this.#byMinute.delete(minute)
  }
}

/** How long a deposit and then a reserve last at this spending. */
export function fundsOutlook(funds: { deposit: bigint; reserve: bigint }, perHour: bigint): FundsOutlook {
  const lastsMs = (wei: bigint) => (perHour === 0n ? null : Number((wei * BigInt(HOUR_MS)) / perHour))
  return { perHour, depositLastsMs: lastsMs(funds.deposit), reserveLastsMs: lastsMs(funds.reserve) }
}
