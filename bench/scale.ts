import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Network } from '../devnet/network.ts'
import { Postgres } from '../devnet/postgres.ts'
import { systemDice } from '../src/lib/dice.ts'
import type { OrchestratorStatus } from '../src/node/status/status.ts'
import { heapOf } from './heap.ts'
import { nullEngineNetwork } from './null-engine-network.ts'
import { cpuMsWithChildren } from './postgres-usage.ts'
import { PushLoad } from './push-load.ts'
import { cpuMsOf, numbersIn, round } from './statistics.ts'

// What a segment and a session cost an orchestrator, whose engine takes no time, as its sessions become more: the same
// number of segments a second of 1, 10, 100 and 1,000 sessions. Two networks run at the same time, one with SQLite and one with
// PostgreSQL, so that other load on the machine affects both.

const SESSIONS = [1, 10, 100, 1_000] as const
const SEGMENT_MS = 2_000
/** So many more sessions are opened to see what one takes: beside few sessions and beside many the same number. */
const MORE = 100
/** Segments of each session before the heap is measured. */
const SEGMENTS_OF_A_LOOK = 3
/** After this long without a segment a stream has ended everywhere, and the connections of its session are closed. */
const ENDED_AFTER_MS = 130_000
/** Sessions that are opened at the same time. */
const OPENED_AT_ONCE = 8
const TRIES = 5
/**
 * As on the chain of the protocol's clock. Ticket params last for a number of blocks: with blocks every second those of 1,000
 * sessions, which each have a segment every 40 s, would be renewed for every segment, those of 10 sessions for few.
 */
const BLOCK_TIME_S = 12
/** While others are opened, a session idle for this long gets a segment: without one it ends after a minute. */
const QUIET_MS = 25_000

const { values: options } = parseArgs({
  args: process.argv.slice(3),
  options: {
    // Segments a second on each network: 1,000 sessions end after a minute without one.
    rate: { type: 'string', default: '25' },
    // Seconds of each measurement, and of the warm-up before.
    seconds: { type: 'string', default: '40' },
    warm: { type: 'string', default: '40' },
    // The most sessions.
    most: { type: 'string', default: '1000' },
  },
})
const { rate, seconds, warm: warmS, most } = numbersIn(options)

/** A network under load, and what was measured at it. */
class Side {
  readonly name: string
  readonly network: Network
  readonly #load: PushLoad
  /** The processor time of what works for it beside the orchestrator. */
  readonly #storeCpuMs: () => number
  /** When each stream's last segment was begun, the longest ago first. */
  readonly #streams = new Map<string, number>()
  #begun = 0
  readonly cpuMs: Record<string, number> = {}
  readonly kb: Record<string, number> = {}
  /** As the orchestrator counts them after the measurement. */
  readonly sessions: Record<string, number> = {}

  constructor(name: string, network: Network, storeCpuMs: () => number) {
    this.name = name
    this.network = network
    this.#storeCpuMs = storeCpuMs
    this.#load = new PushLoad(network.urls.gateway, {
      ...{ segment: systemDice.bytes(16_384), durationMs: SEGMENT_MS, renditions: 2 },
    })
  }

  get opened(): number {
    return this.#streams.size
  }

  /** Opens sessions until there are so many, and keeps the others alive meanwhile. */
  async open(sessions: number): Promise<void> {
    const opening = async () => {
      while (this.#streams.size < sessions) {
        const stream = `scale${this.#begun++}`
        // On a machine that is too busy the first answer may be a refusal; opening is not measured.
        for (let tries = 1, pushed = 0; pushed < SEGMENTS_OF_A_LOOK; ) {
          try {
            await this.#push(stream)
            pushed++
          } catch (error) {
            if (tries++ === TRIES) throw error
            await sleep(1_000)
          }
        }
        for (let left = 2; left > 0; left--) {
          const [oldest, begunAt] = this.#oldest
          if (begunAt < performance.now() - QUIET_MS) await this.#push(oldest)
        }
      }
    }
    await Promise.all(Array.from({ length: OPENED_AT_ONCE }, opening))
  }

  /** Ends all sessions but so many, and keeps those alive meanwhile. */
  async keep(sessions: number): Promise<void> {
    if (this.opened <= sessions) return
    for (const stream of [...this.#streams.keys()].slice(sessions)) this.#streams.delete(stream)
    await this.push(ENDED_AFTER_MS)
  }

  /** So many segments of the sessions that there are, as fast as others are opened. */
  async goOn(segments: number): Promise<void> {
    let left = segments
    const going = async () => {
      while (left-- > 0) await this.#push(this.#oldest[0])
    }
    await Promise.all(Array.from({ length: Math.min(OPENED_AT_ONCE, this.opened) }, going))
  }

  get #oldest(): [stream: string, begunAt: number] {
    return this.#streams.entries().next().value!
  }

  #push(stream: string): Promise<unknown> {
    this.#streams.delete(stream)
    this.#streams.set(stream, performance.now())
    return this.#load.push(stream)
  }

  /** Pushes segments of all sessions in turn; gives how many. A late one delays only its own session. */
  async push(forMs: number): Promise<number> {
    const started = performance.now()
    const busy = new Map<string, Promise<unknown>>()
    let pushed = 0
    for (let due = started; due < started + forMs; due += 1000 / rate) {
      await sleep(Math.max(0, due - performance.now()))
      if (performance.now() > started + forMs) break
      const [stream] = this.#oldest
      await busy.get(stream)
      pushed++
      const pushing = this.#push(stream).finally(() => busy.delete(stream))
      busy.set(stream, pushing)
    }
    await Promise.all(busy.values())
    return pushed
  }

  /** Measures what a segment costs at this number of sessions. */
  async measure(sessions: number): Promise<void> {
    const cpu = () => cpuMsOf(this.network.orchestrator) + this.#storeCpuMs()
    const before = cpu()
    const segments = await this.push(seconds * 1000)
    this.cpuMs[sessions] = round((cpu() - before) / segments)
    this.sessions[sessions] = (await this.network.orchestrator.status<OrchestratorStatus>()).sessions
  }

  close(): void {
    this.#load.close()
  }
}

await using postgres = await Postgres.start()
const url = await postgres.newDatabase()
const maxSessions = most + 2 * MORE
await using own = await nullEngineNetwork({ maxSessions, store: null, blockTimeS: BLOCK_TIME_S })
await using shared = await nullEngineNetwork({ maxSessions, store: url, blockTimeS: BLOCK_TIME_S })
const sides = [
  new Side('SQLite', own, () => 0),
  new Side('PostgreSQL', shared, () => cpuMsWithChildren(postgres.pid)),
] as const
const both = (run: (side: Side) => Promise<void>) => Promise.all(sides.map(run))

console.log(`An orchestrator whose engine takes no time, behind a gateway, payments on: ${rate} segments a second of all sessions in turn.
CPU is the processor time for a segment, of the orchestrator and, in the second network, of PostgreSQL with it; memory is what
each of ${MORE} further sessions takes of the orchestrator's JavaScript heap after a full collection, without the bytes of
renditions. Both networks run at the same time.
`)
await both((side) => side.open(1))
await both(async (side) => void (await side.push(warmS * 1000)))
// The first ones compile code and fill what is bounded.
await both((side) => side.open(1 + MORE))
const sizes = SESSIONS.filter((count) => count <= most)
for (const sessions of sizes) await both((side) => atSize(side, sessions))
console.log(row('sessions', ...sides.flatMap(({ name }) => [`${name}: open`, 'CPU ms', 'kB a session'])))
for (const sessions of sizes) {
  const cells = sides.flatMap(({ cpuMs, kb, sessions: open }) => [
    open[sessions]!,
    cpuMs[sessions]!,
    kb[sessions]!,
  ])
  console.log(row(sessions, ...cells))
}
for (const side of sides) side.close()
const ratios = (values: Record<string, number>) => {
  const all = Object.values(values)
  return round(Math.max(...all) / Math.min(...all))
}
for (const { name, cpuMs, kb } of sides) {
  console.log(`${name}: largest over smallest ${ratios(cpuMs)} × for CPU, ${ratios(kb)} × for memory`)
}
for (const { name, cpuMs, kb } of sides) {
  console.log(name === 'SQLite' ? '\nSQLite, then PostgreSQL:' : '')
  console.log(JSON.stringify({ cpuMsPerSegment: cpuMs, kbPerSession: kb }))
}

async function atSize(side: Side, sessions: number): Promise<void> {
  await side.keep(sessions)
  await side.open(sessions)
  await side.measure(sessions)
  side.kb[sessions] = await grown(side)
}

/**
 * Opens more sessions. Resolves to the kB by which the heap grew for each, more than it did by as many segments of the
 * sessions that there were.
 */
async function grown(side: Side): Promise<number> {
  const heap = async () => (await heapOf(side.network.orchestrator)).objects
  const first = await heap()
  await side.goOn(MORE * SEGMENTS_OF_A_LOOK)
  const before = await heap()
  await side.open(side.opened + MORE)
  const after = await heap()
  return round((after - before - (before - first)) / MORE / 1024)
}

function row(...cells: readonly (string | number)[]): string {
  return cells.map((cell) => String(cell).padStart(18)).join('')
}
