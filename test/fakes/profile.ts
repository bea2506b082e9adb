import type { Profile } from '../../src/domain/rendition.ts'

/** A profile of 256x144 at the source's frame rate, with what is given changed. */
export function profileOf(changes: Partial<Profile> = {}): Profile {
  return {
    name: 'test',
    width: 256,
    height: 144,
    bitrate: 200_000,
    fps: 0,
    fpsDen: 1,
    format: 'mpegts',
    profile: 'none',
    gopMs: 0,
    encoder: 'h264',
    colorDepth: 0,
    chromaFormat: '420',
    quality: 0,
    ...changes,
  }
}
