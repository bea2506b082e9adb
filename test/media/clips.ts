import { makeSegment } from './media.ts'
import { makePictures, remade } from './remade.ts'

/** Clips that have what recordings of cameras, screens and browsers have, and tests with even pictures do not. */

const TICKS_PER_MS = 90n
/** Frames of `wideClip` and its frames between key frames. */
export const WIDE_CLIP = { frames: 217, gop: 31, width: 640, height: 360 } as const

/** Like a screen recorder's: 4:2:2, 29.97 pictures a second whose times are whole milliseconds, some key frames, sound. */
export async function wideClip(): Promise<Uint8Array> {
  const clip = await makeSegment({
    ...WIDE_CLIP,
    fps: 30_000,
    fpsDen: 1001,
    startMs: 0,
    pixelFormat: 'yuv422p',
  })
  return inWholeMs(clip)
}

/** Like a phone's: a second of upright pictures whose times are whole milliseconds, without sound. */
export async function uprightClip(): Promise<Uint8Array> {
  return inWholeMs(
    await makeSegment({ width: 720, height: 1280, frames: 30, audio: false, startMs: 588_083 }),
  )
}

/** A second of pictures of so extreme a shape that no encoder takes what becomes of it. */
export async function narrowClip(): Promise<Uint8Array> {
  return makeSegment({ width: 16, height: 4000, frames: 30, bFrames: 2, audio: false })
}

const UNEVEN_UNIT = { num: 1, den: 600 }
/** When the pictures of `unevenClip` are shown, in 1/600 s. */
export const UNEVEN_TIMES = Array.from({ length: 42 }, (_, index) =>
  BigInt(29 + 26 * index + [0, 19, -5, 7, 12, -9, 15][index % 7]!),
)

/** Like a browser's: an MP4 whose pictures are shown at uneven times. */
export function unevenClip(): Uint8Array {
  return makePictures({ times: UNEVEN_TIMES, unit: UNEVEN_UNIT, width: 374, height: 666, container: 'mp4' })
}

/** Sound, and a stream of pictures none of which can be decoded: their parameters are missing. */
export async function pictureless(): Promise<Uint8Array> {
  const whole = await makeSegment({ frames: 30 })
  return remade(whole, ({ isVideo, index }) => !isVideo || index > 0)
}

/** The times that a recorder gives which counts in milliseconds. */
function inWholeMs(clip: Uint8Array): Promise<Uint8Array> {
  return remade(clip, (packet) => {
    if (!packet.isVideo) return
    packet.pts -= packet.pts % TICKS_PER_MS
    packet.dts -= packet.dts % TICKS_PER_MS
  })
}
