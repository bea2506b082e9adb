import { MemoryInput } from '../src/io/media/ffmpeg.ts'
import { bestStreams } from '../src/io/media/probe.ts'
import { SegmentReader } from '../src/io/media/segment-reader.ts'

/** The brightness of a picture, line by line. */
export interface Luma {
  readonly width: number
  readonly height: number
  readonly values: Uint8Array
}

/** Decodes a container's pictures of 8 bits. */
export async function picturesOf(bytes: Uint8Array): Promise<Luma[]> {
  await using input = await MemoryInput.open(bytes)
  using reader = new SegmentReader(input, { video: bestStreams(input).video!, audio: null })
  const pictures: Luma[] = []
  for await (const part of reader.parts(AbortSignal.timeout(30_000))) {
    if (part.kind !== 'frame') continue
    const { width, height, data, linesize } = part.frame
    const values = new Uint8Array(width * height)
    for (let line = 0; line < height; line++)
      values.set(data![0]!.subarray(line * linesize[0]!, line * linesize[0]! + width), line * width)
    pictures.push({ width, height, values })
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
