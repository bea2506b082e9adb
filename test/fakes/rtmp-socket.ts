import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'

/** A socket without a network: `receive` is what its client sends, and what it is sent is counted. */
export class RtmpSocket extends EventEmitter {
  readonly remoteAddress = '127.0.0.1'
  readonly localAddress = '127.0.0.1'
  readonly localPort = 1935
  readonly writableLength = 0
  destroyed = false
  writtenBytes = 0
  /** Whether this side has hung up. */
  hasEnded = false
  #isPaused = false

  /** As a connection takes it. */
  get socket(): Socket {
    return this as unknown as Socket
  }

  isPaused(): boolean {
    return this.#isPaused
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
  }

  write(bytes: Uint8Array, isDone?: () => void): void {
    this.writtenBytes += bytes.length
    isDone?.()
  }

  end(): void {
    this.hasEnded = true
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }

  /** What the client sends, as soon as it is read. */
  async receive(bytes: Uint8Array): Promise<void> {
    while (this.#isPaused && !this.hasEnded) await Promise.resolve()
    if (!this.hasEnded) this.emit('data', bytes)
  }
}
