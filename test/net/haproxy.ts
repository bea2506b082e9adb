import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasHaproxy } from '../../devnet/balancer.ts'
import { type Leashed, release, spawnLeashed } from '../../devnet/leash.ts'
import { canConnect } from '../../devnet/tcp-link.ts'
import { makeIdentity } from '../../src/io/rpc/tls.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { HttpBalancer } from './http-balancer.ts'

/** HAProxy passes connections through, or picks a node for each request with TLS on both sides; nginx passes them through. */
export type BalancerMode = 'tcp' | 'http' | 'nginx'

/**
 * HAProxy or nginx in front of nodes on loopback, round robin and not sticky; what stands in for HAProxy where that is not
 * installed.
 */
export interface TestBalancer extends AsyncDisposable {
  /** A description for people. */
  readonly what: string
}

/** Starts it on a port of loopback. */
export async function startTestBalancer(options: {
  readonly mode: BalancerMode
  readonly port: number
  readonly nodes: readonly number[]
  readonly folder: string
}): Promise<TestBalancer> {
  const { mode, nodes, port } = options
  if (mode === 'nginx') return startNginx(options)
  if (hasHaproxy()) return startHaproxy(options)
  if (mode === 'tcp') return startForwarder(port, nodes)
  const balancer = await HttpBalancer.open(port)
  balancer.ports = nodes
  return { what: 'a stand-in for HAProxy', [Symbol.asyncDispose]: () => balancer[Symbol.asyncDispose]() }
}

async function startHaproxy({
  folder,
  mode,
  nodes,
  port,
}: Parameters<typeof startTestBalancer>[0]): Promise<TestBalancer> {
  const pem = join(folder, 'haproxy.pem')
  const { cert, key } = makeIdentity('localhost', { clock: systemClock, dice: systemDice })
  await writeFile(pem, `${cert}\n${key}\n`)
  const isHttp = mode === 'http'
  const bind = `127.0.0.1:${port}${isHttp ? ` ssl crt ${pem} alpn h2,http/1.1` : ''}`
  const tls = isHttp ? ' ssl verify none alpn h2' : ''
  const servers = nodes.map(
    (node, i) => `  server node${i} 127.0.0.1:${node}${tls} check inter 200ms fall 1 rise 1 no-check-ssl`,
  )
  const file = join(folder, 'haproxy.cfg')
  await writeFile(
    file,
    `defaults
  mode ${mode}
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout check 5s
  option redispatch 1
frontend gateways
  bind ${bind}
  default_backend nodes
backend nodes
  balance roundrobin
${servers.join('\n')}
`,
  )
  return started('HAProxy', spawnLeashed('haproxy', ['-db', '-f', file]), port)
}

/** The nginx to be used: NGINX, or that of the path. */
const NGINX = process.env.NGINX || 'nginx'
/** Debian's nginx has it apart. */
const STREAM_MODULE = process.env.NGINX_STREAM_MODULE ?? '/usr/lib/nginx/modules/ngx_stream_module.so'

/** Whether nginx is there, and can pass connections through. */
export function hasNginx(): boolean {
  return streamModule() !== null
}

/** The file of the module that passes connections through: '' where that is built in, null where there is none. */
function streamModule(): string | null {
  const { stderr } = spawnSync(NGINX, ['-V'], { encoding: 'utf8' })
  const built = /--with-stream(=dynamic)?\b/.exec(stderr ?? '')
  if (!built) return null
  if (built[1] === undefined) return ''
  return existsSync(STREAM_MODULE) ? STREAM_MODULE : null
}

/** With the settings of docs/cluster.md. */
async function startNginx({
  folder,
  nodes,
  port,
}: Parameters<typeof startTestBalancer>[0]): Promise<TestBalancer> {
  const file = join(folder, 'nginx.conf')
  const servers = nodes.map((node) => `    server 127.0.0.1:${node} max_fails=1 fail_timeout=2s;`)
  await writeFile(
    file,
    `${streamModule() ? `load_module ${STREAM_MODULE};\n` : ''}daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/nginx.log;
events {}
stream {
  upstream orchestrators {
${servers.join('\n')}
  }
  server {
    listen 127.0.0.1:${port};
    proxy_pass orchestrators;
    proxy_connect_timeout 1s;
    proxy_timeout 60s;
  }
}
`,
  )
  return started('nginx', spawnLeashed(NGINX, ['-c', file, '-p', folder, '-e', 'stderr']), port)
}

async function started(what: string, child: Leashed, port: number): Promise<TestBalancer> {
  let said = ''
  child.stdout.resume()
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2_000)
  })
  const deadline = Date.now() + 10_000
  while (!(await canConnect(port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await release(child)
      throw new Error(`${what} does not listen: ${said}`)
    }
    await sleep(50)
  }
  return { what, [Symbol.asyncDispose]: () => release(child) }
}

async function startForwarder(port: number, nodes: readonly number[]): Promise<TestBalancer> {
  const sockets = new Set<Socket>()
  let next = 0
  const server = createServer((near) => {
    sockets.add(near)
    near.on('error', () => {}).on('close', () => sockets.delete(near))
    const reach = (triesLeft: number): void => {
      const far = connect(nodes[next++ % nodes.length]!, '127.0.0.1')
      sockets.add(far)
      let isOpen = false
      far.on('connect', () => {
        isOpen = true
        near.pipe(far).pipe(near)
      })
      far.on('error', () => {})
      far.on('close', () => {
        sockets.delete(far)
        if (isOpen || triesLeft === 0) near.destroy()
        else reach(triesLeft - 1)
      })
      near.on('close', () => far.destroy())
    }
    reach(nodes.length - 1)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    what: 'a stand-in for HAProxy',
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
