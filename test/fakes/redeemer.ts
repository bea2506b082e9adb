import { RedeemerCallError } from '../../src/domain/redeemer-call.ts'
import { ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { Alarm } from '../../src/lib/alarm.ts'
import { formatHex } from '../../src/lib/bytes.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { abortError } from '../../src/lib/errors.ts'
import type { RedeemerConnection } from '../../src/services/redemption/redeemer-peers.ts'

/** A redeemer without a network, controlled by a test. */
export class FakeRedeemer implements RedeemerConnection {
  readonly name: string
  /** `frozen` never answers. */
  mood: 'well' | 'away' | 'refusing' | 'unable' | 'frozen' = 'well'
  /** Hashes of accepted tickets, in order, with duplicates. */
  readonly taken: string[] = []
  readonly floatOf = new Map<Address, bigint>()
  asked = 0
  streams = 0
  resets = 0
  readonly #clock: Clock
  #broken = new AbortController()
  readonly #changes = new Set<Alarm>()

  constructor(name: string, clock: Clock) {
    this.name = name
    this.#clock = clock
  }

  async queue(ticket: WinningTicket, signal: AbortSignal): Promise<void> {
    await this.#answer(signal)
    if (this.mood === 'refusing') throw new RedeemerCallError('refused', 'invalid ticket recipient')
    if (this.mood === 'unable') throw new RedeemerCallError('unable', 'disk full')
    this.taken.push(formatHex(ticketHash(ticket)))
  }

  async maxFloat(sender: Address, signal: AbortSignal): Promise<bigint> {
    this.asked++
    await this.#answer(signal)
    return this.floatOf.get(sender) ?? 0n
  }

  async *floats(sender: Address, signal: AbortSignal): AsyncGenerator<bigint, void> {
    await this.#answer(signal)
    const changed = new Alarm()
    const until = AbortSignal.any([signal, this.#broken.signal])
    this.#changes.add(changed)
    this.streams++
    try {
      for (;;) {
        yield this.floatOf.get(sender) ?? 0n
        await changed.wait(this.#clock, 1e9, until).catch(() => {})
        if (signal.aborted) throw abortError(signal)
        if (until.aborted) throw new RedeemerCallError('away', 'the connection broke')
      }
    } finally {
      this.streams--
      this.#changes.delete(changed)
    }
  }

  reset(): void {
    this.resets++
    this.#broken.abort()
    this.#broken = new AbortController()
  }

  /** Sets a float and reports it to all listeners. */
  tell(sender: Address, value: bigint): void {
    this.floatOf.set(sender, value)
    for (const change of this.#changes) change.ring()
  }

  async #answer(signal: AbortSignal): Promise<void> {
    if (this.mood === 'away') throw new RedeemerCallError('away', 'connection refused')
    if (this.mood !== 'frozen') return
    const broken = this.#broken.signal
    await new Promise<never>((_, reject) => {
      const fail = () => reject(abortError(signal))
      if (signal.aborted) return fail()
      signal.addEventListener('abort', fail, { once: true })
      broken.addEventListener('abort', () => reject(new RedeemerCallError('away', 'reset')), { once: true })
    })
  }
}
