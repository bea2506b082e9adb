import { createServer } from 'node:net'

/** Why tests on `::1` are skipped; false where this machine has IPv6. */
export const WITHOUT_IPV6: string | false = (await listensOnIpv6()) ? false : 'this machine has no IPv6'

async function listensOnIpv6(): Promise<boolean> {
  const server = createServer()
  const listens = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(0, '::1', () => resolve(true))
  })
  if (listens) await new Promise((resolve) => server.close(resolve))
  return listens
}
