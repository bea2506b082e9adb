import { counted } from '../lib/counted.ts'
import { isPrintable, withoutUnprintable } from '../lib/printable.ts'
import { type Capabilities, capacitiesOf } from './capabilities.ts'
import type { SegmentData } from './segment.ts'

/** A transcoder's registration with its orchestrator (wire.md §13). */
export interface Registration {
  readonly secret: string
  /** Maximum number of sessions. */
  readonly capacity: number
  /** Null if it reported none; it then has those that every transcoder has. */
  readonly capabilities: Capabilities | null
  /** Its name for people; absent or empty where it tells none, as a Go transcoder. */
  readonly name?: string
  /** What it transcodes on, for people: its GPUs or its cores. */
  readonly hardware?: string
}

/** The longest name of a transcoder, in UTF-16 units. */
export const MAX_TRANSCODER_NAME = 64
const MAX_HARDWARE = 80

/** Whether a text is fit to be a transcoder's name. */
export function isTranscoderName(text: string): boolean {
  return text.length <= MAX_TRANSCODER_NAME && text.trim() !== '' && isPrintable(text)
}

/** What a transcoder says of itself, cut to a bounded length, without characters that a terminal would obey. */
export function shownLabels({ hardware = '', name = '' }: Pick<Registration, 'hardware' | 'name'>): {
  readonly name: string
  readonly hardware: string
} {
  const shown = (text: string, most: number) => withoutUnprintable(text.slice(0, most)).trim()
  return { name: shown(name, MAX_TRANSCODER_NAME), hardware: shown(hardware, MAX_HARDWARE) }
}

/** What a machine transcodes on, in words: its GPUs by number, or its cores. */
export function describeHardware(gpus: readonly (string | null)[], cores: number): string {
  const named = gpus.filter((gpu) => gpu !== null)
  if (named.length > 0) return `${named.length === 1 ? 'GPU' : 'GPUs'} ${named.join(', ')}`
  return counted(cores, 'core')
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
