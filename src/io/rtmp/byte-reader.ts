import { RtmpError } from './rtmp-error.ts'

/** Reads big-endian values from bytes, one after another. Every read throws RtmpError `protocol` past the end. */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#bytes.length - this.#at
  }

  uint8(): number {
    return this.#view.getUint8(this.#skip(1))
  }

  uint16(): number {
    return this.#view.getUint16(this.#skip(2))
  }

  uint24(): number {
    const at = this.#skip(3)
    return this.#view.getUint16(at) * 256 + this.#view.getUint8(at + 2)
  }

  uint32(): number {
    return this.#view.getUint32(this.#skip(4))
  }

  double(): number {
    return this.#view.getFloat64(this.#skip(8))
  }

  /** A part of the bytes, not a copy. */
  bytes(length: number): Uint8Array {
    const at = this.#skip(length)
    return this.#bytes.subarray(at, at + length)
  }

  text(length: number): string {
    return Buffer.from(this.bytes(length)).toString('utf8')
  }

  #skip(length: number): number {
    const at = this.#at
    if (length > this.#bytes.length - at) {
      throw new RtmpError('protocol', `a message ends ${length - (this.#bytes.length - at)} bytes too early`)
    }
    this.#at = at + length
    return at
  }
}
