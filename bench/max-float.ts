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
import { percentile, round, rssOf } from './statistics.ts'

/**
 * A redeemer process with 50 orchestrators, each listening to the floats of 200 senders. Handing in a winning ticket
 * lowers its sender's float; measures the time until all 50 have been told.
 */

const ORCHESTRATORS = 50
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
const client = new ChainClient({
  rpc,
  addresses: await resolveContracts(rpc, network.protocol.addresses.controller),
})
const names = Array.from({ length: SENDERS }, (_, i) => `sender ${i}`)
const senders = names.map((name) => walletOfKey(devnetKeyBytes(name)))
await Promise.all(names.map((name) => network.protocol.fundSender(devnetKey(name), ETHER / 10n, 10n * ETHER)))
const { lastInitialized, blockHash } = await client.roundState()

const rssMb: Record<string, number> = { start: rssOf(redeemer.process) }
const stop = new AbortController()
const heard = new Map<string, { value: bigint; atMs: number }>()
const clients = Array.from(
  { length: ORCHESTRATORS },
  () => new RedeemerClient({ url: `https://${redeemer.address}`, secret: '', own: null }),
)
const streams = clients.flatMap((orchestrator, o) =>
  senders.map(async ({ address }, s) => {
    for await (const value of orchestrator.floats(address, stop.signal)) {
      heard.set(`${o}/${s}`, { value, atMs: performance.now() })
    }
  }),
)
const ended = Promise.allSettled(streams)
await eventually('all have been told a first float', () => heard.size === ORCHESTRATORS * SENDERS, 120_000)
rssMb.listening = rssOf(redeemer.process)

const times: number[] = []
for (let i = 0; i < TICKETS; i++) {
  const sender = senders[i % SENDERS]!
  const floats = () => clients.map((_, o) => heard.get(`${o}/${i % SENDERS}`)!)
  const before = floats().map(({ value }) => value)
  const startedMs = performance.now()
  await clients[i % ORCHESTRATORS]!.queue(await winner(sender, i), stop.signal)
  await eventually('all have been told', () => floats().every(({ value }, o) => value !== before[o]))
  times.push(...floats().map(({ atMs }) => atMs - startedMs))
}
rssMb.end = rssOf(redeemer.process)
stop.abort()
await ended
for (const orchestrator of clients) orchestrator.reset()

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
