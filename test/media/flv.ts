import { makeSegment, type SegmentSettings } from './media.ts'
import { remade } from './remade.ts'

/** A tag of an FLV file, which RTMP sends as one message. */
export interface FlvTag {
  /** 8 sound, 9 video, 18 metadata. */
  readonly type: number
  readonly timestamp: number
  readonly payload: Uint8Array
}

/** A stream as an encoder would publish it: `makeSegment`'s pictures and tone. */
export async function publishedTags(
  settings: SegmentSettings,
  options: { readonly only?: 'audio' } = {},
): Promise<readonly FlvTag[]> {
  const mp4 = await makeSegment({ ...settings, startMs: 0, format: 'mp4' })
  return tagsOf(await remade(mp4, () => true, { container: 'flv', ...options }))
}

/** The tags of an FLV file. */
export function tagsOf(flv: Uint8Array): readonly FlvTag[] {
  const bytes = Buffer.from(flv)
  const tags: FlvTag[] = []
  for (let at = bytes.readUInt32BE(5) + 4; at + 11 <= bytes.length; ) {
    const length = bytes.readUIntBE(at + 1, 3)
    tags.push({
      type: bytes[at]!,
      timestamp: bytes.readUIntBE(at + 4, 3) + bytes[at + 7]! * 2 ** 24,
      payload: bytes.subarray(at + 11, at + 11 + length),
    })
    at += 11 + length + 4
  }
  return tags
}
