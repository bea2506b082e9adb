import { extensionOf } from '../../domain/rendition.ts'
import type { RenditionResult, SegmentData } from '../../domain/segment.ts'
import type { TranscodeOutput } from '../transcoding/transcoder.ts'

/** Where results wait to be fetched. */
export interface ResultStore {
  put(path: string, bytes: Uint8Array): void
  get(path: string): Uint8Array | null
  /** Forgets everything under a prefix. */
  drop(prefix: string): void
}

/** Stores what was made of a segment, in profile order; says where gateways fetch each rendition, under `serviceUri`. */
export function storeResults(
  store: ResultStore,
  { serviceUri, sessionId, segment }: { serviceUri: string; sessionId: string; segment: SegmentData },
  renditions: TranscodeOutput['renditions'],
): readonly RenditionResult[] {
  return renditions.map(({ bytes, perceptualHash, pixels }, index) => {
    const path = resultPath(sessionId, segment, index)
    store.put(path, bytes)
    if (perceptualHash) store.put(`${path}.phash`, perceptualHash)
    const url = `${serviceUri}/stream/${path.split('/').map(encodeURIComponent).join('/')}`
    return { url, pixels, perceptualHashUrl: perceptualHash ? `${url}.phash` : '' }
  })
}

/** Where a rendition is stored: `{session}/{profile}/{seq}.ts`; a second profile of the same name gets its index. */
function resultPath(sessionId: string, segment: SegmentData, index: number): string {
  const profile = segment.profiles[index]!
  const twin = segment.profiles.findIndex((other) => other.name === profile.name) !== index
  return `${sessionId}/${profile.name}${twin ? `.${index}` : ''}/${segment.seq}${extensionOf(profile.format)}`
}
