import { encodedPixels } from '../src/domain/balance.ts'
import type { Media } from '../src/node/environment.ts'

/** Each rendition is this long, whatever the source: what it costs to carry bytes is not to hide what the rest costs. */
export const RENDITION_BYTES = 4_096

/**
 * Stands in for the media engine where its time is not to be measured: every transcode is over at once. A rendition
 * begins with its number of pixels, so that whoever counts them elsewhere comes to the same.
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
  async countPixels(bytes) {
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)
  },
}

function renditionOf(pixels: bigint): Uint8Array {
  const bytes = new Uint8Array(RENDITION_BYTES)
  new DataView(bytes.buffer).setBigUint64(0, pixels)
  return bytes
}
