import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'
import koffi from 'koffi'
import { NodeError } from '../../../lib/errors.ts'

/** Linux system calls that confine a process and that Node.js does not offer, for the architectures named here. */

/** Numbers of system calls; those from 424 on are the same everywhere. */
const numbers = {
  capset: { x64: 126, arm64: 91 },
  landlock_add_rule: { x64: 445, arm64: 445 },
  landlock_create_ruleset: { x64: 444, arm64: 444 },
  landlock_restrict_self: { x64: 446, arm64: 446 },
  mount_setattr: { x64: 442, arm64: 442 },
  pivot_root: { x64: 155, arm64: 41 },
  seccomp: { x64: 317, arm64: 277 },
} as const

/** A system call failed; `errno` says why. */
export class SystemCallError extends NodeError<'system-call'> {
  override name = 'SystemCallError'
  readonly errno: number

  constructor(call: string, errno: number) {
    super('system-call', `${call}: ${getSystemErrorName(-errno)}`)
    this.errno = errno
  }
}

/** Whether these calls are available. */
export const hasSystemCalls = process.platform === 'linux' && process.arch in numbers.capset

const libc = koffi.load(null)
const libcCalls = {
  chdir: libc.func('chdir', 'int', ['str']),
  fcntl: libc.func('fcntl', 'int', ['int', 'int', 'int']),
  mount: libc.func('mount', 'int', ['str', 'str', 'str', 'ulong', 'str']),
  prctl: libc.func('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']),
  setrlimit: libc.func('setrlimit', 'int', ['int', 'void *']),
  syscall: libc.func('syscall', 'long', ['long', ...Array.from({ length: 5 }, () => 'intptr_t')]),
  umount2: libc.func('umount2', 'int', ['str', 'int']),
}

/** A number, or the bytes of a memory area. */
type Word = number | bigint | Uint8Array

function invoke(name: keyof typeof libcCalls, as: string, args: readonly unknown[]): number {
  const result = Number(libcCalls[name](...args))
  if (result < 0) throw new SystemCallError(as, koffi.errno())
  return result
}

function systemCall(name: keyof typeof numbers, ...args: Word[]): number {
  const number = numbers[name][process.arch as 'x64' | 'arm64']
  const words = args.map((arg) => (arg instanceof Uint8Array ? koffi.address(arg) : arg))
  while (words.length < 5) words.push(0)
  return invoke('syscall', name, [number, ...words])
}

/** A path as a C string. */
function pathBytes(path: string): Uint8Array {
  return Buffer.from(`${path}\0`)
}

const PR_SET_DUMPABLE = 4
const PR_CAPBSET_DROP = 24
const PR_SET_NO_NEW_PRIVS = 38
const PR_CAP_AMBIENT = 47
const PR_CAP_AMBIENT_CLEAR_ALL = 4

/** Keeps other processes of this user from reading or tracing this one, and disables core dumps. */
export function makeUnreadable(): void {
  invoke('prctl', 'PR_SET_DUMPABLE', [PR_SET_DUMPABLE, 0, 0, 0, 0])
}

/** Keeps programs started from now on from gaining privileges. */
export function forbidNewPrivileges(): void {
  invoke('prctl', 'PR_SET_NO_NEW_PRIVS', [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0])
}

const F_SETFD = 2

/** Leaves a file descriptor open for the program that replaces this one. */
export function keepOpen(descriptor: number): void {
  invoke('fcntl', 'fcntl', [descriptor, F_SETFD, 0])
}

const CAPABILITY_VERSION_3 = 0x20080522
/** More than exist; the system reports the end. */
const MAX_CAPABILITIES = 64

/** Drops all capabilities and, where permitted, the ways to regain them. */
export function dropCapabilities(): void {
  for (let capability = 0; capability < MAX_CAPABILITIES; capability++) {
    try {
      invoke('prctl', 'PR_CAPBSET_DROP', [PR_CAPBSET_DROP, capability, 0, 0, 0])
    } catch {
      // Past the last one, or not permitted; a process without capabilities does not gain any that way.
      break
    }
  }
  invoke('prctl', 'PR_CAP_AMBIENT', [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0])
  const head = new Uint32Array([CAPABILITY_VERSION_3, 0])
  systemCall('capset', new Uint8Array(head.buffer), new Uint8Array(24))
}

/** Linux numbers of resource limits. */
const RLIMITS = { fileSize: 1, data: 2, core: 4, processes: 6, files: 7 } as const

/** Limits in bytes or as a count. */
export type ResourceLimits = Partial<Readonly<Record<keyof typeof RLIMITS, number>>>

/** Sets hard limits, which cannot be raised without a capability. */
export function limitResources(limits: ResourceLimits): void {
  for (const [name, limit] of Object.entries(limits)) {
    const pair = new BigUint64Array([BigInt(limit), BigInt(limit)])
    invoke('setrlimit', `setrlimit ${name}`, [RLIMITS[name as keyof typeof RLIMITS], pair])
  }
}

const MS_NOSUID = 2
const MS_NODEV = 4
const MS_NOEXEC = 8
const MS_REMOUNT = 32
const MS_BIND = 4096
const MS_REC = 16384
const MS_RDONLY = 1
const MNT_DETACH = 2

/** Mounts a new file system of that kind. */
export function mountNew(kind: string, target: string, options: string): void {
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
  invoke('mount', `mount ${kind}`, ['none', target, kind, flags, options])
}

/** Mounts a file or folder, with the mounts below it, at another place. */
export function bindMount(source: string, target: string): void {
  invoke('mount', `mount ${source}`, [source, target, null, MS_BIND | MS_REC, null])
}

const MOUNT_ATTRIBUTES = { readOnly: 1, noSetuid: 2, noDevices: 4, noExecution: 8 } as const
const MOUNT_FLAGS = { readOnly: MS_RDONLY, noSetuid: MS_NOSUID, noDevices: MS_NODEV, noExecution: MS_NOEXEC }
const AT_FDCWD = -100
const AT_RECURSIVE = 0x8000

/** A restriction of a mount. */
export type MountBan = keyof typeof MOUNT_ATTRIBUTES

/** Restricts a mount, and from Linux 5.12 on those below it. */
export function restrictMount(
  target: string,
  bans: readonly MountBan[],
  { alsoBelow = true }: { readonly alsoBelow?: boolean } = {},
): void {
  const attributes = new BigUint64Array(4)
  attributes[0] = BigInt(bans.reduce((sum, ban) => sum | MOUNT_ATTRIBUTES[ban], 0))
  try {
    const bytes = new Uint8Array(attributes.buffer)
    const flags = alsoBelow ? AT_RECURSIVE : 0
    systemCall('mount_setattr', AT_FDCWD, pathBytes(target), flags, bytes, bytes.length)
  } catch (error) {
    if (!(error instanceof SystemCallError) || error.errno !== constants.errno.ENOSYS) throw error
    const flags = bans.reduce((sum, ban) => sum | MOUNT_FLAGS[ban], MS_REMOUNT | MS_BIND)
    invoke('mount', `mount ${target}`, [null, target, null, flags, null])
  }
}

/** Makes a mounted folder the root and removes the old one. `oldRoot` is an empty folder in it. */
export function changeRoot(root: string, oldRoot: string): void {
  invoke('chdir', 'chdir', [root])
  systemCall('pivot_root', pathBytes('.'), pathBytes(oldRoot))
  invoke('chdir', 'chdir', ['/'])
  invoke('umount2', 'umount', [`/${oldRoot}`, MNT_DETACH])
}

const LANDLOCK_VERSION = 1
const LANDLOCK_RULE_PATH = 1

/** The system's version of Landlock. Throws SystemCallError if it has none. */
export function landlockVersion(): number {
  return systemCall('landlock_create_ruleset', 0, 0, LANDLOCK_VERSION)
}

/** What a ruleset forbids unless a rule allows it: bits for files and folders, for TCP, and for scopes. */
export interface LandlockBans {
  readonly files: bigint
  readonly network: bigint
  readonly scopes: bigint
}

/** A new ruleset, as a file descriptor. Fields unknown to a version are not passed to it. */
export function landlockRuleset(bans: LandlockBans): number {
  const version = landlockVersion()
  const attributes = new BigUint64Array([bans.files, bans.network, bans.scopes])
  const fields = version >= 6 ? 3 : version >= 4 ? 2 : 1
  return systemCall('landlock_create_ruleset', new Uint8Array(attributes.buffer), fields * 8, 0)
}

/** Allows rights below a path, given as an open file descriptor. */
export function landlockAllow(ruleset: number, rights: bigint, path: number): void {
  const rule = Buffer.alloc(12)
  rule.writeBigUInt64LE(rights)
  rule.writeInt32LE(path, 8)
  systemCall('landlock_add_rule', ruleset, LANDLOCK_RULE_PATH, rule, 0)
}

/** Enforces a ruleset for this thread and everything it starts. */
export function landlockEnforce(ruleset: number): void {
  systemCall('landlock_restrict_self', ruleset, 0)
}

const SECCOMP_SET_MODE_FILTER = 1
/** For all threads, and without the slow mode of the processor that older kernels would turn on. */
const SECCOMP_FLAGS = { allThreads: 1, keepSpeculation: 4 }

/**
 * Applies a filter, a program of 8-byte instructions, to the system calls of all threads. Requires
 * `forbidNewPrivileges`.
 */
export function filterSystemCalls(program: Uint8Array): void {
  const head = Buffer.alloc(16)
  head.writeUInt16LE(program.length / 8)
  head.writeBigUInt64LE(koffi.address(program), 8)
  systemCall(
    'seccomp',
    SECCOMP_SET_MODE_FILTER,
    SECCOMP_FLAGS.allThreads | SECCOMP_FLAGS.keepSpeculation,
    head,
  )
}
