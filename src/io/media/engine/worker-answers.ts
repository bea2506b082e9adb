import { z } from 'zod'
import { SOUND_STATES } from '../../../domain/sound-state.ts'

/** A picture is no wider and no higher: what a rendition may be at most, and FFmpeg's own bound for what it reads. */
const MAX_SIDE = 32_768
/** Pictures of the longest segment at a thousand a second. */
const MAX_FRAMES = 300_000
/** The largest rendition, and the largest signature, that is taken from a worker. */
const MAX_RENDITION_BYTES = 300_000_000
const MAX_HASH_BYTES = 16_000_000
/** Hashes of the packets of sound of the longest segment. */
const MAX_SOUND_BYTES = 1_000_000
/** Names of codecs and formats. */
const MAX_NAME_CHARS = 100
/** Why something failed. */
const MAX_FAULT_CHARS = 10_000
const MAX_LISTED = 1_000
const MAX_INT32 = 2 ** 31 - 1
/** Of a file that a segment is taken from; a day. */
const MAX_DURATION_MS = 86_400_000

const bytesUpTo = (most: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= most)
const countUpTo = (most: number) => z.number().int().nonnegative().max(most)
const name = z.string().max(MAX_NAME_CHARS)
const fault = z.string().max(MAX_FAULT_CHARS)
const pixels = z
  .bigint()
  .nonnegative()
  .max(BigInt(MAX_SIDE) ** 2n * BigInt(MAX_FRAMES))
const durationMs = z.number().nonnegative().max(MAX_DURATION_MS)

/** The requests that a media process takes, and the shapes of its answers. */
export const answers = {
  transcode: z.object({
    output: z.object({
      decodedPixels: pixels,
      renditions: z
        .array(
          z.object({
            bytes: bytesUpTo(MAX_RENDITION_BYTES),
            pixels,
            frames: countUpTo(MAX_FRAMES).exactOptional(),
            perceptualHash: bytesUpTo(MAX_HASH_BYTES).nullable(),
          }),
        )
        .max(MAX_LISTED)
        .readonly(),
    }),
    /** What the GPU failed with where the cores then did the segment; null where nothing failed. */
    deviceFault: fault.nullable(),
  }),
  probe: z.object({
    container: z.enum(['mpegts', 'mp4', 'other']),
    videoCodec: name,
    audioCodec: name,
    pixelFormat: name,
    width: countUpTo(MAX_INT32),
    height: countUpTo(MAX_INT32),
    zeroFrame: z.boolean(),
    // As the container says it, which may be anything.
    durationMs: z.number().nonnegative(),
  }),
  'count pixels': pixels,
  inspect: z.object({ pixels, sound: z.enum(SOUND_STATES) }),
  fingerprint: z.object({
    width: countUpTo(MAX_SIDE),
    height: countUpTo(MAX_SIDE),
    signature: bytesUpTo(MAX_HASH_BYTES),
    sound: bytesUpTo(MAX_SOUND_BYTES),
  }),
  'try out': z.object({
    device: name.nullable(),
    capabilities: z.array(countUpTo(MAX_INT32)).max(MAX_LISTED).readonly(),
    decodes: z.array(name).max(MAX_LISTED).readonly(),
    encodes: z
      .array(z.enum(['h264', 'h265', 'vp8', 'vp9']))
      .max(MAX_LISTED)
      .readonly(),
    encoderFault: fault.nullable(),
  }),
  'open pattern': z.void(),
  'open file': z.void(),
  /** Nothing when the source has ended. */
  next: z.object({ durationMs, bytes: bytesUpTo(MAX_RENDITION_BYTES) }).optional(),
} as const

export type WorkKind = keyof typeof answers
export type Answer<Kind extends WorkKind> = z.infer<(typeof answers)[Kind]>
/** What a container holds. */
export type Probe = Readonly<Answer<'probe'>>

const renditionsAsked = z.object({ profiles: z.array(z.unknown()) })

/** Whether an answer of the right shape is one to what was asked: a rendition for each profile. */
export function answersTo(kind: WorkKind, payload: unknown): (value: unknown) => boolean {
  const { data: asked } = renditionsAsked.safeParse(payload)
  if (kind !== 'transcode' || !asked) return () => true
  const count = asked.profiles.length
  return (value) => (value as Answer<'transcode'>).output.renditions.length === count
}
