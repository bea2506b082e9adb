import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What a confined worker sees of the machine, by absolute paths without symbolic links in them. */
export interface SandboxView {
  /** Folders and files that it may read. */
  readonly readable: readonly string[]
  /** Files that it may run: itself, and what loads it. */
  readonly programs: readonly string[]
  readonly devices: readonly string[]
  /** Folders in which it may write. */
  readonly writable: readonly string[]
  /** Symbolic links by which the above are also known, and where they lead. */
  readonly links: Readonly<Record<string, string>>
  /** Whether it sees the system's files of itself and of drivers, /proc, which drivers of GPUs read. */
  readonly hasProc: boolean
}

/** What a worker is to do decides what it sees. */
export interface ViewNeeds {
  /** The module that it runs; those beside it are shown too. */
  readonly module: string
  /** Where it keeps temporary files. */
  readonly folder: string | null
  /** Whether it works on a GPU. */
  readonly usesGpu: boolean
}

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))

/** The project's code. Its folder may hold keys, passwords and databases too, so it is not shown as a whole. */
const CODE = ['src', 'package.json', 'node_modules'].map((name) => join(ROOT, name))
/** Libraries and what finds them. No programs are among them. */
const LIBRARIES = [
  ...['/lib', '/lib64', '/usr/lib', '/usr/lib64', '/usr/local/lib', '/nix/store'],
  ...['/etc/ld.so.cache', '/etc/alternatives'],
]
/** What starts a program that uses shared libraries. */
const LOADERS = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1']
const DEVICES = ['/dev/null', '/dev/urandom']
/** What drivers of GPUs read besides. */
const OF_GPUS = ['/sys']
const MAX_LINKS = 40

/** The view of a worker, of what exists on this machine. */
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

/** Follows a path through symbolic links, which are written down; null where it leads nowhere. */
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

/** Folders in which the system looks for libraries besides its own. */
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
