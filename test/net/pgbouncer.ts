import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../devnet/free-port.ts'
import { type Leashed, release, spawnLeashed } from '../../devnet/leash.ts'
import { canConnect, LOOPBACK } from '../../devnet/tcp-link.ts'

/** PgBouncer refuses to run as root: it then runs as this user, who owns nothing. */
const NOBODY = 65_534

/** Whether PgBouncer is installed here. */
export function hasPgbouncer(): boolean {
  return spawnSync('pgbouncer', ['--version'], { stdio: 'ignore' }).status === 0
}

/** The real PgBouncer in front of a PostgreSQL server on loopback: each transaction may get another connection. */
export class Pgbouncer implements AsyncDisposable {
  readonly port: number
  readonly #child: Leashed
  readonly #folder: string

  private constructor(child: Leashed, port: number, folder: string) {
    this.#child = child
    this.port = port
    this.#folder = folder
  }

  /** Starts it for the server of this URL, whose user and password clients must give. */
  static async start(url: string, mode: 'transaction' | 'session' = 'transaction'): Promise<Pgbouncer> {
    const { password, port: serverPort, username } = new URL(url)
    const folder = mkdtempSync(join(tmpdir(), 'livepeer-pgbouncer-'))
    chmodSync(folder, 0o755)
    const port = await freePort()
    writeFileSync(join(folder, 'users.txt'), `"${username}" "${password}"\n`, { mode: 0o644 })
    const file = join(folder, 'pgbouncer.ini')
    const settings = {
      ...{ listen_addr: LOOPBACK, listen_port: port, unix_socket_dir: '', pool_mode: mode },
      ...{ auth_type: 'scram-sha-256', auth_file: join(folder, 'users.txt') },
      // Fewer than the clients have, so that they get one another's.
      ...{ max_client_conn: 200, default_pool_size: 3 },
    }
    const lines = Object.entries(settings).map(([key, value]) => `${key} = ${value}`)
    writeFileSync(
      file,
      ['[databases]', `* = host=${LOOPBACK} port=${serverPort}`, '[pgbouncer]', ...lines, ''].join('\n'),
      { mode: 0o644 },
    )
    const child = spawnLeashed(
      'pgbouncer',
      [file],
      process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined,
    )
    let said = ''
    child.stdout.resume()
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2_000)
    })
    const deadline = Date.now() + 10_000
    while (!(await canConnect(port))) {
      if (child.exitCode !== null || Date.now() > deadline) {
        await release(child)
        rmSync(folder, { recursive: true, force: true })
        throw new Error(`PgBouncer does not listen: ${said}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return new Pgbouncer(child, port, folder)
  }

  /** The URL of a database by way of this pooler. */
  through(url: string): string {
    const pooled = new URL(url)
    pooled.port = `${this.port}`
    return pooled.href
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await release(this.#child)
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
