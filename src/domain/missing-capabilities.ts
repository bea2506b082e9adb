import { bitsOf, type Capabilities, capability, LEGACY_BITS, misfitOf } from './capabilities.ts'

/** What each transcoding capability lets a node do, in words (wire.md §7). */
const WORDS: Readonly<Record<keyof typeof capability, string>> = {
  h264: 'H.264',
  mpegts: 'MPEG-TS',
  mp4: 'MP4',
  fractionalFramerates: 'fractional frame rates',
  storageDirect: 'its own storage',
  storageS3: 'S3 storage',
  storageGcs: 'Google Cloud storage',
  profileBaseline: 'H.264 baseline profile',
  profileMain: 'H.264 main profile',
  profileHigh: 'H.264 high profile',
  profileConstrainedHigh: 'H.264 constrained high profile',
  gop: 'a set GOP length',
  authToken: 'auth tokens',
  sceneClassification: 'scene classification',
  mpeg7Signature: 'perceptual hashes',
  hevcDecode: 'HEVC decoding',
  hevcEncode: 'HEVC encoding',
  vp8Decode: 'VP8 decoding',
  vp9Decode: 'VP9 decoding',
  vp8Encode: 'VP8 encoding',
  vp9Encode: 'VP9 encoding',
  h264Decode444: 'decoding of H.264 4:4:4',
  h264Decode422: 'decoding of H.264 4:2:2',
  h264Decode444Deep: 'decoding of H.264 4:4:4 with 10 bits',
  h264Decode422Deep: 'decoding of H.264 4:2:2 with 10 bits',
  h264Decode420Deep: 'decoding of H.264 4:2:0 with 10 bits',
  segmentSlicing: 'slicing of segments',
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(capability).map(([name, bit]) => [bit, WORDS[name as keyof typeof capability]]),
)

/** What a node lacks for a job, in words; empty if it is suitable. `server` is null if it reports no capabilities. */
export function missingFor(job: Capabilities, server: Capabilities | null): string[] {
  switch (misfitOf(job, server)) {
    case null:
      return []
    case 'version':
      return [`version ${job.minVersion} or newer (-orchMinLivepeerVersion)`]
    case 'mandatories':
      return ['a job of the kind that the orchestrator insists on']
    case 'models':
      return ['a model that the orchestrator does not have']
    case 'bits': {
      const has = new Set(server ? bitsOf(server.bitstring) : LEGACY_BITS)
      return bitsOf(job.bitstring)
        .filter((bit) => !has.has(bit))
        .map((bit) => NAMES.get(bit) ?? `capability ${bit}`)
    }
  }
}
