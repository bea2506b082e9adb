import type { Writable } from 'node:stream'
import type { Room } from '../../lib/request-body.ts'
import type { HttpRequest } from './server-response.ts'

/**
 * The body of a request that is streamed on, kept as far as it has come, so that it can be sent to another node should the
 * first one die. Where there is no room for it, it is only streamed.
 */
export class KeptBody {
  readonly #request: HttpRequest
  readonly #room: Room
  #chunks: Uint8Array[] = []
  #target: Writable | null = null
  #isBegun = false
  #isWhole = true

  constructor(request: HttpRequest, room: Room) {
    this.#request = request
    this.#room = room
  }

  /** Whether it can be sent from its beginning. */
  get isKept(): boolean {
    return this.#isWhole
  }

  /** Sends the body: what has come of it first, then the rest as it comes. */
  async sendTo(target: Writable): Promise<void> {
    this.stop()
    this.#target = target
    for (const chunk of this.#chunks) {
      if (!(await written(target, chunk)) || this.#target !== target) return
    }
    if (!this.#isBegun) {
      this.#isBegun = true
      this.#request.on('data', this.#keep)
    }
    if (this.#request.readableEnded) target.end()
    else this.#request.pipe(target)
  }

  /** Sends no more. */
  stop(): void {
    if (this.#target) this.#request.unpipe(this.#target)
    this.#target = null
    if (this.#isBegun) this.#request.pause()
  }

  /** Lets the request go. */
  end(): void {
    this.stop()
    this.#request.off('data', this.#keep)
    this.#chunks = []
  }

  readonly #keep = (chunk: Uint8Array): void => {
    if (!this.#isWhole) return
    if (this.#room.take(chunk.length)) this.#chunks.push(chunk)
    else {
      this.#isWhole = false
      this.#chunks = []
    }
  }
}

/** Writes and waits until more may follow; false if the target is closed. */
function written(target: Writable, chunk: Uint8Array): Promise<boolean> {
  if (target.destroyed || target.writableEnded) return Promise.resolve(false)
  if (target.write(chunk)) return Promise.resolve(true)
  return new Promise((resolve) => {
    const onDrain = () => settle(true)
    const onClose = () => settle(false)
    const settle = (isOpen: boolean) => {
      target.off('drain', onDrain).off('close', onClose)
      resolve(isOpen)
    }
    target.once('drain', onDrain).once('close', onClose)
  })
}
