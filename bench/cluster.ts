import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Postgres } from '../devnet/postgres.ts'
import { openDatabase } from '../src/io/store/open.ts'
import type { StoreOptions } from '../src/io/store/store.ts'
import { systemDice } from '../src/lib/dice.ts'
import { killLeaders } from './failover.ts'
import { nullEngineNetwork } from './null-engine-network.ts'
import { takePayments } from './payments.ts'
import { COUNTING, type PostgresUsage, usageBetween, usageOf } from './postgres-usage.ts'
import { PushLoad } from './push-load.ts'
import { numbersIn, percentile, round } from './statistics.ts'

// What a store that nodes share costs, compared with a node's own SQLite file: payments a second, time and statements of a
// segment, and how soon another redeemer leads. All on this machine, so the two are measured in turn, for their ratio.

const { values: options } = parseArgs({
  args: process.argv.slice(3),
  options: {
    // Turns of payments, and the seconds of each.
    rounds: { type: 'string', default: '3' },
    payments: { type: 'string', default: '6' },
    // Seconds of live streams, and how many of them on each network.
    live: { type: 'string', default: '40' },
    streams: { type: 'string', default: '20' },
    // How often the leading redeemer is killed.
    kills: { type: 'string', default: '3' },
  },
})
const { rounds, payments: paymentsS, live: liveS, streams, kills } = numbersIn(options)

/** Prepared for each node. */
const MOST_PER_SECOND = 2_500
const SENDERS = [8, 1] as const
/** At each node; each has one segment in work. */
const SESSIONS = 64
const SEGMENT_MS = 2_000
const FIRST_SEGMENTS_MS = 6_000
const IDLE_MS = 10_000
const DAY_S = 86_400
/** A node waits this long for another charge to share a commit of SQLite with. */
const SQLITE = { sqliteSync: 'thread', debitPatienceMs: 50 } as const

await using postgres = await Postgres.start({ settings: COUNTING })

console.log(`Payments: ${SESSIONS} sessions at each node, each with one segment in work: its ticket is judged and recorded with the
fee that is set aside, then the fee is charged. In turn on SQLite and PostgreSQL, ${rounds} rounds of ${paymentsS} s, medians.
CPU is the processor time for a payment; this machine has ${cpus().length} processors, which nodes and PostgreSQL share.
`)
console.log(
  row('senders', 'store', 'nodes', 'a second', 'of SQLite', 'CPU ms node', 'PostgreSQL', 'of all CPUs'),
)
const paymentsPerSecond = { sqlite: 0, postgres1: 0, postgres3: 0 }
let postgresShare = 0
for (const senders of SENDERS) {
  const turns: Record<keyof typeof paymentsPerSecond, Turn[]> = { sqlite: [], postgres1: [], postgres3: [] }
  for (let i = 0; i < rounds; i++) {
    turns.sqlite.push(await onSqlite(senders))
    turns.postgres1.push(await onPostgres(senders, 1))
    turns.postgres3.push(await onPostgres(senders, 3))
  }
  const base = medianOf(turns.sqlite, ({ perSecond }) => perSecond)
  for (const [name, nodes] of [
    ['sqlite', 1],
    ['postgres1', 1],
    ['postgres3', 3],
  ] as const) {
    const median = (value: (turn: Turn) => number) => medianOf(turns[name], value)
    const perSecond = median((turn) => turn.perSecond)
    const share = median((turn) => turn.postgresShare)
    if (senders === SENDERS[0]) paymentsPerSecond[name] = Math.round(perSecond)
    if (senders === SENDERS[0] && name === 'postgres3') postgresShare = share
    const ratio = `${round(perSecond / base)} ×`
    const cpu = [
      round(median((turn) => turn.cpuMs)),
      round(median((turn) => turn.postgresMs)),
      percent(share),
    ]
    console.log(row(senders, nameOf(name), nodes, Math.round(perSecond), ratio, ...cpu))
  }
}
if (paymentsPerSecond.postgres3 < 1.5 * paymentsPerSecond.sqlite) {
  const { postgres3, sqlite } = paymentsPerSecond
  console.log(
    `three nodes together are at ${round(postgres3 / sqlite)} × one node on SQLite: PostgreSQL's own processes took ${percent(postgresShare)} of all processor time meanwhile`,
  )
}

const added = await measureAdded()
const failovers = await killLeaders(postgres, kills)
console.log(
  `\na leading redeemer killed (-9) ${kills} times: another one leads after ${failovers.map((ms) => `${(ms / 1000).toFixed(1)} s`).join(', ')}`,
)
console.log(JSON.stringify({ paymentsPerSecond, ...added, failoverMs: Math.round(Math.max(...failovers)) }))

interface Turn {
  readonly perSecond: number
  readonly cpuMs: number
  /** Processor time of PostgreSQL for a payment, and its share of what all processors had. */
  readonly postgresMs: number
  readonly postgresShare: number
}

async function onSqlite(senders: number): Promise<Turn> {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-bench-'))
  try {
    const turn = await take(
      [{ location: join(folder, 'node.sqlite3'), ...SQLITE }],
      senders,
      async (work) => {
        await work
      },
    )
    return { ...turn, postgresMs: 0, postgresShare: 0 }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function onPostgres(senders: number, nodes: number): Promise<Turn> {
  const url = await newStore()
  const { seen, ...turn } = await take(Array(nodes).fill({ location: url }), senders, async (work) => {
    const startedMs = performance.now()
    const before = await usageOf(postgres, url)
    await work
    const usage = usageBetween(before, await usageOf(postgres, url))
    return { usage, tookMs: performance.now() - startedMs }
  })
  const { tookMs, usage } = seen
  return {
    ...turn,
    postgresMs: usage.cpuMs / turn.payments,
    postgresShare: usage.cpuMs / (tookMs * cpus().length),
  }
}

function take<Seen>(
  stores: readonly StoreOptions[],
  senders: number,
  watch: (work: Promise<unknown>) => Promise<Seen>,
) {
  const load = { stores, senders, sessions: SESSIONS / senders, forMs: paymentsS * 1000 }
  return takePayments({ ...load, mostPerSecond: MOST_PER_SECOND }, watch)
}

/** An empty database with the tables in it. */
async function newStore(): Promise<string> {
  const url = await postgres.newDatabase()
  await (await openDatabase({ location: url })).close()
  return url
}

/**
 * Two networks at the same time, whose orchestrators differ in their store only: segments are pushed to both in turn, so that
 * other load on the machine affects both.
 */
async function measureAdded(): Promise<{
  readonly addedMsP50: number
  readonly addedMsP99: number
  readonly statementsPerSegment: number
}> {
  const url = await newStore()
  await using own = await nullEngineNetwork({ maxSessions: 200, store: null })
  await using shared = await nullEngineNetwork({ maxSessions: 200, store: url })
  const loads = [own, shared].map(
    (network) =>
      new PushLoad(network.urls.gateway, {
        ...{ segment: systemDice.bytes(16_384), durationMs: SEGMENT_MS, renditions: 2 },
      }),
  ) as [PushLoad, PushLoad]
  const pushTo = (forMs: number) =>
    Promise.all(loads.map((load) => load.paced(streams, { forMs, everyMs: SEGMENT_MS })))
  await pushTo(FIRST_SEGMENTS_MS)
  const [onFile, onServer, usage] = await watched(
    url,
    async () => (await pushTo(liveS * 1000)) as [number[], number[]],
  )
  const [, , idle] = await watched(url, async () => {
    await sleep(IDLE_MS)
    return [[], []]
  })
  for (const load of loads) load.close()
  console.log(`
Segments: ${streams} streams through a gateway and an orchestrator whose engine takes no time, each pushes one every ${SEGMENT_MS / 1000} s for
${liveS} s, at the same time on a network with SQLite and on one whose orchestrator has its store on PostgreSQL.
`)
  console.log(row('store', 'p50 ms', 'p90', 'p99', 'segments'))
  for (const [name, took] of [
    ['SQLite', onFile],
    ['PostgreSQL', onServer],
  ] as const) {
    console.log(row(name, ...[50, 90, 99].map((p) => round(percentile(took, p))), took.length))
  }
  const segments = onServer.length
  const idleS = IDLE_MS / 1000
  // A segment of 2 s: 50 a second of 100 streams.
  const perSecond = 100 * (1000 / SEGMENT_MS)
  const ownStatements = usage.statements - (idle.statements / idleS) * liveS
  const ownBytes = usage.logBytes - (idle.logBytes / idleS) * liveS
  console.log(
    `\nstatements, as pg_stat_statements counts them: ${round(ownStatements / segments)} a segment, and ${round(idle.statements / idleS)} a second of an idle node
write-ahead log: ${Math.round(ownBytes / segments)} bytes a segment; PostgreSQL's processors: ${round(usage.cpuMs / segments)} ms a segment
100 streams: ${Math.round((perSecond * ownStatements) / segments)} statements a second, ${round((perSecond * DAY_S * ownBytes) / segments / 1e9)} GB of write-ahead log a day`,
  )
  const added = (p: number) => round(percentile(onServer, p) - percentile(onFile, p))
  return {
    ...{ addedMsP50: added(50), addedMsP99: added(99) },
    statementsPerSegment: round(usage.statements / segments),
  }
}

async function watched(
  url: string,
  run: () => Promise<[number[], number[]]>,
): Promise<[number[], number[], PostgresUsage]> {
  const before = await usageOf(postgres, url)
  const took = await run()
  return [...took, usageBetween(before, await usageOf(postgres, url))]
}

function medianOf(turns: readonly Turn[], value: (turn: Turn) => number): number {
  return percentile(turns.map(value), 50)
}

function nameOf(name: keyof typeof paymentsPerSecond): string {
  return name === 'sqlite' ? 'SQLite' : 'PostgreSQL'
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

function row(...cells: readonly (string | number)[]): string {
  return cells.map((cell) => String(cell).padStart(13)).join('')
}
