import { concatBytes } from '../../../lib/bytes.ts'
import { MediaError } from '../engine/media-error.ts'

interface Box {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly body: number
}

/** Boxes that lead to the tables of chunk offsets. */
const PATH = new Set(['moov', 'trak', 'mdia', 'minf', 'stbl'])

/**
 * Moves an MP4's index before its data, so that it can be played while it arrives. The muxer can only do this for
 * files, which it reopens.
 */
export function moveIndexFirst(mp4: Uint8Array): Uint8Array {
  const boxes = boxesOf(mp4, 0, mp4.length)
  const index = boxes.find((box) => box.type === 'moov')
  const data = boxes.find((box) => box.type === 'mdat')
  if (!index || !data) throw new MediaError('Invalid data found when processing input')
  if (index.start < data.start) return mp4
  const moved = mp4.slice(index.start, index.end)
  shiftOffsets(moved, boxesOf(moved, 0, moved.length), moved.length)
  return concatBytes(
    mp4.subarray(0, data.start),
    moved,
    mp4.subarray(data.start, index.start),
    mp4.subarray(index.end),
  )
}

function boxesOf(bytes: Uint8Array, start: number, end: number): Box[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const boxes: Box[] = []
  for (let at = start; at + 8 <= end; ) {
    const short = view.getUint32(at)
    const long = short === 1 && at + 16 <= end
    const size = long ? Number(view.getBigUint64(at + 8)) : short === 0 ? end - at : short
    if (size < 8 || at + size > end) break
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
    boxes.push({ type, start: at, end: at + size, body: at + (long ? 16 : 8) })
    at += size
  }
  return boxes
}

function shiftOffsets(bytes: Uint8Array, boxes: readonly Box[], by: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const box of boxes) {
    if (PATH.has(box.type)) shiftOffsets(bytes, boxesOf(bytes, box.body, box.end), by)
    // Both tables have version and flags, a count, then one offset per chunk.
    if (box.type === 'stco') {
      for (let at = box.body + 8; at + 4 <= box.end; at += 4) view.setUint32(at, view.getUint32(at) + by)
    }
    if (box.type === 'co64') {
      for (let at = box.body + 8; at + 8 <= box.end; at += 8) {
        view.setBigUint64(at, view.getBigUint64(at) + BigInt(by))
      }
    }
  }
}
