import type { Socket } from 'node:net'

/**
 * Keeps a failed write from ending a connection before all that the peer sent is read. A publisher may send ahead of
 * the answers, and close without reading them: the first answer is met with a reset, the next cannot be written, and
 * Node would destroy the socket with data still unread in the kernel. Here such a write counts as done and `onDropped`
 * is called; the end of reading, which follows, has to end the connection. Once `isAllRead`, writes fail as usual.
 */
export function readPastFailedWrites(
  socket: Socket,
  {
    isAllRead = () => socket.readableEnded,
    onDropped = () => {},
  }: { readonly isAllRead?: () => boolean; readonly onDropped?: () => void } = {},
): void {
  const forgiving = (done: (error?: Error | null) => void) => (error?: Error | null) => {
    if (!isClosedByPeer(error) || isAllRead()) return done(error)
    onDropped()
    done()
  }
  const write = socket._write.bind(socket)
  const writev = socket._writev?.bind(socket)
  socket._write = (chunk, encoding, done) => write(chunk, encoding, forgiving(done))
  if (writev) socket._writev = (chunks, done) => writev(chunks, forgiving(done))
}

function isClosedByPeer(error: Error | null | undefined): boolean {
  return error != null && 'code' in error && (error.code === 'EPIPE' || error.code === 'ECONNRESET')
}
