import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import type { Role } from '../../src/config/settings.ts'
import { type AlertFacts, alertsIn } from '../../src/domain/alerts.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { EventLog } from '../../src/node/event-log.ts'
import type { Rounds } from '../../src/services/protocol/rounds.ts'
import { NOTHING_KNOWN } from '../fakes/alert-facts.ts'
import { RecordingLog } from '../fakes/recording-log.ts'
import { ClusterSimulation } from './cluster-simulation.ts'

/** Days of a healthy cluster, for a thread of its own: under a test runner each of its promises costs twice as much. */

/** A round of mainnet lasts 6,377 L1 blocks of 12 seconds: this many minutes. */
const ROUND_MINUTES = 1_275
/** Somebody initialises a round within some minutes. Until then nothing can be redeemed. */
const INITIALISED_AFTER = 5
/** The last rounds, in which nothing is paid any more. */
const LAST_ROUNDS = 2
/** The rules for alerts are asked once in so many blocks. */
const LOOKED_EVERY = 5

/** What the nodes wrote. */
export interface QuietReport {
  /** Tickets that won and were acknowledged. */
  readonly won: number
  readonly days: number
  /** Warnings and errors. */
  readonly loud: readonly string[]
  /** What the rules for alerts found, and how often they were asked. */
  readonly alerts: readonly string[]
  readonly looks: number
  /** How often each node wrote each line of level info. */
  readonly told: Readonly<Record<string, number>>
}

if (parentPort) parentPort.postMessage(await report(workerData as number))

async function report(rounds: number): Promise<QuietReport> {
  const clock = new ManualClock()
  const startMs = clock.now()
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-quiet-'))
  const nodes = new Map(
    ['o1', 'r1'].map((name) => {
      const log = new RecordingLog()
      const roles: Role[] = name === 'r1' ? ['redeemer', 'reward'] : ['orchestrator']
      return [name, { log, eventLog: new EventLog({ roles: new Set(roles), isOnChain: true, clock, log }) }]
    }),
  )
  const alerts = new Set<string>()
  let looks = 0
  let blocks = 0
  const judge = (facts: Partial<AlertFacts>) => {
    looks++
    for (const { code, says } of alertsIn({ ...NOTHING_KNOWN, nowMs: clock.now(), ...facts }).alerts) {
      alerts.add(`${code}: ${says}`)
    }
  }
  const { acknowledged } = await new ClusterSimulation({
    ...{ seed: 'quiet', folder, rounds: rounds - LAST_ROUNDS, ticketsPerPayment: 20, clock },
    ...{ isHealthy: true, orchestrators: 1, redeemers: 1 },
    ...{ roundBlocks: ROUND_MINUTES, blockMs: 60_000, initialisedAfter: INITIALISED_AFTER },
    look: ({ orchestrators, redeemers }) => {
      if (++blocks % LOOKED_EVERY > 0) return
      for (const { outbox, rounds } of orchestrators) {
        judge({ rounds: clockOf(rounds), firstTicket: outbox.waiting(1)[0] ?? null })
      }
      for (const { redeemer, reward, rounds } of redeemers) {
        const firstTicket = redeemer.waiting(1)[0] ?? null
        judge({ rounds: clockOf(rounds), reward: reward.status(), firstTicket })
      }
    },
    log: (name) => nodes.get(name)!.log,
    hear: (name, event) => nodes.get(name)!.eventLog.hear(event),
  }).run()
  rmSync(folder, { recursive: true, force: true })
  const told: Record<string, number> = {}
  const loud: string[] = []
  for (const [name, { log }] of nodes) {
    for (const { fields, level, message } of log.lines) {
      const line = `${name} ${message}`
      if (level === 'info') told[line] = (told[line] ?? 0) + 1
      else if (level !== 'debug') loud.push(`${level} ${line} ${Object.values(fields).join(' ')}`)
    }
  }
  const days = (clock.now() - startMs) / 86_400_000
  return { won: acknowledged.size, days, loud, alerts: [...alerts], looks, told }
}

function clockOf(rounds: Rounds) {
  return rounds.isKnown ? rounds.roundClock : null
}
