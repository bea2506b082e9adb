import { isComparedAgain } from '../../domain/result-comparison.ts'
import type { AuthToken, OrchestratorInfo, Reach } from '../../domain/segment.ts'
import type { SkippedOffer } from '../../domain/skipped-offer.ts'
import type { Assignment, Session } from './session.ts'
import type { SessionPoolNeeds, SessionsOptions } from './session-needs.ts'
import { SessionPool } from './session-pool.ts'

/** A stream that lost its orchestrators searches again after this time. */
export const SEARCH_AGAIN_MS = 250

/** Tells an orchestrator that a stream has ended. */
export interface SessionEnder {
  endSession(
    url: string,
    token: AuthToken,
    options: { reach?: Reach | undefined },
    signal: AbortSignal,
  ): Promise<void>
}

/** The sessions that a segment goes to at once: `others` do it too, so that results can be compared. */
export interface Selection {
  readonly first: Assignment
  readonly others: readonly Assignment[]
}

/** What the sessions of a stream need. */
export interface SessionsNeeds extends SessionPoolNeeds {
  readonly client: SessionEnder
}

/**
 * The sessions of one stream: orchestrators listed on chain are tried before those that the operator named (gateway.md
 * §8).
 */
export class StreamSessions {
  readonly #pools: readonly SessionPool[]
  readonly #needs: SessionsNeeds
  readonly #ended = new AbortController()
  /** The one whose result passed the last comparison. */
  #proven: Session | null = null

  constructor(options: SessionsOptions, needs: SessionsNeeds) {
    this.#needs = needs
    this.#pools = (['untrusted', 'trusted'] as const).map(
      (trust) => new SessionPool(trust, options, needs, this.#ended.signal),
    )
  }

  /** Searches for the first sessions; resolves even if none is found. */
  async open(): Promise<void> {
    await Promise.all(this.#pools.map((pool) => pool.refresh()))
  }

  /** Assigns a segment to a session; null when none is free. It never waits: pools refresh in the background. */
  select(durationMs: number): Assignment | null {
    for (const pool of this.#pools) pool.refreshIfWanted()
    return this.#pick(durationMs)
  }

  /**
   * As `select`, but waits for the current search if there is no session. A stream that once had sessions, or whose
   * orchestrators the operator named, searches again until `patienceMs` has passed: behind a balancer another node may
   * answer next time. Orchestrators in `unable` have just refused as unable; they are asked again only if no other was
   * found.
   */
  async selectPatiently(
    durationMs: number,
    patienceMs: number,
    unable: ReadonlySet<string> = new Set(),
  ): Promise<Assignment | null> {
    const { clock } = this.#needs
    const until = clock.now() + patienceMs
    for (;;) {
      for (const pool of this.#pools) {
        if (unable.size > 0) void pool.refresh()
        else pool.refreshIfWanted()
      }
      const assignment = this.#pick(durationMs, unable)
      if (assignment) return assignment
      await Promise.all(this.#pools.map((pool) => pool.refreshing))
      const found = this.#pick(durationMs, unable)
      if (found) return found
      const isHopeless = !this.#pools.some((pool) => pool.hasProspects)
      const isOver = isHopeless || this.#ended.signal.aborted || clock.now() >= until
      if (isOver) return this.#pick(durationMs)
      await clock.sleep(SEARCH_AGAIN_MS, this.#ended.signal).catch(() => {})
    }
  }

  /**
   * Assigns a segment to an untrusted session, and mostly to another one and a trusted one too, whose results are compared
   * (gateway.md §8). A session that passed a comparison is used alone, except once in `frequency` segments. Null when no
   * untrusted one is free. It never waits.
   */
  selectToCompare(durationMs: number, frequency: number): Selection | null {
    for (const pool of this.#pools) pool.refreshIfWanted()
    const [untrusted, trusted] = this.#pools as [SessionPool, SessionPool]
    const first = untrusted.select(durationMs)
    if (!first) return null
    const isAlone = first.session === this.#proven && !isComparedAgain(frequency, this.#needs.dice.fraction())
    const referee = isAlone ? null : trusted.selectAnother(durationMs)
    if (!referee) return { first, others: [] }
    const second = untrusted.selectAnother(durationMs, new Set([first.session.key]))
    return { first, others: second ? [second, referee] : [referee] }
  }

  /** Uses the session of a result that passed a comparison for the next segments. */
  prove(session: Session): void {
    this.#proven = session
    this.#poolOf(session).prefer(session)
  }

  /** Ends a session that was only compared, unless it has other segments, and tells its orchestrator. */
  dismiss(assignment: Assignment): void {
    const { session } = assignment
    if (this.#poolOf(session).dismiss(assignment)) void this.#tellEnd(session, this.#ended.signal)
  }

  /** Records that the segment was transcoded, with its latency score. */
  complete(assignment: Assignment, score: number): void {
    this.#poolOf(assignment.session).finish(assignment, score)
  }

  /** Frees the session after a failure that it did not cause. */
  release(assignment: Assignment): void {
    this.#poolOf(assignment.session).finish(assignment, null)
  }

  /** Removes a failed session and suspends its orchestrator. `isGone`: it refused or cut the connection. */
  fail(assignment: Assignment, reason: string, isGone: boolean, why?: SkippedOffer): void {
    this.#poolOf(assignment.session).fail(assignment, reason, isGone, why)
  }

  /** Removes a session without suspending its orchestrator. */
  remove(assignment: Assignment, reason: string): void {
    this.#poolOf(assignment.session).remove(assignment, reason)
  }

  /** Adopts the info sent with a result: only its new ticket params are used. */
  refreshed(session: Session, told: OrchestratorInfo): void {
    this.#poolOf(session).refreshed(session, told)
  }

  /** Adopts the answer to a renewal that this node requested; `tokenEnds` if the auth session had to end. */
  renewed(session: Session, answer: OrchestratorInfo, tokenEnds: boolean): void {
    this.#poolOf(session).renewed(session, answer, tokenEnds)
  }

  /** Whether the stream has no session because its last orchestrator went down. */
  get areAway(): boolean {
    return this.all.length === 0 && this.#pools.some((pool) => pool.isAway)
  }

  /** Why each orchestrator that is known cannot take a segment now, by its URL. */
  get skipped(): ReadonlyMap<string, SkippedOffer> {
    return new Map(this.#pools.flatMap((pool) => [...pool.skipped]))
  }

  /** The most orchestrators that there can be. */
  get size(): number {
    return this.#pools.reduce((sum, { size }) => sum + size, 0)
  }

  /** Whether there are orchestrators of both kinds, so that results can be compared. */
  get canCompare(): boolean {
    return this.#pools.every((pool) => pool.size > 0)
  }

  /** All current sessions. */
  get all(): readonly Session[] {
    return this.#pools.flatMap((pool) => pool.all)
  }

  /** Ends all sessions, used or not, and notifies their orchestrators; failures are only logged. */
  async end(signal: AbortSignal): Promise<void> {
    this.#ended.abort()
    const sessions = this.all
    for (const pool of this.#pools) pool.clear()
    await Promise.all(sessions.map((session) => this.#tellEnd(session, signal)))
  }

  async #tellEnd({ info: { authToken, reach, transcoder } }: Session, signal: AbortSignal): Promise<void> {
    if (authToken === null) return
    try {
      await this.#needs.client.endSession(transcoder, authToken, { reach }, signal)
    } catch (error) {
      this.#needs.log.debug('could not tell an orchestrator that its stream ended', { transcoder, error })
    }
  }

  #pick(durationMs: number, except?: ReadonlySet<string>): Assignment | null {
    for (const pool of this.#pools) {
      const assignment = pool.select(durationMs, except)
      if (assignment) return assignment
    }
    return null
  }

  #poolOf(session: Session): SessionPool {
    return this.#pools.find((pool) => pool.trust === session.trust)!
  }
}
