import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Routes } from '../../src/io/rpc/calls.ts'
import type { OwnCerts } from '../../src/io/rpc/own-certs.ts'
import { Endpoint, type EndpointOptions } from '../../src/io/rpc/server.ts'
import { hostAndPort } from '../../src/lib/hosts.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'

/** How a port differs from the usual: TLS on any free port of 127.0.0.1, with a certificate made for it. */
export interface ServeOptions extends Partial<EndpointOptions> {
  /** The operator's certificates to serve with; null or absent for none. */
  readonly own?: OwnCerts | null
}

/** Serves routes on a port of this machine until the test ends. */
export async function serveRoutes(t: TestContext, routes: Routes, options: ServeOptions = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'livepeer-routes-'))
  const { host = '127.0.0.1', own, ...rest } = options
  const hostname = host === '127.0.0.1' ? 'localhost' : host
  const endpoint = new Endpoint(
    {
      ...{ name: 'node', host, port: 0, tls: own ? { own } : { hostname, directory }, drainMs: 200 },
      ...rest,
    },
    { routes: [routes], log: silentLog },
  )
  const supervisor = new Supervisor()
  await supervisor.start(endpoint)
  t.after(async () => {
    await supervisor.stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const { port } = endpoint
  return { port, url: `https://${hostAndPort(host, port)}`, stop: () => supervisor.stop() }
}
