import type { SenderInfo } from '../../domain/float.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { TimeLimit } from '../../lib/patience.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { RedeemerConnection } from './redeemer-peers.ts'

/** How long an offer waits for a redeemer's float: gateways do not wait long for the offer (wire.md §4). */
const ASK_MS = 1_500
/** The stream of a float that was not used for this time is closed (wire.md §14). */
const IDLE_MS = 5 * 60_000
const CLEAN_UP_MS = 60_000
/** Open float streams at the same time; beyond that the least recently used are dropped. */
const MAX_SENDERS = 10_000
/** While no redeemer answers, an orchestrator offers its own view divided by this. */
const OWN_VIEW_DIVISOR = 2n

export interface RemoteFloatNeeds {
  /** The node's own view of the chain. */
  readonly senders: {
    info(sender: Address): Promise<SenderInfo>
    payable(sender: Address): Promise<bigint>
    maxFloat(sender: Address): Promise<bigint>
  }
  readonly redeemers: {
    readonly answering: readonly RedeemerConnection[]
    report(connection: RedeemerConnection, error: unknown): void
  }
  readonly clock: Clock
  readonly log: Log
}

/** A sender's float as reported by one redeemer. */
interface Told {
  value: bigint
  usedAtMs: number
  readonly stop: AbortController
}

/**
 * The max float of a sender by the redeemer's view, since only a redeemer knows the winning tickets of all
 * orchestrators; never more than by this node's own view of the chain. While no redeemer answers, a part of the own
 * view is used, so that streams continue.
 */
export class RemoteFloat implements Service {
  readonly name = 'remote float'
  readonly #needs: RemoteFloatNeeds
  /** The least recently used first. */
  readonly #told = new Map<Address, Told>()
  readonly #asking = new Map<Address, Promise<bigint | null>>()
  #scope: Scope | null = null
  #isAlone = false

  constructor(needs: RemoteFloatNeeds) {
    this.#needs = needs
  }

  start(scope: Scope): void {
    this.#scope = scope
    scope.spawn('forget floats', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(CLEAN_UP_MS, signal)
        this.#forgetIdle()
      }
    })
  }

  /** Whether the last float came from this node's own view, because no redeemer reported one. */
  get isAlone(): boolean {
    return this.#isAlone
  }

  /** The number of open float streams. */
  get size(): number {
    return this.#told.size
  }

  info(sender: Address): Promise<SenderInfo> {
    return this.#needs.senders.info(sender)
  }

  payable(sender: Address): Promise<bigint> {
    return this.#needs.senders.payable(sender)
  }

  /** Wei; never below 0. Throws what the chain throws if neither it nor a redeemer answers. */
  async maxFloat(sender: Address): Promise<bigint> {
    const [own, remote] = await Promise.allSettled([
      this.#needs.senders.maxFloat(sender),
      this.#remote(sender),
    ])
    const told = remote.status === 'fulfilled' ? remote.value : null
    this.#isAlone = told === null
    if (own.status === 'rejected') {
      if (told === null) throw own.reason
      return told
    }
    if (told !== null && told < own.value) return told
    return told === null ? own.value / OWN_VIEW_DIVISOR : own.value
  }

  async #remote(sender: Address): Promise<bigint | null> {
    const told = this.#told.get(sender)
    if (told) {
      told.usedAtMs = this.#needs.clock.now()
      this.#told.delete(sender)
      this.#told.set(sender, told)
      return told.value
    }
    let asking = this.#asking.get(sender)
    if (!asking) {
      asking = this.#ask(sender).finally(() => this.#asking.delete(sender))
      this.#asking.set(sender, asking)
    }
    return asking
  }

  /** Asks the available redeemers, one after the other, within the time limit. */
  async #ask(sender: Address): Promise<bigint | null> {
    const { clock, redeemers } = this.#needs
    const scope = this.#scope
    if (!scope || scope.signal.aborted) return null
    using limit = new TimeLimit(clock, ASK_MS)
    const signal = AbortSignal.any([scope.signal, limit.signal])
    for (const connection of redeemers.answering) {
      const value = await this.#askOne(connection, sender, signal)
      if (value !== null) return value
      if (signal.aborted) return null
    }
    return null
  }

  async #askOne(
    connection: RedeemerConnection,
    sender: Address,
    signal: AbortSignal,
  ): Promise<bigint | null> {
    const { clock, redeemers } = this.#needs
    try {
      const value = await connection.maxFloat(sender, signal)
      redeemers.report(connection, null)
      const told: Told = { value, usedAtMs: clock.now(), stop: new AbortController() }
      this.#told.set(sender, told)
      if (this.#told.size > MAX_SENDERS) this.#forget(this.#told.keys().next().value!)
      this.#scope!.spawn('listen to a float', () => this.#listen(connection, sender, told))
      return value
    } catch (error) {
      redeemers.report(connection, error)
      return null
    }
  }

  /** Updates a float until its stream ends, after which it is requested again. */
  async #listen(connection: RedeemerConnection, sender: Address, told: Told): Promise<void> {
    const stop = () => told.stop.abort()
    const { signal } = this.#scope!
    if (signal.aborted) return
    signal.addEventListener('abort', stop, { once: true })
    try {
      for await (const value of connection.floats(sender, told.stop.signal)) told.value = value
    } catch (error) {
      if (!isAbort(error)) this.#needs.redeemers.report(connection, error)
    } finally {
      signal.removeEventListener('abort', stop)
      if (this.#told.get(sender) === told) this.#told.delete(sender)
    }
  }

  #forgetIdle(): void {
    const since = this.#needs.clock.now() - IDLE_MS
    for (const [sender, { usedAtMs }] of this.#told) if (usedAtMs < since) this.#forget(sender)
  }

  #forget(sender: Address): void {
    this.#told.get(sender)?.stop.abort()
    this.#told.delete(sender)
  }
}
