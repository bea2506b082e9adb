import { concatBytes, formatHex, intToFixedBytes, leftPad } from '../lib/bytes.ts'
import { type Address, keccak256 } from '../lib/crypto.ts'
import type { SegmentData } from './segment.ts'

/**
 * What gateways and orchestrators sign. It lies apart from the facts of segments, which media workers need: a worker loads no
 * library of keys.
 */

/** First 4 bytes of the keccak-256 of a profile's name, the part that a segment's signature covers (wire.md §8). */
export function profileId(name: string): Uint8Array {
  return keccak256(new TextEncoder().encode(name)).slice(0, 4)
}

/** The bytes that a segment's signature covers, before hashing (wire.md §8). */
export function segmentPreimage(
  segment: Pick<SegmentData, 'manifestId' | 'seq' | 'hash' | 'profiles'>,
): Uint8Array {
  const ids = concatBytes(...segment.profiles.map(({ name }) => profileId(name)))
  const text = new TextEncoder()
  return concatBytes(
    text.encode(segment.manifestId),
    // Two's complement, so that a peer's negative number gives a hash whose signature is wrong.
    intToFixedBytes(BigInt.asUintN(256, segment.seq), 32),
    leftPad(segment.hash, 32),
    text.encode(formatHex(ids).slice(2)),
  )
}

/** The hash that a gateway signs for a segment: SegData.sig (wire.md §8). */
export function segmentHash(
  segment: Pick<SegmentData, 'manifestId' | 'seq' | 'hash' | 'profiles'>,
): Uint8Array {
  return keccak256(segmentPreimage(segment))
}

/**
 * The hash that an orchestrator signs for a result: TranscodeData.sig, over the renditions' hashes in profile order
 * (wire.md §8).
 */
export function resultHash(renditionHashes: readonly Uint8Array[]): Uint8Array {
  return keccak256(...renditionHashes)
}

/** The hash that a gateway signs to request an offer: keccak-256 of its checksummed address as ASCII (wire.md §8). */
export function requestHash(address: Address): Uint8Array {
  return keccak256(new TextEncoder().encode(address))
}
