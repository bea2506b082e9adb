import { setTimeout as sleep } from 'node:timers/promises'
import { livePattern, segmentsOfFile } from '../src/io/media/engine/pattern.ts'
import { isAbort, messageOf } from '../src/lib/errors.ts'
import type { GatewayStatus } from '../src/node/status/status.ts'
import { lastKnown, type TicketFigures, ticketFigures } from './figures.ts'
import { freePort, freePortNear } from './free-port.ts'
import { Network, type NetworkNode } from './network.ts'
import { commandLine, fullCommandLine } from './node-process.ts'
import { CHAIN_ONLY, type DevnetOptions, readOptions } from './options.ts'
import { type Pushed, publish } from './publisher.ts'
import type { Setup } from './setups.ts'
import { unrest } from './unrest.ts'
import { Workbench } from './workbench.ts'

/** `npm start`: a small network of real processes, started by the commands a user would type. */

const STREAM = 'demo'
const STATUS_EVERY_MS = 4_000
const SETTLE_TIMEOUT_MS = 20_000

const options = optionsOrExit()
const counts = { segments: 0, renditions: 0, failed: 0, lastFailure: '' }
const ask = lastKnown()
/** Nodes that were stopped by hand. */
const gone = new Set<NetworkNode>()
/** The node that `--unrest` has killed and not started again yet. */
let killed: NetworkNode | null = null
let kills = 0
const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop.abort())

try {
  if (options.input !== null) await checkInput(options.input)
  if (options.setup === CHAIN_ONLY) await runChain()
  else await run(options.setup)
} catch (error) {
  // Failures while everything is being stopped are not reported.
  if (!stop.signal.aborted) {
    console.error(messageOf(error))
    process.exitCode = 1
  }
}

function optionsOrExit(): DevnetOptions {
  try {
    const read = readOptions(process.argv.slice(2))
    if (!('help' in read)) return read
    process.stdout.write(read.help)
    process.exit(0)
  } catch (error) {
    const [sentence] = messageOf(error).split('. ')
    console.error(`${sentence}; npm start -- --help lists the options`)
    process.exit(2)
  }
}

/** Reads one segment, before anything is started. */
async function checkInput(input: string): Promise<void> {
  try {
    for await (const _ of segmentsOfFile(input, stop.signal, { isPaced: false })) return
  } catch (error) {
    if (isAbort(error)) throw error
    throw new Error(`--input cannot be streamed: ${messageOf(error)}`)
  }
}

/** Only the chain, until it is stopped. */
async function runChain(): Promise<void> {
  say('starting a chain with the protocol’s contracts …')
  await using bench = await Workbench.open(stop.signal, options.freePorts ? freePort : freePortNear)
  const { accounts, chain, examples, flags, folder, registered } = bench
  line('chain', `${chain.anvil.url}   chain id ${chain.anvil.chainId}`)
  line('keys', `${folder}/keystore   password in ${folder}/password`)
  line('registered', `${chain.accounts.orchestrator} at https://${registered}`)
  for (const { address, has, name } of accounts) line(name, `${address}   ${has}`)
  say(`\nflags of every node, before -ethAcctAddr and those of its role:\n\n${commandLine({ flags })}`)
  say(`\ntwo nodes that pay and are paid:`)
  for (const flags of Object.values(examples)) say(`\n$ ${commandLine({ flags })}`)
  say('\nCtrl-C stops the chain and removes the keys')
  await new Promise<void>((resolve) => {
    if (stop.signal.aborted) resolve()
    stop.signal.addEventListener('abort', () => resolve())
    chain.anvil.ended.then(resolve)
  })
  if (!stop.signal.aborted) throw new Error('the chain has ended')
  say('stopping')
}

async function run(setup: Setup): Promise<void> {
  const started = Date.now()
  let result: Record<string, unknown> | null = null
  say('starting a chain with the protocol’s contracts …')
  const network = await Network.prepare({
    setup,
    usualPorts: !options.freePorts,
    signal: stop.signal,
    ...(options.logs ? { logFolder: options.logs } : {}),
  })
  try {
    await network.start(({ process }) => say(`\n$ ${commandLine(process.command)}`), stop.signal)
    const streams = streamsOf(network)
    announce(network, streams)
    const streaming = new AbortController()
    const published = Promise.all(streams.map((stream) => publishTo(network, stream, streaming.signal)))
    const disturbed = options.unrest ? disturb(network, streaming.signal) : null
    try {
      // Publishing and unrest end only when they fail.
      await Promise.race([watch(network, started), published, ...(disturbed ? [disturbed] : [])])
    } finally {
      streaming.abort()
      await published
      await disturbed
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

/** Kills nodes until the signal is aborted, and then waits for the last one to be back. */
async function disturb(network: Network, signal: AbortSignal): Promise<void> {
  await unrest(
    network,
    {
      killed: (node) => {
        kills++
        killed = node
        say(`killed the ${node.process.command.name}`)
      },
      back: (node) => {
        killed = null
        say(`started the ${node.process.command.name} again`)
      },
    },
    AbortSignal.any([signal, stop.signal]),
  )
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
  const { goal, limitS } = options
  while (!stop.signal.aborted) {
    await sleep(STATUS_EVERY_MS, undefined, { signal: stop.signal }).catch(() => {})
    if (stop.signal.aborted) return
    for (const node of network.nodes) await look(node)
    if (network.anvil.hasEnded) throw new Error('the chain has ended')
    const redeemed = await statusLine(network)
    if (!options.once) continue
    if (counts.segments >= goal.segments && redeemed >= goal.redeemed) return
    if (Date.now() - started > limitS * 1000) {
      throw new Error(
        `after ${limitS} s only ${counts.segments} segments were transcoded and ${redeemed} tickets redeemed` +
          ` (wanted ${goal.segments} and ${goal.redeemed}); ${counts.failed} segments failed, the last with: ${counts.lastFailure || 'nothing'}`,
      )
    }
  }
}

/** Says when a node has been stopped, and when it is back. With --once nobody does that by hand. */
async function look(node: NetworkNode): Promise<void> {
  const { process: child } = node
  if (child.isRunning || node === killed) return
  const { command, ending } = child
  if (options.once) throw new Error(`the ${command.name} ended, ${ending}:\n${child.output.slice(-2_000)}`)
  if (await child.answers()) {
    if (gone.delete(node)) say(`the ${command.name} is back`)
  } else if (!gone.has(node)) {
    gone.add(node)
    say(`\nthe ${command.name} is gone (${ending}). The others go on; start it again with\n`)
    say(`$ ${fullCommandLine(command)}\n`)
  }
}

async function statusLine(network: Network): Promise<number> {
  const tickets = await ticketFigures(network, ask).catch(() => null)
  const failed = counts.failed > 0 ? `, ${counts.failed} failed (${counts.lastFailure})` : ''
  const away =
    gone.size > 0 ? ` · gone: ${[...gone].map(({ process }) => process.command.name).join(', ')}` : ''
  const streamed = `${counts.segments} segments transcoded into ${counts.renditions} renditions${failed}`
  if (tickets === null) {
    // A node was gone before it could be asked for the first time.
    say(`${streamed}${away}`)
    return 0
  }
  const { paid, pending, received, redeemed, sessions, won } = tickets
  say(
    `${streamed} · ${sessions} sessions · tickets: ${received} received, ${won} won, ${pending} waiting, ` +
      `${redeemed} redeemed for ${ether(paid)} ETH${away}`,
  )
  return redeemed
}

/** The figures once all redemptions are finished. */
async function settled(network: Network): Promise<Record<string, unknown>> {
  const deadline = Date.now() + SETTLE_TIMEOUT_MS
  let tickets: TicketFigures = await ticketFigures(network)
  while (!tickets.isAtRest && Date.now() < deadline) {
    await sleep(500)
    tickets = await ticketFigures(network)
  }
  const { segments, segmentsResent } = await network.gateway.status<GatewayStatus>()
  const { rewards, rounds } = await network.protocol.roundsSince(network.fromBlock)
  return {
    setup: network.setup,
    nodes: network.nodes.length,
    nodesKilled: kills,
    segments: counts.segments,
    segmentsFailed: counts.failed,
    segmentsRetried: segments.retried,
    segmentsResent,
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
  say('')
  line('chain', `${anvil.url}   chain id ${anvil.chainId}`)
  line('registered', `${accounts.orchestrator} at ${urls.orchestrator}`)
  if (balancer) line('balancer', `127.0.0.1:${balancer.port}   ${balancer.what}`)
  for (const { account, address, process } of nodes) {
    line(process.command.name, `${address ?? 'serves no clients'}   account ${account ?? 'none'}`)
    line('', `console http://${process.command.control}/   process ${process.pid}`)
  }
  line('push to', `${urls.gateway}/live/<name>/<seq>.ts`)
  for (const stream of streams) line('watch', `${urls.gateway}/stream/${stream}.m3u8`)
  say('')
}

function line(name: string, text: string): void {
  say(`${name.padEnd(16)}${text}`)
}

function ether(wei: bigint): string {
  return (Number(wei / 10n ** 12n) / 1e6).toString()
}

/** With --once standard output has only the last line. */
function say(line: string): void {
  if (options.once) console.error(line)
  else console.log(line)
}
