import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { StoreOptions } from '../src/io/store/store.ts'
import type { PaymentsDone, PaymentsJob } from './payments-node.ts'

const PROGRAM = fileURLToPath(new URL('payments-node.ts', import.meta.url))

/** How many payments nodes take, each for a segment whose fee is set aside and charged. */
export interface PaymentsLoad {
  /** One for each node. */
  readonly stores: readonly StoreOptions[]
  readonly senders: number
  /** Of each sender at each node; each has one segment in work. */
  readonly sessions: number
  readonly forMs: number
  /** So many segments of a second are prepared for each node; a faster one ends earlier. */
  readonly mostPerSecond: number
}

/** What came of it. */
export interface PaymentsTaken {
  /** By all nodes together. */
  readonly perSecond: number
  readonly payments: number
  /** Processor time of the nodes for a payment. */
  readonly cpuMs: number
}

/** Runs nodes that take payments as fast as they can, all at the same time; `watch` sees that time. */
export async function takePayments<Seen>(
  load: PaymentsLoad,
  watch: (work: Promise<unknown>) => Promise<Seen>,
): Promise<PaymentsTaken & { readonly seen: Seen }> {
  const nodes: ChildProcess[] = []
  try {
    for (const [i, store] of load.stores.entries()) {
      const job: PaymentsJob = {
        store: { node: `node ${i}`, ...store },
        senders: Array.from({ length: load.senders }, (_, s) => `sender ${s}`),
        ...{ sessionsOfEach: load.sessions, forMs: load.forMs },
        segments: Math.ceil((load.mostPerSecond * load.forMs) / 1000),
      }
      const node = fork(PROGRAM, [JSON.stringify(job)])
      nodes.push(node)
      await once(node, 'message', { signal: endOf(node) })
    }
    const working = Promise.all(
      nodes.map(async (node) => {
        const done = once(node, 'message', { signal: endOf(node) })
        node.send('begin')
        return ((await done) as [PaymentsDone])[0]
      }),
    )
    const seen = await watch(working)
    const done = await working
    const payments = done.reduce((sum, { segments }) => sum + segments, 0)
    const cpuMs = done.reduce((sum, each) => sum + each.cpuMs, 0)
    const perSecond = done.reduce((sum, each) => sum + (each.segments * 1000) / each.tookMs, 0)
    return { perSecond, payments, cpuMs: cpuMs / payments, seen }
  } finally {
    for (const node of nodes) node.kill('SIGKILL')
  }
}

/** Aborted when a process ends. */
function endOf(node: ChildProcess): AbortSignal {
  const ended = new AbortController()
  node.once('exit', (code, signal) =>
    ended.abort(new Error(`a node of the bench ended with ${signal ?? code}`)),
  )
  return ended.signal
}
