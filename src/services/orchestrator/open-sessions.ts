import type { SessionEnd, SessionOpening } from '../../domain/events.ts'
import type { Clock } from '../../lib/clock.ts'
import { type Backlog, Turns } from '../../lib/turns.ts'

/** A session ends after this long without a finished segment (transcoding.md §10). */
const SESSION_IDLE_MS = 70_000
/**
 * How long a session has its place before its first segment is here: as long as most gateways wait for all of it
 * (wire.md §10). A slower one gets its place when the segment has come, if one is free then.
 */
const FIRST_UPLOAD_MS = 8_000
/** A live stream sends its next segment about one duration after the last; one that is later than this has stopped. */
const LATE_SEGMENT_MS = 1_000

/** A session of which a segment was admitted. */
export interface Session {
  readonly id: string
}

interface OpenSession extends Session {
  /** Segments admitted, whether or not their bytes have come. */
  running: number
  readonly openedAt: number
  /** When its newest segment was admitted. */
  admittedAt: number
  /** It has no place, and its transcoder was told so: only among nodes that share sessions. */
  rests: boolean
  /** When its last segment was finished; null before the first, without which it keeps no place. */
  finishedAt: number | null
  /** How long its latest segment lasts. */
  segmentMs: number
  /** Why it is closed with its last running segment; null while it goes on. */
  over: SessionEnd | null
}

/** What is told of sessions. */
export interface OpenSessionsNeeds {
  readonly clock: Clock
  /** How many sessions may keep a place at once, just now. */
  readonly maxSessions: () => number
  /**
   * Whether other nodes take segments of the same sessions. Then a session keeps its place here only until its next segment
   * would be due: that may go elsewhere.
   */
  readonly areShared?: boolean
  /** A shared session has no place here at present; a segment of it may come any time. */
  rested?(sessionId: string): void
  /** No more segments of a session are expected: what was kept for it may go. */
  ended(sessionId: string): void
  /** A session has its place; `running` is how many there are now. */
  begun(sessionId: string, opening: SessionOpening, running: number): void
  /** A session has given up its place. */
  closed(sessionId: string, reason: SessionEnd, running: number): void
}

/** The sessions of an orchestrator: which are open, which keep a place, and whose segment has its turn. */
export class OpenSessions {
  readonly #needs: OpenSessionsNeeds
  readonly #sessions = new Map<string, OpenSession>()
  readonly #turns = new Turns()

  constructor(needs: OpenSessionsNeeds) {
    this.#needs = needs
  }

  get count(): number {
    return this.#sessions.size
  }

  /** Whether a session needs no place for another segment. */
  goesOn(id: string): boolean {
    const session = this.#sessions.get(id)
    return session !== undefined && (!this.#needs.areShared || this.keepsPlace(session))
  }

  /** Counts a segment in, and opens its session where it is not open; `release` counts it out, once. */
  admit(
    id: string,
    segmentMs: number,
    opening: SessionOpening,
  ): { readonly session: Session; release(): void } {
    if (this.#needs.areShared) this.#restWithoutPlace()
    const session = this.#sessions.get(id) ?? this.#open(id, opening)
    session.running++
    session.admittedAt = this.#needs.clock.now()
    session.rests = false
    session.over = null
    session.segmentMs = segmentMs
    let isReleased = false
    const release = () => {
      if (isReleased) return
      isReleased = true
      session.running--
      if (session.over) this.#close(session)
      else if (session.finishedAt === null) this.#endUnproven(session)
    }
    return { session, release }
  }

  /** How many sessions have a place. */
  get placed(): number {
    return [...this.#sessions.values()].filter((session) => this.keepsPlace(session)).length
  }

  /** Whether one more session may have a place. */
  get hasPlace(): boolean {
    return this.placed < this.#needs.maxSessions()
  }

  /** How many segments are admitted and not done. */
  get segments(): number {
    return [...this.#sessions.values()].reduce((sum, { running }) => sum + running, 0)
  }

  /** Whether a session's place is given to no other. */
  keepsPlace(session: Session): boolean {
    const { admittedAt, finishedAt, id, openedAt, running, segmentMs } = session as OpenSession
    const now = this.#needs.clock.now()
    if (this.#turns.of(id).count > 0) return true
    if (this.#needs.areShared) {
      const isArriving = running > 0 && now - admittedAt < FIRST_UPLOAD_MS
      return isArriving || (finishedAt !== null && now - finishedAt < segmentMs + LATE_SEGMENT_MS)
    }
    return finishedAt === null ? now - openedAt < FIRST_UPLOAD_MS : now - finishedAt < SESSION_IDLE_MS
  }

  /** Segments of a session whose bytes are here: one in work, the others waiting for it. */
  inTurn({ id }: Session): Backlog {
    return this.#turns.of(id)
  }

  /** Does work for a session once its segments before are done, however they ended. */
  takeTurn<Result>({ id }: Session, durationMs: number, work: () => Promise<Result>): Promise<Result> {
    return this.#turns.take(id, work, durationMs)
  }

  /** A segment of the session was finished. */
  finished(session: Session): void {
    const own = session as OpenSession
    own.finishedAt = this.#needs.clock.now()
  }

  /** Ends a session, if it is open; it keeps its place until its running segments are done. */
  end(id: string): void {
    const session = this.#sessions.get(id)
    if (session) this.#end(session, 'ended-by-gateway')
  }

  /** Ends the sessions that have been idle for too long. */
  endIdle(): void {
    const now = this.#needs.clock.now()
    for (const session of this.#sessions.values()) {
      const idleMs = now - (session.finishedAt ?? session.openedAt)
      if (session.running === 0 && idleMs >= SESSION_IDLE_MS) this.#end(session, 'idle')
    }
  }

  /** Whether a segment of any session is admitted and not done. */
  get areRunning(): boolean {
    return [...this.#sessions.values()].some(({ running }) => running > 0)
  }

  /** Whether a segment of any session runs, or is due by the pace of its stream. */
  get areLive(): boolean {
    const now = this.#needs.clock.now()
    return [...this.#sessions.values()].some(
      ({ finishedAt, running, segmentMs }) =>
        running > 0 || now - (finishedAt ?? 0) < segmentMs + LATE_SEGMENT_MS,
    )
  }

  /** Gives back the transcoders of sessions whose segments go elsewhere just now. */
  #restWithoutPlace(): void {
    for (const session of this.#sessions.values()) {
      if (session.rests || session.running > 0 || this.keepsPlace(session)) continue
      session.rests = true
      this.#needs.rested?.(session.id)
    }
  }

  #open(id: string, opening: SessionOpening): OpenSession {
    const openedAt = this.#needs.clock.now()
    const session: OpenSession = {
      ...{ id, running: 0, openedAt, admittedAt: openedAt, rests: false },
      ...{ finishedAt: null, segmentMs: 0, over: null },
    }
    this.#sessions.set(id, session)
    this.#needs.begun(id, opening, this.#sessions.size)
    return session
  }

  #end(session: OpenSession, reason: SessionEnd): void {
    session.over = reason
    this.#needs.ended(session.id)
    this.#close(session)
  }

  /** Ends a session of which no segment was ever finished and none is admitted: it keeps no place. */
  #endUnproven(session: OpenSession): void {
    const isCurrent = this.#sessions.get(session.id) === session
    if (isCurrent && session.running === 0 && session.finishedAt === null)
      this.#end(session, 'no-segment-finished')
  }

  /** Frees a session's place, once its last segment is done: before, a new session would begin beside it. */
  #close(session: OpenSession): void {
    if (session.running > 0 || this.#sessions.get(session.id) !== session) return
    this.#sessions.delete(session.id)
    this.#needs.closed(session.id, session.over ?? 'idle', this.#sessions.size)
  }
}
