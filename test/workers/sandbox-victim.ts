/** A process with secrets whose media worker is compromised; prints the outcome. Started by tests of the sandbox. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WorkerProcess } from '../../src/io/media/engine/worker-process.ts'
import { Sandbox, type SandboxMode } from '../../src/io/media/sandbox/sandbox.ts'
import { messageOf } from '../../src/lib/errors.ts'
import { openLog } from '../../src/lib/log.ts'

/** What the attacker knows of the machine: more than it really would. */
export interface HostileTargets {
  readonly parent: number
  readonly keystore: string
  readonly database: string
  readonly own: string
  readonly other: string
  readonly outside: string
  /** A file that does not exist, beside programs that the worker may read. */
  readonly programs: string
  readonly port: number
  readonly addresses: readonly string[]
}

/** What the victim prints. */
export interface VictimReport {
  readonly walls: readonly string[]
  readonly lines: readonly string[]
  readonly results: Readonly<Record<string, string>>
  readonly signals: number
  readonly connections: number
  readonly database: string
  /** The system's status of the worker, seen from outside. */
  readonly status: string
  readonly limits: string
}

const [mode, folder] = process.argv.slice(2) as [SandboxMode, string]

async function play(): Promise<VictimReport> {
  const lines: string[] = []
  const log = openLog({ level: 'info', write: (line) => lines.push(line) })
  const sandbox = await Sandbox.open({ mode, log })
  const path = (name: string) => join(folder, name)
  for (const name of ['own', 'other']) mkdirSync(path(name))
  for (const name of ['keystore', 'database']) writeFileSync(path(name), `of the ${name}`, { mode: 0o600 })
  let signals = 0
  process.on('SIGUSR2', () => signals++)
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const targets: HostileTargets = {
    ...{ parent: process.pid, keystore: path('keystore'), database: path('database') },
    ...{ own: path('own'), other: path('other'), outside: path('outside') },
    programs: fileURLToPath(new URL(`../../src/hostile-${process.pid}`, import.meta.url)),
    port: (server.address() as { port: number }).port,
    addresses: Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && !internal)
      .map(({ address }) => address),
  }
  const module = new URL('./hostile-worker.ts', import.meta.url)
  const worker = new WorkerProcess(module, { gpu: null, folder: path('own'), sandbox })
  try {
    await worker.ready
    const read = (name: string) => readFileSync(`/proc/${worker.pid}/${name}`, 'utf8')
    const [status, limits] = [read('status'), read('limits')]
    const answer = await worker.call('transcode', { provider: JSON.stringify(targets) }).result
    const results = JSON.parse(new TextDecoder().decode(answer.output.renditions[0]!.bytes))
    return {
      ...{ walls: sandbox.walls, lines, results, signals, connections, status, limits },
      database: readFileSync(path('database'), 'utf8'),
    }
  } finally {
    await worker.kill()
    rmSync(targets.programs, { force: true })
    server.close()
  }
}

const report: VictimReport | { error: string } = await play().catch((error) => ({
  error: `${messageOf(error)} ${JSON.stringify(error.details ?? {})}`,
}))
process.stdout.write(JSON.stringify(report))
process.exit(0)
