import {
  AV_LOG_QUIET,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  AVFMT_FLAG_CUSTOM_IO,
  AVSEEK_CUR,
  AVSEEK_END,
  AVSEEK_SET,
  AVSEEK_SIZE,
} from 'node-av/constants'
import { FFmpegError, FormatContext, type Frame, InputFormat, IOContext, Log, type Packet } from 'node-av/lib'
import { MediaError } from '../engine/media-error.ts'

// FFmpeg and x264 write to stderr from native code, bypassing the log. Errors are returned in any case.
Log.setLevel(AV_LOG_QUIET)

/** Throws FFmpeg's own text for a negative result, otherwise returns it. */
export function check(result: number): number {
  if (result < 0) throw new MediaError(FFmpegError.strerror(result))
  return result
}

/** Whether a `receive` call should be repeated later or is finished; throws on any other failure. */
export function isDrained(result: number): boolean {
  if (result === AVERROR_EAGAIN || result === AVERROR_EOF) return true
  check(result)
  return false
}

/** Another reference to the same data, freed separately. */
export function cloned<T extends Frame | Packet>(original: T): T {
  const copy = original.clone()
  if (!copy) throw new MediaError('Cannot allocate memory')
  return copy as T
}

/**
 * Containers accepted from outside. Playlist formats are excluded because they make FFmpeg open other files and
 * addresses.
 */
const CONTAINERS = 'mpegts,mov,mp4,matroska,webm,flv'

/**
 * The library leaks the buffer of every custom I/O context, so buffers are small, and workers are replaced before it
 * adds up. Larger ones would not be faster.
 */
const READ_BUFFER_BYTES = 4096
const WRITE_BUFFER_BYTES = 1024

/** A container in memory, opened for reading. Closing it twice is harmless. */
export class MemoryInput implements AsyncDisposable {
  readonly format: FormatContext
  readonly #io: IOContext
  #closed = false

  private constructor(format: FormatContext, io: IOContext) {
    this.format = format
    this.#io = io
  }

  /** Opens the bytes and reads as much as is needed to find the streams. Throws FFmpeg's text. */
  static async open(bytes: Uint8Array): Promise<MemoryInput> {
    const io = readerOf(bytes)
    const format = new FormatContext()
    format.allocContext()
    format.pb = io
    format.setFlags(AVFMT_FLAG_CUSTOM_IO)
    const input = new MemoryInput(format, io)
    try {
      check(format.setOption('format_whitelist', CONTAINERS))
      check(await format.openInput('', isShortMpegts(bytes) ? MPEGTS : null, null))
      check(await format.findStreamInfo(null))
      return input
    } catch (error) {
      await input[Symbol.asyncDispose]()
      throw error
    }
  }

  /** `mpegts`, `mp4` or `other`. */
  get container(): 'mpegts' | 'mp4' | 'other' {
    const names = this.format.iformat?.name?.split(',') ?? []
    return names.includes('mpegts') ? 'mpegts' : names.includes('mp4') ? 'mp4' : 'other'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.format.pb = null
    await this.format.closeInput()
    this.#io.freeContext()
  }
}

const MPEGTS = InputFormat.findInputFormat('mpegts')
const MPEGTS_PACKET_BYTES = 188
/** FFmpeg reads this much of MPEG-TS before it recognises it; a few small pictures are less. */
const MPEGTS_BELIEVED_BYTES = 2244

function isShortMpegts(bytes: Uint8Array): boolean {
  if (bytes.length < MPEGTS_PACKET_BYTES || bytes.length > MPEGTS_BELIEVED_BYTES) return false
  for (let at = 0; at < bytes.length; at += MPEGTS_PACKET_BYTES) if (bytes[at] !== 0x47) return false
  return true
}

function readerOf(bytes: Uint8Array): IOContext {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let position = 0
  const io = new IOContext()
  io.allocContextWithCallbacks(
    READ_BUFFER_BYTES,
    0,
    (size) => {
      if (position >= buffer.length) return null
      const chunk = buffer.subarray(position, position + size)
      position += chunk.length
      return chunk
    },
    null,
    (offset, whence) => {
      if (whence === AVSEEK_SIZE) return BigInt(buffer.length)
      position = seekTo(Number(offset), whence, position, buffer.length)
      return BigInt(position)
    },
  )
  return io
}

const FIRST_CAPACITY = 1 << 18

/** A container being written into memory. Closing it twice is harmless. */
export class MemoryOutput implements Disposable {
  readonly format: FormatContext
  readonly #io: IOContext
  #bytes: Buffer = Buffer.alloc(FIRST_CAPACITY)
  #position = 0
  #length = 0
  #closed = false

  /** `name` is a muxer. Throws `Muxer not found`. */
  constructor(name: string) {
    this.format = new FormatContext()
    if (this.format.allocOutputContext2(null, name, null) < 0) throw new MediaError('Muxer not found')
    this.#io = new IOContext()
    this.#io.allocContextWithCallbacks(
      WRITE_BUFFER_BYTES,
      1,
      null,
      (chunk) => this.#write(chunk),
      (offset, whence) => {
        if (whence === AVSEEK_SIZE) return BigInt(this.#length)
        this.#position = seekTo(Number(offset), whence, this.#position, this.#length)
        return BigInt(this.#position)
      },
    )
    this.format.pb = this.#io
    this.format.setFlags(AVFMT_FLAG_CUSTOM_IO)
  }

  /** Writes the end of the container and returns all bytes. */
  finish(): Uint8Array {
    check(this.format.writeTrailerSync())
    this.#io.flushSync()
    this[Symbol.dispose]()
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#length)
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    // Only in this order nothing is freed twice and the process can exit.
    this.format.pb = null
    this.format.freeContext()
    this.#io.freeContext()
  }

  #write(chunk: Buffer): number {
    const end = this.#position + chunk.length
    if (end > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(end, this.#bytes.length * 2))
      this.#bytes.copy(grown, 0, 0, this.#length)
      this.#bytes = grown
    }
    // The chunk is FFmpeg's own memory and is reused after this call.
    chunk.copy(this.#bytes, this.#position)
    this.#position = end
    this.#length = Math.max(this.#length, end)
    return chunk.length
  }
}

function seekTo(offset: number, whence: number, position: number, length: number): number {
  const target =
    whence === AVSEEK_SET
      ? offset
      : whence === AVSEEK_CUR
        ? position + offset
        : whence === AVSEEK_END
          ? length + offset
          : position
  return Math.max(0, target)
}
