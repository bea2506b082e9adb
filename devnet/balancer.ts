import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeIdentity } from '../src/io/rpc/tls.ts'
import { systemClock } from '../src/lib/clock.ts'
import { systemDice } from '../src/lib/dice.ts'
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

/**
 * How HAProxy stands in front of the nodes. `tcp`: it passes connections on as they are. `http`: it ends TLS itself and picks
 * a node for each request.
 */
export type BalancerMode = 'tcp' | 'http'

/** Options of a balancer. */
export interface BalancerOptions {
  readonly port: number
  readonly backends: readonly Backend[]
  readonly folder: string
  /** Where the balancer and the nodes listen; default 127.0.0.1. */
  readonly host?: string
  /** Default `tcp`; `http` needs HAProxy. */
  readonly mode?: BalancerMode
}

/** HAProxy if it is installed, otherwise a built-in forwarder that does the same. */
export function startBalancer(options: BalancerOptions): Promise<Balancer> {
  return hasHaproxy() ? HaproxyBalancer.start(options) : ForwardingBalancer.start(options)
}

/** Whether HAProxy is installed. */
export function hasHaproxy(): boolean {
  return spawnSync('haproxy', ['-v'], { stdio: 'ignore' }).status === 0
}

/** The HAProxy configuration, as an operator would write it. `certificate`: with its key in one file, for mode `http`. */
export function haproxyConfig({
  backends,
  certificate,
  host = LOOPBACK,
  mode = 'tcp',
  port,
}: Pick<BalancerOptions, 'port' | 'backends' | 'host' | 'mode'> & { readonly certificate?: string }): string {
  const isHttp = mode === 'http'
  const check = (port: number) =>
    `check port ${port} inter ${HEALTH_MS}ms fall 1 rise 1${isHttp ? ' no-check-ssl check-proto h1' : ''}`
  const servers = backends.map((node) => {
    const tls = isHttp ? ' ssl verify none alpn h2' : ''
    return `  server ${node.name} ${hostAndPort(host, node.port)}${tls} ${check(node.controlPort)}`
  })
  return `${isHttp ? GLOBAL_HTTP : ''}defaults
  mode ${mode}
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout check ${HEALTH_TIMEOUT_MS}ms
frontend orchestrators
  bind ${hostAndPort(host, port)}${isHttp ? ` ssl crt ${certificate} alpn h2,http/1.1` : ''}
  default_backend nodes
backend nodes
  balance roundrobin
  option redispatch${isHttp ? ' 1' : ''}
  option httpchk GET /healthz
  http-check send hdr host localhost
${servers.join('\n')}
`
}

/** Payments with many tickets are longer than HAProxy's buffer of 16 kB. */
const GLOBAL_HTTP = `global
  tune.bufsize 131072
`

class HaproxyBalancer implements Balancer {
  readonly what = 'HAProxy'
  readonly port: number
  readonly #child: Leashed

  private constructor(port: number, child: Leashed) {
    this.port = port
    this.#child = child
  }

  static async start(options: BalancerOptions): Promise<Balancer> {
    const { folder, host = LOOPBACK, mode, port } = options
    const config = join(folder, 'haproxy.cfg')
    const certificate = join(folder, 'haproxy.pem')
    if (mode === 'http') {
      const { cert, key } = makeIdentity(host, { clock: systemClock, dice: systemDice })
      await writeFile(certificate, `${cert}${key}`, { mode: 0o600 })
    }
    await writeFile(config, haproxyConfig({ ...options, certificate }))
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

  private constructor({ backends, host = LOOPBACK, port }: BalancerOptions) {
    this.port = port
    this.#host = host
    this.#backends = backends
    this.#server = createServer((near) => this.#join(near))
  }

  static async start(options: BalancerOptions): Promise<Balancer> {
    if (options.mode === 'http') throw new NodeError('balancer-failed', 'HAProxy is not installed')
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
