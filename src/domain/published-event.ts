import { bigintsAsTexts } from '../lib/bigints.ts'
import { cutTo } from '../lib/printable.ts'
import type { NodeEvent, TriedSegment } from './events.ts'

/** An event as other programs get it. */
export interface PublishedEvent {
  readonly type: string
  /** Where it belongs: AMQP routes by it, Kafka keeps events with the same key in order. */
  readonly key: string
  /** JSON. */
  readonly body: string
}

/** What an event tells beside its facts. */
export interface EventSource {
  /** Different for each event, and the same when it is sent again. */
  readonly id: string
  /** The name of the node. */
  readonly node: string
  /** Milliseconds since the epoch. */
  readonly nowMs: number
  /** A URL as it may be shown. */
  readonly shown: (url: string) => string
}

/** AMQP cannot send a longer key. */
const MAX_KEY_BYTES = 255
/** Orchestrators may say anything. */
const MAX_ERROR = 200
/** A file's path in an orchestrator's error is nothing for a gateway's platform; a URL's path has a host before it. */
const FILE_PATH = /(?<![\w:/.\]])\/[\w.@-]+(?:\/[\w.@-]+)+/g

/** The event about a segment that was to be transcoded (gateway.md §13). */
export function transcodeEvent(
  segment: TriedSegment,
  { id, node, nowMs, shown }: EventSource,
): PublishedEvent {
  const { attempts, bytes, durationMs, isDone, manifestId, sequence, startedMs, streamId, tookMs } = segment
  const type = 'transcode'
  const body = {
    ...{ type, id, timestamp: nowMs, streamId, nodeId: node },
    segment: { name: '', seqNo: Number(sequence), duration: durationMs / 1000, byteSize: bytes },
    ...{ startTime: startedMs, latencyMs: tookMs, success: isDone },
    attempts:
      attempts?.map(({ address, error, orchestrator, tookMs: latencyMs }) => ({
        orchestrator: {
          address: address ?? '',
          transcodeUri: orchestrator === '' ? '' : shown(orchestrator),
        },
        ...{ latencyMs, error: error === null ? null : cutTo(MAX_ERROR, error.replace(FILE_PATH, '…')) },
      })) ?? null,
  }
  const [first = ''] = manifestId
  const key = `broadcaster.stream_health.${type}.${first}.${streamId}`
  return { type, key: withinBytes(key, MAX_KEY_BYTES), body: JSON.stringify(body) }
}

/**
 * The kinds that are published with their own names: what a gateway does for its streams, without the parts of what is told
 * as a whole.
 */
export const PUBLISHED_KINDS = [
  ...(['stream-judged', 'stream-begun', 'stream-ended', 'segment-tried', 'publisher-left'] as const),
  ...(['orchestrator-suspended', 'orchestrator-swapped', 'discovery-failed', 'payment-sent'] as const),
  ...(['recording-lost', 'result-compared'] as const),
  ...(['problem-begun', 'problem-ended', 'setting-changed'] as const),
] as const

const PUBLISHED: ReadonlySet<string> = new Set(PUBLISHED_KINDS)

/** An event in the envelope of the network (operations.md §6); null for one that is not published. Amounts are texts. */
export function envelopeOf(event: NodeEvent, { id, node, nowMs, shown }: EventSource): PublishedEvent | null {
  const { kind: type, ...data } = event
  if (!PUBLISHED.has(type)) return null
  const withoutSecrets = (name: string, value: unknown) =>
    name === 'orchestrator' && typeof value === 'string' && value !== ''
      ? shown(value)
      : bigintsAsTexts(name, value)
  const key = 'manifestId' in data ? data.manifestId : ''
  const body = JSON.stringify({ id, type, timestamp: String(nowMs), gateway: node, data }, withoutSecrets)
  return { type, key, body }
}

/** The longest prefix of a text that takes at most `most` bytes, without splitting a character. */
function withinBytes(text: string, most: number): string {
  const encoder = new TextEncoder()
  let left = most
  let length = 0
  for (const character of text) {
    left -= encoder.encode(character).length
    if (left < 0) break
    length += character.length
  }
  return text.slice(0, length)
}
