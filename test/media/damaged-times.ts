import { framesOf, planeOf } from './media.ts'
import { evenly, makePictures, packetsOf, pidOf } from './remade.ts'

/** The times of a packet of MPEG-TS in 1/90000 s; null where it states none. */
export interface StatedTimes {
  pts: bigint | null
  dts: bigint | null
}

const BITS = 8
const BAR_WIDTH = 16
const WIDTH = BITS * BAR_WIDTH
const VIDEO_PID = 0x100

/** A clip of 30 pictures a second, up to 256, each of which shows its number as black and white bars. */
export function numberedPictures(count: number, { bFrames }: { bFrames: number }): Uint8Array {
  return makePictures({
    times: evenly(count, 1n, 300n),
    unit: { num: 1, den: 30 },
    width: WIDTH,
    height: 64,
    source: 'color',
    gop: 60,
    bFrames,
    encoderOptions: { b_strategy: '0' },
    edit: (frame, index) => {
      const stride = frame.linesize[0]!
      const plane = frame.data![0]!
      for (let line = 0; line < frame.height; line++)
        for (let bit = 0; bit < BITS; bit++)
          plane.fill(
            (index >> bit) & 1 ? 235 : 16,
            line * stride + bit * BAR_WIDTH,
            line * stride + (bit + 1) * BAR_WIDTH,
          )
    },
  })
}

/** The numbers that the pictures of a clip show, in the order of showing. */
export async function numbersOf(bytes: Uint8Array): Promise<number[]> {
  const numbers: number[] = []
  for await (const frame of framesOf(bytes)) {
    const bar = frame.width / BITS
    const middle = planeOf(frame, 0).subarray((frame.height >> 1) * frame.width)
    let number = 0
    for (let bit = 0; bit < BITS; bit++) if (middle[Math.round((bit + 0.5) * bar)]! > 125) number |= 1 << bit
    numbers.push(number)
  }
  return numbers
}

/**
 * A copy of an MPEG-TS with other times in the headers of its video, or of another stream, in decoding order. A packet
 * that stated no decoding time has no room for one.
 */
export function restamped(
  ts: Uint8Array,
  change: (times: StatedTimes[]) => void,
  pid: number = VIDEO_PID,
): Uint8Array {
  const copy = Uint8Array.from(ts)
  const headers = packetsOf(copy).flatMap((packet) => (pidOf(packet) === pid ? (headerIn(packet) ?? []) : []))
  const times = headers.map((header): StatedTimes => {
    const pts = timeAt(header, 9)
    return { pts, dts: (header[7]! & 0x40) === 0 ? pts : timeAt(header, 14) }
  })
  change(times)
  for (const [index, header] of headers.entries()) {
    const { pts, dts } = times[index]!
    const hasRoom = (header[7]! & 0x40) !== 0
    const length = header[8]!
    header[7]! &= 0x3f
    header.fill(0xff, 9, 9 + length)
    if (pts === null) continue
    header[7]! |= 0x80
    const isBoth = hasRoom && dts !== null && dts !== pts
    if (isBoth) header[7]! |= 0x40
    putTime(header, { at: 9, mark: isBoth ? 3 : 2, time: pts })
    if (isBoth) putTime(header, { at: 14, mark: 1, time: dts })
  }
  return copy
}

/** The packet's part from the beginning of a PES packet on; null where none begins. */
function headerIn(packet: Uint8Array): Uint8Array | null {
  if ((packet[1]! & 0x40) === 0) return null
  const at = (packet[3]! & 0x20) === 0 ? 4 : 5 + packet[4]!
  return packet.subarray(at)
}

function timeAt(header: Uint8Array, at: number): bigint {
  const [a, b, c, d, e] = header.subarray(at, at + 5)
  return (
    (BigInt(a! >> 1) & 7n) * 2n ** 30n +
    BigInt((b! << 7) | (c! >> 1)) * 2n ** 15n +
    BigInt((d! << 7) | (e! >> 1))
  )
}

function putTime(header: Uint8Array, { at, mark, time }: { at: number; mark: number; time: bigint }): void {
  const top = Number((time >> 30n) & 7n)
  const middle = Number((time >> 15n) & 0x7fffn)
  const low = Number(time & 0x7fffn)
  header.set(
    [
      (mark << 4) | (top << 1) | 1,
      middle >> 7,
      ((middle & 0x7f) << 1) | 1,
      low >> 7,
      ((low & 0x7f) << 1) | 1,
    ],
    at,
  )
}
