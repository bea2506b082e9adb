import { RtmpError } from './rtmp-error.ts'

/** One message of RTMP. */
export interface Message {
  /** One of `MESSAGE`. */
  readonly type: number
  /** The message stream: 0 for the connection itself. */
  readonly streamId: number
  /** In milliseconds, modulo 2^32. */
  readonly timestamp: number
  readonly payload: Uint8Array
}

/** The types of messages (RTMP 1.0, 5.4 and 7.1). */
export const MESSAGE = {
  ...{ setChunkSize: 1, abort: 2, acknowledgement: 3, userControl: 4, windowAckSize: 5 },
  ...{ setPeerBandwidth: 6, audio: 8, video: 9, dataAmf3: 15, commandAmf3: 17, dataAmf0: 18 },
  ...{ commandAmf0: 20, aggregate: 22 },
} as const

const DEFAULT_CHUNK_BYTES = 128
/** A key frame of 4K video at 100 Mbit/s has less than half of it. */
export const MAX_MESSAGE_BYTES = 8_000_000
/** The messages that a connection may have begun at once, and their bytes. */
export const MAX_CHUNK_STREAMS = 64
export const MAX_BYTES_BEGUN = 12_000_000
/** What a message takes at first that does not come in one chunk. */
const FIRST_BYTES = 512
const NOTHING = new Uint8Array(0)
const EXTENDED = 0xffffff
const HEADER_BYTES = [11, 7, 3, 0] as const

/** What the headers of one chunk stream have said, and the message that has begun on it. */
interface ChunkStream {
  timestamp: number
  /** The last timestamp field, which is added once more for a message that begins with a header of type 3. */
  field: number
  extended: boolean
  length: number
  type: number
  streamId: number
  /** Null between messages; grows as bytes arrive, so that a length alone takes no memory. */
  begun: Uint8Array | null
  filled: number
}

/**
 * Puts messages together from chunks (RTMP 1.0, 5.3): bytes in, in pieces of any size, messages out. Holds at most
 * `MAX_BYTES_BEGUN`. Throws RtmpError for bytes that are not chunks, after which it must not be used.
 */
export class ChunkReader {
  readonly #streams = new Map<number, ChunkStream>()
  readonly #emit: (message: Message) => void
  #chunkBytes = DEFAULT_CHUNK_BYTES
  /** Bytes of a header that has not arrived whole. */
  readonly #header = new Uint8Array(18)
  #headerBytes = 0
  /** How many of them must be there before it can be read further. */
  #headerWanted = 1
  /** The stream whose chunk is being read, and the bytes of the chunk that are missing. */
  #current: ChunkStream | null = null
  #missing = 0
  #bytesBegun = 0

  /** `emit` gets each message as soon as it is complete; a message about the chunks themselves has taken effect. */
  constructor(emit: (message: Message) => void) {
    this.#emit = emit
  }

  /** Bytes held for messages that have begun. */
  get bytesHeld(): number {
    return this.#bytesBegun
  }

  /** Takes the next bytes of the connection. */
  push(bytes: Uint8Array): void {
    let at = 0
    while (at < bytes.length) {
      if (this.#current) {
        const part = bytes.subarray(at, at + this.#missing)
        this.#fill(this.#current, part)
        at += part.length
      } else {
        this.#header[this.#headerBytes++] = bytes[at++]!
        if (this.#headerBytes === this.#headerWanted) this.#tryHeader()
      }
    }
  }

  /** Begins a chunk once its header is complete. */
  #tryHeader(): void {
    const header = this.#header
    const format = header[0]! >> 6
    const short = header[0]! & 0x3f
    const basic = short === 0 ? 2 : short === 1 ? 3 : 1
    const whole = basic + HEADER_BYTES[format]!
    if (this.#isMissing(whole)) return
    const id = short === 0 ? 64 + header[1]! : short === 1 ? 64 + header[1]! + header[2]! * 256 : short
    const stream = this.#streams.get(id) ?? null
    const field = format < 3 ? uint24(header, basic) : 0
    const isExtended = format < 3 ? field === EXTENDED : (stream?.extended ?? false)
    if (isExtended && this.#isMissing(whole + 4)) return
    this.#headerBytes = 0
    this.#headerWanted = 1
    const extension = isExtended ? uint32(header, whole) : 0
    if (format === 3) {
      if (!stream) throw new RtmpError('protocol', `chunk stream ${id} begins without a header`)
      // Some encoders leave the extended timestamp out of the later chunks of a message.
      const isRepeated = !isExtended || !stream.begun || extension === stream.field
      this.#continue(stream)
      if (!isRepeated) this.push(header.slice(whole, whole + 4))
      return
    }
    this.#begin(this.#described(id, stream, format, header.subarray(basic), isExtended ? extension : field))
  }

  #isMissing(bytes: number): boolean {
    this.#headerWanted = bytes
    return this.#headerBytes < bytes
  }

  #described(
    id: number,
    known: ChunkStream | null,
    format: number,
    header: Uint8Array,
    field: number,
  ): ChunkStream {
    const stream = known ?? this.#opened(id, format)
    this.#drop(stream)
    stream.extended = uint24(header, 0) === EXTENDED
    stream.field = field
    stream.timestamp = format === 0 ? field : (stream.timestamp + field) >>> 0
    if (format < 2) {
      stream.length = uint24(header, 3)
      stream.type = header[6]!
    }
    if (format === 0) {
      stream.streamId = header[7]! + header[8]! * 2 ** 8 + header[9]! * 2 ** 16 + header[10]! * 2 ** 24
    }
    return stream
  }

  /** A widespread library begins with a header of type 1, whose stream is the connection. */
  #opened(id: number, format: number): ChunkStream {
    if (format === 2) throw new RtmpError('protocol', `chunk stream ${id} begins without a length`)
    if (this.#streams.size >= MAX_CHUNK_STREAMS) {
      throw new RtmpError('limit', `there are more than ${MAX_CHUNK_STREAMS} chunk streams`)
    }
    const stream: ChunkStream = {
      ...{ timestamp: 0, field: 0, extended: false, length: 0, type: 0, streamId: 0 },
      ...{ begun: null, filled: 0 },
    }
    this.#streams.set(id, stream)
    return stream
  }

  #continue(stream: ChunkStream): void {
    if (stream.begun) {
      this.#expect(stream)
    } else {
      // A message like the one before: the same header, and the same difference in time.
      stream.timestamp = (stream.timestamp + stream.field) >>> 0
      this.#begin(stream)
    }
  }

  #begin(stream: ChunkStream): void {
    const { length } = stream
    if (length > MAX_MESSAGE_BYTES) {
      throw new RtmpError('limit', `a message has ${length} bytes, more than ${MAX_MESSAGE_BYTES}`)
    }
    stream.filled = 0
    stream.begun = NOTHING
    if (length === 0) this.#complete(stream)
    else this.#expect(stream)
  }

  #expect(stream: ChunkStream): void {
    this.#current = stream
    this.#missing = Math.min(this.#chunkBytes, stream.length - stream.filled)
  }

  #fill(stream: ChunkStream, part: Uint8Array): void {
    const filled = stream.filled + part.length
    let begun = stream.begun!
    if (filled > begun.length) {
      const grown = new Uint8Array(Math.min(stream.length, Math.max(filled, begun.length * 2, FIRST_BYTES)))
      grown.set(begun.subarray(0, stream.filled))
      this.#hold(grown.length - begun.length)
      stream.begun = begun = grown
    }
    begun.set(part, stream.filled)
    stream.filled = filled
    this.#missing -= part.length
    if (this.#missing > 0) return
    this.#current = null
    if (filled === stream.length) this.#complete(stream)
  }

  #complete(stream: ChunkStream): void {
    const { begun, streamId, timestamp, type } = stream
    this.#drop(stream)
    this.#current = null
    const message = { type, streamId, timestamp, payload: begun! }
    this.#heed(message)
    this.#emit(message)
  }

  /** What a message says about the chunks themselves. */
  #heed({ type, payload }: Message): void {
    if (type === MESSAGE.setChunkSize && payload.length >= 4) {
      const size = uint32(payload, 0)
      if (size === 0 || size > 0x7fffffff) throw new RtmpError('protocol', `a chunk size of ${size} bytes`)
      this.#chunkBytes = Math.min(size, MAX_MESSAGE_BYTES)
    } else if (type === MESSAGE.abort && payload.length >= 4) {
      const stream = this.#streams.get(uint32(payload, 0))
      if (stream) this.#drop(stream)
    }
  }

  #drop(stream: ChunkStream): void {
    this.#bytesBegun -= stream.begun?.length ?? 0
    stream.begun = null
    stream.filled = 0
  }

  #hold(bytes: number): void {
    this.#bytesBegun += bytes
    if (this.#bytesBegun > MAX_BYTES_BEGUN) {
      throw new RtmpError('limit', `messages of more than ${MAX_BYTES_BEGUN} bytes have begun`)
    }
  }
}

/** The largest chunk this side writes, which it announces first; peers announce the same (gateway.md §2). */
export const CHUNK_BYTES_SENT = 10_485_760

/** Writes a message as one chunk with a full header, on a chunk stream between 2 and 63. */
export function writeMessage(
  chunkStream: number,
  { payload, streamId, timestamp, type }: Message,
): Uint8Array {
  const isExtended = timestamp >= EXTENDED
  const headerBytes = isExtended ? 16 : 12
  const bytes = Buffer.allocUnsafe(headerBytes + payload.length)
  bytes[0] = chunkStream
  bytes.writeUIntBE(isExtended ? EXTENDED : timestamp, 1, 3)
  bytes.writeUIntBE(payload.length, 4, 3)
  bytes[7] = type
  bytes.writeUInt32LE(streamId, 8)
  if (isExtended) bytes.writeUInt32BE(timestamp, 12)
  bytes.set(payload, headerBytes)
  return bytes
}

function uint24(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 65_536 + bytes[at + 1]! * 256 + bytes[at + 2]!
}

function uint32(bytes: Uint8Array, at: number): number {
  return uint24(bytes, at) * 256 + bytes[at + 3]!
}
