import { readSignature, showSame } from './perceptual-hash.ts'

/** What a rendition shows and sounds like, as this node finds it. */
export interface Fingerprint {
  readonly width: number
  readonly height: number
  /** The MPEG-7 signature of its pictures. */
  readonly signature: Uint8Array
  /** A hash of each packet of sound, one after the other. */
  readonly sound: Uint8Array
}

/** How many bytes of a fingerprint stand for one packet of sound. */
export const SOUND_HASH_BYTES = 8

/** Packets of sound that may differ, in number and in content (transcoding.md §8). */
const MAX_SOUNDS_MORE = 10
const MAX_SOUNDS_UNMATCHED = 9

/**
 * In what a result differs from that of a trusted orchestrator: `signature` in the perceptual hash that it states, the
 * others in the rendition itself.
 */
export const RESULT_FAULTS = ['signature', 'size', 'sound', 'pictures'] as const
export type ResultFault = (typeof RESULT_FAULTS)[number]

/**
 * In what a rendition differs from the same one of a trusted orchestrator, or null (transcoding.md §8). Both were decoded
 * here: that a stated hash is right says nothing about the pictures that were sent. Throws NodeError `bad-signature`.
 */
export function differenceOf(trusted: Fingerprint, other: Fingerprint): ResultFault | null {
  if (trusted.width !== other.width || trusted.height !== other.height) return 'size'
  if (!soundSame(trusted.sound, other.sound)) return 'sound'
  return showSame(readSignature(trusted.signature), readSignature(other.signature)) ? null : 'pictures'
}

/**
 * Whether a session that passed a comparison is compared again at this segment, once in `frequency` segments on average
 * (gateway.md §8).
 */
export function isComparedAgain(frequency: number, throwOfDice: number): boolean {
  return throwOfDice * frequency < 1
}

function soundSame(one: Uint8Array, other: Uint8Array): boolean {
  const [ours, theirs] = [hashesOf(one), hashesOf(other)]
  if (Math.abs(ours.length - theirs.length) > MAX_SOUNDS_MORE) return false
  const counts = new Map<bigint, number>()
  for (const hash of theirs) counts.set(hash, (counts.get(hash) ?? 0) + 1)
  let unmatched = 0
  for (const hash of ours) {
    const left = counts.get(hash) ?? 0
    if (left === 0) unmatched++
    else counts.set(hash, left - 1)
  }
  return unmatched <= MAX_SOUNDS_UNMATCHED
}

function hashesOf(sound: Uint8Array): bigint[] {
  const view = new DataView(sound.buffer, sound.byteOffset, sound.byteLength)
  const hashes: bigint[] = []
  for (let at = 0; at + SOUND_HASH_BYTES <= sound.length; at += SOUND_HASH_BYTES) {
    hashes.push(view.getBigUint64(at))
  }
  return hashes
}
