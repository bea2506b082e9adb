import { NodeError } from '../lib/errors.ts'
import type { Profile } from './rendition.ts'

/** Why a job has no capabilities. */
export type CapabilitiesFault = 'unsupported-pixel-format'

/** What a node can do, or what a job needs (wire.md §7). Bit n is bit n mod 64 of word ⌊n/64⌋. */
export interface Capabilities {
  /** Words of 64 bits; never a trailing zero word. */
  readonly bitstring: readonly bigint[]
  readonly mandatories: readonly bigint[]
  /** Capability number to capacity. */
  readonly capacities: ReadonlyMap<number, number>
  /** The version that the node reports, semver; empty in a job. */
  readonly version: string
  /** The minimum version of a node that the job requires; empty for any. */
  readonly minVersion: string
  /** Capability number to model name to constraint. This node compares them but offers none. */
  readonly perCapability: ReadonlyMap<number, ReadonlyMap<string, ModelConstraint>>
}

/** What a job requires of one model, or a node offers for it (wire.md §5). */
export interface ModelConstraint {
  readonly warm: boolean
  readonly capacity: number
  readonly runnerVersion: string
  readonly capacityInUse: number
}

/** The transcoding capabilities by number (wire.md §7). 13 is retired and 27 to 37 are AI: known but never offered. */
export const capability = {
  h264: 0,
  mpegts: 1,
  mp4: 2,
  fractionalFramerates: 3,
  storageDirect: 4,
  storageS3: 5,
  storageGcs: 6,
  profileBaseline: 7,
  profileMain: 8,
  profileHigh: 9,
  profileConstrainedHigh: 10,
  gop: 11,
  authToken: 12,
  sceneClassification: 13,
  mpeg7Signature: 14,
  hevcDecode: 15,
  hevcEncode: 16,
  vp8Decode: 17,
  vp9Decode: 18,
  vp8Encode: 19,
  vp9Encode: 20,
  h264Decode444: 21,
  h264Decode422: 22,
  h264Decode444Deep: 23,
  h264Decode422Deep: 24,
  h264Decode420Deep: 25,
  segmentSlicing: 26,
} as const

/** What every orchestrator and transcoder offers (wire.md §7): the word 0x4005fff. */
const DEFAULT_BITS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 26]

const FIRST_AI_BIT = 27

/** Jobs within these bits may go to an orchestrator that reports no capabilities (wire.md §7). */
export const LEGACY_BITS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]

/** Words for a set of bits, without trailing zero words. */
export function bitstringOf(bits: Iterable<number>): bigint[] {
  const words: bigint[] = []
  for (const bit of bits) {
    const word = Math.floor(bit / 64)
    while (words.length <= word) words.push(0n)
    words[word] = words[word]! | (1n << BigInt(bit % 64))
  }
  return words
}

/** The bits set in these words, ascending. */
export function bitsOf(bitstring: readonly bigint[]): number[] {
  return bitstring.flatMap((word, index) => {
    const bits: number[] = []
    for (let bit = 0; bit < 64; bit++) if ((word >> BigInt(bit)) & 1n) bits.push(index * 64 + bit)
    return bits
  })
}

/** Whether all bits of `part` are in `whole`. False if `part` has more words, even zero ones (wire.md §7). */
export function isSubset(part: readonly bigint[], whole: readonly bigint[]): boolean {
  return part.length <= whole.length && part.every((word, index) => (word & whole[index]!) === word)
}

/** Why a node is unsuitable for a job. */
export type Misfit = 'version' | 'mandatories' | 'models' | 'bits'

/** The first reason, in the order of wire.md §7, why a node is unsuitable for a job; null if it is suitable. */
export function misfitOf(job: Capabilities, server: Capabilities | null): Misfit | null {
  if (!satisfiesVersion(job.minVersion, server?.version ?? '')) return 'version'
  if (!isSubset(server?.mandatories ?? [], job.bitstring)) return 'mandatories'
  if (server && !satisfiesModels(job, server)) return 'models'
  if (!isSubset(job.bitstring, server?.bitstring ?? bitstringOf(LEGACY_BITS))) return 'bits'
  return null
}

/** Whether a node is suitable for a job; null is a node that reports no capabilities (wire.md §7). */
export function satisfies(job: Capabilities, server: Capabilities | null): boolean {
  return misfitOf(job, server) === null
}

/** Whether a version is at least the minimum. Only major, minor and patch count (wire.md §7, version rule). */
export function satisfiesVersion(minVersion: string, version: string): boolean {
  if (minVersion === '') return true
  if (version === '' || version === 'undefined') return false
  const least = parseVersion(minVersion)
  if (!least) return true
  const given = parseVersion(version)
  if (!given) return false
  for (let part = 0; part < 3; part++) {
    if (given[part]! !== least[part]!) return given[part]! > least[part]!
  }
  return true
}

const VERSION = /^v?(\d{1,15})(?:\.(\d{1,15}))?(?:\.(\d{1,15}))?(?:[-+].*)?$/

/**
 * The release of the Go node whose protocol this node implements. Gateways compare their minimum version with the
 * reported one and know only that node's version numbers (wire.md §18, 16).
 */
const SPOKEN_RELEASE = '0.9.1'

/** The version that a node reports to peers: the release whose protocol it implements, and its own. */
export function announcedVersion(version: string): string {
  return `${SPOKEN_RELEASE}-ts.${version}`
}

/** Major, minor and patch of a version; null if it is not one. */
function parseVersion(text: string): readonly [number, number, number] | null {
  const match = VERSION.exec(text)
  return match ? [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)] : null
}

function satisfiesModels(job: Capabilities, server: Capabilities): boolean {
  for (const [bit, wanted] of job.perCapability) {
    const offered = server.perCapability.get(bit)
    if (!offered) continue
    for (const [name, constraint] of wanted) {
      const model = offered.get(name)
      if (!model || (constraint.warm && !model.warm)) return false
      if (!satisfiesVersion(constraint.runnerVersion, model.runnerVersion)) return false
    }
  }
  return true
}

/** The properties of a segment's source and renditions that decide which nodes can do it. */
export interface JobNeeds {
  readonly profiles: readonly Profile[]
  /** FFmpeg's name of the source's video codec. An unknown one, or '', counts as H.264 (gateway.md §3). */
  readonly inputCodec?: string
  /** FFmpeg's name of the source's pixel format. */
  readonly pixelFormat?: string
  /** Pushed over HTTP rather than RTMP, which requires segment slicing (gateway.md §7). */
  readonly push: boolean
  /** Where the gateway stores its streams; memory requires nothing. */
  readonly storage?: 'memory' | 'direct' | 's3' | 'gcs'
  /** Whether perceptual hashes are required for fast verification. */
  readonly perceptualHash?: boolean
  /** `-orchMinLivepeerVersion`. */
  readonly minVersion?: string
}

const inputCodecBits: ReadonlyMap<string, number> = new Map([
  ['hevc', capability.hevcDecode],
  ['vp8', capability.vp8Decode],
  ['vp9', capability.vp9Decode],
])

const outputCodecBits = {
  h264: capability.h264,
  h265: capability.hevcEncode,
  vp8: capability.vp8Encode,
  vp9: capability.vp9Encode,
} as const

const encoderProfileBits = {
  none: null,
  baseline: capability.profileBaseline,
  main: capability.profileMain,
  high: capability.profileHigh,
  'constrained-high': capability.profileConstrainedHigh,
} as const

const storageBits = {
  memory: null,
  direct: capability.storageDirect,
  s3: capability.storageS3,
  gcs: capability.storageGcs,
} as const

/**
 * What a job requires of an orchestrator (wire.md §7): 4099 for plain RTMP, 67112963 for plain push. Throws NodeError
 * `unsupported-pixel-format` with the peers' text for H.264 sources of 12 or 16 bits.
 */
export function jobCapabilities(needs: JobNeeds): Capabilities {
  const { profiles, inputCodec = '', push, storage = 'memory', perceptualHash, minVersion = '' } = needs
  const bits: (number | null)[] = [capability.authToken, inputCodecBits.get(inputCodec) ?? capability.h264]
  if (!inputCodecBits.has(inputCodec)) bits.push(pixelFormatBit(needs.pixelFormat ?? ''))
  for (const profile of profiles) {
    bits.push(outputCodecBits[profile.encoder], encoderProfileBits[profile.profile])
    bits.push(profile.format === 'mp4' ? capability.mp4 : capability.mpegts)
    if (profile.fpsDen > 0) bits.push(capability.fractionalFramerates)
    if (profile.gopMs !== 0) bits.push(capability.gop)
  }
  bits.push(storageBits[storage])
  if (perceptualHash) bits.push(capability.mpeg7Signature)
  if (push) bits.push(capability.segmentSlicing)
  const bitstring = bitstringOf(bits.filter((bit) => bit !== null))
  return { ...nothing, bitstring, minVersion }
}

/** What an orchestrator offers by itself, without transcoders (wire.md §7). */
export function defaultCapabilities(version: string): Capabilities {
  return offering(DEFAULT_BITS, version)
}

/**
 * What a transcoding node offers: the defaults plus `found`, what its devices were found to support (transcoding.md
 * §5.2). `hevcDecoding` is the flag: false omits it.
 */
export function transcodingCapabilities(options: {
  version: string
  found: readonly number[]
  hevcDecoding?: boolean | null
}): Capabilities {
  const { found, hevcDecoding, version } = options
  const bits = found.filter((bit) => bit !== capability.hevcDecode || hevcDecoding !== false)
  return offering([...DEFAULT_BITS, ...bits], version)
}

/**
 * False for storage and auth tokens, which the orchestrator handles itself, and for AI, which this project does not
 * offer (wire.md §7).
 */
function isOfTranscoders(bit: number): boolean {
  return (bit < capability.storageDirect || bit > capability.storageGcs) && bit < FIRST_AI_BIT
}

/**
 * What an orchestrator offers with its transcoders: the capacities of each bit are added up (wire.md §7). What the
 * orchestrator has to do itself is not offered just because a transcoder claims it.
 */
export function withTranscoders(own: Capabilities, transcoders: readonly Capabilities[]): Capabilities {
  const capacities = new Map(own.capacities)
  for (const transcoder of transcoders) {
    for (const [bit, capacity] of capacitiesOf(transcoder)) {
      if (capacity > 0 && (own.capacities.has(bit) || isOfTranscoders(bit))) {
        capacities.set(bit, (capacities.get(bit) ?? 0) + capacity)
      }
    }
  }
  return { ...own, bitstring: bitstringOf([...bitsOf(own.bitstring), ...capacities.keys()]), capacities }
}

/** A job without what it asks of an orchestrator alone, for its transcoders. */
export function withoutStorage(job: Capabilities): Capabilities {
  const kept = bitsOf(job.bitstring).filter(
    (bit) => bit < capability.storageDirect || bit > capability.storageGcs,
  )
  return { ...job, bitstring: bitstringOf(kept) }
}

/** Capacity by capability: 1 for each bit when no capacities are reported (wire.md §7). */
export function capacitiesOf({ bitstring, capacities }: Capabilities): ReadonlyMap<number, number> {
  return capacities.size > 0 ? capacities : new Map(bitsOf(bitstring).map((bit) => [bit, 1]))
}

const nothing: Capabilities = {
  bitstring: [],
  mandatories: [],
  capacities: new Map(),
  version: '',
  minVersion: '',
  perCapability: new Map(),
}

function offering(bits: readonly number[], version: string): Capabilities {
  const capacities = new Map([...bits].sort((a, b) => a - b).map((bit) => [bit, 1]))
  return { ...nothing, bitstring: bitstringOf(bits), capacities, version }
}

const PIXEL_FORMAT = /^yuv(420|422|444)p(10|12|16)?(?:le|be)?$/
const chromaCodes = { '420': 0, '422': 1, '444': 2 } as const

/**
 * Only H.264 in 4:4:4, 4:2:2 or 10 bits requires a capability; formats outside the list require none (transcoding.md
 * §5.2).
 */
function pixelFormatBit(pixelFormat: string): number | null {
  const match = PIXEL_FORMAT.exec(pixelFormat)
  if (!match) return null
  const chroma = match[1] as keyof typeof chromaCodes
  const depth = Number(match[2] ?? 8)
  if (depth > 10) {
    throw new NodeError<CapabilitiesFault>(
      'unsupported-pixel-format',
      `capability: unsupported pixel format chroma=${chromaCodes[chroma]} colorBits=${depth - 8}`,
    )
  }
  const deep = depth === 10
  if (chroma === '444') return deep ? capability.h264Decode444Deep : capability.h264Decode444
  if (chroma === '422') return deep ? capability.h264Decode422Deep : capability.h264Decode422
  return deep ? capability.h264Decode420Deep : null
}
