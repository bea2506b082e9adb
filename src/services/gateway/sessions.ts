import type { AuthToken, OrchestratorInfo, Reach } from '../../domain/segment.ts'
import {
  type Assignment,
  type Session,
  SessionPool,
  type SessionPoolNeeds,
  type SessionsOptions,
} from './session-pool.ts'

/** A stream that lost its orchestrators searches again after this time. */
export const SEARCH_AGAIN_MS = 250

/** How an orchestrator is told that a stream is over. */
export interface SessionEnder {
  endSession(
    url: string,
    token: AuthToken,
    options: { reach?: Reach | undefined },
    signal: AbortSignal,
  ): Promise<void>
}

/** What the sessions of a stream need. */
export interface SessionsNeeds extends SessionPoolNeeds {
  readonly client: SessionEnder
}

/** The sessions of one stream: those the chain lists are tried before those that the operator vouches for (gateway.md §8). */
export class StreamSessions {
  readonly #pools: readonly SessionPool[]
  readonly #needs: SessionsNeeds
  readonly #ended = new AbortController()

  constructor(options: SessionsOptions, needs: SessionsNeeds) {
    this.#needs = needs
    this.#pools = (['untrusted', 'trusted'] as const).map(
      (trust) => new SessionPool(trust, options, needs, this.#ended.signal),
    )
  }

  /** Looks for the first sessions; resolves also when there are none. */
  async open(): Promise<void> {
    await Promise.all(this.#pools.map((pool) => pool.refresh()))
  }

  /** Assigns a segment to a session; null when none is free. It never waits: pools refresh in the background. */
  select(durationMs: number): Assignment | null {
    for (const pool of this.#pools) pool.refreshIfWanted()
    return this.#pick(durationMs)
  }

  /**
   * As `select`, but waits for the current search when there is no session. A stream that once had sessions, or whose
   * orchestrators the operator named, searches again until `patienceMs` is over: behind a balancer another node may answer
   * next time. Orchestrators in `unable` have just said that they cannot do it now; they are asked again only when no other
   * was found.
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

  /** The segment was transcoded; `score` says how fast. */
  complete(assignment: Assignment, score: number): void {
    this.#poolOf(assignment.session).finish(assignment, score)
  }

  /** The segment failed and the session is not to blame. */
  release(assignment: Assignment): void {
    this.#poolOf(assignment.session).finish(assignment, null)
  }

  /** The session failed: it is removed and its orchestrator sits out some refreshes. `isGone`: it refused or cut the connection. */
  fail(assignment: Assignment, reason: string, isGone: boolean): void {
    this.#poolOf(assignment.session).fail(assignment, reason, isGone)
  }

  /** The session is removed without its orchestrator sitting out. */
  remove(assignment: Assignment, reason: string): void {
    this.#poolOf(assignment.session).remove(assignment, reason)
  }

  /** What an orchestrator says of itself with a result: only fresh ticket params are taken from it. */
  refreshed(session: Session, told: OrchestratorInfo): void {
    this.#poolOf(session).refreshed(session, told)
  }

  /** The answer to a renewal that this node asked for; `tokenEnds` where the auth session had to end. */
  renewed(session: Session, answer: OrchestratorInfo, tokenEnds: boolean): void {
    this.#poolOf(session).renewed(session, answer, tokenEnds)
  }

  /** Whether the stream has no session because its last orchestrator went away. */
  get areAway(): boolean {
    return this.all.length === 0 && this.#pools.some((pool) => pool.isAway)
  }

  /** All sessions there are now. */
  get all(): readonly Session[] {
    return this.#pools.flatMap((pool) => pool.all)
  }

  /** Ends all sessions, used or not, and tells their orchestrators; failures are only logged. */
  async end(signal: AbortSignal): Promise<void> {
    this.#ended.abort()
    const sessions = this.all
    for (const pool of this.#pools) pool.clear()
    await Promise.all(
      sessions.map(async ({ info }) => {
        if (info.authToken === null) return
        try {
          await this.#needs.client.endSession(info.transcoder, info.authToken, { reach: info.reach }, signal)
        } catch (error) {
          this.#needs.log.debug('could not tell an orchestrator that its stream ended', {
            transcoder: info.transcoder,
            error,
          })
        }
      }),
    )
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
