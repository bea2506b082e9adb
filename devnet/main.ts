import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { livePattern, segmentsOfFile } from '../src/io/media/engine/pattern.ts'
import { isAbort, messageOf } from '../src/lib/errors.ts'
import { type TicketFigures, ticketFigures } from './figures.ts'
import { Network } from './network.ts'
import { commandLine } from './node-process.ts'
import { type Pushed, publish } from './publisher.ts'
import { SETUPS, type Setup } from './setups.ts'

/** `npm start`: a small network of real processes, started by the commands a user would type. */

const STREAM = 'demo'
const STATUS_EVERY_MS = 4_000
const SETTLE_TIMEOUT_MS = 20_000

const options = readOptions()

/** The goal of `--once`. */
const enough = { segments: Number(options.segments), redeemed: Number(options.tickets) }
/** The time limit of `--once`, in seconds. */
const limit = Number(options.limit)
const counts = { segments: 0, renditions: 0, failed: 0, lastFailure: '' }
const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop.abort())

try {
  if (!(enough.segments >= 0 && enough.redeemed >= 0)) {
    throw new Error('--segments and --tickets must be numbers: the goal of --once')
  }
  if (!(limit > 0)) throw new Error('--limit must be a number of seconds: the time limit of --once')
  if (!isSetup(options.setup)) {
    throw new Error(`there is no setup "${options.setup}": --setup is one of ${SETUPS.join(', ')}`)
  }
  await run(options.setup)
} catch (error) {
  // Failures while everything is being stopped are not reported.
  if (!stop.signal.aborted) {
    console.error(messageOf(error))
    process.exitCode = 1
  }
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        input: { type: 'string' },
        setup: { type: 'string', default: 'multi' },
        logs: { type: 'string' },
        segments: { type: 'string', default: '20' },
        tickets: { type: 'string', default: '2' },
        limit: { type: 'string', default: '180' },
      },
    })
    return values
  } catch (error) {
    console.error(messageOf(error))
    process.exit(2)
  }
}

async function run(setup: Setup): Promise<void> {
  const started = Date.now()
  let result: Record<string, unknown> | null = null
  say('starting a chain with the protocol’s contracts …')
  const network = await Network.prepare({
    setup,
    usualPorts: true,
    signal: stop.signal,
    ...(options.logs ? { logFolder: options.logs } : {}),
  })
  try {
    await network.start(({ process }) => say(`\n$ ${commandLine(process.command)}`), stop.signal)
    const streams = streamsOf(network)
    announce(network, streams)
    const streaming = new AbortController()
    const published = Promise.all(streams.map((stream) => publishTo(network, stream, streaming.signal)))
    try {
      await watch(network, started)
    } finally {
      streaming.abort()
      await published
    }
    if (options.once && !stop.signal.aborted) result = await settled(network)
  } finally {
    say('stopping')
    await network.stop()
  }
  if (result) console.log(JSON.stringify(result))
}

/** One stream per orchestrator, so that the balancer's choices are visible. */
function streamsOf(network: Network): string[] {
  return network.of('orchestrator').map((_, i) => (i === 0 ? STREAM : `${STREAM}-${i + 1}`))
}

/** Streams until the signal is aborted; a segment in progress is finished. */
async function publishTo(network: Network, stream: string, streaming: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([stop.signal, streaming])
  const source = options.input ? segmentsOfFile(options.input, signal) : livePattern({}, signal)
  try {
    await publish({ gateway: network.urls.gateway, stream, source, onPushed: count }, stop.signal)
  } catch (error) {
    if (!isAbort(error)) throw error
  }
}

function count({ renditions, status, text }: Pushed): void {
  if (status === 200 && renditions.length > 0) {
    counts.segments++
    counts.renditions += renditions.length
  } else {
    counts.failed++
    counts.lastFailure = `${status} ${text}`
  }
}

/** Prints a status line at intervals; with --once returns when the goal is reached. */
async function watch(network: Network, started: number): Promise<void> {
  while (!stop.signal.aborted) {
    await sleep(STATUS_EVERY_MS, undefined, { signal: stop.signal }).catch(() => {})
    for (const { process: node } of network.nodes) {
      if (!node.isRunning && !stop.signal.aborted) {
        throw new Error(
          `the ${node.command.name} ended with exit code ${node.exitCode}:\n${node.output.slice(-2_000)}`,
        )
      }
    }
    if (stop.signal.aborted) return
    const redeemed = await statusLine(network)
    if (!options.once) continue
    if (counts.segments >= enough.segments && redeemed >= enough.redeemed) return
    if (Date.now() - started > limit * 1000) {
      throw new Error(
        `after ${limit} s only ${counts.segments} segments were transcoded and ${redeemed} tickets redeemed` +
          ` (wanted ${enough.segments} and ${enough.redeemed}); ${counts.failed} segments failed, the last with: ${counts.lastFailure || 'nothing'}`,
      )
    }
  }
}

async function statusLine(network: Network): Promise<number> {
  const tickets = await ticketFigures(network)
  const failed = counts.failed > 0 ? `, ${counts.failed} failed (${counts.lastFailure})` : ''
  say(
    `${counts.segments} segments transcoded into ${counts.renditions} renditions${failed} · ${tickets.sessions} sessions · ` +
      `tickets: ${tickets.received} received, ${tickets.won} won, ${tickets.pending} waiting, ${tickets.redeemed} redeemed ` +
      `for ${ether(tickets.paid)} ETH`,
  )
  return tickets.redeemed
}

/** The figures once all redemptions are finished. */
async function settled(network: Network): Promise<Record<string, unknown>> {
  const deadline = Date.now() + SETTLE_TIMEOUT_MS
  let tickets: TicketFigures = await ticketFigures(network)
  while (!tickets.isAtRest && Date.now() < deadline) {
    await sleep(500)
    tickets = await ticketFigures(network)
  }
  const { rewards, rounds } = await network.protocol.roundsSince(network.fromBlock)
  return {
    setup: network.setup,
    segments: counts.segments,
    renditions: counts.renditions,
    ticketsReceived: tickets.received,
    ticketsWon: tickets.won,
    ticketsRedeemed: tickets.redeemed,
    ticketsPending: tickets.pending,
    ticketsLost: tickets.lost,
    ticketsByOrchestrator: tickets.byOrchestrator,
    faceValueRedeemedWei: tickets.faceValue.toString(),
    chainFeesWei: tickets.fees.toString(),
    rewardsCalled: rewards,
    roundsPassed: rounds,
  }
}

function announce(network: Network, streams: readonly string[]): void {
  const { urls, accounts, anvil, balancer, nodes } = network
  const line = (name: string, text: string) => say(`${name.padEnd(16)}${text}`)
  say('')
  line('chain', `${anvil.url}   chain id ${anvil.chainId}`)
  line('registered', `${accounts.orchestrator} at ${urls.orchestrator}`)
  if (balancer) line('balancer', `127.0.0.1:${balancer.port}   ${balancer.what}`)
  for (const { account, address, process } of nodes) {
    line(process.command.name, `${address ?? 'serves no clients'}   account ${account ?? 'none'}`)
    line('', `status http://${process.command.control}/status`)
  }
  line('push to', `${urls.gateway}/live/<name>/<seq>.ts`)
  for (const stream of streams) line('watch', `${urls.gateway}/stream/${stream}.m3u8`)
  say('')
}

function isSetup(name: string): name is Setup {
  return SETUPS.some((setup) => setup === name)
}

function ether(wei: bigint): string {
  return (Number(wei / 10n ** 12n) / 1e6).toString()
}

/** With --once standard output has only the last line. */
function say(line: string): void {
  if (options.once) console.error(line)
  else console.log(line)
}
