import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** How long it reads the answers so far before it sends the rest. */
const READ_MS = 50
const CLIENT = `
  const { parentPort, workerData: { first, hasLeft, port, second } } = require('node:worker_threads')
  const socket = require('node:net').connect({ port, host: '127.0.0.1', noDelay: true })
  socket.resume().on('error', () => {}).write(first, () => parentPort.postMessage('first'))
  // Closed with anything unread, a connection is reset at once, and what is under way is lost.
  parentPort.once('message', () =>
    setTimeout(() => socket.write(second, () => socket.destroy()), ${READ_MS}))
  socket.once('close', () => {
    Atomics.store(hasLeft, 0, 1)
    Atomics.notify(hasLeft, 0)
    parentPort.close()
  })`
const LEAVE_MS = 10_000

/** A client in a thread of its own. Resolves once it has sent the first bytes. */
export async function impatientClient(port: number, first: Uint8Array | string, second: Uint8Array | string) {
  const hasLeft = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(CLIENT, { eval: true, workerData: { first, hasLeft, port, second } })
  await once(worker, 'message')
  return {
    /** Makes it send the rest and close while this thread is blocked. Throws if it does not. */
    leave: () => {
      worker.postMessage('leave')
      if (Atomics.wait(hasLeft, 0, 0, LEAVE_MS) === 'timed-out') throw new Error('the client did not leave')
    },
  }
}
