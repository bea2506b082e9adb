import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { PROGRAMS } from '../../../lib/program-files.ts'

/** The part of the file system that a confined worker sees, as absolute paths without symbolic links. */
export interface SandboxView {
  /** Folders and files that it may read. */
  readonly readable: readonly string[]
  /** Files that it may execute: itself and its loader. */
  readonly programs: readonly string[]
  readonly devices: readonly string[]
  /** Folders that it may write to. */
  readonly writable: readonly string[]
  /** Symbolic links to the above, and their targets. */
  readonly links: Readonly<Record<string, string>>
  /** Whether it sees /proc, with information on itself and on drivers, which GPU drivers read. */
  readonly hasProc: boolean
}

/** What determines a worker's view. */
export interface ViewNeeds {
  /** The module that it runs; modules beside it are shown too. */
  readonly module: string
  /** Its folder for temporary files. */
  readonly folder: string | null
  /** Whether it uses a GPU. */
  readonly usesGpu: boolean
}

/** The project's code. Its folder may also contain keys, passwords and databases, so it is not shown as a whole. */
const CODE = [PROGRAMS, ...['package.json', 'node_modules'].map((name) => join(dirname(PROGRAMS), name))]
/** Libraries and the files to find them, without programs. */
const LIBRARIES = [
  ...['/lib', '/lib64', '/usr/lib', '/usr/lib64', '/usr/local/lib', '/nix/store'],
  ...['/etc/ld.so.cache', '/etc/alternatives'],
]
/** The loaders of programs with shared libraries. */
const LOADERS = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1']
const DEVICES = ['/dev/null', '/dev/urandom']
/** What GPU drivers read in addition. */
const OF_GPUS = ['/sys']
const MAX_LINKS = 40

/** The view of a worker, reduced to what exists on this machine. */
export function sandboxView({ folder, module, usesGpu }: ViewNeeds): SandboxView {
  const links: Record<string, string> = {}
  const found = (paths: readonly string[]) =>
    withoutNested(paths.flatMap((path) => realPath(path, links) ?? []))
  const libraries = [...LIBRARIES, ...loaderFolders(), ...splitPath(process.env.LD_LIBRARY_PATH)]
  const programs = found([process.execPath, ...LOADERS])
  return {
    readable: found([...CODE, dirname(module), ...libraries, ...(usesGpu ? OF_GPUS : [])]),
    programs,
    devices: found([...DEVICES, ...(usesGpu ? nvidiaDevices() : [])]),
    writable: folder === null ? [] : found([folder]),
    links,
    hasProc: usesGpu,
  }
}

/** Follows a path through symbolic links and records them; null if it leads nowhere. */
export function realPath(path: string, links: Record<string, string>): string | null {
  let rest = resolve(path).split('/').slice(1)
  let real = ''
  for (let followed = 0; rest.length > 0; ) {
    const next = `${real}/${rest[0]}`
    rest = rest.slice(1)
    try {
      if (!lstatSync(next).isSymbolicLink()) {
        real = next
        continue
      }
      if (++followed > MAX_LINKS) return null
      const target = readlinkSync(next)
      links[next] = target
      rest = [...resolve(dirname(next), target).split('/').slice(1), ...rest]
      real = ''
    } catch {
      return null
    }
  }
  return real === '' ? null : real
}

function withoutNested(paths: readonly string[]): string[] {
  const unique = [...new Set(paths)]
  return unique.filter((path) => !unique.some((other) => other !== path && path.startsWith(`${other}/`)))
}

/** Folders in which the system looks for additional libraries. */
function loaderFolders(): string[] {
  const lines = ['/etc/ld.so.conf', ...filesIn('/etc/ld.so.conf.d')].flatMap((path) => {
    try {
      return readFileSync(path, 'utf8').split('\n')
    } catch {
      return []
    }
  })
  return lines.map((line) => line.trim()).filter((line) => line.startsWith('/') && line !== '/')
}

function nvidiaDevices(): string[] {
  return filesIn('/dev').filter((path) => path.startsWith('/dev/nvidia'))
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name))
  } catch {
    return []
  }
}

function splitPath(text: string | undefined): string[] {
  return (text ?? '').split(':').filter((path) => path.startsWith('/') && path !== '/')
}
