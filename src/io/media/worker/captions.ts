import { AV_FRAME_DATA_A53_CC } from 'node-av/constants'
import type { Frame } from 'node-av/lib'

/** Captions (CEA-608 and 708, in ATSC A/53 form) are triples of bytes; a picture has room for this many. */
const MAX_TRIPLES = 31
const TRIPLE_BYTES = 3
/** Set in the first byte of a triple with content; other triples are padding. */
const IS_VALID = 0x04

/** Removes the captions from a frame and returns them; null if it has none. */
export function takeCaptions(frame: Frame): Uint8Array | null {
  const found = frame.getSideData(AV_FRAME_DATA_A53_CC)
  if (!found) return null
  const captions = Uint8Array.from(found)
  frame.removeSideData(AV_FRAME_DATA_A53_CC)
  return captions
}

/**
 * Adds the captions of one picture to a frame unchanged, or those of several pictures one after the other. Returns
 * those it has no room for.
 */
export function giveCaptions(frame: Frame, captions: readonly Uint8Array[]): Uint8Array[] {
  frame.removeSideData(AV_FRAME_DATA_A53_CC)
  const isOne = captions.length === 1 && captions[0]!.length <= MAX_TRIPLES * TRIPLE_BYTES
  const bytes = isOne ? captions[0]! : Buffer.concat(captions.map(validOf))
  const given = bytes.subarray(0, MAX_TRIPLES * TRIPLE_BYTES)
  if (given.length > 0) frame.newSideData(AV_FRAME_DATA_A53_CC, given.length).set(given)
  const rest = bytes.subarray(given.length)
  return rest.length > 0 ? [rest] : []
}

function validOf(captions: Uint8Array): Uint8Array {
  return captions.filter((_, index) => (captions[index - (index % TRIPLE_BYTES)]! & IS_VALID) !== 0)
}
