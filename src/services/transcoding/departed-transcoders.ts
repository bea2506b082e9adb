import { type Capabilities, satisfies } from '../../domain/capabilities.ts'
import type { Clock } from '../../lib/clock.ts'
import type { LossReason, Member, TranscoderState } from './transcoder-member.ts'

/** A transcoder whose stream has ended is expected back for this time: then its segments wait for it. */
const RETURN_MS = 30_000
/** Transcoders that are expected back at most. */
const MAX_AWAY = 1_000
/** Transcoders that are gone, and still shown to the operator. */
const GONE_SHOWN = 20

/** A transcoder that may be starting again. */
interface Away {
  readonly capabilities: Capabilities
  readonly sessions: ReadonlySet<string>
  readonly untilMs: number
}

/** Transcoders that have left the pool: those the operator is shown, and those that are expected back. */
export class DepartedTranscoders {
  readonly #clock: Clock
  readonly #gone: TranscoderState[] = []
  /** The first that left is taken to be the first that comes back. */
  readonly #away: Away[] = []

  constructor(needs: { readonly clock: Clock }) {
    this.#clock = needs.clock
  }

  /** The latest that left, the latest first. */
  get states(): readonly TranscoderState[] {
    return this.#gone
  }

  /** A transcoder has left; its sessions are still known of it. */
  add(member: Member, reason: LossReason): void {
    if (reason === 'stream-ended') {
      const { capabilities, sessions } = member
      const untilMs = this.#clock.now() + RETURN_MS
      this.#away.push({ capabilities, sessions: new Set(sessions.keys()), untilMs })
      if (this.#away.length > MAX_AWAY) this.#away.shift()
    }
    this.#gone.unshift(member.state(reason))
    this.#gone.splice(GONE_SHOWN)
  }

  /** A transcoder has registered: one fewer is expected back. */
  registered(): void {
    this.#away.shift()
  }

  /** Whether a transcoder is expected back that can do a segment: that of its session, or any where none is left. */
  isAwaited(segment: {
    readonly sessionId: string
    readonly wanted: Capabilities | null
    readonly isNoneLeft: boolean
  }): boolean {
    const { isNoneLeft, sessionId, wanted } = segment
    return this.#away.some(
      ({ capabilities, sessions, untilMs }) =>
        this.#clock.now() < untilMs &&
        (isNoneLeft || sessions.has(sessionId)) &&
        (!wanted || satisfies(wanted, capabilities)),
    )
  }
}
