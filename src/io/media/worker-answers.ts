import { z } from 'zod'

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)
const count = z.number().int().nonnegative()

/** What a process that knows its way about media may be asked, and what it answers. */
export const answers = {
  transcode: z.object({
    output: z.object({
      decodedPixels: z.bigint(),
      renditions: z
        .array(
          z.object({
            bytes,
            pixels: z.bigint(),
            frames: count.exactOptional(),
            perceptualHash: bytes.nullable(),
          }),
        )
        .readonly(),
    }),
    /** What the GPU failed with where the cores then did the segment; null where nothing failed. */
    deviceFault: z.string().nullable(),
  }),
  probe: z.object({
    container: z.enum(['mpegts', 'mp4', 'other']),
    videoCodec: z.string(),
    audioCodec: z.string(),
    pixelFormat: z.string(),
    width: z.number(),
    height: z.number(),
    zeroFrame: z.boolean(),
    durationMs: z.number(),
  }),
  'count pixels': z.bigint(),
  'try out': z.object({
    device: z.string().nullable(),
    capabilities: z.array(z.number()).readonly(),
    decodes: z.array(z.string()).readonly(),
    encodes: z.array(z.enum(['h264', 'h265', 'vp8', 'vp9'])).readonly(),
    encoderFault: z.string().nullable(),
  }),
  'open pattern': z.void(),
  'open file': z.void(),
  /** Nothing when the source has ended. */
  next: z.object({ durationMs: z.number(), bytes }).optional(),
} as const

export type WorkKind = keyof typeof answers
export type Answer<Kind extends WorkKind> = z.infer<(typeof answers)[Kind]>
