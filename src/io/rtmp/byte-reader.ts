import { RtmpError } from './rtmp-error.ts'

/** Reads big-endian values from bytes, one after another. Every read throws RtmpError `protocol` past the end. */
export class ByteReader {
  readonly #bytes: Uint8Array
  /** The same bytes, made when the first text is read. */
  #texts: Buffer | null = null
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#bytes.length - this.#at
  }

  uint8(): number {
    return this.#bytes[this.#skip(1)]!
  }

  uint16(): number {
    return this.#number(2)
  }

  uint24(): number {
    return this.#number(3)
  }

  uint32(): number {
    return this.#number(4)
  }

  double(): number {
    const { buffer, byteOffset } = this.#bytes
    return new DataView(buffer, byteOffset + this.#skip(8), 8).getFloat64(0)
  }

  /** A part of the bytes, not a copy. */
  bytes(length: number): Uint8Array {
    const at = this.#skip(length)
    return this.#bytes.subarray(at, at + length)
  }

  text(length: number): string {
    if (length === 0) return ''
    const { buffer, byteLength, byteOffset } = this.#bytes
    this.#texts ??= Buffer.from(buffer, byteOffset, byteLength)
    const at = this.#skip(length)
    return this.#texts.toString('utf8', at, at + length)
  }

  #number(length: number): number {
    let value = 0
    for (let at = this.#skip(length), end = this.#at; at < end; at++) value = value * 256 + this.#bytes[at]!
    return value
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
