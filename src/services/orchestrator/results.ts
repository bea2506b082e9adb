import { extensionOf } from '../../domain/rendition.ts'
import type { RenditionResult, SegmentData } from '../../domain/segment.ts'
import type { ObjectStore } from '../../lib/object-store.ts'
import type { TranscodeOutput } from '../transcoding/transcoder.ts'

/** Stores what was made of a segment, in profile order; says where gateways fetch each rendition. */
export function storeResults(
  store: ObjectStore,
  { sessionId, segment }: { sessionId: string; segment: SegmentData },
  renditions: TranscodeOutput['renditions'],
): Promise<readonly RenditionResult[]> {
  return Promise.all(
    renditions.map(async ({ bytes, perceptualHash, pixels }, index) => {
      const path = resultPath(sessionId, segment, index)
      const [url, perceptualHashUrl] = await Promise.all([
        store.save(path, bytes),
        perceptualHash ? store.save(`${path}.phash`, perceptualHash) : '',
      ])
      return { url, pixels, perceptualHashUrl }
    }),
  )
}

/** Where a rendition is stored: `{session}/{profile}/{seq}.ts`; a second profile of the same name gets its index. */
function resultPath(sessionId: string, segment: SegmentData, index: number): string {
  const profile = segment.profiles[index]!
  const twin = segment.profiles.findIndex((other) => other.name === profile.name) !== index
  return `${sessionId}/${profile.name}${twin ? `.${index}` : ''}/${segment.seq}${extensionOf(profile.format)}`
}
