import type { Stream } from './stream.ts'

/** How long players may fetch the rest of a stream that has ended. */
export const GRACE_MS = 60_000

/** Streams that have ended and can still be played. They hold memory, so the oldest make room for the newest. */
export class EndedStreams {
  readonly #max: number
  readonly #streams = new Map<string, Stream>()

  constructor(max: number) {
    this.#max = Math.max(1, max)
  }

  get(manifestId: string): Stream | null {
    return this.#streams.get(manifestId) ?? null
  }

  /** Keeps a stream, and drops those for which there is no room. */
  keep(stream: Stream): void {
    this.drop(stream.manifestId)
    this.#streams.set(stream.manifestId, stream)
    for (const manifestId of [...this.#streams.keys()].slice(0, -this.#max)) this.drop(manifestId)
  }

  /** Forgets a stream and its segments; `only` does so unless another of that name has ended since. */
  drop(manifestId: string, only?: Stream): void {
    const stream = this.#streams.get(manifestId)
    if (!stream || (only && stream !== only)) return
    this.#streams.delete(manifestId)
    stream.discard()
  }

  /** Forgets all. */
  clear(): void {
    for (const manifestId of [...this.#streams.keys()]) this.drop(manifestId)
  }
}
