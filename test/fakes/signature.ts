/** Bits of an MPEG-7 signature: before its frames where it has no coarse parts, of one frame, and of a frame's head. */
const HEAD_BITS = 275
const FRAME_BITS = 689
const FRAME_HEAD_BITS = 81
const FRAME_BYTES = 76
const FRAMES_AT = 129

/** An MPEG-7 signature whose frames have these packed values, the same throughout a frame. */
export function signatureOf(...frames: readonly number[]): Uint8Array {
  const shown = frames.length > 0 ? frames : [0, 1, 2, 3]
  const bytes = new Uint8Array(Math.ceil((HEAD_BITS + shown.length * FRAME_BITS) / 8))
  const write = (at: number, bits: number, value: number) => {
    for (let bit = 0; bit < bits; bit++) {
      if (Math.floor(value / 2 ** (bits - 1 - bit)) % 2 === 1)
        bytes[(at + bit) >> 3]! |= 0x80 >> ((at + bit) & 7)
    }
  }
  write(FRAMES_AT, 32, shown.length)
  for (const [index, value] of shown.entries()) {
    const from = HEAD_BITS + index * FRAME_BITS + FRAME_HEAD_BITS
    for (let byte = 0; byte < FRAME_BYTES; byte++) write(from + byte * 8, 8, value)
  }
  return bytes
}
