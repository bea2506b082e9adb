import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { livePattern, segmentsOfFile } from '../src/io/media/pattern.ts'
import { isAbort, messageOf } from '../src/lib/errors.ts'
import type { OrchestratorStatus } from '../src/status.ts'
import { Network } from './network.ts'
import { commandLine } from './node-process.ts'
import { publish } from './publisher.ts'

/** `npm start`: the network in small, as real processes started by the commands a user would type. */

const STREAM = 'demo'
const STATUS_EVERY_MS = 4_000
const ONCE_TIMEOUT_MS = 180_000
const SETTLE_TIMEOUT_MS = 20_000

const options = readOptions()

/** When `--once` has seen enough. */
const enough = { segments: Number(options.segments), redeemed: Number(options.tickets) }
const counts = { segments: 0, renditions: 0, failed: 0, lastFailure: '' }
const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop.abort())

try {
  if (!(enough.segments >= 0 && enough.redeemed >= 0)) {
    throw new Error('--segments and --tickets say in numbers when --once has seen enough')
  }
  if (options.setup !== 'single') {
    throw new Error(`--setup ${options.setup} is not there yet: leave it out for the single orchestrator`)
  }
  await run()
} catch (error) {
  // What breaks while everything is being stopped is no news.
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
        setup: { type: 'string', default: 'single' },
        logs: { type: 'string' },
        segments: { type: 'string', default: '20' },
        tickets: { type: 'string', default: '2' },
      },
    })
    return values
  } catch (error) {
    console.error(messageOf(error))
    process.exit(2)
  }
}

async function run(): Promise<void> {
  const started = Date.now()
  let result: Record<string, unknown> | null = null
  say('starting a chain with the protocol’s contracts …')
  const network = await Network.prepare({
    usualPorts: true,
    signal: stop.signal,
    ...(options.logs ? { logFolder: options.logs } : {}),
  })
  try {
    for (const node of [network.orchestrator, network.gateway]) {
      if (stop.signal.aborted) return
      say(`\n$ ${commandLine(node.command)}`)
      await node.start(stop.signal)
    }
    announce(network)
    const streaming = new AbortController()
    const source = options.input
      ? segmentsOfFile(options.input, AbortSignal.any([stop.signal, streaming.signal]))
      : livePattern({}, AbortSignal.any([stop.signal, streaming.signal]))
    const published = publish(
      {
        gateway: network.urls.gateway,
        stream: STREAM,
        source,
        onPushed: ({ status, renditions, text }) => {
          if (status === 200 && renditions.length > 0) {
            counts.segments++
            counts.renditions += renditions.length
          } else {
            counts.failed++
            counts.lastFailure = `${status} ${text}`
          }
        },
      },
      stop.signal,
    ).catch((error) => {
      if (!isAbort(error)) throw error
    })
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

/** Prints a status line now and then; with --once returns when enough has happened. */
async function watch(network: Network, started: number): Promise<void> {
  while (!stop.signal.aborted) {
    await sleep(STATUS_EVERY_MS, undefined, { signal: stop.signal }).catch(() => {})
    for (const node of [network.orchestrator, network.gateway]) {
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
    if (Date.now() - started > ONCE_TIMEOUT_MS) {
      throw new Error(
        `after ${ONCE_TIMEOUT_MS / 1000} s only ${counts.segments} segments were transcoded and ${redeemed} tickets redeemed` +
          ` (wanted ${enough.segments} and ${enough.redeemed}); ${counts.failed} segments failed, the last with: ${counts.lastFailure || 'nothing'}`,
      )
    }
  }
}

async function statusLine(network: Network): Promise<number> {
  const [{ tickets, sessions }, chain] = await Promise.all([
    network.orchestrator.status<OrchestratorStatus>(),
    network.protocol.redemptions(),
  ])
  const failed = counts.failed > 0 ? `, ${counts.failed} failed (${counts.lastFailure})` : ''
  say(
    `${counts.segments} segments transcoded into ${counts.renditions} renditions${failed} · ${sessions} sessions · ` +
      `tickets: ${tickets.received} received, ${tickets.won} won, ${tickets.open} waiting, ${chain.redeemed} redeemed ` +
      `for ${ether(chain.paid)} ETH`,
  )
  return chain.redeemed
}

/** The figures at rest: redemptions under way are waited for, so that every ticket is in one place. */
async function settled(network: Network): Promise<Record<string, unknown>> {
  const deadline = Date.now() + SETTLE_TIMEOUT_MS
  for (;;) {
    const { tickets } = await network.orchestrator.status<OrchestratorStatus>()
    const chain = await network.protocol.redemptions()
    const atRest = tickets.submitted === 0 && tickets.redeemed === chain.redeemed
    if (!atRest && Date.now() < deadline) {
      await sleep(500)
      continue
    }
    return {
      setup: 'single',
      segments: counts.segments,
      renditions: counts.renditions,
      ticketsReceived: tickets.received,
      ticketsWon: tickets.won,
      ticketsRedeemed: chain.redeemed,
      ticketsLost: tickets.won - chain.redeemed - tickets.open - tickets.submitted - tickets.refused,
      faceValueRedeemedWei: chain.faceValue.toString(),
      chainFeesWei: chain.fees.toString(),
    }
  }
}

function announce(network: Network): void {
  const { urls, accounts, anvil } = network
  say('')
  say(`chain           ${anvil.url}   chain id ${anvil.chainId}`)
  say(`orchestrator    ${urls.orchestrator}   paid as ${accounts.orchestrator}`)
  say(`                status http://${network.orchestrator.command.control}/status`)
  say(`gateway         ${urls.gateway}   pays as ${accounts.gateway}; push to /live/<name>/<seq>.ts`)
  say(`                status http://${network.gateway.command.control}/status`)
  say(`watch           ${urls.gateway}/stream/${STREAM}.m3u8`)
  say('')
}

function ether(wei: bigint): string {
  return (Number(wei / 10n ** 12n) / 1e6).toString()
}

/** With --once standard output is for the last line alone. */
function say(line: string): void {
  if (options.once) console.error(line)
  else console.log(line)
}
