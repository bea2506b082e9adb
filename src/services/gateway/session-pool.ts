import type { SwapReason } from '../../domain/events.ts'
import { afterRenewal, afterResult } from '../../domain/offer.ts'
import type { OrchestratorInfo } from '../../domain/segment.ts'
import { affordable, chooseSession, GOOD_LATENCY_SCORE, mayTakeAnother } from '../../domain/selection.ts'
import type { SkippedOffer } from '../../domain/skipped-offer.ts'
import {
  lasting,
  NO_SUSPENSIONS,
  penaltyOf,
  refreshThreshold,
  remainingMs,
  requestedSessions,
  type Suspensions,
  suspend,
} from '../../domain/suspension.ts'
import { isAbort } from '../../lib/errors.ts'
import type { Search } from './discovery.ts'
import type { Trust } from './orchestrator-source.ts'
import { type Assignment, assignmentsOf, type Session, scoreOf } from './session.ts'
import type { SessionPoolNeeds, SessionsOptions } from './session-needs.ts'
import { priceOf, SkippedOffers } from './skipped-offers.ts'

/** A pool that has all its orchestrators searches for further nodes behind them at most this often. */
const COMPLETE_POOL_REFRESH_MS = 30_000
/**
 * The most sessions of one stream with the nodes behind one address: as many as a stream requests of trusted
 * orchestrators. Without a limit, an orchestrator that changed its name with each answer would be paid in advance under
 * each name.
 */
const MAX_SESSIONS_OF_ONE = 8
const NO_URLS: ReadonlySet<string> = new Set()

type MutableSession = { -readonly [Field in keyof Session]: Session[Field] }

/** The sessions of one stream with orchestrators of one trust. */
export class SessionPool {
  readonly trust: Trust
  readonly #options: SessionsOptions
  readonly #needs: SessionPoolNeeds
  readonly #signal: AbortSignal
  readonly #sessions = new Map<string, MutableSession>()
  #suspensions: Suspensions = NO_SUSPENSIONS
  readonly #skipped = new SkippedOffers()
  #lastUsed: MutableSession | null = null
  /** The session that the last segment had, if it has ended since, and why the next one goes elsewhere. */
  #lost: { readonly key: string; readonly reason: SwapReason } | null = null
  #size = 0
  #requested = 0
  #hasFound = false
  #isAway = false
  #refreshing: Promise<void> | null = null
  #refreshedAt = Number.NEGATIVE_INFINITY

  constructor(trust: Trust, options: SessionsOptions, needs: SessionPoolNeeds, signal: AbortSignal) {
    this.trust = trust
    this.#options = options
    this.#needs = needs
    this.#signal = signal
  }

  get all(): readonly Session[] {
    return [...this.#sessions.values()]
  }

  /**
   * Whether another search may help when there is no session: there once was one, or the operator named orchestrators,
   * one of which may be a balancer whose node has just stopped.
   */
  get hasProspects(): boolean {
    if (this.#size === 0) return false
    return this.#hasFound || (this.trust === 'trusted' && this.#requested > 0)
  }

  /** The most orchestrators that there can be, by the last search. */
  get size(): number {
    return this.#size
  }

  /** Why each orchestrator that is known cannot take a segment now, by its URL. */
  get skipped(): ReadonlyMap<string, SkippedOffer> {
    const { weights } = this.#options
    const nowMs = this.#needs.clock.now()
    return this.#skipped.all(this.#sessions.values(), { suspensions: this.#suspensions, weights, nowMs })
  }

  /** Whether no session is left because the last orchestrator went down: it may be restarting. */
  get isAway(): boolean {
    return this.#isAway && this.#sessions.size === 0
  }

  /** The running refresh, or null. */
  get refreshing(): Promise<void> | null {
    return this.#refreshing
  }

  /** Searches for further sessions, one search at a time; never rejects. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#search().finally(() => {
      this.#refreshing = null
    })
    return this.#refreshing
  }

  /** Starts a background search if too few sessions are free. */
  refreshIfWanted(): void {
    if (!this.#signal.aborted && this.#wantsRefresh()) void this.refresh()
  }

  /** Assigns a segment to a session that is not in `except`; null when none is free. */
  select(durationMs: number, except: ReadonlySet<string> = NO_URLS): Assignment | null {
    if (this.#signal.aborted) return null
    this.#leaveOutOverpaid()
    const left = this.#left
    const reusable = (factor: 1 | 2) => {
      const session = this.#reusable(factor)
      return session && !except.has(session.key) ? session : null
    }
    const session = reusable(1) ?? this.#choose(except) ?? reusable(2)
    if (!session) return null
    if (left !== null && left.key !== session.key) this.#needs.swapped(left.reason)
    this.#lost = null
    this.#lastUsed = session
    return this.#assign(session, durationMs)
  }

  /** Assigns a segment to one more session that is idle and not in `except`, to compare its result; null when none is. */
  selectAnother(durationMs: number, except: ReadonlySet<string> = NO_URLS): Assignment | null {
    if (this.#signal.aborted) return null
    this.#leaveOutOverpaid()
    const session = this.#choose(except)
    return session && this.#assign(session, durationMs)
  }

  /** The next segment goes to this session, as if it had had the last one. */
  prefer(preferred: Session): void {
    const session = preferred as MutableSession
    if (session.state.kind === 'ended' || session === this.#lastUsed) return
    if (this.#lost) this.#needs.swapped(this.#lost.reason)
    this.#lost = null
    this.#lastUsed = session
  }

  /** Ends a session that did its work and is not needed; false if it has other segments. */
  dismiss(assignment: Assignment): boolean {
    const session = assignment.session as MutableSession
    const isNeeded = assignmentsOf(session).length > 1
    if (!isNeeded) this.#end(session, 'another session is used', false)
    this.finish(assignment, null)
    return !isNeeded
  }

  finish(assignment: Assignment, score: number | null): void {
    const session = assignment.session as MutableSession
    const assignments = assignmentsOf(session).filter((other) => other !== assignment)
    if (session.state.kind === 'ended') {
      session.state = { ...session.state, assignments }
      if (assignments.length === 0) session.payment.close(session.state.isFault)
      return
    }
    const newest = score ?? scoreOf(session)
    if (assignments.length > 0) session.state = { kind: 'busy', score: newest, assignments }
    else session.state = newest === null ? { kind: 'fresh' } : { kind: 'ready', score: newest }
  }

  /**
   * Removes the session and suspends its orchestrator. `isGone`: it refused or cut the connection; `why` explains the
   * suspension.
   */
  fail(
    assignment: Assignment,
    reason: string,
    isGone: boolean,
    why: SkippedOffer = { kind: 'refuses', reason },
  ): void {
    this.#isAway = isGone
    const { key, state } = assignment.session
    // Segments that fail together are one failure: only the first removes the session and suspends.
    if (state.kind !== 'ended') {
      const penalty = penaltyOf(this.#size, this.#requested)
      this.#suspensions = suspend(this.#suspensions, key, { penalty, nowMs: this.#needs.clock.now() })
      this.#skipped.fail(key, why)
      this.#needs.suspended({ orchestrator: key, reason })
    }
    this.remove(assignment, reason)
  }

  remove(assignment: Assignment, reason: string): void {
    this.#end(assignment.session as MutableSession, reason, true)
    this.finish(assignment, null)
  }

  /** Adopts from the info sent with a result what may change without a request. */
  refreshed(session: Session, told: OrchestratorInfo): void {
    const own = session as MutableSession
    own.isShared ||= told.address !== own.info.address
    this.#take(own, afterResult(own.info, told), true)
  }

  /** Adopts the answer to a renewal; `tokenEnds` if the auth session had to end. */
  renewed(session: Session, answer: OrchestratorInfo, tokenEnds: boolean): void {
    const own = session as MutableSession
    if (own.state.kind === 'ended') return
    const info = afterRenewal(own.info, answer, { tokenEnds, isShared: own.isShared })
    if (info.transcoder !== own.key) {
      // Behind a balancer another node may have answered: the session follows it, unless that node has one already.
      if (this.#sessions.has(info.transcoder)) {
        this.#end(own, 'its orchestrator has another session', true)
        return
      }
      this.#sessions.delete(own.key)
      own.key = info.transcoder
      own.isShared = false
      this.#sessions.set(own.key, own)
    }
    if (info.authToken !== own.info.authToken) own.tokenSinceMs = this.#needs.clock.now()
    this.#take(own, info, tokenEnds)
  }

  #take(session: MutableSession, info: OrchestratorInfo, isDue: boolean): void {
    if (session.state.kind === 'ended' || info === session.info) return
    session.info = info
    session.payment.update(info, isDue)
  }

  clear(): void {
    // This node ends the stream, so the credit left in one session of each orchestrator is not counted against it.
    const seen = new Set<string>()
    for (const session of [...this.#sessions.values()]) {
      this.#end(session, 'the stream ended', seen.has(session.from))
      seen.add(session.from)
    }
  }

  /** Ends the sessions of orchestrators that are banned, because of this stream or another. */
  #leaveOutOverpaid(): void {
    for (const session of [...this.#sessions.values()]) {
      if (!this.#needs.payer.isLeftOut(session.from)) continue
      const reason = 'it was paid more than twice its price'
      this.#end(session, reason, true, 'overpaid')
      this.#needs.suspended({ orchestrator: session.key, reason })
    }
  }

  #end(session: MutableSession, reason: string, isFault: boolean, swap: SwapReason = 'failed'): void {
    if (session.state.kind === 'ended') return
    this.#sessions.delete(session.key)
    if (this.#lastUsed === session) {
      this.#lastUsed = null
      this.#lost = { key: session.key, reason: swap }
    }
    const assignments = assignmentsOf(session)
    session.state = { kind: 'ended', reason, isFault, assignments }
    if (assignments.length === 0) session.payment.close(isFault)
  }

  /** The session of the previous segment, and why the next one goes elsewhere if it does. */
  get #left(): { readonly key: string; readonly reason: SwapReason } | null {
    const session = this.#lastUsed
    if (!session) return this.#lost
    const { key, state } = session
    if (!this.#isAffordable(session)) return { key, reason: 'too-expensive' }
    return { key, reason: state.kind === 'busy' ? 'busy' : 'slow' }
  }

  /** Whether its price is within the maximum, or there is no session whose price is and that may be ignored. */
  #isAffordable(session: MutableSession): boolean {
    const { weights } = this.#options
    if (weights === null || weights.maxPrice === null) return true
    const priced = [...this.#sessions.values()].map((one) => ({ one, price: priceOf(one.info) }))
    return affordable(priced, weights).some(({ one }) => one === session)
  }

  /** The session of the previous segment, if it is fast and either idle or not busy for too long. */
  #reusable(factor: 1 | 2): MutableSession | null {
    const session = this.#lastUsed
    if (!session || !this.#isAffordable(session)) return null
    const { state } = session
    if (state.kind === 'ready') return state.score > 0 && state.score <= GOOD_LATENCY_SCORE ? session : null
    if (state.kind !== 'busy') return null
    const oldest = state.assignments[0]!
    const ageMs = this.#needs.clock.now() - oldest.startedMs
    return mayTakeAnother({ ageMs, durationMs: oldest.durationMs }, factor) ? session : null
  }

  #choose(except: ReadonlySet<string>): MutableSession | null {
    const idle = [...this.#sessions.values()]
      .filter(({ key, state }) => (state.kind === 'fresh' || state.kind === 'ready') && !except.has(key))
      .map((session) => ({
        session,
        score: scoreOf(session),
        recipient: session.info.ticketParams?.recipient ?? null,
        price: priceOf(session.info),
      }))
    const { facts, dice } = this.#needs
    return chooseSession(idle, this.#options.weights, facts, () => dice.fraction())?.session ?? null
  }

  #wantsRefresh(): boolean {
    if (this.#refreshing) return false
    let free = 0
    for (const { state } of this.#sessions.values()) if (state.kind !== 'busy') free++
    // A pool that was empty may have orchestrators by now, and checking costs nothing.
    if (this.#requested > 0 && free >= refreshThreshold(this.#requested)) return false
    if (this.#requested === 0 || this.#sessions.size < this.#requested) return true
    return this.#needs.clock.now() - this.#refreshedAt >= COMPLETE_POOL_REFRESH_MS
  }

  async #search(): Promise<void> {
    const { directory, log, payer, clock } = this.#needs
    try {
      this.#suspensions = lasting(this.#suspensions, clock.now())
      this.#skipped.beginSearch()
      this.#refreshedAt = clock.now()
      this.#size = await directory.size(this.trust)
      this.#requested = requestedSessions(this.trust, this.#size)
      if (this.#requested === 0) return
      const suspendedMs = (transcoder: string) => remainingMs(this.#suspensions, transcoder, clock.now())
      const search: Search = {
        trust: this.trust,
        wanted: this.#requested,
        capabilities: this.#options.capabilities,
        suspendedMs,
        skipped: (url, why) => this.#skipped.skip(url, why),
      }
      for (const { info, from, suspended } of await directory.find(search, this.#signal)) {
        if (this.#sessions.has(info.transcoder)) continue
        if (!this.#isUsable(info)) {
          this.#skipped.skip(info.transcoder, {
            kind: 'refuses',
            reason: 'its offer has no token or no ticket params',
          })
          continue
        }
        if (payer.isLeftOut(from) || this.#sessionsOf(from) >= MAX_SESSIONS_OF_ONE) continue
        // It failed during this search.
        if (!suspended && suspendedMs(info.transcoder) > 0) continue
        this.#hasFound = true
        this.#isAway = false
        this.#sessions.set(info.transcoder, {
          key: info.transcoder,
          trust: this.trust,
          from,
          info,
          tokenSinceMs: clock.now(),
          payment: payer.open(info, from),
          isShared: false,
          state: { kind: 'fresh' },
        })
      }
    } catch (error) {
      if (!isAbort(error)) log.warn('search for orchestrators failed', { trust: this.trust, error })
    } finally {
      this.#skipped.endSearch(this.#suspensions)
    }
  }

  #assign(session: MutableSession, durationMs: number): Assignment {
    const assignment: Assignment = { session, startedMs: this.#needs.clock.now(), durationMs }
    session.state = {
      kind: 'busy',
      score: scoreOf(session),
      assignments: [...assignmentsOf(session), assignment],
    }
    return assignment
  }

  #sessionsOf(from: string): number {
    return [...this.#sessions.values()].filter((session) => session.from === from).length
  }

  #isUsable(info: OrchestratorInfo): boolean {
    const onChain = this.#options.weights !== null
    return info.authToken !== null && (!onChain || info.ticketParams !== null)
  }
}
