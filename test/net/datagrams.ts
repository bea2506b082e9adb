import koffi from 'koffi'
import { addressOf } from '../../src/io/systemd/datagram.ts'
import { until } from '../tools/until.ts'

const libc = koffi.load(null)
const calls = {
  socket: libc.func('socket', 'int', ['int', 'int', 'int']),
  bind: libc.func('bind', 'int', ['int', 'void *', 'uint32_t']),
  recv: libc.func('recv', 'intptr_t', ['int', 'void *', 'size_t', 'int']),
  close: libc.func('close', 'int', ['int']),
}
const AF_UNIX = 1
const SOCK_DGRAM = 2
const MSG_DONTWAIT = 0x40

/** A Unix datagram socket that listens, as systemd’s does. */
export class DatagramListener implements Disposable {
  readonly #descriptor: number
  readonly #received: string[] = []

  constructor(path: string) {
    this.#descriptor = calls.socket(AF_UNIX, SOCK_DGRAM, 0)
    const address = addressOf(path)
    if (calls.bind(this.#descriptor, address, address.length) !== 0)
      throw new Error(`bind: errno ${koffi.errno()}`)
  }

  /** All messages so far. */
  get received(): readonly string[] {
    const buffer = Buffer.alloc(4096)
    for (;;) {
      const length = Number(calls.recv(this.#descriptor, buffer, buffer.length, MSG_DONTWAIT))
      if (length < 0) return this.#received
      this.#received.push(buffer.toString('utf8', 0, length))
    }
  }

  /** All lines so far. */
  get lines(): readonly string[] {
    return this.received.flatMap((message) => message.split('\n'))
  }

  /** Waits for a line. */
  async hears(line: string | RegExp): Promise<void> {
    const isIt = (text: string) => (typeof line === 'string' ? text === line : line.test(text))
    await until(async () => (this.lines.some(isIt) ? true : null), `${line} in ${this.lines}`)
  }

  [Symbol.dispose](): void {
    calls.close(this.#descriptor)
  }
}
