import { makeSegment, recording } from './media.ts'
import type { Specimen } from './mutations.ts'
import { evenly, makePictures, remade } from './remade.ts'

/** Small segments of every kind that a node may be given. */
export async function smallSpecimens(): Promise<Specimen[]> {
  const small: Specimen[] = []
  const tiny = { width: 64, height: 48 }
  const pictures = { ...tiny, times: evenly(4, 1n, 30n), unit: { num: 1, den: 30 } }
  const ts = await makeSegment({ ...tiny, frames: 4 })
  const add = (name: string, bytes: Uint8Array) => small.push({ name, bytes })
  add('H.264 and AAC in MPEG-TS', ts)
  add('H.264 and AAC in MP4', await makeSegment({ ...tiny, frames: 4, format: 'mp4' }))
  add('B-frames', await makeSegment({ ...tiny, frames: 8, audio: false, bFrames: 2 }))
  add('sound alone', await remade(ts, () => true, { only: 'audio' }))
  add('no key frame', await remade(ts, ({ isVideo, index }) => !isVideo || index > 0))
  add('one picture', makePictures({ ...pictures, times: [30n] }))
  add('MPEG-4 Part 2', await makeSegment({ ...tiny, frames: 3, audio: false, encoder: 'mpeg4' }))
  add('4:2:2 of 10 bits', makePictures({ ...pictures, pixelFormat: 'yuv422p10le' }))
  add('HEVC', makePictures({ ...pictures, encoder: 'libx265' }))
  add('VP8', makePictures({ ...pictures, encoder: 'libvpx', container: 'webm' }))
  add('VP9', makePictures({ ...pictures, encoder: 'libvpx-vp9', container: 'webm' }))
  add('Matroska', makePictures({ ...pictures, container: 'matroska' }))
  add('FLV', makePictures({ ...pictures, container: 'flv' }))
  add(
    'uneven times',
    makePictures({
      ...pictures,
      times: [29n, 89n, 100n, 132n],
      unit: { num: 1, den: 600 },
      container: 'mp4',
    }),
  )
  add('4:2:2 of 8 bits', makePictures({ ...pictures, pixelFormat: 'yuv422p' }))
  add('an extreme shape', makePictures({ ...pictures, width: 16, height: 2000 }))
  return small
}

/** The real recordings, where there are any. */
export function recordedSpecimens(): Specimen[] {
  const recorded: Specimen[] = []
  for (const name of [
    'portrait.ts',
    'vertical-sample.ts',
    'videotest.mp4',
    'zero-frame.ts',
    'bunny-720p.ts',
  ]) {
    const bytes = recording(name)
    // The beginning of a stream is enough, and of MP4 the whole or its index would be missing.
    if (bytes) recorded.push({ name, bytes: name.endsWith('.ts') ? bytes.subarray(0, 60_000) : bytes })
  }
  return recorded
}
