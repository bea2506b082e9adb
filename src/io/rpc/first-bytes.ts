import type { Socket } from 'node:net'

/** Peeks at the first three bytes of a connection: HTTP/2 starts with `PRI`, which is not a method of HTTP/1.1. */
export function firstBytes(socket: Socket, limitMs: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const seen: Buffer[] = []
  // From the start, not from the previous byte.
  const limit = setTimeout(reject, limitMs)
  promise.finally(() => clearTimeout(limit)).catch(() => {})
  const onData = (chunk: Buffer) => {
    seen.push(chunk)
    const start = Buffer.concat(seen)
    if (start.length < 3) return
    socket.off('data', onData).off('end', reject).off('error', reject).off('close', reject)
    socket.pause()
    socket.unshift(start)
    resolve(start.subarray(0, 3))
  }
  socket.on('data', onData).on('end', reject).on('error', reject).on('close', reject)
  return promise
}
