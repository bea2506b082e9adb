import { parentPort, workerData } from 'node:worker_threads'
import { RedeemerClient } from '../src/io/rpc/redeemer-client.ts'
import type { Address } from '../src/lib/crypto.ts'

/** What a thread of listeners is to do: as `orchestrators` orchestrators, follow each sender's float. */
export interface ListenersTask {
  readonly url: string
  readonly orchestrators: number
  readonly senders: readonly Address[]
}

/** A float heard by one orchestrator; the time is the machine's monotonic clock, the same in every thread. */
export interface HeardFloat {
  readonly sender: number
  readonly orchestrator: number
  readonly value: bigint
  readonly atNs: bigint
}

// One thread of the bench's listeners. Real orchestrators are processes of their own: with ten thousand streams in one
// heap, the figures would be those of its garbage collector.

const { url, orchestrators, senders } = workerData as ListenersTask
const stop = new AbortController()
parentPort!.once('message', () => stop.abort())
const clients = Array.from(
  { length: orchestrators },
  () => new RedeemerClient({ url, secret: '', own: null }),
)
await Promise.allSettled(
  clients.flatMap((client, orchestrator) =>
    senders.map(async (address, sender) => {
      for await (const value of client.floats(address, stop.signal)) {
        const heard: HeardFloat = { sender, orchestrator, value, atNs: process.hrtime.bigint() }
        parentPort!.postMessage(heard)
      }
    }),
  ),
)
for (const client of clients) client.reset()
