import type { WinningTicket } from '../../src/domain/ticket.ts'
import type { RedeemerApi } from '../../src/io/rpc/redeemer-endpoint.ts'
import type { Address } from '../../src/lib/crypto.ts'

/** What a redeemer does with its callers' requests: accepts every ticket, and tells one float of every sender. */
export class FakeDesk implements RedeemerApi {
  readonly queued: WinningTicket[] = []
  value: bigint
  /** Thrown by every call; null for none. */
  failure: Error | null = null
  /** Awaited before a ticket is accepted. */
  onQueue: () => Promise<void> = async () => {}
  readonly #listeners = new Set<(value: bigint) => void>()

  /** `value`: the float, in wei. */
  constructor(value = 100n * 10n ** 18n) {
    this.value = value
  }

  async queue(ticket: WinningTicket): Promise<void> {
    if (this.failure) throw this.failure
    await this.onQueue()
    this.queued.push(ticket)
  }

  async maxFloat(): Promise<bigint> {
    if (this.failure) throw this.failure
    return this.value
  }

  listen(_: Address, tell: (value: bigint) => void): () => void {
    if (this.failure) throw this.failure
    const listener = (value: bigint) => tell(value)
    this.#listeners.add(listener)
    tell(this.value)
    return () => void this.#listeners.delete(listener)
  }

  /** Number of streams of floats. */
  get listeners(): number {
    return this.#listeners.size
  }

  /** Changes the float and tells everybody that listens. */
  tell(value: bigint): void {
    this.value = value
    for (const listener of this.#listeners) listener(value)
  }
}
