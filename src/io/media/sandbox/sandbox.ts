import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { messageOf, NodeError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { parsedJson } from '../../../lib/parsed-json.ts'
import { programFile } from '../../../lib/program-files.ts'
import { type ConfineOrder, reportSchema, type Wall, type WallReport, walls } from './confinement.ts'
import type { ResourceLimits } from './syscalls.ts'
import { type SandboxView, sandboxView } from './view.ts'

/** Why workers cannot be confined. */
export type SandboxFault = 'no-sandbox'

/** Whether media workers are confined: as far as the system allows, fully or not at all, or not. */
export type SandboxMode = 'auto' | 'required' | 'off'

/** The command line of a process. */
export interface Launch {
  readonly file: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Whether the process itself is a descendant of the one started. */
  readonly isWrapped: boolean
}

/** A program to start inside the walls. */
export interface Confined {
  readonly module: string
  readonly args: readonly string[]
  /** The file descriptor of the pipe to it. */
  readonly pipe: number
  readonly folder: string | null
  readonly usesGpu: boolean
}

/** A way to start a program in new namespaces. */
interface Starter {
  readonly name: string
  readonly programs: readonly string[]
  /** Whether the program makes its root itself. */
  readonly entersRoot: boolean
  /** The command line in front of the program's own; `paths` are those of `programs`. */
  prefix(paths: readonly string[], view: SandboxView): readonly string[]
}

interface Found {
  readonly walls: readonly Wall[]
  readonly starter: Starter
  /** The programs that it needs. */
  readonly programs: readonly string[]
}

const CONFINE = programFile('io/media/sandbox/confine')
/** Ten times what a trial takes on a slow and busy machine. */
const TRIAL_MS = 20_000
const KEPT_CHARS = 300

/**
 * The first process in a process namespace ignores its own signals, so a shell takes that place. Everything ends with
 * this process: the outermost process is killed when this one dies, and each one takes the next with it.
 */
const UNSHARE: Starter = {
  name: 'unshare',
  programs: ['setpriv', 'unshare', 'sh'],
  entersRoot: true,
  prefix: ([setpriv, unshare, sh]) => [
    ...[setpriv!, '--pdeathsig', 'KILL', unshare!, '--user', '--map-root-user', '--mount', '--pid', '--ipc'],
    ...['--net', '--fork', '--kill-child=KILL', sh!, '-c', '"$@"; exit $?', 'sh'],
  ],
}

/** Bubblewrap, which some systems allow to create namespaces where other programs may not. */
const BUBBLEWRAP: Starter = {
  name: 'bwrap',
  programs: ['bwrap'],
  entersRoot: false,
  prefix: ([bwrap], view) => [
    ...[bwrap!, '--die-with-parent', '--unshare-user', '--unshare-pid', '--unshare-ipc', '--unshare-net'],
    ...['--cap-drop', 'ALL', '--proc', '/proc', '--chdir', '/'],
    ...[...view.readable, ...view.programs].flatMap((path) => ['--ro-bind', path, path]),
    ...view.devices.flatMap((path) => ['--dev-bind', path, path]),
    ...view.writable.flatMap((path) => ['--bind', path, path]),
    ...Object.entries(view.links)
      .filter(([path]) => !view.readable.some((folder) => path.startsWith(`${folder}/`)))
      .flatMap(([path, target]) => ['--symlink', target, path]),
    '--',
  ],
}

/** No starter: the program stays in the namespaces of this process. */
const NONE: Starter = { name: 'none', programs: [], entersRoot: false, prefix: () => [] }

const WITHOUT: Found = { walls: [], starter: NONE, programs: [] }

const BYTES = { gib: 2 ** 30 }
/** A worker sends segments through pipes, not files; drivers may write files. */
const LIMITS: ResourceLimits = { core: 0, fileSize: BYTES.gib, files: 1024 }
/**
 * Memory that a worker may reserve: twice what it may use (`engine.ts`), because each thread reserves a stack. GPU
 * drivers reserve the size of their card's memory.
 */
const MAX_DATA_BYTES = 8 * BYTES.gib
/** Number of threads, which only a namespace counts separately. */
const MAX_THREADS = 4096

/** Variables without which libraries look for files outside the view. */
const ENVIRONMENT = { OPENSSL_CONF: '/dev/null' }

/** The walls around media workers on this machine. */
export class Sandbox {
  readonly walls: readonly Wall[]
  readonly #starter: Starter
  readonly #programs: readonly string[]
  /** Sets with fewer walls, tried in order for a GPU that does not work inside all of them. */
  readonly #steps: readonly (readonly Wall[])[]

  private constructor({ programs, starter, walls }: Found, { mayWeaken = false } = {}) {
    this.walls = walls
    this.#starter = starter
    this.#programs = programs
    const others = walls.filter((wall) => wall !== 'namespaces' && wall !== 'Landlock')
    this.#steps = mayWeaken ? [others, []].filter((step) => step.length < walls.length) : []
  }

  /** The command line of a worker inside the walls. */
  launch(confined: Confined): Launch {
    const order = orderFor(confined, this.walls, this.#starter)
    return launchOf(order, this.#starter, this.#programs)
  }

  /** The same with fewer walls, down to none; empty if all are required. */
  get weaker(): Sandbox[] {
    return this.#steps.map((walls) => new Sandbox({ ...WITHOUT, walls }))
  }

  /**
   * Tests which walls stand and logs one line. Rejects with NodeError `no-sandbox` if all are required and one does not
   * stand.
   */
  static async open({ mode, log }: { readonly mode: SandboxMode; readonly log: Log }): Promise<Sandbox> {
    if (mode === 'off') {
      log.warn('media workers are not confined', { mediaSandbox: mode })
      return new Sandbox(WITHOUT)
    }
    const { found, missing } = await lookForWalls()
    if (missing.length > 0 && mode === 'required') {
      throw new NodeError<SandboxFault>(
        'no-sandbox',
        `media workers cannot be confined as -mediaSandbox required demands (${missing.join('; ')}): let the system allow it, or give -mediaSandbox auto`,
      )
    }
    const told = { walls: found.walls.join(', ') || 'none', by: found.starter.name }
    if (missing.length > 0)
      log.warn('media workers are not fully confined', { ...told, missing: missing.join('; ') })
    else log.info('media workers are confined', told)
    return new Sandbox(found, { mayWeaken: mode === 'auto' })
  }
}

/**
 * Tries each starter and takes the first in which a worker's walls stand. Missing walls are returned with their
 * reasons.
 */
async function lookForWalls(): Promise<{ found: Found; missing: string[] }> {
  if (process.platform !== 'linux')
    return { found: WITHOUT, missing: ['all walls: this system is not Linux'] }
  const unreadable = await becomeUnreadable()
  const reasons: string[] = []
  for (const starter of [UNSHARE, BUBBLEWRAP, NONE]) {
    const wanted = starter === NONE ? walls.filter((wall) => wall !== 'namespaces') : walls
    try {
      const programs = starter.programs.map(programNamed)
      const report = await tryWalls(wanted, starter, programs)
      const namespaces = report.namespaces
      if (starter !== NONE && typeof namespaces === 'string')
        throw new NodeError<SandboxFault>('no-sandbox', namespaces)
      const standing = wanted.filter((wall) => report[wall] === null)
      const fallen = wanted.filter((wall) => report[wall] !== null)
      const missing = [
        ...(starter === NONE ? [`namespaces: ${reasons.join(', ')}`] : []),
        ...fallen.map((wall) => `${wall}: ${report[wall] ?? 'not tried'}`),
        ...unreadable,
      ]
      return { found: { walls: standing, starter, programs }, missing }
    } catch (error) {
      reasons.push(`${starter.name}: ${messageOf(error)}`)
    }
  }
  return { found: WITHOUT, missing: [`all walls: ${reasons.join(', ')}`, ...unreadable] }
}

/** Empty, or why other processes of this user can read this process's memory. */
async function becomeUnreadable(): Promise<string[]> {
  try {
    const { makeUnreadable } = await import('./syscalls.ts')
    makeUnreadable()
    return []
  } catch (error) {
    return [`unreadable parent: ${messageOf(error)}`]
  }
}

async function tryWalls(
  wanted: readonly Wall[],
  starter: Starter,
  programs: readonly string[],
): Promise<WallReport> {
  const module = programFile('io/media/sandbox/confine-report')
  const confined = { module, args: [], pipe: -1, folder: null, usesGpu: false }
  const order = { ...orderFor(confined, wanted, starter), worker: null }
  const { args, cwd, env, file } = launchOf(order, starter, programs)
  const child = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...env, ...(process.env.LD_LIBRARY_PATH ? { LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH } : {}) },
    timeout: TRIAL_MS,
    killSignal: 'SIGKILL',
  })
  const failed = new Promise<never>((_, reject) => child.once('error', reject))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [code, stdout, stderr] = await Promise.race([
    failed,
    Promise.all([ended, text(child.stdout), text(child.stderr)]),
  ])
  const report = code === 0 ? reportSchema.safeParse(parsedJson(stdout)) : null
  if (!report?.success) {
    throw new NodeError<SandboxFault>('no-sandbox', complaintIn(stderr) ?? `ended with ${code ?? 'a signal'}`)
  }
  return report.data
}

function orderFor(confined: Confined, walls: readonly Wall[], starter: Starter): ConfineOrder {
  const { args, folder, module, pipe, usesGpu } = confined
  return {
    walls,
    entersRoot: starter.entersRoot,
    view: sandboxView({ module, folder, usesGpu }),
    limits: {
      ...LIMITS,
      ...(usesGpu ? {} : { data: MAX_DATA_BYTES }),
      ...(walls.includes('namespaces') ? { processes: MAX_THREADS } : {}),
    },
    seal: { allowsLocalSockets: usesGpu },
    worker: { module, args, pipe },
  }
}

function launchOf(order: ConfineOrder, starter: Starter, programs: readonly string[]): Launch {
  const flags = ['--disable-sigusr1', '--disable-warning=ExperimentalWarning']
  if (order.walls.length === 0 && order.worker) {
    const { args, module } = order.worker
    return { file: process.execPath, args: [...flags, module, ...args], env: {}, isWrapped: false }
  }
  const cache = process.env.NODE_COMPILE_CACHE
  const words = [
    ...starter.prefix(programs, order.view),
    ...[process.execPath, ...flags, CONFINE, JSON.stringify(order)],
  ]
  return {
    file: words[0]!,
    args: words.slice(1),
    env: { ...ENVIRONMENT, ...(cache ? { NODE_COMPILE_CACHE: cache } : {}) },
    cwd: '/',
    isWrapped: starter !== NONE,
  }
}

/** The path of a program. Throws if it is not installed. */
function programNamed(name: string): string {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/bin', '/usr/sbin', '/sbin']
  for (const folder of folders.filter((each) => each.startsWith('/'))) {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return join(folder, name)
    } catch {
      // Try the next one.
    }
  }
  throw new NodeError<SandboxFault>('no-sandbox', `${name} is not installed`)
}

/** The line with the error; a crash of Node.js prints others around it. */
function complaintIn(stderr: string): string | null {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '' && !/^\s|^Node\.js v/.test(line))
  const line = lines.findLast((each) => /error|fail|denied|not permitted/i.test(each)) ?? lines.at(-1)
  return line?.slice(0, KEPT_CHARS) ?? null
}
