import type { Duplex } from 'node:stream'
import { deserialize, serialize } from 'node:v8'
import { messageOf } from '../../../lib/errors.ts'

/** More than the largest segment with all its renditions. */
const MAX_MESSAGE_BYTES = 2 ** 30
const HEAD_BYTES = 4

/** Called with what comes over a pipe. */
export interface PipeHandlers {
  message(message: unknown): void
  /** What came is no message: nothing more is read. */
  nonsense(why: string): void
}

/**
 * Messages over a pipe between a process and its worker, each a length in 4 bytes, little-endian, and a structured clone.
 * A worker runs native code on what strangers send: whatever it writes, reading it throws nothing.
 */
export class MessagePipe {
  readonly #pipe: Duplex
  readonly #handlers: PipeHandlers
  readonly #head = Buffer.alloc(HEAD_BYTES)
  /** Bytes of the head, or of the body once that is known, that are there. */
  #filled = 0
  #body: Buffer | null = null
  #isOpen = true

  constructor(pipe: Duplex, handlers: PipeHandlers) {
    this.#pipe = pipe
    this.#handlers = handlers
    pipe.on('data', (chunk: Buffer) => this.#take(chunk))
    // The end of the process is reported elsewhere.
    pipe.on('error', () => {})
  }

  /** Messages to a process that has ended are lost. */
  send(message: unknown): void {
    const body = serialize(message)
    const head = Buffer.alloc(HEAD_BYTES)
    head.writeUInt32LE(body.length)
    this.#pipe.cork()
    this.#pipe.write(head)
    this.#pipe.write(body)
    this.#pipe.uncork()
  }

  #take(chunk: Buffer): void {
    for (let from = 0; this.#isOpen && from < chunk.length; ) {
      const part = this.#body ?? this.#head
      const taken = chunk.copy(part, this.#filled, from)
      from += taken
      this.#filled += taken
      if (this.#filled < part.length) continue
      this.#filled = 0
      if (this.#body) this.#read(this.#body)
      else this.#begin(this.#head.readUInt32LE())
    }
  }

  #begin(length: number): void {
    if (length === 0 || length > MAX_MESSAGE_BYTES) this.#stop(`a message of ${length} bytes`)
    else this.#body = Buffer.allocUnsafeSlow(length)
  }

  #read(body: Buffer): void {
    this.#body = null
    let read: { message: unknown } | null = null
    try {
      read = { message: deserialize(body) }
    } catch (error) {
      this.#stop(`a message that cannot be read (${messageOf(error)})`)
    }
    if (read) this.#handlers.message(read.message)
  }

  #stop(why: string): void {
    this.#isOpen = false
    this.#handlers.nonsense(why)
  }
}
