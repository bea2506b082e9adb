/** Reads unsigned numbers of any number of bits, the highest bit first. Past the end it reads zeros. */
export class BitReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Whether bits were read that the bytes do not have. */
  get isPastEnd(): boolean {
    return this.#at > this.#bytes.length * 8
  }

  /** A number of up to 32 bits. */
  bits(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++, this.#at++) {
      value = value * 2 + (((this.#bytes[this.#at >> 3] ?? 0) >> (7 - (this.#at & 7))) & 1)
    }
    return value
  }

  /** One bit. */
  flag(): boolean {
    return this.bits(1) === 1
  }

  /** Passes over bits. */
  skip(count: number): void {
    this.#at += count
  }

  /** A number in Exp-Golomb code of at most 32 bits. */
  golomb(): number {
    let zeros = 0
    while (zeros < 32 && !this.flag()) zeros++
    return 2 ** zeros - 1 + this.bits(zeros)
  }

  /** A signed number in Exp-Golomb code. */
  signedGolomb(): number {
    const code = this.golomb()
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2
  }
}
