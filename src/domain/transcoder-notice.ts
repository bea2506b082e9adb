import { type Capabilities, capacitiesOf } from './capabilities.ts'
import type { SegmentData } from './segment.ts'

/** How a transcoder introduces itself (wire.md §13). */
export interface Registration {
  readonly secret: string
  /** Sessions at once. */
  readonly capacity: number
  /** Null when it told none: then it has what every transcoder has. */
  readonly capabilities: Capabilities | null
}

/** What an orchestrator tells a transcoder over the stream of its registration (wire.md §13). */
export type Notice =
  | {
      readonly kind: 'task'
      readonly taskId: bigint
      /** Where the source is fetched. */
      readonly url: string
      /** Whom the work is for: named in the metadata of renditions. */
      readonly orchestrator: string
      /** As the gateway sent it, without what is not the transcoder's business. */
      readonly segment: SegmentData
    }
  /** A task that cannot be read: its transcoder answers with this text. */
  | { readonly kind: 'unreadable'; readonly taskId: bigint; readonly text: string }
  /** The session is over. */
  | { readonly kind: 'teardown'; readonly sessionId: string }

/** What of a segment a transcoder is told: neither signature, hash nor storage; a capacity for each bit (wire.md §13). */
export function forTranscoder(segment: SegmentData): SegmentData {
  const { capabilities } = segment
  return {
    ...segment,
    hash: new Uint8Array(32),
    sig: new Uint8Array(0),
    storage: [],
    capabilities: capabilities && { ...capabilities, capacities: capacitiesOf(capabilities) },
  }
}
