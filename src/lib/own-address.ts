import { createSocket, type SocketType } from 'node:dgram'
import { isIP } from 'node:net'

/**
 * This machine's address on the way to a host, as its routes tell; nothing is sent. Rejects where the host's name is not known,
 * or no route leads there.
 */
export async function addressTowards(host: string): Promise<string> {
  switch (isIP(host)) {
    case 4:
      return addressOver('udp4', host)
    case 6:
      return addressOver('udp6', host)
    default:
      return addressOver('udp4', host).catch(() => addressOver('udp6', host))
  }
}

/** Any will do. */
const PORT = 9

async function addressOver(type: SocketType, host: string): Promise<string> {
  const socket = createSocket(type)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  socket.on('error', reject)
  // An error is its argument too, which the types do not tell.
  socket.connect(PORT, host, ((error?: Error) => {
    if (error) reject(error)
    else resolve(socket.address().address)
  }) as () => void)
  try {
    return await promise
  } finally {
    socket.close()
  }
}
