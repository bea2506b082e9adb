import { spawnSync } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../devnet/free-port.ts'
import { type Leashed, release, spawnLeashed } from '../../devnet/leash.ts'
import { canConnect, LOOPBACK, TcpLink } from '../../devnet/tcp-link.ts'

/** Where `.ci/run` puts Kafka's jars. */
const JARS = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'livepeer-ts', 'kafka-3.9.1')
const START_MS = 120_000

/** Whether Kafka can run here. */
export function hasKafka(): boolean {
  return existsSync(JARS) && spawnSync('java', ['-version'], { stdio: 'ignore' }).status === 0
}

/** A name, its password, and the certificate of the broker as PEM. */
export interface KafkaLogin {
  readonly user: string
  readonly password: string
  readonly cert: string
  readonly key: string
}

/**
 * A real Kafka on loopback, one broker, with ports and a folder of its own: in the clear, by way of a link that can fail, and
 * over TLS with SASL/PLAIN.
 */
export class Kafka implements AsyncDisposable {
  /** What clients in the clear connect to. */
  readonly link: TcpLink
  readonly securePort: number
  readonly #server: Leashed
  readonly #folder: string

  private constructor(link: TcpLink, securePort: number, server: Leashed, folder: string) {
    this.link = link
    this.securePort = securePort
    this.#server = server
    this.#folder = folder
  }

  static async start({ cert, key, password, user }: KafkaLogin): Promise<Kafka> {
    const folder = mkdtempSync(join(tmpdir(), 'livepeer-kafka-'))
    const [plainPort, securePort, controllerPort] = [await freePort(), await freePort(), await freePort()]
    const link = await TcpLink.open(plainPort)
    const at = (port: number) => `${LOOPBACK}:${port}`
    const pkcs8 = createPrivateKey(key).export({ type: 'pkcs8', format: 'pem' }).toString()
    const login = 'org.apache.kafka.common.security.plain.PlainLoginModule required'
    const settings = {
      ...{ 'process.roles': 'broker,controller', 'node.id': 1, 'log.dirs': join(folder, 'data') },
      ...{ 'controller.quorum.voters': `1@${at(controllerPort)}`, 'controller.listener.names': 'CONTROLLER' },
      listeners: `PLAINTEXT://${at(plainPort)},SASL_SSL://${at(securePort)},CONTROLLER://${at(controllerPort)}`,
      'advertised.listeners': `PLAINTEXT://${at(link.port)},SASL_SSL://${at(securePort)}`,
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL',
      'listener.name.sasl_ssl.sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.sasl_ssl.plain.sasl.jaas.config': `${login} user_${user}="${password}";`,
      ...{
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.certificate.chain': lines(cert),
        'ssl.keystore.key': lines(pkcs8),
      },
      ...{ 'offsets.topic.replication.factor': 1, 'group.initial.rebalance.delay.ms': 0 },
    }
    mkdirSync(join(folder, 'data'))
    // As Kafka's storage tool would write it, in another start of Java.
    const ids = { 'cluster.id': 'AAAAAAAAAAAAAAAAAAAAAA', 'directory.id': 'BBBBBBBBBBBBBBBBBBBBBA' }
    writeFileSync(join(folder, 'data', 'meta.properties'), properties({ version: 1, 'node.id': 1, ...ids }))
    const file = join(folder, 'server.properties')
    writeFileSync(file, properties(settings), { mode: 0o600 })
    const server = spawnLeashed('java', [
      ...[
        '-Xmx256m',
        '-XX:+UseSerialGC',
        '-XX:TieredStopAtLevel=1',
        '-cp',
        join(JARS, '*'),
        'kafka.Kafka',
        file,
      ],
    ])
    let said = ''
    for (const output of [server.stdout, server.stderr]) {
      output.on('data', (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-3_000)
      })
    }
    const kafka = new Kafka(link, securePort, server, folder)
    const deadline = Date.now() + START_MS
    while (!(await canConnect(plainPort))) {
      if (server.exitCode !== null || Date.now() > deadline) {
        await kafka[Symbol.asyncDispose]()
        throw new Error(`Kafka does not listen: ${said}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    return kafka
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.link[Symbol.asyncDispose]()
    await release(this.#server)
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function lines(pem: string): string {
  return pem.trim().replaceAll('\n', '\\n')
}

function properties(settings: Readonly<Record<string, string | number>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}
