import { z } from 'zod'
import { smaller } from '../../lib/bigints.ts'
import type { Address } from '../../lib/crypto.ts'
import { ChainError } from './chain-error.ts'
import { type ChainRequest, toQuantity } from './raw-header.ts'
import { logSchema, type RawLog } from './raw-log.ts'

/** A larger window is tried after this many of the largest allowed size; each further time after twice as many. */
const FIRST_PATIENCE = 16
const MAX_PATIENCE = 1_024

/**
 * Fetches logs in windows of blocks. Any refusal halves the window, down to a single block, since providers have many
 * kinds of limits, each with its own error text. The size that works is remembered, and grows again slowly.
 */
export class LogWindow {
  readonly #most: bigint
  readonly #filter: { readonly address: readonly Address[]; readonly topics: readonly unknown[] }
  #size: bigint
  /** The largest size not known to be refused. */
  #allowed: bigint
  #patience = FIRST_PATIENCE
  /** Windows of that size fetched. */
  #worked = 0

  constructor(most: number, filter: { address: readonly Address[]; topics: readonly unknown[] }) {
    this.#most = BigInt(most)
    this.#size = this.#most
    this.#allowed = this.#most
    this.#filter = filter
  }

  /** The present window, in blocks. */
  get size(): bigint {
    return this.#size
  }

  /**
   * The logs from `from` on, in chain order, and the last block they cover: `last`, or the end of one window. Throws
   * ChainError if even one block is refused or the endpoint is in trouble; the next window is then smaller too, if its
   * size may have been the cause.
   */
  async fetch(request: ChainRequest, from: bigint, last: bigint): Promise<{ logs: RawLog[]; to: bigint }> {
    let mayLag = true
    for (;;) {
      const end = from + this.#size - 1n
      const to = end < last ? end : last
      try {
        const logs = await this.#fetchRange(request, from, to)
        if (to === end) this.#noteWorked()
        return { logs, to }
      } catch (error) {
        if (!(error instanceof ChainError)) throw error
        const isRefused = error.code === 'rpc-refused' || error.code === 'rejected'
        // A lagging replica refuses the newest blocks: the next one may have them.
        if (isRefused && to === last && mayLag) {
          mayLag = false
          continue
        }
        if (to === from) throw error
        if (isRefused || mayBeTooMuch(error)) this.#size = smaller(this.#size, (to - from + 1n) / 2n)
        if (!isRefused) throw error
        this.#allowed = this.#size
        this.#worked = 0
      }
    }
  }

  /** Notes that a full window was fetched. */
  #noteWorked(): void {
    if (this.#size === this.#allowed && this.#allowed < this.#most && ++this.#worked >= this.#patience) {
      this.#worked = 0
      this.#patience = Math.min(MAX_PATIENCE, this.#patience * 2)
      this.#allowed = smaller(this.#allowed * 2n, this.#most)
    }
    this.#size = smaller(this.#size * 2n, this.#allowed)
  }

  async #fetchRange(request: ChainRequest, from: bigint, to: bigint): Promise<RawLog[]> {
    const range = { fromBlock: toQuantity(from), toBlock: toQuantity(to) }
    const answer = await request('eth_getLogs', [{ ...range, ...this.#filter }])
    const parsed = z.array(logSchema).safeParse(answer)
    if (!parsed.success) throw new ChainError('bad-answer', 'the RPC answered eth_getLogs in another form')
    return parsed.data.sort((a, b) =>
      a.blockNumber === b.blockNumber ? a.logIndex - b.logIndex : a.blockNumber < b.blockNumber ? -1 : 1,
    )
  }
}

/** Faults that asking for too much at once may cause; not a failure to connect. */
function mayBeTooMuch({ code, details }: ChainError): boolean {
  if (code === 'rpc-timeout' || code === 'bad-answer') return true
  return code === 'rpc-unreachable' && details.wasSent === true
}
