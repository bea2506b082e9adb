import { type Capabilities, capacitiesOf } from './capabilities.ts'
import type { SegmentData } from './segment.ts'

/** A transcoder's registration with its orchestrator (wire.md §13). */
export interface Registration {
  readonly secret: string
  /** Maximum number of sessions. */
  readonly capacity: number
  /** Null if it reported none; it then has those that every transcoder has. */
  readonly capabilities: Capabilities | null
}

/** A message from an orchestrator to a transcoder on the stream of its registration (wire.md §13). */
export type Notice =
  | {
      readonly kind: 'task'
      readonly taskId: bigint
      /** URL of the source. */
      readonly url: string
      /** The orchestrator that the work is for, named in the metadata of renditions. */
      readonly orchestrator: string
      /** The gateway's metadata, reduced to what a transcoder needs. */
      readonly segment: SegmentData
    }
  /** A task that cannot be parsed: the transcoder answers with this text. */
  | { readonly kind: 'unreadable'; readonly taskId: bigint; readonly text: string }
  /** The session is over. */
  | { readonly kind: 'teardown'; readonly sessionId: string }

/**
 * A segment's metadata for a transcoder: without signature, hash and storage, and with a capacity for each bit (wire.md
 * §13).
 */
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
