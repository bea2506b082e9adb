import type { AlertForm, AlertTarget, ToldAlert } from '../../domain/alert-target.ts'
import {
  type Alert,
  type AlertCode,
  type AlertFacts,
  alertsIn,
  type Found,
  ruleOf,
} from '../../domain/alerts.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { AlertLog, type KeptAlert, type KnownAlert, keyOf } from './alert-log.ts'

const LOOK_MS = 15_000
const FIRST_RETRY_MS = 5_000
const LONGEST_RETRY_MS = 5 * 60_000
/** Alerts of one message; further ones follow in the next. */
const MAX_IN_MESSAGE = 20
/** Alertmanager takes an alert that is not told again for one that is over. */
const REPEAT_MS = 60_000
const REPEATED: readonly AlertForm[] = ['alertmanager']

/** Where it is kept what has been told. */
export type AlertKeeping = 'own' | 'cluster'

/** A place to send alerts to, with a name that shows nothing secret. */
export interface NamedTarget extends AlertTarget {
  /** Different for each, and the same after a restart. */
  readonly id: string
  /** For the log. */
  readonly name: string
}

/** What a target is told. */
export interface ToldAlerts {
  readonly alerts: readonly ToldAlert[]
  /** Who tells it, and when. */
  readonly node: string
  readonly nowMs: number
}

/** Keeps what has been told over a restart. */
export interface AlertRecords {
  load(of: AlertKeeping): Promise<readonly KeptAlert[]>
  save(of: AlertKeeping, alerts: readonly KeptAlert[]): Promise<void>
}

/** What alerts work with. */
export interface AlertsNeeds {
  /** What the node knows now. */
  look(): Promise<AlertFacts>
  /** Tells a target. Rejects unless the target took it; is bounded in time. */
  send(target: AlertTarget, told: ToldAlerts, signal: AbortSignal): Promise<void>
  readonly records: AlertRecords
  /** Whether this node tells what concerns its whole cluster; null where it has none, and tells everything itself. */
  readonly leads: (() => Promise<boolean>) | null
  /** Leaves that to another node, when this one ends; absent where it has no cluster. */
  leave?(): Promise<void>
  readonly clock: Clock
  readonly log: Log
}

/**
 * Tells the operator what needs action: once when it begins and once when it is over, to each target, whatever that does. What a
 * target has been told is kept over a restart.
 */
export class Alerts implements Service {
  readonly name = 'alerts'
  readonly #node: string
  readonly #targets: readonly NamedTarget[]
  readonly #needs: AlertsNeeds
  readonly #own = new AlertLog()
  /** What concerns the whole cluster, while this node tells it. */
  readonly #cluster = new AlertLog()
  readonly #alarms: readonly Alarm[]
  readonly #unreadable: PassingFailure
  /** What was kept last, as text. */
  readonly #kept = new Map<AlertKeeping, string>()
  #leads = false

  /** `node`: what messages call this node. */
  constructor(
    options: { readonly node: string; readonly targets: readonly NamedTarget[] },
    needs: AlertsNeeds,
  ) {
    this.#node = options.node
    this.#targets = options.targets
    this.#needs = needs
    this.#alarms = options.targets.map(() => new Alarm())
    this.#unreadable = new PassingFailure(
      {
        message: 'alerts cannot be looked for or kept, retrying',
        over: 'alerts are looked for and kept again',
      },
      needs,
    )
  }

  async start(scope: Scope): Promise<void> {
    this.#own.restore(await this.#load('own'))
    scope.defer(() => this.#leave())
    scope.spawn('look for alerts', async (signal) => {
      for (;;) {
        await this.#look()
        await this.#needs.clock.sleep(LOOK_MS, signal)
      }
    })
    for (const [i, target] of this.#targets.entries()) {
      scope.spawn('tell alerts', (signal) => this.#keepTelling(target, this.#alarms[i]!, signal))
    }
  }

  async #leave(): Promise<void> {
    if (!this.#leads) return
    // Otherwise its lease runs out.
    await this.#needs.leave?.().catch(() => {})
  }

  async #look(): Promise<void> {
    const { clock, leads, look } = this.#needs
    try {
      const found = alertsIn(await look())
      const nowMs = clock.now()
      const isOwn = (code: AlertCode) => leads === null || ruleOf(code).scope === 'node'
      this.#note('own', this.#own, only(found, isOwn), nowMs)
      if (leads) await this.#takeLead(await leads().catch(() => false))
      if (this.#leads) {
        const isShared = (code: AlertCode) => !isOwn(code)
        this.#note('cluster', this.#cluster, only(found, isShared), nowMs)
      }
      for (const [of, log] of this.#logs) await this.#keep(of, log)
      this.#unreadable.passed()
    } catch (error) {
      this.#unreadable.failed({ reason: messageOf(error) })
    }
  }

  /** Another node may have told some of it before. */
  async #takeLead(leads: boolean): Promise<void> {
    if (leads && !this.#leads) this.#cluster.restore(await this.#needs.records.load('cluster'))
    this.#leads = leads
  }

  #note(of: AlertKeeping, log: AlertLog, found: Found, nowMs: number): void {
    const { begun, ended } = log.note(found, nowMs)
    const fields = ({ about, code }: Alert) => ({ alert: code, of, ...(about !== '' && { about }) })
    for (const alert of begun) this.#needs.log.warn('alert begins', { ...fields(alert), why: alert.says })
    for (const alert of ended) this.#needs.log.info('alert over', fields(alert))
    if (begun.length + ended.length > 0) for (const alarm of this.#alarms) alarm.ring()
    log.forget(this.#ids, nowMs)
  }

  get #ids(): readonly string[] {
    return this.#targets.map(({ id }) => id)
  }

  /** The logs that this node tells of. */
  get #logs(): readonly (readonly [AlertKeeping, AlertLog])[] {
    const own = ['own', this.#own] as const
    return this.#leads ? [own, ['cluster', this.#cluster]] : [own]
  }

  async #load(of: AlertKeeping): Promise<readonly KeptAlert[]> {
    try {
      return await this.#needs.records.load(of)
    } catch (error) {
      this.#unreadable.failed({ reason: messageOf(error) })
      return []
    }
  }

  /** Writes down what has been told, where it has changed. */
  async #keep(of: AlertKeeping, log: AlertLog): Promise<void> {
    const text = JSON.stringify(log.kept)
    if ((this.#kept.get(of) ?? '[]') === text) return
    await this.#needs.records.save(of, log.kept)
    this.#kept.set(of, text)
  }

  async #keepTelling(target: NamedTarget, alarm: Alarm, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#needs
    const failure = new PassingFailure(
      { message: 'alerts cannot be sent, retrying', over: 'alerts are sent again' },
      this.#needs,
    )
    let failures = 0
    let repeatAtMs = 0
    for (;;) {
      const repeats = REPEATED.includes(target.form) && clock.now() >= repeatAtMs
      const due = this.#due(target, repeats)
      if (due.length === 0) {
        await alarm.wait(clock, LOOK_MS, signal)
        continue
      }
      try {
        const alerts = due.flatMap(({ alerts }) => alerts)
        await this.#needs.send(target, { alerts, node: this.#node, nowMs: clock.now() }, signal)
        failures = 0
        failure.passed()
        if (repeats) repeatAtMs = clock.now() + REPEAT_MS
        await this.#told(target, due)
        log.debug('alerts sent', { target: target.name, alerts: alerts.length })
      } catch (error) {
        signal.throwIfAborted()
        failure.failed({ target: target.name, reason: messageOf(error) })
        await clock.sleep(Math.min(FIRST_RETRY_MS * 2 ** failures++, LONGEST_RETRY_MS), signal)
      }
    }
  }

  /** What a target is to be told now, by where it is kept. */
  #due(target: NamedTarget, repeats: boolean): { of: AlertKeeping; log: AlertLog; alerts: KnownAlert[] }[] {
    let room = MAX_IN_MESSAGE
    return this.#logs.flatMap(([of, log]) => {
      const untold = log.untold(target.id, room)
      const isNew = new Set(untold.map(keyOf))
      const again = repeats ? log.lasting.filter((alert) => !isNew.has(keyOf(alert))) : []
      const alerts = [...untold, ...again].slice(0, room)
      room -= alerts.length
      return alerts.length > 0 ? [{ of, log, alerts }] : []
    })
  }

  async #told(
    target: NamedTarget,
    due: readonly { of: AlertKeeping; log: AlertLog; alerts: KnownAlert[] }[],
  ): Promise<void> {
    for (const { alerts, log, of } of due) {
      log.tell(target.id, alerts, this.#ids, this.#needs.clock.now())
      if (of === 'cluster' && !this.#leads) continue
      await this.#keep(of, log).catch((error) => this.#unreadable.failed({ reason: messageOf(error) }))
    }
  }
}

function only({ alerts, unknown }: Found, is: (code: AlertCode) => boolean): Found {
  return { alerts: alerts.filter(({ code }) => is(code)), unknown }
}
