import { serialize } from 'node:v8'

/** Messages as sent over a worker's pipe: a length in 4 bytes, little-endian, and a structured clone. */
export function framed(...messages: readonly unknown[]): Buffer {
  return Buffer.concat(
    messages.flatMap((message) => {
      const body = serialize(message)
      const head = Buffer.alloc(4)
      head.writeUInt32LE(body.length)
      return [head, body]
    }),
  )
}
