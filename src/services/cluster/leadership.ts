import { LEADER_LEASE_MS, type LeaseHolder, type LeaseWish } from '../../domain/lease.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import { Listeners } from '../../lib/listeners.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import { isDoneWithin } from '../../lib/patience.ts'
import type { Scope, Service } from '../../lib/service.ts'

/** The leader renews its lease this often. */
const RENEW_MS = 2_000
/** The others check this often whether the lease is free. */
const LOOK_MS = 1_000
/** At its end a node gives its lease back, but does not wait longer than this for a database that does not answer. */
const RELEASE_MS = 2_000

/** The leases in the store of a cluster. */
export interface LeaseRecords {
  /**
   * Takes a lease for so long from now, or renews it. One that another process holds is taken only if it has run out, if
   * that process is gone, or if it has a lower rank. Gives the holder afterwards, or null where that is not known.
   */
  take(wish: LeaseWish, ms: number): Promise<LeaseHolder | null>
  /** Gives a lease back, if this process has it. */
  release(lease: string, instance: string): Promise<void>
}

/** Who wants to lead, and what. */
export interface LeadershipOptions {
  readonly lease: string
  /** One run of this process. */
  readonly instance: string
  readonly node: string
  /** Whether this process wants to lead now, and with which rank; null if it does not. Asked before each look. */
  readonly rank: () => number | null
}

/** What leadership needs. */
export interface LeadershipNeeds {
  readonly leases: LeaseRecords
  /** Whether this process holds the session by which others find out at once that it is gone. */
  readonly session: { readonly isHeld: boolean }
  readonly clock: Clock
  readonly log: Log
  /** Milliseconds since any moment, which never jump; absent: the system's. */
  readonly monotonic?: () => number
}

/**
 * This process's part in the election of a leader: of the processes with the same store, one at a time holds the lease.
 * A process that could not renew its lease in time counts itself out before others may take it. A paused process may
 * still believe that it leads; so each write of a leader carries its epoch, and the store refuses that of an earlier one.
 */
export class Leadership implements Service {
  readonly name: string
  readonly lease: string
  readonly #options: LeadershipOptions
  readonly #needs: LeadershipNeeds
  readonly #monotonic: () => number
  readonly #alarm = new Alarm()
  readonly #changes = new Listeners<void>()
  readonly #unknown: PassingFailure
  /** When this process began to lead. */
  #sinceMs = 0
  #held: { readonly epoch: bigint; readonly endMs: number } | null = null
  #holder: LeaseHolder | null = null
  /** The epoch that the listeners were told. */
  #told: bigint | null = null

  constructor(options: LeadershipOptions, needs: LeadershipNeeds) {
    this.name = `leadership of ${options.lease}`
    this.lease = options.lease
    this.#options = options
    this.#needs = needs
    this.#monotonic = needs.monotonic ?? (() => performance.now())
    this.#unknown = new PassingFailure(
      {
        message: 'could not ask the store for the leader, retrying',
        over: 'the store tells the leader again',
      },
      needs,
    )
  }

  start(scope: Scope): void {
    scope.defer(() => this.#release())
    scope.spawn('hold the lease', async (signal) => {
      for (;;) {
        await this.#turn(signal)
        this.#tell()
        await this.#alarm.wait(this.#needs.clock, this.epoch === null ? LOOK_MS : RENEW_MS, signal)
      }
    })
  }

  /** The epoch in which this process leads; null while it does not. */
  get epoch(): bigint | null {
    return this.#held !== null && this.#monotonic() < this.#held.endMs ? this.#held.epoch : null
  }

  /** For how long this process has led; null while it does not. */
  get ledForMs(): number | null {
    return this.epoch === null ? null : Math.round(this.#monotonic() - this.#sinceMs)
  }

  /** The leader, as last seen; null while it is not known. */
  get holder(): LeaseHolder | null {
    return this.#holder
  }

  /** Calls the listener whenever this process begins to lead, or ends. */
  onChange(listener: () => void, signal: AbortSignal): void {
    this.#changes.add(listener, signal)
  }

  /** Looks again now: whether this process wants to lead may have changed. */
  look(): void {
    this.#alarm.ring()
  }

  /** The store refused a write of this epoch: another process leads. */
  lost(epoch: bigint): void {
    if (this.#held?.epoch !== epoch) return
    this.#held = null
    this.#tell()
    this.#alarm.ring()
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const rank = this.#options.rank()
    if (rank === null) return this.#held ? this.#release() : undefined
    const stopped = Promise.withResolvers<void>()
    const answered = new AbortController()
    const stop = () => {
      answered.abort()
      stopped.resolve()
    }
    signal.addEventListener('abort', stop, { once: true })
    // While the store does not answer, the lease runs out.
    this.#tellWhenOver(answered.signal)
    try {
      await Promise.race([this.#take(rank), stopped.promise])
    } finally {
      answered.abort()
      signal.removeEventListener('abort', stop)
    }
  }

  #tellWhenOver(signal: AbortSignal): void {
    if (this.#held === null) return
    const leftMs = this.#held.endMs - this.#monotonic()
    this.#needs.clock.sleep(Math.max(0, Math.ceil(leftMs)) + 1, signal).then(
      () => this.#tell(),
      () => {},
    )
  }

  /** Never rejects. */
  async #take(rank: number): Promise<void> {
    const { leases, session } = this.#needs
    const { instance, lease, node } = this.#options
    const startMs = this.#monotonic()
    try {
      const wish = { lease, instance, node, rank, isWatched: session.isHeld }
      const holder = await leases.take(wish, LEADER_LEASE_MS)
      this.#unknown.passed()
      this.#holder = holder
      const isOwn = holder?.instance === instance
      this.#held = isOwn ? { epoch: holder.epoch, endMs: startMs + LEADER_LEASE_MS } : null
    } catch (error) {
      this.#unknown.failed({ lease, reason: messageOf(error) })
    }
  }

  #tell(): void {
    const { epoch } = this
    if (epoch === this.#told) return
    this.#told = epoch
    const { log } = this.#needs
    const { lease } = this.#options
    if (epoch !== null) this.#sinceMs = this.#monotonic()
    if (epoch !== null) log.info('this node leads', { lease, epoch })
    else log.info('this node no longer leads', { lease, leader: this.#holder?.node ?? null })
    this.#changes.tell()
  }

  async #release(): Promise<void> {
    const { clock, leases, log } = this.#needs
    const { instance, lease } = this.#options
    const wasHeld = this.#held !== null
    this.#held = null
    this.#holder = null
    this.#tell()
    if (!wasHeld) return
    const releasing = leases
      .release(lease, instance)
      .catch((error) => log.debug('lease not given back', { lease, reason: messageOf(error) }))
    await isDoneWithin(clock, RELEASE_MS, releasing)
  }
}
