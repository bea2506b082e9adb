import { extensionOf } from '../../domain/rendition.ts'
import type { RenditionResult, SegmentData } from '../../domain/segment.ts'
import type { ObjectStore } from '../../lib/object-store.ts'
import type { TranscodeOutput } from '../transcoding/transcoder.ts'
import type { ResultUploads, UploadLimits } from './result-uploads.ts'

/** Where results are kept. */
export interface ResultPlaces {
  /** This node's own. */
  readonly store: ObjectStore
  /** Stores outside; null where nothing is saved elsewhere. */
  readonly uploads: ResultUploads | null
}

/**
 * Stores what was made of a segment, in profile order; says where gateways fetch each rendition: in a store outside that
 * takes it in time, the gateway's first, otherwise here.
 */
export function storeResults(
  { store, uploads }: ResultPlaces,
  { sessionId, segment }: { sessionId: string; segment: SegmentData },
  renditions: TranscodeOutput['renditions'],
  limits: UploadLimits,
): Promise<readonly RenditionResult[]> {
  const storage = segment.storage[0] ?? null
  const keep = async (path: string, bytes: Uint8Array) =>
    (await uploads?.save(storage, { sessionId, path, bytes }, limits)) ??
    (await store.save(`${sessionId}/${path}`, bytes))
  return Promise.all(
    renditions.map(async ({ bytes, perceptualHash, pixels }, index) => {
      const path = resultPath(segment, index)
      const [url, perceptualHashUrl] = await Promise.all([
        keep(path, bytes),
        perceptualHash ? keep(`${path}.phash`, perceptualHash) : '',
      ])
      return { url, pixels, perceptualHashUrl }
    }),
  )
}

/** Where a rendition is stored: `{profile}/{seq}.ts`; a second profile of the same name gets its index. */
function resultPath(segment: SegmentData, index: number): string {
  const profile = segment.profiles[index]!
  const twin = segment.profiles.findIndex((other) => other.name === profile.name) !== index
  return `${profile.name}${twin ? `.${index}` : ''}/${segment.seq}${extensionOf(profile.format)}`
}
