import { randomInt } from 'node:crypto'
import { createServer, type ListenOptions } from 'node:net'
import { LOOPBACK } from './tcp-link.ts'

/** Below the ephemeral ports, which start at 32768. */
const FREE_PORTS = { from: 20_000, to: 32_000 }

/** Given by this process: most are used a moment later. */
const given = new Set<number>()

/**
 * A free port on loopback outside the ephemeral range, so that a stopped process finds it free when it is started
 * again. No port is given twice; on Linux no other process is given it while this one runs.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FREE_PORTS.from, FREE_PORTS.to)
    if (given.has(port)) continue
    given.add(port)
    if ((await reserve(port)) && (await isFree(port))) return port
  }
}

/** The wanted port if it is free, otherwise another one. */
export async function freePortNear(wanted: number): Promise<number> {
  return (await isFree(wanted)) ? wanted : await freePort()
}

/** Takes the port's name among the abstract sockets, which goes with the process however it ends. */
async function reserve(port: number): Promise<boolean> {
  return process.platform !== 'linux' || (await tryListen({ path: `\0livepeer-ts port ${port}` })) !== null
}

async function isFree(port: number): Promise<boolean> {
  const server = await tryListen({ port, host: LOOPBACK })
  if (server) await new Promise((resolve) => server.close(resolve))
  return server !== null
}

/** A server that keeps no process alive; null where another one listens. */
async function tryListen(where: ListenOptions) {
  const server = createServer().unref()
  const isListening = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(where, () => resolve(true))
  })
  return isListening ? server : null
}
