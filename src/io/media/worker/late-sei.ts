const PACKET_BYTES = 188
const SYNC = 0x47
const START_CODE = Buffer.from([0, 0, 1])

const UNIT_SEI = 6
const UNIT_DELIMITER = 9
const isSlice = (type: number) => type >= 1 && type <= 5

/** A picture has a handful; a stream with more is not video and is left unchanged. */
const MAX_MOVED = 1000

/** The bytes of one elementary stream, and their positions in the container. */
interface Payload {
  readonly bytes: Buffer
  /** Pairs: position in the container, length. */
  readonly pieces: readonly number[]
  /** Positions in `bytes` at which a PES packet with a timestamp starts. */
  readonly stamped: readonly number[]
}

/**
 * Moves every SEI after a picture's first slice to just before that slice, in order. FFmpeg's H.264 parser takes such
 * an SEI for the start of the next picture and loses timestamps. The bytes go back into the same places of the same
 * packets, so nothing else in the segment changes (transcoding.md §3.1). Returns the same array if there is nothing to
 * move.
 *
 * A picture starts at an access unit delimiter, or without those at a PES packet with its own time.
 */
export function moveLateSei(ts: Uint8Array, pid: number): Uint8Array {
  const payload = payloadOf(Buffer.from(ts.buffer, ts.byteOffset, ts.byteLength), pid)
  if (!payload || !reorder(payload)) return ts
  const moved = Uint8Array.from(ts)
  let from = 0
  for (let index = 0; index < payload.pieces.length; index += 2) {
    const length = payload.pieces[index + 1]!
    moved.set(payload.bytes.subarray(from, from + length), payload.pieces[index])
    from += length
  }
  return moved
}

/** Null if the stream is missing, or cut so that the end of its headers is unclear. */
function payloadOf(ts: Buffer, pid: number): Payload | null {
  const pieces: number[] = []
  const stamped: number[] = []
  let length = 0
  for (let at = ts.indexOf(SYNC); at >= 0 && at + PACKET_BYTES <= ts.length; ) {
    if (ts[at] !== SYNC) {
      at = ts.indexOf(SYNC, at)
      continue
    }
    const end = at + PACKET_BYTES
    const flags = ts[at + 1]!
    const control = ts[at + 3]!
    let start = at + 4
    if (control & 0x20) start += 1 + ts[start]!
    const isOurs = (((flags & 0x1f) << 8) | ts[at + 2]!) === pid && (control & 0xd0) === 0x10
    at = end
    if (!isOurs || start >= end) continue
    if (flags & 0x40) {
      // The header of a PES packet is not part of the stream.
      if (start + 9 > end || ts[start] !== 0 || ts[start + 1] !== 0 || ts[start + 2] !== 1) return null
      if (ts[start + 7]! & 0x80) stamped.push(length)
      start += 9 + ts[start + 8]!
      if (start > end) return null
    }
    pieces.push(start, end - start)
    length += end - start
  }
  if (length === 0) return null
  const bytes = Buffer.allocUnsafe(length)
  let to = 0
  for (let index = 0; index < pieces.length; index += 2) {
    to += ts.copy(bytes, to, pieces[index], pieces[index]! + pieces[index + 1]!)
  }
  return { bytes, pieces, stamped }
}

/** Returns whether anything was moved. */
function reorder({ bytes, stamped }: Payload): boolean {
  let hasMoved = false
  let nextStamp = 0
  /** Where the first slice of the picture starts; null before it. */
  let firstSlice: number | null = null
  let openSei: number | null = null
  let late: number[] = []
  const endSei = (at: number) => {
    if (openSei !== null) late.push(openSei, at)
    openSei = null
  }
  const endPicture = () => {
    if (firstSlice !== null && late.length > 0 && late.length <= 2 * MAX_MOVED) {
      bringForward(bytes, firstSlice, late)
      hasMoved = true
    }
    firstSlice = null
    late = []
  }
  for (let code = bytes.indexOf(START_CODE); code >= 0; code = bytes.indexOf(START_CODE, code + 3)) {
    let start = code > 0 && bytes[code - 1] === 0 ? code - 1 : code
    let crossed: number | null = null
    while (nextStamp < stamped.length && stamped[nextStamp]! <= code) crossed = stamped[nextStamp++]!
    if (crossed !== null) {
      start = Math.max(start, crossed)
      // A unit that continues in another PES packet stays in place.
      if (crossed < start) openSei = null
    }
    const type = bytes[code + 3]! & 0x1f
    endSei(start)
    if (crossed !== null || type === UNIT_DELIMITER) endPicture()
    if (isSlice(type)) firstSlice ??= start
    else if (type === UNIT_SEI && firstSlice !== null) openSei = start
  }
  endSei(bytes.length)
  endPicture()
  return hasMoved
}

/** Moves the ranges before everything else between `from` and the last of them. */
function bringForward(bytes: Buffer, from: number, ranges: readonly number[]): void {
  const moved: Buffer[] = []
  const others: Buffer[] = []
  let at = from
  for (let index = 0; index < ranges.length; index += 2) {
    others.push(bytes.subarray(at, ranges[index]))
    moved.push(bytes.subarray(ranges[index], ranges[index + 1]))
    at = ranges[index + 1]!
  }
  Buffer.concat([...moved, ...others]).copy(bytes, from)
}
