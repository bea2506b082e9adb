import type { AddressInfo, Server } from 'node:net'
import { NodeError } from './errors.ts'
import { hostAndPort } from './hosts.ts'

/** Why nothing can be served. */
export type ListenFault = 'cannot-listen'

/**
 * Makes a server listen and returns its port. Throws NodeError `cannot-listen` with a sentence for the operator that
 * begins with `who` and ends with the flag to change.
 */
export async function listen(
  server: Server,
  where: { readonly host: string; readonly port: number },
  names: { readonly who: string; readonly flag: string },
): Promise<number> {
  const { host, port } = where
  const listening = Promise.withResolvers<void>()
  const onError = (error: NodeJS.ErrnoException) => {
    const reason = error.code === 'EADDRINUSE' ? 'another process uses that port' : error.message
    const text = `${names.who} cannot listen on ${hostAndPort(host, port)}: ${reason}; choose another ${names.flag}`
    listening.reject(new NodeError<ListenFault>('cannot-listen', text, { cause: error }))
  }
  server.once('error', onError)
  server.listen(port, host, listening.resolve)
  await listening.promise
  server.off('error', onError)
  return (server.address() as AddressInfo).port
}
