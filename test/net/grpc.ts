import type { ClientHttp2Stream } from 'node:http2'

/** A message as gRPC frames it: one byte for "not compressed", its length in four, the message (wire.md §3). */
export function grpcFrame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** Sends the body of a call and waits for its end; counts what its headers or trailers say in a field, by its value. */
export function countAnswers(
  stream: ClientHttp2Stream,
  body: Uint8Array,
  { counts, field }: { readonly counts: Map<string, number>; readonly field: string },
): Promise<void> {
  return new Promise((resolve) => {
    const note = (fields: object) => {
      const value = (fields as Record<string, unknown>)[field]
      if (value === undefined) return
      const text = decodeURIComponent(String(value))
      counts.set(text, (counts.get(text) ?? 0) + 1)
    }
    stream
      .on('response', note)
      .on('trailers', note)
      .on('error', () => {})
      .on('close', resolve)
      .resume()
    stream.end(body)
  })
}
