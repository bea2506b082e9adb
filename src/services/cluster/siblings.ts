import { type Causes, noCauses } from '../../domain/causes.ts'
import type { SeenMember } from '../../domain/member.ts'
import { SiblingError } from '../../domain/sibling-call.ts'
import { haveRoom, type SiblingNews, siblingsToAsk } from '../../domain/sibling-choice.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { TimeLimit } from '../../lib/patience.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { Members } from './members.ts'

/** A sibling that failed is left out for this long. */
const OUT_MS = 5_000
/** One that refused a segment is taken for full for this long; by then its row tells. */
const FULL_MS = 2_000
/** How many siblings are asked to take one segment. */
const MAX_ASKED = 4
/** Calls that end a session wait here for no longer than this, and no more than so many at a time. */
const END_MS = 3_000
const MAX_ENDING = 1_000
/** How often a sibling is asked whether it can reach this node: while it can, while it cannot, while there is none. */
const LOOK_EVERY_MS = 60_000
const LOOK_AGAIN_MS = 10_000
const LOOK_SOON_MS = 1_000
const LOOK_MS = 10_000

/** The members are read again for a node that is not known at most this often. */
const SEEK_EVERY_MS = 1_000
const SEEK_ANEW_EVERY_MS = 200

/** Calls to siblings. They reject where the sibling cannot be reached or answers what no node would. */
export interface SiblingCalls {
  /** Ends a session there. */
  end(sibling: SeenMember, sessionId: string, signal: AbortSignal): Promise<void>
  /** Asks it to call this node at its address; gives why it cannot, or null. */
  askToLook(sibling: SeenMember, signal: AbortSignal): Promise<string | null>
}

interface News {
  handed: number
  outUntilMs: number
  fullUntilMs: number
  /** Since it last answered. */
  failures: number
}

/** The other nodes of a cluster as those that take over work: which have room, and which can be called at all. */
export class Siblings implements Service {
  readonly name = 'siblings'
  readonly #members: Members
  readonly #calls: SiblingCalls
  readonly #clock: Clock
  readonly #log: Log
  readonly #causes: Causes
  /** Of siblings that there is something to remember of. */
  readonly #news = new Map<string, News>()
  #ending = 0
  /** When the members were last read for a node that is not known, and that reading. */
  #soughtAtMs = Number.NEGATIVE_INFINITY
  #seeking: Promise<void> = Promise.resolve()
  #stopped: AbortSignal | null = null

  constructor(needs: { members: Members; calls: SiblingCalls; clock: Clock; log: Log; causes?: Causes }) {
    this.#members = needs.members
    this.#calls = needs.calls
    this.#clock = needs.clock
    this.#log = needs.log
    this.#causes = needs.causes ?? noCauses
  }

  start(scope: Scope): void {
    this.#stopped = scope.signal
    scope.spawn('ask siblings whether they reach this node', (signal) => this.#keepLooking(signal))
  }

  /** Whether a sibling has room for one more session. */
  get hasRoom(): boolean {
    return haveRoom(this.#members.siblings, (node) => this.#newsOf(node))
  }

  /** The siblings that may take a segment with these words of capabilities, in the order in which they are to be asked. */
  toAsk(needed: readonly bigint[] = []): readonly SeenMember[] {
    return siblingsToAsk(this.#members.siblings, (node) => this.#newsOf(node), needed).slice(0, MAX_ASKED)
  }

  /** The sibling of this id if it may be called, also one whose lease has run out; null for any other. */
  callable(node: string): SeenMember | null {
    const member = this.#reachable(node)
    return member && !this.#newsOf(node).isOut ? member : null
  }

  /**
   * The sibling of this id, to fetch what it holds, even one that is left out for a while. One that is not known may have
   * joined since the members were last read: they are read again, at most once a second.
   */
  async holder(node: string): Promise<SeenMember | null> {
    const known = this.#reachable(node)
    if (known || node === this.#members.node) return known
    await this.#seek(SEEK_EVERY_MS)
    return this.#reachable(node)
  }

  /**
   * A sibling that was not reached, as it is now if it has started again since the members were last read: they are read
   * again, at most five times a second. Null if it has not.
   */
  async anew({ instance, node }: SeenMember): Promise<SeenMember | null> {
    const other = () => {
      const member = this.#reachable(node)
      return member && member.instance !== instance ? member : null
    }
    const known = other()
    if (known) return known
    await this.#seek(SEEK_ANEW_EVERY_MS)
    return other()
  }

  async #seek(everyMs: number): Promise<void> {
    const nowMs = this.#clock.now()
    if (nowMs - this.#soughtAtMs >= everyMs) {
      this.#soughtAtMs = nowMs
      this.#seeking = this.#members.look().catch((error) => this.#log.debug('members not read', { error }))
    }
    await this.#seeking
  }

  #reachable(node: string): SeenMember | null {
    const member = this.#members.all.find((one) => one.node === node)
    return member && node !== this.#members.node && member.fingerprint !== '' ? member : null
  }

  /** Counts a segment that a sibling has taken; the function counts it out. */
  handed({ node }: SeenMember): () => void {
    const news = this.#entry(node)
    news.handed++
    let isOver = false
    return () => {
      if (!isOver) news.handed--
      isOver = true
    }
  }

  /** A sibling has refused a segment because it has no room. */
  refused({ node }: SeenMember): void {
    this.#entry(node).fullUntilMs = this.#clock.now() + FULL_MS
  }

  /**
   * A sibling could not be reached, or answered what no node would. One that has just ended is in the list for some seconds
   * more, so a first failure to reach it is not told.
   */
  failed({ address, node }: SeenMember, error: unknown): void {
    const news = this.#entry(node)
    news.outUntilMs = this.#clock.now() + OUT_MS
    news.failures++
    const isTold = news.failures > 1 || (error instanceof SiblingError && error.code === 'sibling-rubbish')
    this.#log.debug('sibling not used for a while', { node, address, error })
    if (!isTold) return
    const facts = { sibling: address, error: messageOf(error) }
    this.#causes.met({ code: 'sibling-unusable', facts }, address)
  }

  /** A sibling has answered as it should. */
  answered({ address, node }: SeenMember): void {
    const news = this.#news.get(node)
    if (news) Object.assign(news, { outUntilMs: 0, failures: 0 })
    this.#causes.over('sibling-unusable', address)
  }

  /** Ends a session at every sibling. Their answers are not waited for: its money is in the store. */
  ended(sessionId: string): void {
    for (const sibling of this.#members.siblings.filter(({ fingerprint }) => fingerprint !== '')) {
      if (this.#ending >= MAX_ENDING || this.#stopped?.aborted) return
      this.#ending++
      this.#within(END_MS, (signal) => this.#calls.end(sibling, sessionId, signal))
        .catch((error) => this.#log.debug('session not ended at a sibling', { node: sibling.node, error }))
        .finally(() => {
          this.#ending--
        })
    }
  }

  /** Asks siblings in turn, so that what one says of this node does not depend on that one alone. */
  async #keepLooking(signal: AbortSignal): Promise<void> {
    for (let turn = 0; ; turn++) {
      await this.#clock.sleep(await this.#look(turn), signal)
    }
  }

  /** Gives the time until the next look. */
  async #look(turn: number): Promise<number> {
    const { address, isOpen, siblings } = this.#members
    const callable = siblings.filter(({ node }) => this.callable(node) !== null)
    const sibling = callable[turn % Math.max(1, callable.length)]
    if (!sibling || !isOpen) return LOOK_SOON_MS
    let why: string | null
    try {
      why = await this.#within(LOOK_MS, (within) => this.#calls.askToLook(sibling, within))
    } catch (error) {
      if (!this.#stopped?.aborted) this.failed(sibling, error)
      return LOOK_SOON_MS
    }
    this.answered(sibling)
    if (why === null) {
      this.#causes.over('cluster-address-unreachable')
      return LOOK_EVERY_MS
    }
    this.#causes.met({ code: 'cluster-address-unreachable', facts: { address, by: sibling.address, why } })
    return LOOK_AGAIN_MS
  }

  async #within<T>(limitMs: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    using limit = new TimeLimit(this.#clock, limitMs)
    return await call(this.#stopped ? AbortSignal.any([this.#stopped, limit.signal]) : limit.signal)
  }

  #newsOf(node: string): SiblingNews {
    const news = this.#news.get(node)
    const nowMs = this.#clock.now()
    return {
      handed: news?.handed ?? 0,
      isOut: nowMs < (news?.outUntilMs ?? 0),
      isFull: nowMs < (news?.fullUntilMs ?? 0),
    }
  }

  #entry(node: string): News {
    const known = this.#news.get(node)
    if (known) return known
    this.#forgetTheGone()
    const news = { handed: 0, outUntilMs: 0, fullUntilMs: 0, failures: 0 }
    this.#news.set(node, news)
    return news
  }

  #forgetTheGone(): void {
    const known = new Set(this.#members.all.map(({ node }) => node))
    for (const [node, { handed }] of this.#news) if (handed === 0 && !known.has(node)) this.#news.delete(node)
  }
}
