/** A stream's clock may run on by this much, and a track may lag behind by the other, before it counts as a jump. */
const AHEAD_MS = 10_000
const BEHIND_MS = 1_000
/** The first message of a track may come this late: programs that are short of time send sound long after its pictures. */
const LATE_START_MS = 5_000
/** A track continues after a jump as if nothing had happened: by the time between its last frames, if that is known. */
const STEP_MS = 40
const MAX_STEP_MS = 1_000

type Track = 'video' | 'audio'

/**
 * Turns a publisher's timestamps, modulo 2^32 ms, into one continuous time that begins at 0: wraps are followed, and
 * where the timestamps jump, both tracks continue together as if they had not. The times of a track always rise.
 */
export class Timeline {
  readonly #last: Record<Track, number | null> = { video: null, audio: null }
  readonly #step: Record<Track, number> = { video: STEP_MS, audio: STEP_MS }
  #raw: number | null = null
  #time = 0
  #offset = 0
  #offsetBefore: number | null = null

  /** Milliseconds of a message on this timeline. */
  place(track: Track, timestamp: number): number {
    // The difference as a signed number of 32 bits.
    this.#time += this.#raw === null ? 0 : (timestamp - this.#raw) | 0
    this.#raw = timestamp
    const placed = this.#placed(track)
    const last = this.#last[track]
    const time = last === null ? placed : Math.max(placed, last + 1)
    if (last !== null) this.#step[track] = Math.min(MAX_STEP_MS, time - last)
    this.#last[track] = time
    return time
  }

  #placed(track: Track): number {
    const time = this.#time + this.#offset
    if (this.#isNear(track, time)) return time
    // The other track may still be on its way to the jump.
    const before = this.#offsetBefore === null ? null : this.#time + this.#offsetBefore
    if (before !== null && this.#isNear(track, before)) return before
    const { audio, video } = this.#last
    const next = (this.#last[track] ?? Math.max(audio ?? 0, video ?? 0)) + this.#step[track]
    this.#offsetBefore = this.#offset
    this.#offset = next - this.#time
    return next
  }

  #isNear(track: Track, time: number): boolean {
    const known = [this.#last.video, this.#last.audio].filter((last) => last !== null)
    const behindMs = this.#last[track] === null && time >= 0 ? LATE_START_MS : BEHIND_MS
    return known.length === 0 || known.some((last) => time - last <= AHEAD_MS && last - time <= behindMs)
  }
}
