import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { freePort } from '../devnet/free-port.ts'
import { Network } from '../devnet/network.ts'
import { LOOPBACK } from '../devnet/tcp-link.ts'
import { FILES_PER_DIRECTORY } from '../src/io/objects/memory-objects.ts'
import { systemDice } from '../src/lib/dice.ts'
import type { GatewayStatus } from '../src/node/status/status.ts'
import { heapOf } from './heap.ts'
import { RENDITION_BYTES } from './null-engine.ts'
import { RARE_WINS } from './null-engine-network.ts'
import { PushLoad } from './push-load.ts'
import { RtmpLoad } from './rtmp-load.ts'
import { cpuMsOf, numbersIn, percentile, round } from './statistics.ts'

// What a stream costs a gateway, pushed over HTTP and published over RTMP, as streams become more: the same number of segments a
// second of 1, 40 and 200 streams, which an engine that takes no time transcodes, payments on.

const ETHER = 10n ** 18n
const STREAMS = [1, 40, 200] as const
/** For the figures that are taken once. */
const USUAL_STREAMS = 40
const SEGMENT_MS = 2_000
const SEGMENT_BYTES = 16_384
/** The gateway's default profiles. */
const RENDITIONS = 2
/** Segments of a stream before it is measured: then it keeps as many as it ever will. */
const FIRST_SEGMENTS = FILES_PER_DIRECTORY
/** What a stream keeps of its segments: the live window, and as much before it. */
const WINDOW_BYTES = FILES_PER_DIRECTORY * (SEGMENT_BYTES + RENDITIONS * RENDITION_BYTES)
/** Segments of each stream that may be under way at full speed over RTMP, where nothing answers. */
const AHEAD = 3

const { values: options } = parseArgs({
  args: process.argv.slice(3),
  options: {
    // Segments a second; fewer than 34 make 200 publishers too slow for RTMP.
    rate: { type: 'string', default: '40' },
    // Seconds of each measurement, of the warm-up before, and at full speed.
    seconds: { type: 'string', default: '30' },
    warm: { type: 'string', default: '20' },
    fast: { type: 'string', default: '10' },
  },
})
const { fast, rate, seconds, warm } = numbersIn(options)

type Kind = 'push' | 'rtmp'

interface Measured {
  readonly cpuMs: Record<number, number>
  readonly addedMsP50: number | null
  readonly kbPerStream: number
  readonly segmentsPerSecond: number
}

console.log(`Streams through a gateway and an orchestrator whose engine takes no time, payments on: ${rate} segments a second of all streams
in turn, each of ${SEGMENT_BYTES} bytes that come back as ${RENDITIONS} renditions of ${RENDITION_BYTES}. CPU is the gateway's processor time for a segment.
`)
const push = await measured('push')
const rtmp = await measured('rtmp')
const flat = (of: Measured) =>
  round(Math.max(...Object.values(of.cpuMs)) / Math.min(...Object.values(of.cpuMs)))
for (const [kind, of] of [['push', push] as const, ['rtmp', rtmp] as const]) {
  const costs = STREAMS.map((streams) => `${of.cpuMs[streams]} ms with ${streams}`).join(', ')
  console.log(
    `${kind}: CPU of a segment ${costs} (largest over smallest ${flat(of)} ×), ${of.kbPerStream} kB a stream beside its window, ${of.segmentsPerSecond} segments a second at full speed`,
  )
}
console.log(
  JSON.stringify({
    segmentsPerSecond: { push: push.segmentsPerSecond, rtmp: rtmp.segmentsPerSecond },
    addedMsP50: push.addedMsP50,
    kbPerStream: Math.max(push.kbPerStream, rtmp.kbPerStream),
    cpuMsPerSegment: { push: push.cpuMs, rtmp: rtmp.cpuMs },
  }),
)

async function measured(kind: Kind): Promise<Measured> {
  const entry = { module: new URL('null-engine-node.ts', import.meta.url).pathname }
  const rtmpPort = await freePort()
  await using network = await Network.prepare({
    ...{ orchestratorEntry: entry, gatewayEntry: entry, gatewayFunds: 100_000n * ETHER, roundLength: 1_000n },
    orchestratorFlags: ['-maxSessions', '500', ...RARE_WINS],
    gatewayFlags: ['-maxSessions', '500', '-rtmpAddr', `${LOOPBACK}:${rtmpPort}`],
  })
  await network.orchestrator.start()
  await network.gateway.start()
  const { gateway } = network
  const load = { segment: systemDice.bytes(SEGMENT_BYTES), durationMs: SEGMENT_MS }
  const pushes = new PushLoad(network.urls.gateway, { ...load, renditions: RENDITIONS })
  const publishers = new RtmpLoad(rtmpPort, load)
  const took: number[] = []
  const send = async (stream: string) => {
    if (kind === 'rtmp') await publishers.push(stream)
    else took.push(await pushes.push(stream))
  }

  /** Sends `rate` segments a second, of these streams in turn. */
  const paced = async (streams: number, forMs: number) => {
    const started = performance.now()
    const busy = new Map<string, Promise<unknown>>()
    for (let i = 0, due = started; due < started + forMs; i++, due = started + (i * 1000) / rate) {
      await sleep(Math.max(0, due - performance.now()))
      const stream = `load${i % streams}`
      await busy.get(stream)
      busy.set(stream, send(stream))
    }
    await Promise.all(busy.values())
  }
  const done = async () => (await gateway.status<GatewayStatus>()).segments.transcoded
  const held = async () => {
    const { buffers, objects } = await heapOf(gateway)
    return objects + buffers
  }

  await paced(1, warm * 1000)
  const cpuMs: Record<number, number> = {}
  let addedMsP50: number | null = null
  const before = await held()
  for (const streams of STREAMS) {
    await paced(streams, (streams * FIRST_SEGMENTS * 1000) / rate)
    took.length = 0
    const [cpu, count] = [cpuMsOf(gateway), await done()]
    await paced(streams, seconds * 1000)
    cpuMs[streams] = round((cpuMsOf(gateway) - cpu) / ((await done()) - count))
    if (kind === 'push' && streams === USUAL_STREAMS) addedMsP50 = round(percentile(took, 50))
  }
  const grown = ((await held()) - before) / (Math.max(...STREAMS) - 1)

  const [begun, count] = [performance.now(), await done()]
  const end = begun + fast * 1000
  if (kind === 'push') {
    await Promise.all(
      Array.from({ length: USUAL_STREAMS }, async (_, i) => {
        while (performance.now() < end) await send(`load${i}`)
      }),
    )
  } else {
    for (let sent = 0; performance.now() < end; ) {
      const room = AHEAD * USUAL_STREAMS - (sent - ((await done()) - count))
      for (let i = 0; i < room; i++, sent++) await send(`load${sent % USUAL_STREAMS}`)
      if (room <= 0) await sleep(50)
    }
  }
  const segmentsPerSecond = round((((await done()) - count) * 1000) / (performance.now() - begun))
  pushes.close()
  publishers.close()
  return {
    cpuMs,
    addedMsP50,
    kbPerStream: round(Math.max(0, grown - WINDOW_BYTES) / 1024),
    segmentsPerSecond,
  }
}
