import { NodeError } from '../../src/lib/errors.ts'
import type { PushedSegment } from '../../src/services/gateway/pushed-segment.ts'
import type { StreamGrant } from '../../src/services/gateway/stream-authority.ts'

/** A gateway that takes everything, unless a name is taken. */
export class FakeStreams {
  readonly segments: PushedSegment[] = []
  readonly names = new Set<string>()
  readonly ended: string[] = []
  /** What a webhook would say. */
  authorize = async (_url: string): Promise<StreamGrant | null> => null

  publish(name: string) {
    if (this.names.has(name)) throw new NodeError('stream-refused', `another publisher is sending "${name}"`)
    this.names.add(name)
    return {
      manifestId: name,
      leave: () => void this.names.delete(name),
      end: (reason: string) => void this.ended.push(`${name}: ${reason}`),
    }
  }

  async serve(segment: PushedSegment): Promise<unknown> {
    this.segments.push(segment)
    return []
  }
}
