import { framesOf, planeOf } from './media.ts'

/** The brightness of a picture, line by line. */
export interface Luma {
  readonly width: number
  readonly height: number
  readonly values: Uint8Array
}

/** Decodes a container's pictures of 8 bits. */
export async function picturesOf(bytes: Uint8Array): Promise<Luma[]> {
  const pictures: Luma[] = []
  for await (const frame of framesOf(bytes)) {
    const { height, width } = frame
    pictures.push({ width, height, values: planeOf(frame, 0) })
  }
  return pictures
}

const BLOCK = 8
const C1 = (0.01 * 255) ** 2
const C2 = (0.03 * 255) ** 2

/** How alike two pictures of one size are (SSIM over blocks of 8x8): 1 for the same. */
export function likeness(one: Luma, other: Luma): number {
  let sum = 0
  let blocks = 0
  for (let top = 0; top + BLOCK <= one.height; top += BLOCK) {
    for (let left = 0; left + BLOCK <= one.width; left += BLOCK) {
      sum += blockLikeness(one, other, top * one.width + left)
      blocks++
    }
  }
  return sum / blocks
}

function blockLikeness(one: Luma, other: Luma, at: number): number {
  let [a, b, aa, bb, ab] = [0, 0, 0, 0, 0]
  for (let y = 0; y < BLOCK; y++) {
    for (let x = 0; x < BLOCK; x++) {
      const p = one.values[at + y * one.width + x]!
      const q = other.values[at + y * one.width + x]!
      a += p
      b += q
      aa += p * p
      bb += q * q
      ab += p * q
    }
  }
  const count = BLOCK * BLOCK
  const [meanA, meanB] = [a / count, b / count]
  const [varA, varB, both] = [aa / count - meanA ** 2, bb / count - meanB ** 2, ab / count - meanA * meanB]
  const means = (2 * meanA * meanB + C1) / (meanA ** 2 + meanB ** 2 + C1)
  return (means * (2 * both + C2)) / (varA + varB + C2)
}
