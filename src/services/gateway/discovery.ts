import type { Capabilities } from '../../domain/capabilities.ts'
import type { Causes } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { missingFor } from '../../domain/missing-capabilities.ts'
import { pricePerPixel } from '../../domain/price.ts'
import type { InfoRequest, OrchestratorInfo, Reach } from '../../domain/segment.ts'
import { requestHash } from '../../domain/signed-hashes.ts'
import { type SkippedOffer, skippedFor } from '../../domain/skipped-offer.ts'
import type { Clock } from '../../lib/clock.ts'
import { type Signer, ZERO_ADDRESS } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import { isAbort, messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Candidate, OrchestratorSource, Trust } from './orchestrator-source.ts'

/** A search ends after this time, whatever it has found (gateway.md §7). */
const HARD_STOP_MS = 6000
/** How often the time-out doubles before only the hard stop remains: 0.5, 1, 2, 4 s by default. */
const MAX_WAITS = 4
/** A search asks at most this many URLs. */
const MAX_QUERIES = 1000
/** A longer entry in a list of nodes is ignored. */
const MAX_URL_LENGTH = 2000

/** Asks an orchestrator for an offer. */
export interface InfoClient {
  info(
    url: string,
    request: InfoRequest,
    options: { timeoutMs?: number; reach?: Reach | undefined },
    signal: AbortSignal,
  ): Promise<OrchestratorInfo>
}

/** Checks that an orchestrator can be paid; throws if it cannot. */
export interface OfferValidator {
  validate(info: OrchestratorInfo): Promise<void>
  /** Whether the orchestrator at an address is banned now; a banned one is not asked. */
  isLeftOut(from: string): boolean
}

/** What a stream searches for. */
export interface Search {
  readonly trust: Trust
  /** How many orchestrators are wanted. */
  readonly wanted: number
  readonly capabilities: Capabilities
  /** How long an orchestrator is still suspended, in ms, by its transcoder URL; 0 if it is not. */
  suspendedMs(transcoder: string): number
  /** Told of each orchestrator that is not used, by its URL. */
  skipped?(url: string, why: SkippedOffer): void
}

/** An orchestrator that offers a session. */
export interface Found {
  readonly info: OrchestratorInfo
  /** The address in its source at which it, or the orchestrator that named it, was found. */
  readonly from: string
  readonly suspended: boolean
}

/** Settings of discovery (gateway.md §7). */
export interface DiscoveryOptions {
  /** The first wait for answers; it doubles. */
  readonly timeoutMs: number
  /** How many nodes from an orchestrator's own list are asked as well. */
  readonly extraNodes: number
  /** Addresses in hexadecimal, any case, with or without 0x. */
  readonly blocklist: readonly string[]
}

/** The request that this gateway sends to every orchestrator, with one constant signature (wire.md §8). */
export async function infoRequest(signer: Signer, capabilities: Capabilities | null): Promise<InfoRequest> {
  return {
    address: signer.address,
    sig: await signer.sign(requestHash(signer.address)),
    capabilities,
    ignoreCapacityCheck: false,
  }
}

/** Finds orchestrators for a stream: asks all candidates at once and uses those that answer soon and are acceptable. */
export class Discovery {
  readonly #options: DiscoveryOptions
  readonly #blocked: ReadonlySet<string>
  readonly #needs: DiscoveryNeeds

  constructor(options: DiscoveryOptions, needs: DiscoveryNeeds) {
    this.#options = options
    this.#blocked = new Set(options.blocklist.map((entry) => entry.trim().toLowerCase().replace(/^0x/, '')))
    this.#needs = needs
  }

  /** The most orchestrators of that trust there can be, with the further nodes that each may name. */
  async size(trust: Trust): Promise<number> {
    return (await this.#candidates(trust)).length * (1 + this.#options.extraNodes)
  }

  /**
   * The orchestrators that accept, fastest first. Suspended ones, the soonest back first, only make up the number wanted.
   * Ends when enough or all have answered; at 0.5, 1, 2 or 4 s if any was found; and at 6 s.
   */
  async find(search: Search, signal: AbortSignal): Promise<Found[]> {
    const stop = new AbortController()
    const inner = AbortSignal.any([signal, stop.signal])
    const free: Found[] = []
    const suspended: (Found & { suspendedMs: number })[] = []
    const done = Promise.withResolvers<void>()
    const request = await infoRequest(this.#needs.signer, search.capabilities)
    const asked = new Set<string>()
    const answered = new Set<string>()
    const transcoders = new Set<string>()
    const startedMs = this.#needs.clock.now()
    const outstanding = new Set<string>()

    const ask = (candidate: Candidate, from: string, parent: OrchestratorInfo | null) => {
      if (asked.has(candidate.url) || asked.size >= MAX_QUERIES) return
      asked.add(candidate.url)
      outstanding.add(candidate.url)
      this.#ask({ url: candidate.url, reach: parent?.reach ?? candidate.reach }, request, inner)
        .then(async (info) => {
          if (info === null || stop.signal.aborted) return
          if (parent === null) {
            for (const url of info.nodes.slice(0, this.#options.extraNodes))
              if (url.length <= MAX_URL_LENGTH) ask({ ...candidate, url }, from, info)
          }
          answered.add(candidate.url)
          this.#needs.causes?.over('orchestrator-unusable', candidate.url)
          const refusal = await this.#refusal(info, candidate, search)
          if (stop.signal.aborted) return
          if (refusal !== null) return this.#skip(search, candidate.url, refusal)
          if (transcoders.has(info.transcoder)) return
          transcoders.add(info.transcoder)
          const suspendedMs = search.suspendedMs(info.transcoder)
          if (suspendedMs > 0) suspended.push({ info, from, suspended: true, suspendedMs })
          else free.push({ info, from, suspended: false })
          if (free.length >= search.wanted) done.resolve()
        })
        .catch((error) => {
          if (inner.aborted || !outstanding.delete(candidate.url)) return
          answered.add(candidate.url)
          const why = skippedFor(error)
          search.skipped?.(candidate.url, why)
          this.#complain(candidate, why, error)
        })
        .finally(() => {
          outstanding.delete(candidate.url)
          if (outstanding.size === 0) done.resolve()
        })
    }

    try {
      const candidates = await this.#candidates(search.trust, search)
      for (const candidate of shuffled(candidates, this.#needs.dice)) {
        ask(candidate, candidate.url, null)
      }
      if (asked.size > 0 && search.wanted > 0) {
        const isLate = await Promise.race([
          done.promise.then(() => false),
          this.#patience(() => free.length + suspended.length > 0, inner),
        ])
        if (isLate) for (const url of outstanding) this.#tellFailure(url, 'no-answer')
      }
    } finally {
      stop.abort()
    }
    signal.throwIfAborted()
    const waitedMs = this.#needs.clock.now() - startedMs
    for (const url of asked) {
      if (answered.has(url)) continue
      search.skipped?.(url, { kind: 'silent', reason: `no answer within ${waitedMs} ms` })
    }
    suspended.sort((a, b) => a.suspendedMs - b.suspendedMs)
    return [...free, ...suspended].slice(0, Math.max(search.wanted, 0))
  }

  /** An orchestrator that the operator listed should answer. Many of the pool may be down, and any may be full. */
  #complain({ trust, url }: Candidate, why: SkippedOffer, error: unknown): void {
    this.#needs.log.debug('could not get an offer from an orchestrator', { url, error })
    const code = error instanceof NodeError ? error.code : 'unreachable'
    this.#tellFailure(url, isCapped(error) ? 'capped' : code)
    if (trust !== 'trusted' || (why.kind !== 'silent' && why.kind !== 'refuses')) return
    const facts = { orchestrator: url, reason: why.reason }
    this.#needs.causes?.met({ code: 'orchestrator-unusable', facts }, url)
  }

  #tellFailure(orchestrator: string, reason: string): void {
    this.#needs.events.tell({ kind: 'discovery-failed', orchestrator, reason })
  }

  async #candidates(trust: Trust, search?: Search): Promise<readonly Candidate[]> {
    const { payer, source } = this.#needs
    const all = await source.candidates()
    return all.filter((candidate) => {
      if (candidate.trust !== trust) return false
      const isLeftOut = payer.isLeftOut(candidate.url)
      if (isLeftOut) search?.skipped?.(candidate.url, OVERPAID)
      return !isLeftOut
    })
  }

  #skip(search: Search, url: string, why: SkippedOffer): void {
    search.skipped?.(url, why)
    this.#needs.log.debug('orchestrator skipped', { url, why: why.kind, ...('reason' in why && why) })
  }

  /** Whether the hard stop came. */
  async #patience(anyFound: () => boolean, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#needs
    const started = clock.now()
    try {
      for (let wait = 0; wait < MAX_WAITS; wait++) {
        const until = Math.min(this.#options.timeoutMs * 2 ** wait, HARD_STOP_MS)
        await clock.sleep(Math.max(0, started + until - clock.now()), signal)
        if (anyFound()) return false
      }
      await clock.sleep(started + HARD_STOP_MS - clock.now(), signal)
      return true
    } catch (error) {
      if (!isAbort(error)) throw error
      return false
    }
  }

  async #ask(
    { url, reach }: { readonly url: string; readonly reach: Reach | undefined },
    request: InfoRequest,
    signal: AbortSignal,
  ): Promise<OrchestratorInfo | null> {
    const info = await this.#needs.client.info(url, request, { timeoutMs: HARD_STOP_MS, reach }, signal)
    return signal.aborted ? null : info
  }

  /** Why an orchestrator is not used, or null. */
  async #refusal(info: OrchestratorInfo, candidate: Candidate, search: Search): Promise<SkippedOffer | null> {
    if (info.transcoder === '') return { kind: 'refuses', reason: 'it takes no work itself' }
    if (this.#isBlocked(info)) return { kind: 'blocked' }
    const missing = missingFor(search.capabilities, info.capabilities)
    if (missing.length > 0) return { kind: 'unfit', missing }
    if (!candidate.mustBePayable) return null
    if (info.address === ZERO_ADDRESS) return { kind: 'refuses', reason: 'it tells no address' }
    if (info.priceInfo === null) return { kind: 'refuses', reason: 'it tells no price' }
    try {
      pricePerPixel(info.priceInfo)
      await this.#needs.payer.validate(info)
      return null
    } catch (error) {
      return skippedFor(error)
    }
  }

  /** An operator's nodes share the recipient and differ in address, so the blocklist may name either. */
  #isBlocked(info: OrchestratorInfo): boolean {
    if (this.#blocked.size === 0) return false
    const addresses = [info.address, info.ticketParams?.recipient]
    return addresses.some((address) => address && this.#blocked.has(address.toLowerCase().slice(2)))
  }
}

/** What discovery works with. */
export interface DiscoveryNeeds {
  readonly source: OrchestratorSource
  readonly client: InfoClient
  readonly signer: Signer
  readonly payer: OfferValidator
  readonly causes?: Causes
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly events: NodeEvents
}

/** Whether an orchestrator has no room (wire.md §10). */
function isCapped(error: unknown): boolean {
  return messageOf(error).endsWith('OrchestratorCapped')
}

/** An orchestrator that is banned for a while: status shows it with its figures. */
const OVERPAID: SkippedOffer = {
  ...{ kind: 'suspended', reason: 'it was paid more than twice its price', until: 'for some minutes' },
}

function shuffled<T>(items: readonly T[], dice: Dice): T[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(dice.fraction() * (i + 1))
    ;[result[i], result[j]] = [result[j]!, result[i]!]
  }
  return result
}
