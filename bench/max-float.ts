import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { devnetKey, devnetKeyBytes } from '../devnet/artifacts.ts'
import { Network } from '../devnet/network.ts'
import { MAX_WIN_PROB, recipientRandHash, ticketHash, type WinningTicket } from '../src/domain/ticket.ts'
import { ChainClient, resolveContracts } from '../src/io/chain/client.ts'
import { Rpc } from '../src/io/chain/rpc.ts'
import { walletOfKey } from '../src/io/chain/wallet.ts'
import { RedeemerClient } from '../src/io/rpc/redeemer-client.ts'
import { systemClock } from '../src/lib/clock.ts'
import { silentLog } from '../src/lib/log.ts'
import { eventually } from '../test/tools/until.ts'
import type { HeardFloat, ListenersTask } from './max-float-listeners.ts'
import { percentile, round, rssOf } from './statistics.ts'

/**
 * A redeemer process with 50 orchestrators, each listening to the floats of 200 senders. Handing in a winning ticket
 * lowers its sender's float; measures the time until all 50 have been told.
 */

const ORCHESTRATORS = 50
/** Threads of listeners, each with its own heap. */
const THREADS = 5
const SENDERS = 200
const TICKETS = 200
const ETHER = 10n ** 18n
const FACE_VALUE = ETHER / 10n

await using network = await Network.prepare({ setup: 'redeemer', roundLength: 1_000n })
const redeemer = network.of('redeemer')[0]!
await redeemer.process.start()
const rpc = new Rpc(
  { urls: [network.anvil.url], chainId: network.anvil.chainId },
  { clock: systemClock, log: silentLog },
)
const chain = new ChainClient({
  rpc,
  addresses: await resolveContracts(rpc, network.protocol.addresses.controller),
})
const names = Array.from({ length: SENDERS }, (_, i) => `sender ${i}`)
const senders = names.map((name) => walletOfKey(devnetKeyBytes(name)))
await Promise.all(names.map((name) => network.protocol.fundSender(devnetKey(name), ETHER / 10n, 10n * ETHER)))
const { lastInitialized, blockHash } = await chain.roundState()

const rssMb: Record<string, number> = { start: rssOf(redeemer.process) }
const url = `https://${redeemer.address}`
const heard = new Map<string, HeardFloat>()
const threads = Array.from({ length: THREADS }, (_, thread) => {
  const task: ListenersTask = {
    url,
    orchestrators: ORCHESTRATORS / THREADS,
    senders: senders.map((one) => one.address),
  }
  const worker = new Worker(new URL('./max-float-listeners.ts', import.meta.url), { workerData: task })
  worker.on('message', (float: HeardFloat) =>
    heard.set(`${thread}/${float.orchestrator}/${float.sender}`, float),
  )
  return worker
})
const ended = Promise.all(threads.map((worker) => once(worker, 'exit')))
await eventually('all have been told a first float', () => heard.size === ORCHESTRATORS * SENDERS, 120_000)
rssMb.listening = rssOf(redeemer.process)

const client = new RedeemerClient({ url, secret: '', own: null })
const tickets = await Promise.all(Array.from({ length: TICKETS }, (_, i) => winner(senders[i % SENDERS]!, i)))
const times: number[] = []
for (const [i, ticket] of tickets.entries()) {
  const floats = () => [...heard.values()].filter(({ sender }) => sender === i % SENDERS)
  const before = new Set(floats().map(({ value }) => value))
  const startedNs = process.hrtime.bigint()
  await client.queue(ticket, AbortSignal.timeout(60_000))
  await eventually('all have been told', () => floats().every(({ value }) => !before.has(value)))
  times.push(...floats().map(({ atNs }) => Number(atNs - startedNs) / 1e6))
}
rssMb.end = rssOf(redeemer.process)
for (const worker of threads) worker.postMessage('stop')
await ended
client.reset()

const figures = {
  p50Ms: round(percentile(times, 50)),
  p99Ms: round(percentile(times, 99)),
  rssMb: rssMb.end,
}
console.log(`${ORCHESTRATORS} orchestrators, ${SENDERS} senders, ${TICKETS} changes, each heard by all`)
console.log(`from a ticket handed in to its float heard   p50 ${figures.p50Ms} ms, p99 ${figures.p99Ms} ms`)
console.log(
  `memory of the redeemer   ${rssMb.start} MB at start, ${rssMb.listening} with all listening, ${rssMb.end} at the end`,
)
console.log(JSON.stringify(figures))

/** A winning ticket that stays open because its params are valid throughout the bench. */
async function winner(sender: ReturnType<typeof walletOfKey>, senderNonce: number): Promise<WinningTicket> {
  const ticket = {
    ...{ recipient: network.accounts.orchestrator, sender: sender.address, faceValue: FACE_VALUE },
    ...{ winProb: MAX_WIN_PROB, senderNonce, recipientRand: 5n, recipientRandHash: recipientRandHash(5n) },
    expirationParams: { creationRound: lastInitialized, creationRoundBlockHash: blockHash },
    paramsExpirationBlock: 1_000_000n,
  }
  return { ...ticket, sig: await sender.sign(ticketHash(ticket)) }
}
