import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type AmfObject, readAmf } from '../../src/io/rtmp/amf.ts'
import { ByteReader } from '../../src/io/rtmp/byte-reader.ts'
import { ChunkReader, MESSAGE, type Message } from '../../src/io/rtmp/chunks.ts'
import { eventually } from '../tools/until.ts'
import { bytesOf, plainHello, plainReply } from './rtmp.ts'

/** A client's side, which reads the server's messages. */
export class RtmpClient {
  readonly socket: Socket
  readonly messages: Message[] = []
  isClosed = false
  #skip = 3073
  readonly #reader = new ChunkReader((message) => this.messages.push(message))

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes) => {
      const skipped = Math.min(this.#skip, bytes.length)
      this.#skip -= skipped
      this.#reader.push(bytes.subarray(skipped))
    })
    socket.on('end', () => {
      this.isClosed = true
    })
    socket.on('error', () => {})
  }

  static async open(port: number): Promise<RtmpClient> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new RtmpClient(socket)
  }

  async begin(...messages: readonly Message[]): Promise<this> {
    this.socket.write(Buffer.concat([plainHello(), plainReply]))
    this.say(...messages)
    return this
  }

  say(...messages: readonly Message[]): void {
    this.socket.write(bytesOf(messages))
  }

  /** The codes of all status messages so far. */
  get codes(): unknown[] {
    return this.messages
      .filter(({ type }) => type === MESSAGE.commandAmf0)
      .map(({ payload }) => readAmf(new ByteReader(payload)))
      .filter(([name]) => name === 'onStatus')
      .map(([, , , status]) => (status as AmfObject).get('code'))
  }

  hears(code: string): Promise<void> {
    return eventually(code, () => this.codes.includes(code))
  }

  closes(): Promise<void> {
    return eventually('the end of the connection', () => this.isClosed)
  }
}
