import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NodeError } from '../src/lib/errors.ts'
import { hostAndPort } from '../src/lib/hosts.ts'
import { type Leashed, release, spawnLeashed } from './leash.ts'
import { canConnect, LOOPBACK } from './tcp-link.ts'

/** A node behind the balancer: its service port and its control port for health checks. */
export interface Backend {
  readonly name: string
  readonly port: number
  readonly controlPort: number
}

const READY_MS = 5_000
const HEALTH_MS = 300
const HEALTH_TIMEOUT_MS = 1_000

/** A load balancer for several orchestrators: round-robin over healthy nodes. */
export interface Balancer extends AsyncDisposable {
  readonly port: number
  /** A description for people. */
  readonly what: string
}

/** HAProxy if it is installed, otherwise a built-in forwarder that does the same. */
export function startBalancer(options: {
  readonly port: number
  readonly backends: readonly Backend[]
  readonly folder: string
  /** Where the balancer and the nodes listen; default 127.0.0.1. */
  readonly host?: string
}): Promise<Balancer> {
  return hasHaproxy() ? HaproxyBalancer.start(options) : ForwardingBalancer.start(options)
}

/** Whether HAProxy is installed. */
export function hasHaproxy(): boolean {
  return spawnSync('haproxy', ['-v'], { stdio: 'ignore' }).status === 0
}

/** The HAProxy configuration, as an operator would write it. */
export function haproxyConfig(port: number, backends: readonly Backend[], host = LOOPBACK): string {
  const servers = backends.map(
    (node) =>
      `  server ${node.name} ${hostAndPort(host, node.port)} check port ${node.controlPort} inter ${HEALTH_MS}ms fall 1 rise 1`,
  )
  return `defaults
  mode tcp
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout check ${HEALTH_TIMEOUT_MS}ms
frontend orchestrators
  bind ${hostAndPort(host, port)}
  default_backend nodes
backend nodes
  balance roundrobin
  option redispatch
  option httpchk GET /healthz
  http-check send hdr host localhost
${servers.join('\n')}
`
}

class HaproxyBalancer implements Balancer {
  readonly what = 'HAProxy'
  readonly port: number
  readonly #child: Leashed

  private constructor(port: number, child: Leashed) {
    this.port = port
    this.#child = child
  }

  static async start({
    port,
    backends,
    folder,
    host,
  }: Parameters<typeof startBalancer>[0]): Promise<Balancer> {
    const config = join(folder, 'haproxy.cfg')
    await writeFile(config, haproxyConfig(port, backends, host))
    const child = spawnLeashed('haproxy', ['-db', '-f', config])
    let said = ''
    child.stdout.resume()
    child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2_000)))
    const deadline = Date.now() + READY_MS
    while (!(await canConnect(port, host))) {
      if (child.exitCode !== null || Date.now() > deadline) {
        await release(child)
        throw new NodeError('balancer-failed', `HAProxy does not listen on port ${port}: ${said.trim()}`)
      }
      await sleep(50)
    }
    return new HaproxyBalancer(port, child)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await release(this.#child)
  }
}

/** Replaces HAProxy if it is not installed. */
class ForwardingBalancer implements Balancer {
  readonly what = 'a plain TCP forwarder, because HAProxy is not installed'
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #backends: readonly Backend[]
  readonly #host: string
  readonly #healthy = new Set<Backend>()
  readonly #stop = new AbortController()
  #next = 0

  private constructor({ port, backends, host = LOOPBACK }: Parameters<typeof startBalancer>[0]) {
    this.port = port
    this.#host = host
    this.#backends = backends
    this.#server = createServer((near) => this.#join(near))
  }

  static async start(options: Parameters<typeof startBalancer>[0]): Promise<Balancer> {
    const balancer = new ForwardingBalancer(options)
    await new Promise<void>((resolve, reject) => {
      balancer.#server.once('error', reject)
      balancer.#server.listen(options.port, balancer.#host, resolve)
    })
    for (const backend of options.backends) void balancer.#watch(backend)
    return balancer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #watch(backend: Backend): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const isHealthy = await fetch(`http://${hostAndPort(this.#host, backend.controlPort)}/healthz`, {
        signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS),
      }).then(
        (response) => response.ok,
        () => false,
      )
      if (isHealthy) this.#healthy.add(backend)
      else this.#healthy.delete(backend)
      await sleep(HEALTH_MS, undefined, { signal }).catch(() => {})
    }
  }

  #join(near: Socket): void {
    const backends = this.#backends.filter((backend) => this.#healthy.has(backend))
    const backend = backends[this.#next++ % Math.max(1, backends.length)]
    if (!backend) return void near.destroy()
    const far = connect(backend.port, this.#host)
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        this.#sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far).pipe(near)
  }
}
