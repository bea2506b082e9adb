import { encodedPixels } from '../src/domain/balance.ts'
import type { Media } from '../src/node/environment.ts'

/** Each rendition has this size, whatever the source, so that the cost of moving bytes does not hide the rest. */
export const RENDITION_BYTES = 4_096

/**
 * Replaces the media engine where its time should not be measured: every transcode finishes at once. A rendition starts
 * with its number of pixels, so that counting them elsewhere gives the same number.
 */
export const nullEngine: Media = {
  name: 'null engine',
  start() {},
  async transcode({ profiles, durationMs }) {
    const renditions = profiles.map((profile) => {
      const pixels = encodedPixels([profile], durationMs)
      return { bytes: renditionOf(pixels), pixels, perceptualHash: null }
    })
    return { decodedPixels: renditions.reduce((sum, { pixels }) => sum + pixels, 0n), renditions }
  },
  async probe() {
    return {
      ...{ container: 'mpegts', videoCodec: 'h264', audioCodec: 'aac', pixelFormat: 'yuv420p' },
      ...{ width: 1280, height: 720, zeroFrame: false, durationMs: 2_000 },
    }
  },
  async fingerprint() {
    throw new Error('nothing is compared')
  },
  async countPixels(bytes) {
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)
  },
  async inspect(bytes) {
    return { pixels: new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0), sound: 'none' }
  },
}

function renditionOf(pixels: bigint): Uint8Array {
  const bytes = new Uint8Array(RENDITION_BYTES)
  new DataView(bytes.buffer).setBigUint64(0, pixels)
  return bytes
}
