import { type Alert, type Found, ruleOf } from '../../domain/alerts.ts'

/** Something must be away for this long before it counts as over, so that what comes and goes is told once. */
const OVER_AFTER_MS = 60_000
/** Alerts that are known at the same time; further ones wait. */
export const MAX_KNOWN_ALERTS = 200
/** What has ended and could not be told is dropped after this time. */
const MAX_UNTOLD_MS = 24 * 3600_000

/** An alert that was or is to be told. */
export interface KnownAlert extends Alert {
  readonly sinceMs: number
  /** Null while it lasts. */
  readonly endedAtMs: number | null
}

/** An alert as it is kept. */
export interface KeptAlert extends KnownAlert {
  /** By target, what it was told last. */
  readonly told: Readonly<Record<string, 'firing' | 'over'>>
}

/** What began and ended at once. */
export interface AlertChanges {
  readonly begun: readonly Alert[]
  readonly ended: readonly Alert[]
}

interface Entry extends KnownAlert {
  says: string
  change: string
  endedAtMs: number | null
  readonly told: Record<string, 'firing' | 'over'>
}

/**
 * Which alerts last, and which target knows of each. A target is told of an alert once when it begins and once when it is over,
 * also over a restart: what has been told is kept as text.
 */
export class AlertLog {
  readonly #entries = new Map<string, Entry>()
  /** Since when a rule has found something that has not lasted long enough yet. */
  readonly #pending = new Map<string, number>()
  /** Since when an alert has not been found any more. */
  readonly #away = new Map<string, number>()

  /** Takes over what an earlier process has told. */
  restore(kept: readonly KeptAlert[]): void {
    this.#entries.clear()
    for (const entry of kept.slice(0, MAX_KNOWN_ALERTS)) {
      this.#entries.set(keyOf(entry), { ...entry, told: { ...entry.told } })
    }
  }

  /** What has been told, to be kept. */
  get kept(): readonly KeptAlert[] {
    return [...this.#entries.values()]
  }

  /** Takes note of what is found now; where a rule cannot tell, nothing ends. Returns what began and what ended. */
  note({ alerts, unknown }: Found, nowMs: number): AlertChanges {
    const keys = new Set(alerts.map(keyOf))
    const begun = alerts.filter((alert) => this.#found(alert, nowMs))
    for (const key of [...this.#pending.keys()]) if (!keys.has(key)) this.#pending.delete(key)
    const ended = [...this.#entries].filter(([key, entry]) => {
      if (keys.has(key) || entry.endedAtMs !== null || unknown.has(entry.code)) return false
      const awayMs = this.#away.get(key) ?? nowMs
      this.#away.set(key, awayMs)
      if (nowMs - awayMs < OVER_AFTER_MS) return false
      entry.endedAtMs = awayMs
      return this.#away.delete(key)
    })
    return { begun, ended: ended.map(([, alert]) => alert) }
  }

  /** Whether it begins. */
  #found(alert: Alert, nowMs: number): boolean {
    const key = keyOf(alert)
    const known = this.#entries.get(key)
    this.#away.delete(key)
    if (known?.endedAtMs === null) {
      known.says = alert.says
      known.change = alert.change
      return false
    }
    const sinceMs = this.#pending.get(key) ?? nowMs
    this.#pending.set(key, sinceMs)
    const isLong = nowMs - sinceMs >= ruleOf(alert.code).forMs
    // One that has ended is told before it begins anew.
    if (known || !isLong || this.#entries.size >= MAX_KNOWN_ALERTS) return false
    this.#pending.delete(key)
    this.#entries.set(key, { ...alert, sinceMs, endedAtMs: null, told: {} })
    return true
  }

  /** The alerts that last. */
  get lasting(): readonly KnownAlert[] {
    return [...this.#entries.values()]
      .filter(({ endedAtMs }) => endedAtMs === null)
      .map(({ told: _, ...alert }) => alert)
  }

  /** What a target has not been told yet, the oldest first; at most `most`. */
  untold(target: string, most: number): readonly KnownAlert[] {
    return [...this.#entries.values()]
      .filter(({ endedAtMs, told }) => told[target] !== (endedAtMs === null ? 'firing' : 'over'))
      .slice(0, most)
      .map(({ told: _, ...alert }) => alert)
  }

  /** A target was told these. Those that have ended and that all targets know are forgotten. */
  tell(target: string, alerts: readonly KnownAlert[], targets: readonly string[], nowMs: number): void {
    for (const alert of alerts) {
      const entry = this.#entries.get(keyOf(alert))
      // It may have ended while it was told, which is told next.
      if (entry) entry.told[target] = alert.endedAtMs === null ? 'firing' : 'over'
    }
    this.forget(targets, nowMs)
  }

  /** Forgets what has ended and every target knows, or could not be told for a day. */
  forget(targets: readonly string[], nowMs: number): void {
    for (const [key, { endedAtMs, told }] of this.#entries) {
      if (endedAtMs === null) continue
      const isTold = targets.every((target) => told[target] === 'over')
      if (isTold || nowMs - endedAtMs > MAX_UNTOLD_MS) this.#entries.delete(key)
    }
  }
}

/** Tells an alert from all others. */
export function keyOf({ about, code }: Pick<Alert, 'code' | 'about'>): string {
  return `${code} ${about}`
}
