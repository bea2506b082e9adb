import type { SegmentData } from '../../src/domain/segment.ts'
import { ResultReader } from '../../src/io/rpc/transcoder-result.ts'
import { intToFixedBytes } from '../../src/lib/bytes.ts'
import { type ManualClock, settle } from '../../src/lib/clock.ts'
import type { Dice } from '../../src/lib/dice.ts'
import type { AdmittedJob, TranscodeOutput } from '../../src/services/transcoding/transcoder.ts'
import { profileOf } from './profile.ts'

const PROFILE = profileOf({ name: 'small', width: 426, height: 240, bitrate: 500_000, fps: 30, fpsDen: 0 })

/** A counter instead of random numbers: a pool's tasks get the numbers 1, 2, 3. */
export function countingDice(): Dice {
  let last = 0n
  return { bytes: (length) => intToFixedBytes(++last, length), fraction: () => 0 }
}

/** A job with one rendition, for a test to change. */
export function jobOf(sessionId: string, seq = 0n, over: Partial<AdmittedJob> = {}): AdmittedJob {
  const segment: SegmentData = {
    manifestId: 'stream',
    seq,
    hash: new Uint8Array(32).fill(9),
    profiles: [PROFILE],
    sig: new Uint8Array(65).fill(1),
    durationMs: 2_000,
    capabilities: null,
    authToken: { token: Uint8Array.of(1), sessionId, expiration: 1n },
    calcPerceptualHash: false,
    storage: [],
    clip: null,
    forceSessionReinit: false,
  }
  return {
    sessionId,
    segment,
    source: Uint8Array.of(1, 2, 3),
    profiles: [PROFILE],
    durationMs: 2_000,
    deadlineMs: 8_000,
    provider: 'Livepeer Transcoder 1.0.0 (offchain)',
    clip: null,
    calcPerceptualHash: false,
    ...over,
  }
}

/** A transcoder's output for such a job. */
export function outputOf(text: string): TranscodeOutput {
  const bytes = new TextEncoder().encode(text.padEnd(30, '.'))
  return { decodedPixels: 100n, renditions: [{ bytes, pixels: 50n, perceptualHash: null }] }
}

/** Parses a result that arrives in pieces of this size. */
export function decodeResult(body: Uint8Array, boundary: string, pieceBytes = Math.max(1, body.length)) {
  const reader = new ResultReader({ boundary })
  for (let at = 0; at < body.length; at += pieceBytes) reader.add(body.subarray(at, at + pieceBytes))
  return reader.end()
}

/** Runs everything that can run without time passing. */
export async function rest(): Promise<void> {
  for (let i = 0; i < 20; i++) await settle()
}

/** Lets time pass. */
export async function pass(clock: ManualClock, ms: number): Promise<void> {
  await clock.wind(ms)
  await rest()
}
