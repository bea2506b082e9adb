import { GatewayError } from './gateway-error.ts'
import type { StreamGrant } from './stream-authority.ts'

/** A publisher's hold on a stream's name. */
export interface Publication {
  readonly manifestId: string
  /** The publisher has gone: its name is free for another, while its last segments are still in work. */
  leave(): void
  /** Its last segments are done. */
  end(reason: string): void
}

interface Held {
  /** The name in the publisher's URL. */
  readonly externalId: string
  readonly grant: StreamGrant | null
  hasLeft: boolean
}

/** The names that live publishers hold, each of which belongs to one publisher at a time. */
export class Publishers {
  readonly #held = new Map<string, Held>()

  /** Names that are held. */
  get names(): Iterable<string> {
    return this.#held.keys()
  }

  /** Whether the name belongs to a publisher, which may have left. */
  has(manifestId: string): boolean {
    return this.#held.has(manifestId)
  }

  /** What was granted to the publisher that holds the name. */
  grantOf(manifestId: string): StreamGrant | null {
    return this.#held.get(manifestId)?.grant ?? null
  }

  /** The name in the URL of the publisher that holds the name. */
  externalIdOf(manifestId: string): string {
    return this.#held.get(manifestId)?.externalId ?? manifestId
  }

  /** Throws GatewayError `stream-refused` if another publisher sends under the name. */
  check(manifestId: string): void {
    if (this.#held.get(manifestId)?.hasLeft === false) {
      throw new GatewayError('stream-refused', `another publisher is sending "${manifestId}"`)
    }
  }

  /** Takes a name over; `ended` is called at its end unless another publisher has taken it by then. */
  hold(
    manifestId: string,
    { externalId, grant }: { readonly externalId: string; readonly grant: StreamGrant | null },
    ended: (reason: string) => void,
  ): Publication {
    const held: Held = { externalId, grant, hasLeft: false }
    this.#held.set(manifestId, held)
    return {
      manifestId,
      leave: () => {
        held.hasLeft = true
      },
      end: (reason) => {
        if (this.#held.get(manifestId) !== held) return
        this.#held.delete(manifestId)
        ended(reason)
      },
    }
  }
}
