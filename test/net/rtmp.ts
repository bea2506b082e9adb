import { createHmac } from 'node:crypto'
import { type WrittenValue, writeAmf } from '../../src/io/rtmp/amf.ts'
import { MESSAGE, type Message } from '../../src/io/rtmp/chunks.ts'

/** How a client writes its messages. */
export interface ChunkHabits {
  readonly chunkBytes?: number
  readonly chunkStream?: number
  /** Leave the extended timestamp out of later chunks, as some encoders do. */
  readonly bareContinuation?: boolean
}

/** A message as a client writes it: a full header, then chunks of type 3. */
export function chunksOf(
  { payload, streamId, timestamp, type }: Message,
  { chunkBytes = 128, chunkStream = 3, bareContinuation = false }: ChunkHabits = {},
): Uint8Array {
  const isExtended = timestamp >= 0xffffff
  const extension = Buffer.alloc(isExtended ? 4 : 0)
  if (isExtended) extension.writeUInt32BE(timestamp)
  const header = Buffer.alloc(11)
  header.writeUIntBE(isExtended ? 0xffffff : timestamp, 0, 3)
  header.writeUIntBE(payload.length, 3, 3)
  header[6] = type
  header.writeUInt32LE(streamId, 7)
  const parts: Uint8Array[] = [basic(0, chunkStream), header, extension, payload.subarray(0, chunkBytes)]
  for (let at = chunkBytes; at < payload.length; at += chunkBytes) {
    parts.push(basic(3, chunkStream))
    if (!bareContinuation) parts.push(extension)
    parts.push(payload.subarray(at, at + chunkBytes))
  }
  return Buffer.concat(parts)
}

/** The basic header: format and chunk stream in one to three bytes. */
export function basic(format: number, chunkStream: number): Uint8Array {
  if (chunkStream < 64) return Buffer.from([(format << 6) | chunkStream])
  const rest = chunkStream - 64
  return chunkStream < 320
    ? Buffer.from([format << 6, rest])
    : Buffer.from([(format << 6) | 1, rest & 0xff, rest >> 8])
}

/** C0 and C1 without a signature. */
export function plainHello(): Uint8Array {
  const hello = Buffer.alloc(1537, 7)
  hello[0] = 3
  hello.fill(0, 1, 9)
  return hello
}

/** C0 and C1 signed as Flash players do; `block` is where the digest's block lies, 8 or 772. */
export function signedHello(block: 8 | 772): Uint8Array {
  const hello = Buffer.alloc(1537, 7)
  hello[0] = 3
  const c1 = hello.subarray(1)
  c1.set([0, 0, 0, 0, 9, 0, 124, 2])
  const at = block + 4 + ((c1[block]! + c1[block + 1]! + c1[block + 2]! + c1[block + 3]!) % 728)
  const digest = createHmac('sha256', 'Genuine Adobe Flash Player 001')
    .update(c1.subarray(0, at))
    .update(c1.subarray(at + 32))
    .digest()
  digest.copy(c1, at)
  return hello
}

/** C2, whose content servers ignore. */
export const plainReply: Uint8Array = Buffer.alloc(1536, 7)

/** A command on a message stream; 0 is the connection. */
export function command(streamId: number, ...values: readonly WrittenValue[]): Message {
  return { type: MESSAGE.commandAmf0, streamId, timestamp: 0, payload: writeAmf(...values) }
}

/** Everything that a publisher says up to its first media, without the handshake. */
export function publishing(app: string, name: string, tcUrl = `rtmp://127.0.0.1/${app}`): readonly Message[] {
  return [
    command(0, 'connect', 1, { app, type: 'nonprivate', flashVer: 'FMLE/3.0 (compatible)', tcUrl }),
    command(0, 'releaseStream', 2, null, name),
    command(0, 'FCPublish', 3, null, name),
    command(0, 'createStream', 4, null),
    command(1, 'publish', 5, null, name, 'live'),
  ]
}

/** An order to use larger chunks from here on. */
export function setChunkSize(bytes: number): Message {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(bytes)
  return { type: MESSAGE.setChunkSize, streamId: 0, timestamp: 0, payload }
}

/** Messages as a client without habits writes them, one after the other. */
export function bytesOf(messages: readonly Message[]): Uint8Array {
  return Buffer.concat(messages.map((message) => chunksOf(message)))
}
