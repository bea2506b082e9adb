import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { Network } from '../devnet/network.ts'
import { systemDice } from '../src/lib/dice.ts'
import type { GatewayStatus, OrchestratorStatus } from '../src/node/status/status.ts'
import { RENDITION_BYTES } from './null-engine.ts'
import { RARE_WINS } from './null-engine-network.ts'
import { PushLoad } from './push-load.ts'
import { cpuMsOf, percentile, round, rssOf } from './statistics.ts'

// Measures what gateway and orchestrator add to the time of a transcode: two real node processes, a chain with the
// protocol's contracts, every segment paid, signed, stored and verified as usual, and an engine that takes no time.

const ETHER = 10n ** 18n
const SESSIONS = [1, 10, 100] as const
const SEGMENT_MS = 2_000
const SEGMENT_BYTES = 16_384
/** The gateway's default profiles. */
const RENDITIONS = 2
/** Streams that push as fast as they can before the measurement, and for how long, so that the code is compiled. */
const WARM_UP = { streams: 4, forMs: 15_000 }
/** What each stream pushes before it is measured, because its first segment looks for an orchestrator and a session. */
const FIRST_SEGMENTS_MS = 4_000
const { values: options } = parseArgs({
  args: process.argv.slice(3),
  options: {
    // Seconds at live pace, and at full speed.
    live: { type: 'string', default: '40' },
    fast: { type: 'string', default: '10' },
    // Folder for a CPU profile of each node.
    profile: { type: 'string' },
  },
})
const liveMs = Number(options.live) * 1000
const fastMs = Number(options.fast) * 1000
if (!(liveMs > 0 && fastMs > 0)) throw new Error('--live and --fast must be seconds above zero')

const entry = {
  module: new URL('null-engine-node.ts', import.meta.url).pathname,
  nodeFlags: options.profile ? ['--cpu-prof', '--cpu-prof-dir', options.profile] : [],
}
await using network = await Network.prepare({
  orchestratorEntry: entry,
  gatewayEntry: entry,
  gatewayFunds: 100_000n * ETHER,
  roundLength: 1_000n,
  orchestratorFlags: ['-maxSessions', '200', ...RARE_WINS],
  gatewayFlags: ['-maxSessions', '200'],
})
await network.orchestrator.start()
await network.gateway.start()
const nodes = { gateway: network.gateway, orchestrator: network.orchestrator }
const load = new PushLoad(network.urls.gateway, {
  ...{ segment: systemDice.bytes(SEGMENT_BYTES), durationMs: SEGMENT_MS, renditions: RENDITIONS },
})

console.log(
  `From push to renditions, through a gateway and an orchestrator whose engine takes no time, payments on, all on this machine.
A segment has ${SEGMENT_BYTES} bytes and comes back as ${RENDITIONS} renditions of ${RENDITION_BYTES}. Each stream pushes
  live: one every ${SEGMENT_MS / 1000} s, for ${options.live} s; this is what the last line has;
  fast: the next one as soon as the last came back, for ${options.fast} s: with more streams than processors it is waiting for those.
CPU is the processor time of each node for a segment when fast; to serve and measure, this process and the chain take some too.
RSS is each node's process; a real engine's workers are processes of their own. Load is the machine's.
`,
)
const rssMb = {
  gateway: { start: rssOf(nodes.gateway) } as Record<string, number>,
  orchestrator: { start: rssOf(nodes.orchestrator) } as Record<string, number>,
}
const p50Ms: Record<string, number> = {}
const p99Ms: Record<string, number> = {}
const HEAD = 'streams|live p50|p99|segments|fast p50|p99|a second|CPU ms gw|orch|load|RSS MB gw|orch'
console.log(row(...HEAD.split('|')))
const empty = Array<string>(8).fill('')
console.log(row('start', ...empty, load1(), rssMb.gateway.start!, rssMb.orchestrator.start!))
await load.unpaced(WARM_UP.streams, WARM_UP)
for (const sessions of SESSIONS) {
  await load.paced(sessions, { forMs: FIRST_SEGMENTS_MS, everyMs: SEGMENT_MS })
  const live = await load.paced(sessions, { forMs: liveMs, everyMs: SEGMENT_MS })
  const before = { gateway: cpuMsOf(nodes.gateway), orchestrator: cpuMsOf(nodes.orchestrator) }
  const fast = await load.unpaced(sessions, { forMs: fastMs })
  const cpuMs = (name: keyof typeof nodes) => (cpuMsOf(nodes[name]) - before[name]) / fast.length
  p50Ms[sessions] = round(percentile(live, 50))
  p99Ms[sessions] = round(percentile(live, 99))
  rssMb.gateway[sessions] = rssOf(nodes.gateway)
  rssMb.orchestrator[sessions] = rssOf(nodes.orchestrator)
  const speed = Math.round((fast.length * 1000) / fastMs)
  const fastCells = [round(percentile(fast, 50)), round(percentile(fast, 99)), speed]
  const cpu = [round(cpuMs('gateway')), round(cpuMs('orchestrator'))]
  const rss = [rssMb.gateway[sessions], rssMb.orchestrator[sessions]]
  console.log(
    row(sessions, p50Ms[sessions], p99Ms[sessions], live.length, ...fastCells, ...cpu, load1(), ...rss),
  )
}
load.close()
const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
const { tickets } = await network.orchestrator.status<OrchestratorStatus>()
console.log(`\n${ticketsAccepted} tickets were accepted, ${tickets.won} of them won`)
await network.stop()
console.log(JSON.stringify({ p50Ms, p99Ms, rssMb }))

/** The machine's load over the last minute. */
function load1(): string {
  return loadavg()[0]!.toFixed(1)
}

function row(...cells: readonly (string | number)[]): string {
  return cells.map((cell) => String(cell).padStart(10)).join('')
}
