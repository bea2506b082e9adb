import { z } from 'zod'
import type { Address } from '../../lib/crypto.ts'
import { ChainError } from './chain-error.ts'
import { logSchema, type RawLog } from './raw-log.ts'
import { type ChainRequest, toQuantity } from './rpc.ts'

/** How endpoints say that a range holds more than they give at once; each has its own words. */
const TOO_MUCH =
  /more than \d+ results|too many (results|logs)|block range|range (is )?too|response size|query timeout|(is )?limited to|exceed(s|ed)? (the )?(max|limit|range)|max(imum)? (block )?range/i

/** Fetches logs in windows, halving a window that is too much and growing again when all goes well. */
export class LogWindow {
  readonly #most: bigint
  readonly #filter: { readonly address: readonly Address[]; readonly topics: readonly unknown[] }
  #size: bigint

  constructor(most: number, filter: { address: readonly Address[]; topics: readonly unknown[] }) {
    this.#most = BigInt(most)
    this.#size = this.#most
    this.#filter = filter
  }

  /**
   * The logs from `from` on, in chain order, and how far they reach: to `last` or as far as one window goes. Throws
   * ChainError when even one block is too much.
   */
  async fetch(request: ChainRequest, from: bigint, last: bigint): Promise<{ logs: RawLog[]; to: bigint }> {
    for (;;) {
      const end = from + this.#size - 1n
      const to = end < last ? end : last
      try {
        const logs = await this.#fetchRange(request, from, to)
        if (this.#size < this.#most) this.#size *= 2n
        if (this.#size > this.#most) this.#size = this.#most
        return { logs, to }
      } catch (error) {
        if (!isTooMuch(error) || to === from) throw error
        this.#size = (to - from + 1n) / 2n
      }
    }
  }

  async #fetchRange(request: ChainRequest, from: bigint, to: bigint): Promise<RawLog[]> {
    const range = { fromBlock: toQuantity(from), toBlock: toQuantity(to) }
    const answer = await request('eth_getLogs', [{ ...range, ...this.#filter }])
    const parsed = z.array(logSchema).safeParse(answer)
    if (!parsed.success)
      throw new ChainError('bad-answer', 'the RPC answered eth_getLogs with something else')
    return parsed.data.sort((a, b) =>
      a.blockNumber === b.blockNumber ? a.logIndex - b.logIndex : a.blockNumber < b.blockNumber ? -1 : 1,
    )
  }
}

function isTooMuch(error: unknown): boolean {
  return (
    error instanceof ChainError && error.code === 'rpc-refused' && TOO_MUCH.test(String(error.details.text))
  )
}
