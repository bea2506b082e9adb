import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { Profile } from '../../domain/rendition.ts'
import { receivedDurationMs, type SegmentData } from '../../domain/segment.ts'
import { leftPad } from '../../lib/bytes.ts'
import { readCapabilities, writeCapabilities } from './convert-capabilities.ts'
import { MAX_STORAGE, readAuthToken, readStorage, writeStorage } from './convert-info.ts'
import * as wire from './gen/lp_rpc_pb.ts'
import { boundedList, boundedText, enumWord, MAX_NAME, parseMessage } from './wire-message.ts'

/** Profiles of a segment. This only limits memory: the engine refuses more than 10 with its own text. */
export const MAX_PROFILES = 64

/** The value of the retired `profiles` field (wire.md §6). */
export const RETIRED_PROFILES = new TextEncoder().encode('invalid')

/** The bytes of SegData (wire.md §5). */
export function encodeSegment(segment: SegmentData): Uint8Array {
  return toBinary(wire.SegDataSchema, create(wire.SegDataSchema, writeSegment(segment)))
}

/** Reads the bytes of SegData. Throws NodeError with the texts that peers are told (wire.md §6, §10). */
export function decodeSegment(bytes: Uint8Array): SegmentData {
  return readSegment(parseMessage(wire.SegDataSchema, bytes))
}

/** Converts a segment's metadata for the wire. */
export function writeSegment(segment: SegmentData): MessageInitShape<typeof wire.SegDataSchema> {
  return {
    manifestId: new TextEncoder().encode(segment.manifestId),
    seq: segment.seq,
    hash: segment.hash,
    profiles: RETIRED_PROFILES,
    sig: segment.sig,
    duration: Math.trunc(segment.durationMs),
    ...(segment.capabilities && { capabilities: writeCapabilities(segment.capabilities) }),
    ...(segment.authToken && { authToken: segment.authToken }),
    calcPerceptualHash: segment.calcPerceptualHash,
    storage: segment.storage.map(writeStorage),
    [profileList(segment.profiles)]: segment.profiles.map(writeProfile),
    ...(segment.clip && { segmentParameters: { from: segment.clip.fromMs, to: segment.clip.toMs } }),
    ForceSessionReinit: segment.forceSessionReinit,
  }
}

/** Reads a segment's metadata. */
export function readSegment(message: wire.SegData): SegmentData {
  const lists = [message.fullProfiles3, message.fullProfiles2, message.fullProfiles]
  const profiles = lists.find((candidates) => candidates.length > 0) ?? []
  return {
    // Invalid UTF-8 is replaced, which makes the signature wrong.
    manifestId: boundedText(
      new TextDecoder('utf-8', { ignoreBOM: true }).decode(message.manifestId),
      'manifest id',
      MAX_NAME,
    ),
    seq: message.seq,
    hash: leftPad(message.hash, 32),
    profiles: boundedList(profiles, 'profiles', MAX_PROFILES).map(readProfile),
    sig: message.sig,
    durationMs: receivedDurationMs(message.duration),
    capabilities: message.capabilities ? readCapabilities(message.capabilities) : null,
    authToken: message.authToken ? readAuthToken(message.authToken) : null,
    calcPerceptualHash: message.calcPerceptualHash,
    storage: boundedList(message.storage, 'storage', MAX_STORAGE).map(readStorage),
    clip: message.segmentParameters
      ? { fromMs: message.segmentParameters.from, toMs: message.segmentParameters.to }
      : null,
    forceSessionReinit: message.ForceSessionReinit,
  }
}

/** The one list that old and new peers read the same way (wire.md §6, "profile lists"). */
function profileList(profiles: readonly Profile[]): 'fullProfiles' | 'fullProfiles2' | 'fullProfiles3' {
  if (profiles.some(({ fpsDen, profile, gopMs }) => fpsDen !== 0 || profile !== 'none' || gopMs !== 0)) {
    return 'fullProfiles3'
  }
  return profiles.some(({ format }) => format === 'mp4') ? 'fullProfiles2' : 'fullProfiles'
}

// Domain words and their wire numbers. Where two words share a number, the first one is read.

/** A container that is not set is MPEG-TS (transcoding.md §2.4). */
const FORMATS = { mpegts: 0, mp4: 1, none: 0 } as const
const ENCODER_PROFILES = { none: 0, baseline: 1, main: 2, high: 3, 'constrained-high': 4 } as const
const CODECS = { h264: 0, h265: 1, vp8: 2, vp9: 3 } as const
const CHROMA = { '420': 0, '422': 1, '444': 2 } as const

function writeProfile(profile: Profile): MessageInitShape<typeof wire.VideoProfileSchema> {
  const { width, height, bitrate } = profile
  return {
    name: profile.name || `ffmpeg_${width}x${height}_${bitrate}`,
    width,
    height,
    bitrate,
    fps: profile.fps,
    format: FORMATS[profile.format],
    fpsDen: profile.fpsDen,
    profile: ENCODER_PROFILES[profile.profile],
    gop: profile.gopMs,
    encoder: CODECS[profile.encoder],
    colorDepth: profile.colorDepth,
    chromaFormat: CHROMA[profile.chromaFormat],
    quality: profile.quality,
  }
}

/** Colour depth and chroma on the wire are ignored, as the network's nodes do (wire.md §6). */
function readProfile(message: wire.VideoProfile): Profile {
  const { width, height, bitrate } = message
  return {
    name: boundedText(message.name, 'profile name', MAX_NAME) || `net_${width}x${height}_${bitrate}`,
    width,
    height,
    bitrate,
    fps: message.fps,
    fpsDen: message.fpsDen,
    format: enumWord(FORMATS, message.format, 'unrecognized profile output format'),
    profile: enumWord(ENCODER_PROFILES, message.profile, 'unrecognized encoder profile'),
    gopMs: message.gop,
    encoder: enumWord(CODECS, message.encoder, 'unrecognized video codec'),
    colorDepth: 0,
    chromaFormat: '420',
    quality: message.quality,
  }
}
