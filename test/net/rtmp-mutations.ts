import { MESSAGE, type Message } from '../../src/io/rtmp/chunks.ts'
import type { Dice } from '../../src/lib/dice.ts'
import { chunksOf, plainHello, plainReply } from './rtmp.ts'
import type { Conversation, Part } from './rtmp-conversations.ts'

/** Values at which readers of lengths, types and numbers err. */
const EDGES = [0, 1, 2, 3, 0x7f, 0x80, 0xfe, 0xff] as const
const TIMES = [0, 1, 1_999, 2_000, 9_999, 10_001, 0xfffffe, 0xffffff, 0x1000000, 0x7fffffff, 0xffffffff]
const TYPES = Object.values(MESSAGE)
const LONGEST_RUN = 12
const MOST_COPIES = 6
const SIGNED_ONE_IN = 16
const unsigned: Uint8Array = Buffer.concat([plainHello(), plainReply])

/**
 * Damages conversations at random. What it returns is valid until the next call, since all are written into one buffer;
 * nothing that reads them may keep it.
 */
export class RtmpMutator {
  readonly #dice: Dice
  readonly #bytes = new Uint8Array(262_144)
  #length = 0

  constructor(dice: Dice) {
    this.#dice = dice
  }

  /** A whole number below a limit. */
  below(limit: number): number {
    return Math.floor(this.#dice.fraction() * limit)
  }

  /** Changes bytes of the handshake, and what follows from that. */
  handshake({ hello, parts }: Conversation): Uint8Array {
    this.#write(hello, parts)
    for (let n = 1 + this.below(3); n > 0; n--) this.#damage(0, hello.length)
    return this.#written()
  }

  /** Changes bytes behind the handshake, mostly behind the request: one that is not understood ends the rest. */
  bytes(conversation: Conversation): Uint8Array {
    const { mediaFrom, parts } = conversation
    const hello = this.#helloOf(conversation)
    this.#write(hello, parts)
    const media = parts.slice(0, mediaFrom).reduce((sum, { bytes }) => sum + bytes.length, hello.length)
    for (let n = 1 + this.below(4); n > 0; n--) {
      this.#damage(this.below(3) === 0 ? hello.length : media, this.#length)
    }
    return this.#written()
  }

  /** Changes, repeats, drops and moves messages, whose chunks stay well-formed. */
  messages(conversation: Conversation): Uint8Array {
    const { mediaFrom, parts } = conversation
    const changed = [...parts]
    for (let n = 1 + this.below(4); n > 0; n--) {
      const isMedia = this.below(4) > 0 && changed.length > mediaFrom
      const at = isMedia ? mediaFrom + this.below(changed.length - mediaFrom) : this.below(changed.length)
      const part = changed[at]!
      switch (this.below(8)) {
        case 0:
          if (changed.length > 1) changed.splice(at, 1)
          break
        case 1:
          changed.splice(at, 0, ...Array<Part>(1 + this.below(MOST_COPIES)).fill(part))
          break
        case 2:
          changed.splice(at, 1)
          changed.splice(this.below(changed.length + 1), 0, part)
          break
        default:
          changed[at] = this.#changed(part)
      }
    }
    this.#write(this.#helloOf(conversation), changed)
    return this.#written()
  }

  /** A whole conversation with these bytes somewhere between its messages, from one part to another. */
  withBytes({ hello, parts }: Conversation, bytes: Uint8Array, from: number, to: number): Uint8Array {
    const at = from + this.below(to - from + 1)
    const inserted: Part = { bytes, message: null, habits: {} }
    this.#write(hello, [...parts.slice(0, at), inserted, ...parts.slice(at)])
    return this.#written()
  }

  /** Mostly without a signature: checking one takes longer than all that follows. */
  #helloOf({ hello }: Conversation): Uint8Array {
    return this.below(SIGNED_ONE_IN) === 0 ? hello : unsigned
  }

  #changed(part: Part): Part {
    if (!part.message) return part
    const message = this.#changedMessage(part.message)
    const habits =
      this.below(10) === 0
        ? { ...part.habits, chunkStream: 3 + this.below(600), bareContinuation: this.below(2) === 0 }
        : part.habits
    return { message, habits, bytes: chunksOf(message, habits) }
  }

  #changedMessage(message: Message): Message {
    switch (this.below(12)) {
      case 0:
        return { ...message, type: TYPES[this.below(TYPES.length)]! }
      case 1:
        return { ...message, streamId: this.below(3) === 0 ? this.below(2 ** 32) : this.below(3) }
      case 2:
      case 3:
        return { ...message, timestamp: TIMES[this.below(TIMES.length)]! }
      case 4:
        return { ...message, payload: message.payload.subarray(0, this.below(message.payload.length + 1)) }
      case 5:
        return { ...message, payload: Buffer.concat([message.payload, this.#dice.bytes(this.below(300))]) }
      default: {
        const payload = Uint8Array.from(message.payload)
        for (let n = 1 + this.below(3); n > 0; n--) payload[this.below(payload.length)] = this.#byte()
        return { ...message, payload }
      }
    }
  }

  /** Changes bytes at one place between these. */
  #damage(from: number, to: number): void {
    const bytes = this.#bytes
    const at = from + this.below(Math.min(to, this.#length) - from)
    const length = Math.min(1 + this.below(LONGEST_RUN), this.#length - at)
    if (length <= 0) return
    const end = at + length
    switch (this.below(6)) {
      case 0:
        for (let i = at; i < end; i++) bytes[i] = this.below(256)
        break
      case 1:
        bytes.copyWithin(end, at, this.#length)
        for (let i = at; i < end; i++) bytes[i] = this.#byte()
        this.#length += length
        break
      case 2:
        bytes.copyWithin(at, end, this.#length)
        this.#length -= length
        break
      case 3:
        bytes.copyWithin(end, at, this.#length)
        this.#length += length
        break
      case 4:
        bytes[at] = this.#byte()
        break
      default:
        bytes[at] = bytes[at]! ^ (1 << this.below(8))
    }
  }

  #byte(): number {
    return this.below(2) === 0 ? EDGES[this.below(EDGES.length)]! : this.below(256)
  }

  #write(hello: Uint8Array, parts: readonly Part[]): void {
    const bytes = this.#bytes
    bytes.set(hello)
    let length = hello.length
    for (const part of parts) {
      bytes.set(part.bytes, length)
      length += part.bytes.length
    }
    this.#length = length
  }

  #written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }
}
