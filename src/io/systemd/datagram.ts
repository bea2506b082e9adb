import { getSystemErrorName } from 'node:util'
import koffi from 'koffi'
import { NodeError } from '../../lib/errors.ts'

/** Why nothing could be sent. */
export type DatagramFault = 'not-sent'

/** The longest path of a Unix socket, without a zero at its end. */
export const MAX_SOCKET_PATH = 107

// Linux, the same on x64 and arm64.
const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000

const libc = koffi.load(null)
const calls = {
  socket: libc.func('socket', 'int', ['int', 'int', 'int']),
  sendto: libc.func('sendto', 'intptr_t', ['int', 'void *', 'size_t', 'int', 'void *', 'uint32_t']),
  close: libc.func('close', 'int', ['int']),
}

/** A Unix datagram socket, which Node.js lacks. Sends come from this process, as systemd requires, and never block. */
export class DatagramSocket implements Disposable {
  readonly #descriptor: number
  readonly #address: Buffer

  /** `path` may begin with `@` for an abstract name. Throws NodeError `not-sent`. */
  constructor(path: string) {
    this.#address = addressOf(path)
    this.#descriptor = checked('socket', calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  }

  /** Sends one message. Throws NodeError `not-sent`. */
  send(text: string): void {
    const bytes = Buffer.from(text)
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL
    const address = this.#address
    checked('sendto', calls.sendto(this.#descriptor, bytes, bytes.length, flags, address, address.length))
  }

  [Symbol.dispose](): void {
    calls.close(this.#descriptor)
  }
}

/** `struct sockaddr_un`: the family, then the name, which for an abstract one begins with a zero and has none at its end. */
export function addressOf(path: string): Buffer {
  const isAbstract = path.startsWith('@')
  const name = Buffer.from(isAbstract ? `\0${path.slice(1)}` : `${path}\0`)
  if (!/^[/@]./.test(path) || name.length > MAX_SOCKET_PATH + 1) {
    throw new NodeError<DatagramFault>('not-sent', `${JSON.stringify(path)} is not the path of a Unix socket`)
  }
  const family = Buffer.alloc(2)
  family.writeUInt16LE(AF_UNIX)
  return Buffer.concat([family, name])
}

function checked(call: string, result: number | bigint): number {
  if (Number(result) >= 0) return Number(result)
  throw new NodeError<DatagramFault>('not-sent', `${call}: ${getSystemErrorName(-koffi.errno())}`)
}
