import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../devnet/free-port.ts'
import { type Leashed, release, spawnLeashed } from '../../devnet/leash.ts'
import { canConnect, LOOPBACK } from '../../devnet/tcp-link.ts'

/** Debian's, without the script around it that changes the user. */
const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server'
/** It starts in about four seconds on one free core. */
const START_MS = 120_000

/** Whether RabbitMQ is installed here. */
export function hasRabbit(): boolean {
  return existsSync(SERVER)
}

/** A real RabbitMQ on loopback, with ports and a folder of its own; its user is guest, with that password. */
export class Rabbit implements AsyncDisposable {
  readonly port: number
  readonly #programs: readonly Leashed[]
  readonly #folder: string

  private constructor(port: number, programs: readonly Leashed[], folder: string) {
    this.port = port
    this.#programs = programs
    this.#folder = folder
  }

  static async start(): Promise<Rabbit> {
    const folder = mkdtempSync(join(tmpdir(), 'livepeer-rabbitmq-'))
    const [port, distPort, epmdPort] = [await freePort(), await freePort(), await freePort()]
    writeFileSync(join(folder, 'plugins'), '[].')
    const settings = {
      ...{ HOME: folder, RABBITMQ_NODENAME: `livepeer${port}@localhost`, RABBITMQ_NODE_IP_ADDRESS: LOOPBACK },
      ...{ RABBITMQ_NODE_PORT: port, RABBITMQ_DIST_PORT: distPort, ERL_EPMD_PORT: epmdPort },
      ...{ RABBITMQ_MNESIA_BASE: folder, RABBITMQ_LOG_BASE: folder, RABBITMQ_LOGS: '-' },
      ...{
        RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
        RABBITMQ_CONFIG_FILE: join(folder, 'none'),
      },
      ...{ RABBITMQ_CONF_ENV_FILE: join(folder, 'none'), ERL_EPMD_ADDRESS: LOOPBACK },
      // Then its script becomes the server, and no process stays behind when it is killed.
      RUNNING_UNDER_SYSTEMD: 'true',
      // Threads that spin while they wait take a slow machine's cores.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none',
    }
    const set = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
    const programs: Leashed[] = []
    let said = ''
    const start = (program: string, ...args: readonly string[]) => {
      const child = spawnLeashed('env', ['-C', folder, ...set, program, ...args])
      for (const output of [child.stdout, child.stderr]) {
        output.on('data', (chunk: Buffer) => {
          said = (said + chunk.toString()).slice(-3_000)
        })
      }
      programs.push(child)
      return child
    }
    // Otherwise RabbitMQ leaves one behind.
    start('epmd', '-port', String(epmdPort))
    while (!(await canConnect(epmdPort))) await new Promise((resolve) => setTimeout(resolve, 25))
    const rabbit = new Rabbit(port, programs, folder)
    const server = start(SERVER)
    const deadline = Date.now() + START_MS
    while (!(await canConnect(port))) {
      if (server.exitCode !== null || Date.now() > deadline) {
        await rabbit[Symbol.asyncDispose]()
        throw new Error(`RabbitMQ does not listen: ${said}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    return rabbit
  }

  /** Its URL, over this port. */
  url(port = this.port, password = 'guest'): string {
    return `amqp://guest:${password}@${LOOPBACK}:${port}/`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs.toReversed()) await release(program)
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
