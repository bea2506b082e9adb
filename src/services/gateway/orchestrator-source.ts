import type { PoolMember } from '../../domain/chain.ts'
import type { Reach } from '../../domain/segment.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'
import { bracketed } from '../../lib/hosts.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { waitAWhile } from './patience.ts'

/** Why an orchestrator cannot be listed. */
export type OrchestratorSourceFault = 'bad-address'

/** The port of a service address that names none (gateway.md §7). */
const DEFAULT_PORT = '8935'
/** The pool is read again after this time even without an event. */
const POOL_MAX_AGE_MS = 10 * 60_000
/** After a failed read the pool is not read again for this time. */
const POOL_RETRY_MS = 5_000
/** A pool that was kept is of use for this long (gateway.md §7). */
const KEPT_MS = 24 * 60 * 60_000

/** Whether the operator named an orchestrator, or it is only listed on chain (gateway.md §8). */
export type Trust = 'trusted' | 'untrusted'

/** An orchestrator that may be asked for an offer. */
export interface Candidate {
  /** Base URL, without a trailing slash. */
  readonly url: string
  readonly trust: Trust
  /** Whether its address, price and ticket params are checked before it is used. */
  readonly mustBePayable: boolean
  /** `public`: on a public network anyone may list an address, so none inside this node's network is asked. */
  readonly reach: Reach
}

/** Where orchestrators come from. */
export interface OrchestratorSource {
  candidates(): Promise<readonly Candidate[]>
  /** An orchestrator's stake; 0 when unknown. */
  stakeOf(recipient: Address): bigint
}

/** A service address as operators write it, as a URL: `https://` and port 8935 are filled in. Throws NodeError `bad-address`. */
export function serviceUrl(text: string): string {
  const given = text.trim()
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(given) ? given : `https://${given}`
  const url = URL.parse(whole)
  if (!url || url.hostname === '' || !['https:', 'http:'].includes(url.protocol) || url.username !== '') {
    const meant = bracketed(given.replace(/^[a-z][a-z0-9+.-]*:\/\/|\/+$/gi, ''))
    throw new NodeError<OrchestratorSourceFault>(
      'bad-address',
      `${JSON.stringify(text.slice(0, 80))} is not an orchestrator's address: write ${meant ?? 'host:port or https://host:port'}`,
    )
  }
  // The parser drops a default port that was given explicitly; it is kept here.
  const port = url.port || (/:(443|80)(\/|$)/.exec(whole)?.[1] ?? DEFAULT_PORT)
  return `${url.protocol}//${url.hostname}:${port}${url.pathname.replace(/\/+$/, '')}`
}

/** The orchestrators listed with -orchAddr: trusted, without checks of address, price and ticket params. */
export class ListedOrchestrators implements OrchestratorSource {
  readonly #candidates: readonly Candidate[]

  /** Throws NodeError `bad-address` for an entry that is not an address; empty and repeated entries are dropped. */
  constructor(addresses: readonly string[]) {
    const urls = new Set(addresses.filter((address) => address.trim() !== '').map(serviceUrl))
    this.#candidates = [...urls].map((url) => ({ url, trust: 'trusted', mustBePayable: false, reach: 'any' }))
  }

  async candidates(): Promise<readonly Candidate[]> {
    return this.#candidates
  }

  stakeOf(): bigint {
    return 0n
  }
}

/** The chain calls that the pool needs. */
export interface OrchestratorPool {
  orchestratorPool(): Promise<readonly PoolMember[]>
}

/** The pool as it was read at some time. */
export interface KeptPool {
  readonly readAtMs: number
  readonly members: readonly PoolMember[]
}

/** Keeps the pool over restarts. */
export interface PoolCache {
  loadPool(): Promise<KeptPool | null>
  savePool(pool: KeptPool): Promise<void>
}

/** Announces changes of the pool. */
export interface PoolChanges {
  subscribe(
    listener: (update: {
      readonly events: readonly { readonly kind: string }[]
      readonly reorganised: boolean
    }) => void,
    signal: AbortSignal,
  ): void
}

/** The last initialised round. */
export interface CurrentRound {
  readonly lastInitializedRound: bigint
}

const POOL_EVENTS: ReadonlySet<string> = new Set([
  'new-round',
  'orchestrator-activated',
  'orchestrator-deactivated',
  'service-uri-updated',
])

/** What the pool works with. */
export interface PooledOrchestratorsNeeds {
  readonly pool: OrchestratorPool
  readonly changes: PoolChanges
  readonly rounds: CurrentRound
  /** Which addresses the orchestrators of the pool may have. */
  readonly reach: Reach
  readonly cache: PoolCache
  readonly clock: Clock
  readonly log: Log
}

/**
 * The active orchestrators of the chain's pool: untrusted, each checked before it is considered (gateway.md §7). What was
 * read is kept: a gateway that starts while the pool cannot be read, or is read slowly, begins with that of the day before.
 */
export class PooledOrchestrators implements OrchestratorSource, Service {
  readonly name = 'orchestrator pool'
  readonly #unreadable: PassingFailure
  readonly #needs: PooledOrchestratorsNeeds
  #members: readonly PoolMember[] = []
  #stakes: ReadonlyMap<Address, bigint> = new Map()
  #staleAt = 0
  #reading: Promise<void> | null = null

  constructor(needs: PooledOrchestratorsNeeds) {
    this.#needs = needs
    this.#unreadable = new PassingFailure(
      { message: 'could not read the pool of orchestrators', over: 'pool of orchestrators read again' },
      needs,
    )
  }

  async start(scope: Scope): Promise<void> {
    this.#needs.changes.subscribe(({ events, reorganised }) => {
      if (reorganised || events.some((event) => POOL_EVENTS.has(event.kind))) this.#staleAt = 0
    }, scope.signal)
    const kept = await this.#loadKept()
    if (kept) {
      this.#take(kept.members)
      this.#reading = this.#read().finally(() => {
        this.#reading = null
      })
      scope.spawn('first read of the pool of orchestrators', () => this.#reading ?? Promise.resolve())
    } else await this.#read()
  }

  async candidates(): Promise<readonly Candidate[]> {
    if (this.#needs.clock.now() >= this.#staleAt) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = null
      })
      await (this.#members.length === 0 ? this.#reading : waitAWhile(this.#needs.clock, this.#reading))
    }
    const round = this.#needs.rounds.lastInitializedRound
    const urls = new Set<string>()
    for (const member of this.#members) {
      if (member.activationRound > round || round >= member.deactivationRound) continue
      try {
        urls.add(serviceUrl(member.serviceUri))
      } catch (error) {
        this.#needs.log.debug('orchestrator has no usable service address on chain', {
          orchestrator: member.address,
          error,
        })
      }
    }
    return [...urls].map((url) => ({
      url,
      trust: 'untrusted',
      mustBePayable: true,
      reach: this.#needs.reach,
    }))
  }

  stakeOf(recipient: Address): bigint {
    return this.#stakes.get(recipient) ?? 0n
  }

  #take(members: readonly PoolMember[]): void {
    this.#members = members
    this.#stakes = new Map(members.map(({ address, stake }) => [address, stake]))
  }

  async #loadKept(): Promise<KeptPool | null> {
    const { cache, clock, log } = this.#needs
    try {
      const kept = await cache.loadPool()
      const ageMs = kept ? clock.now() - kept.readAtMs : 0
      if (!kept || kept.members.length === 0 || ageMs > KEPT_MS) return null
      log.info('begins with the pool of orchestrators as it was kept', {
        orchestrators: kept.members.length,
        ageMs,
      })
      return kept
    } catch (error) {
      log.debug('could not load the pool of orchestrators that was kept', { error })
      return null
    }
  }

  /** The pool is in use already: a store that cannot be written has a cause of its own. */
  async #keep(): Promise<void> {
    const { cache, clock, log } = this.#needs
    try {
      await cache.savePool({ readAtMs: clock.now(), members: this.#members })
    } catch (error) {
      log.debug('could not keep the pool of orchestrators', { error })
    }
  }

  /** If the pool cannot be read, the last one is kept: orchestrators do not disappear with an RPC endpoint. */
  async #read(): Promise<void> {
    const { clock, pool } = this.#needs
    this.#staleAt = clock.now() + POOL_MAX_AGE_MS
    try {
      this.#take(await pool.orchestratorPool())
      this.#unreadable.passed()
      await this.#keep()
    } catch (error) {
      this.#staleAt = clock.now() + POOL_RETRY_MS
      this.#unreadable.failed({ error })
    }
  }
}
