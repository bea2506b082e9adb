import type { Causes } from '../../domain/causes.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { type Candidate, type OrchestratorSource, serviceUrl } from './orchestrator-source.ts'
import { waitAWhile } from './patience.ts'

/** A list counts for this long (gateway.md §7). */
const LIST_MS = 60_000
/** After a failure the webhook is not asked again for this time. */
const RETRY_MS = 5_000
const MAX_ORCHESTRATORS = 1_000
const MAX_ADDRESS_LENGTH = 2_000

/** An orchestrator as a webhook lists it. */
export interface ListedOrchestrator {
  readonly address: string
  /** From 1 on it is trusted. */
  readonly score: number
}

/** The webhook that lists orchestrators. */
export interface OrchestratorList {
  /** Rejects with a NodeError if there is none, after a bounded time. */
  fetch(signal: AbortSignal): Promise<readonly ListedOrchestrator[]>
}

/** What the source works with. */
export interface WebhookOrchestratorsNeeds {
  readonly list: OrchestratorList
  /** The webhook as it may be shown. */
  readonly webhook: string
  readonly clock: Clock
  readonly log: Log
  readonly causes: Causes
}

/**
 * The orchestrators that a webhook lists (gateway.md §7), fetched when they are needed and at most once a minute. A list
 * stays until there is another: an empty one counts, a failure does not.
 */
export class WebhookOrchestrators implements OrchestratorSource, Service {
  readonly name = 'orchestrator webhook'
  readonly #needs: WebhookOrchestratorsNeeds
  #candidates: readonly Candidate[] | null = null
  #staleAtMs = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | null = null
  #signal = new AbortController().signal

  constructor(needs: WebhookOrchestratorsNeeds) {
    this.#needs = needs
  }

  start(scope: Scope): void {
    this.#signal = scope.signal
    scope.spawn('first list of orchestrators', () => this.#refresh())
  }

  async candidates(): Promise<readonly Candidate[]> {
    const refresh = this.#needs.clock.now() >= this.#staleAtMs ? this.#refresh() : this.#fetching
    if (refresh) await (this.#candidates === null ? refresh : waitAWhile(this.#needs.clock, refresh))
    return this.#candidates ?? []
  }

  stakeOf(): bigint {
    return 0n
  }

  /** One at a time; never rejects. */
  #refresh(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = null
    })
    return this.#fetching
  }

  async #fetch(): Promise<void> {
    const { causes, clock, list, webhook } = this.#needs
    try {
      const listed = await list.fetch(this.#signal)
      this.#candidates = this.#candidatesOf(listed)
      this.#staleAtMs = clock.now() + LIST_MS
      causes.over('orchestrator-webhook-failing')
    } catch (error) {
      if (isAbort(error)) return
      this.#staleAtMs = clock.now() + RETRY_MS
      const facts = { webhook, reason: messageOf(error), known: this.#candidates?.length ?? 0 }
      causes.met({ code: 'orchestrator-webhook-failing', facts })
    }
  }

  #candidatesOf(listed: readonly ListedOrchestrator[]): readonly Candidate[] {
    const { log } = this.#needs
    if (listed.length > MAX_ORCHESTRATORS) {
      const facts = { listed: listed.length, used: MAX_ORCHESTRATORS }
      log.warn('orchestrator webhook lists more orchestrators than are used', facts)
    }
    const candidates = new Map<string, Candidate>()
    for (const { address, score } of listed.slice(0, MAX_ORCHESTRATORS)) {
      if (address.trim() === '') continue
      try {
        if (address.length > MAX_ADDRESS_LENGTH) throw new RangeError('too long')
        const url = serviceUrl(address)
        const trust = score >= 1 ? 'trusted' : 'untrusted'
        if (!candidates.has(url)) candidates.set(url, { url, trust, mustBePayable: false, reach: 'any' })
      } catch (error) {
        log.debug('orchestrator webhook lists what is no address', { error })
      }
    }
    return [...candidates.values()]
  }
}
