import { NodeError } from '../lib/errors.ts'

/** Container of a rendition. `none` uses the container of the pushed segment (gateway.md §3). */
export type Format = 'none' | 'mpegts' | 'mp4'

/** H.264 profile of a rendition; `none` leaves it to the encoder. */
export type EncoderProfile = 'none' | 'baseline' | 'main' | 'high' | 'constrained-high'

/** Codec of a rendition. */
export type VideoCodec = 'h264' | 'h265' | 'vp8' | 'vp9'

/** Chroma subsampling. */
export type ChromaFormat = '420' | '422' | '444'

/** The settings of a rendition (transcoding.md §2.1). */
export interface Profile {
  /** Names the rendition in paths and playlists; the segment's signature covers its hash. */
  readonly name: string
  readonly width: number
  readonly height: number
  /** Bits per second; 0 leaves it to the encoder. */
  readonly bitrate: number
  /** Numerator of the frame rate; 0 keeps the source's. */
  readonly fps: number
  /** Denominator of the frame rate; 0 counts as 1. */
  readonly fpsDen: number
  readonly format: Format
  readonly profile: EncoderProfile
  /** Milliseconds between key frames; 0 for the encoder's default, -1 for key frames only. */
  readonly gopMs: number
  readonly encoder: VideoCodec
  /** Bits per sample beyond 8. */
  readonly colorDepth: number
  readonly chromaFormat: ChromaFormat
  /** Constant quality (CRF or CQ); 0 is off. */
  readonly quality: number
}

/**
 * Maximum number of renditions of a segment (transcoding.md §3.1, §10). The network's error for more is `Too many
 * outputs`.
 */
export const MAX_RENDITIONS = 10

/** Limits of a profile: the wire's int32 and uint32, and sizes beyond any codec here. */
const MAX_SIDE = 16_384
const MAX_INT32 = 2 ** 31 - 1
const MAX_UINT32 = 2 ** 32 - 1
const MAX_NAME_LENGTH = 128

const plain = {
  format: 'none',
  profile: 'none',
  gopMs: 0,
  encoder: 'h264',
  colorDepth: 0,
  chromaFormat: '420',
  quality: 0,
} as const

function standard(name: string, width: number, height: number, kilobits: number, fps: number): Profile {
  return { name, width, height, bitrate: kilobits * 1000, fps, fpsDen: 0, ...plain }
}

/** The presets that can be chosen by name (transcoding.md §2.2). */
export const presets: readonly Profile[] = [
  standard('P720p60fps16x9', 1280, 720, 6000, 60),
  standard('P720p30fps16x9', 1280, 720, 4000, 30),
  standard('P720p25fps16x9', 1280, 720, 3500, 25),
  standard('P720p30fps4x3', 960, 720, 3500, 30),
  standard('P576p30fps16x9', 1024, 576, 1500, 30),
  standard('P576p25fps16x9', 1024, 576, 1500, 25),
  standard('P360p30fps16x9', 640, 360, 1200, 30),
  standard('P360p25fps16x9', 640, 360, 1000, 25),
  standard('P360p30fps4x3', 480, 360, 1000, 30),
  standard('P240p30fps16x9', 426, 240, 600, 30),
  standard('P240p25fps16x9', 426, 240, 600, 25),
  standard('P240p30fps4x3', 320, 240, 600, 30),
  standard('P144p30fps16x9', 256, 144, 400, 30),
]

const presetsByName = new Map(presets.map((preset) => [preset.name, preset]))

/** The preset with exactly that name, or null. */
export function presetNamed(name: string): Profile | null {
  return presetsByName.get(name) ?? null
}

/** File name extension of a rendition; without a format it is MPEG-TS (transcoding.md §2.1). */
export function extensionOf(format: Format): '.ts' | '.mp4' {
  return format === 'mp4' ? '.mp4' : '.ts'
}

/** MIME type of a rendition for peers and players (gateway.md §3). */
export function mimeTypeOf(format: Format): 'video/mp2t' | 'video/mp4' {
  return format === 'mp4' ? 'video/mp4' : 'video/mp2t'
}

/** The profile with the container filled in if it had none (gateway.md §3). */
export function withFormat(profile: Profile, format: Exclude<Format, 'none'>): Profile {
  return profile.format === 'none' ? { ...profile, format } : profile
}

/** The error of reading profile JSON. */
export type ProfileError = NodeError<'bad-profile'>

/**
 * Reads a parsed JSON array of profiles (transcoding.md §2.3). Unknown keys are ignored and keys may be in any case, as
 * in other nodes' configuration files. Throws NodeError `bad-profile`.
 */
export function parseProfiles(json: unknown): Profile[] {
  if (!Array.isArray(json)) throw bad('transcoding profiles are a JSON array of objects')
  const profiles = json.map((entry: unknown, index) => parseProfile(entry, `profile ${index + 1}`))
  const names = new Set<string>()
  for (const { name } of profiles) {
    if (names.has(name)) {
      throw bad(`two profiles have the name ${JSON.stringify(name)}: give each its own "name"`)
    }
    names.add(name)
  }
  return profiles
}

/** Reads one profile. `where` begins the error's text. Throws NodeError `bad-profile`. */
export function parseProfile(json: unknown, where = 'profile'): Profile {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw bad(`${where}: not a JSON object`)
  const fields = new Map(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value as unknown]))
  const integer = (key: string, max: number) => integerField(where, key, fields.get(key.toLowerCase()), max)
  const text = (key: string) => textField(where, key, fields.get(key.toLowerCase()))

  const width = integer('width', MAX_SIDE)
  const height = integer('height', MAX_SIDE)
  const bitrate = integer('bitrate', MAX_INT32)
  return {
    name: nameField(where, text('name')) || `custom_${width}x${height}_${bitrate}`,
    width,
    height,
    bitrate,
    fps: integer('fps', MAX_UINT32),
    fpsDen: integer('fpsDen', MAX_UINT32),
    format: 'none',
    profile: choice(where, 'profile', text('profile').toLowerCase(), encoderProfiles),
    gopMs: gopField(where, text('gop')),
    encoder: choice(where, 'encoder', text('encoder'), videoCodecs),
    colorDepth: choice(where, 'colorDepth', String(integer('colorDepth', MAX_INT32)), colorDepths),
    chromaFormat: choice(where, 'chromaFormat', String(integer('chromaFormat', MAX_INT32)), chromaFormats),
    quality: integer('quality', MAX_UINT32),
  }
}

const encoderProfiles: ReadonlyMap<string, EncoderProfile> = new Map([
  ['', 'none'],
  ['none', 'none'],
  ['h264baseline', 'baseline'],
  ['h264main', 'main'],
  ['h264high', 'high'],
  ['h264constrainedhigh', 'constrained-high'],
])

const videoCodecs: ReadonlyMap<string, VideoCodec> = new Map([
  ['', 'h264'],
  ['H.264', 'h264'],
  ['HEVC', 'h265'],
  ['VP8', 'vp8'],
  ['VP9', 'vp9'],
])

const colorDepths: ReadonlyMap<string, number> = new Map([0, 2, 4, 8].map((depth) => [String(depth), depth]))

const chromaFormats: ReadonlyMap<string, ChromaFormat> = new Map([
  ['0', '420'],
  ['1', '422'],
  ['2', '444'],
])

function integerField(where: string, key: string, value: unknown, max: number): number {
  if (value === undefined || value === null) return 0
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
    throw bad(`${where}: "${key}" must be a whole number from 0 to ${max}, not ${shown(value)}`)
  }
  return value === 0 ? 0 : value
}

function textField(where: string, key: string, value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'string') throw bad(`${where}: "${key}" must be text in quotes, not ${shown(value)}`)
  return value
}

/** The name becomes part of paths, playlist lines and headers, so characters with a meaning there are refused. */
function nameField(where: string, name: string): string {
  if (name.length > MAX_NAME_LENGTH)
    throw bad(`${where}: "name" is longer than ${MAX_NAME_LENGTH} characters`)
  if (name === '.' || name === '..' || UNSAFE_IN_PATHS.test(name) || !name.isWellFormed()) {
    throw bad(`${where}: "name" cannot be part of a path: ${shown(name)}`)
  }
  return name
}

const UNSAFE_IN_PATHS = /[\p{Cc}/\\"]/u
const SECONDS = /^\+?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i

function gopField(where: string, text: string): number {
  if (text === '') return 0
  if (text === 'intra') return -1
  const ms = SECONDS.test(text) ? Math.trunc(Math.round(Number(text) * 1e6) / 1e3) : Number.NaN
  if (!(ms <= MAX_INT32))
    throw bad(`${where}: "gop" must be "intra" or seconds such as "2.0", not ${shown(text)}`)
  return ms
}

function choice<T>(where: string, key: string, text: string, choices: ReadonlyMap<string, T>): T {
  const chosen = choices.get(text)
  if (chosen === undefined) {
    const known = [...choices.keys()].filter((name) => name !== '').join(', ')
    throw bad(`${where}: "${key}" must be one of ${known}, not ${shown(text)}`)
  }
  return chosen
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 60)
}

function bad(message: string): ProfileError {
  return new NodeError<'bad-profile'>('bad-profile', message)
}
