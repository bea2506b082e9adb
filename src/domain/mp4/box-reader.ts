/** Boxes at one level: a file has few, and more are not looked at. */
const MAX_BOXES = 1_000

/** A box of an MP4: its four letters, and its content. */
export interface Box {
  readonly type: string
  readonly body: Buffer
}

/** The boxes that lie one after the other; what follows one that is damaged or cut off is left out. Never throws. */
export function boxesIn(input: Uint8Array): Box[] {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  const boxes: Box[] = []
  for (let at = 0; at + 8 <= bytes.length && boxes.length < MAX_BOXES; ) {
    const short = bytes.readUInt32BE(at)
    const isLong = short === 1 && at + 16 <= bytes.length
    const size = isLong ? Number(bytes.readBigUInt64BE(at + 8)) : short === 0 ? bytes.length - at : short
    const head = isLong ? 16 : 8
    if (size < head || size > bytes.length - at) break
    boxes.push({ type: bytes.toString('latin1', at + 4, at + 8), body: bytes.subarray(at + head, at + size) })
    at += size
  }
  return boxes
}

/** What the first box of a type holds, or the first box of each further type in that one; null where there is none. Never throws. */
export function inside(bytes: Uint8Array, type: string, ...path: readonly string[]): Buffer | null {
  const body = boxesIn(bytes).find((box) => box.type === type)?.body ?? null
  const [next, ...rest] = path
  return body === null || next === undefined ? body : inside(body, next, ...rest)
}
