import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AV_BUFFERSRC_FLAG_KEEP_REF } from 'node-av/constants'
import { FilterGraph, Frame } from 'node-av/lib'
import { check, isDrained, MemoryInput } from '../../src/io/media/worker/ffmpeg.ts'
import { bestStreams } from '../../src/io/media/worker/probe.ts'
import { SegmentReader } from '../../src/io/media/worker/segment-reader.ts'

/** Bits of an MPEG-7 signature before its coarse part, of one coarse entry, and of one frame. */
const HEAD_BITS = 274
const COARSE_BITS = 1344
const FRAME_BITS = 689
/** In a frame: a flag, the time, confidence and five words come before its 380 values, five to a byte. */
const FRAME_HEAD_BITS = 1 + 32 + 8 + 40
const VALUE_BYTES = 76

/** How far two signatures are apart: the mean over their frames of the sum of the differences of 380 ternary values. */
export function distanceOf(one: Uint8Array, other: Uint8Array): number {
  const [a, b] = [framesOf(one), framesOf(other)]
  const count = Math.min(a.length, b.length)
  let sum = 0
  for (let frame = 0; frame < count; frame++)
    for (const [index, value] of a[frame]!.entries()) sum += Math.abs(value - b[frame]![index]!)
  return sum / count
}

function framesOf(signature: Uint8Array): number[][] {
  const bits = (at: number, count: number) => {
    let value = 0
    for (let bit = at; bit < at + count; bit++)
      value = value * 2 + ((signature[bit >> 3]! >> (7 - (bit & 7))) & 1)
    return value
  }
  // The last number of the head says how many coarse entries follow.
  let at = HEAD_BITS + bits(HEAD_BITS - 32, 32) * COARSE_BITS + 1
  const frames: number[][] = []
  for (; at + FRAME_BITS <= signature.length * 8; at += FRAME_BITS) {
    const values: number[] = []
    for (let byte = 0; byte < VALUE_BYTES; byte++) {
      let packed = bits(at + FRAME_HEAD_BITS + byte * 8, 8)
      for (let digit = 0; digit < 5; digit++) {
        values.push(packed % 3)
        packed = Math.floor(packed / 3)
      }
    }
    frames.push(values)
  }
  return frames
}

/** The signature that FFmpeg makes by itself of a segment's pictures after some filters. */
export async function signatureOf(source: Uint8Array, filters: string): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), 'signature-'))
  try {
    const file = join(folder, 'signature')
    await using input = await MemoryInput.open(source)
    using reader = new SegmentReader(input, { video: bestStreams(input).video!, audio: null })
    using graph = new FilterGraph()
    using out = new Frame()
    graph.alloc()
    out.alloc()
    let isOpen = false
    const add = (frame: Frame | null) => {
      check(graph.getFilter('buffer@in')!.buffersrcAddFrameSync(frame, AV_BUFFERSRC_FLAG_KEEP_REF))
      const sink = graph.getFilter('buffersink@out')!
      while (!isDrained(sink.buffersinkGetFrameSync(out))) out.unref()
    }
    for await (const part of reader.parts(AbortSignal.timeout(30_000))) {
      if (part.kind !== 'frame') continue
      const { num, den } = reader.timeBase
      const { height, width } = part.frame
      const buffer = `buffer@in=video_size=${width}x${height}:pix_fmt=yuv420p:time_base=${num}/${den}`
      const signature = `signature=format=binary:filename=${file}`
      if (!isOpen) {
        check(graph.parsePtr(`${buffer},${filters},${signature},buffersink@out`, null, null))
        check(graph.configSync())
        isOpen = true
      }
      add(part.frame)
    }
    add(null)
    return new Uint8Array(readFileSync(file))
  } finally {
    rmSync(folder, { recursive: true })
  }
}
