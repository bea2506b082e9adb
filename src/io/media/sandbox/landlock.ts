import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { landlockAllow, landlockEnforce, landlockRuleset, landlockVersion } from './syscalls.ts'
import type { SandboxView } from './view.ts'

/** Landlock's file rights, with the version that introduced each. */
const FILE_RIGHTS = {
  execute: [0, 1],
  writeFile: [1, 1],
  readFile: [2, 1],
  readFolder: [3, 1],
  removeFolder: [4, 1],
  removeFile: [5, 1],
  makeDevice: [6, 1],
  makeFolder: [7, 1],
  makeFile: [8, 1],
  makeSocket: [9, 1],
  makePipe: [10, 1],
  makeBlockDevice: [11, 1],
  makeLink: [12, 1],
  moveBetweenFolders: [13, 2],
  truncate: [14, 3],
  deviceControl: [15, 5],
} as const satisfies Record<string, readonly [bit: number, since: number]>

/** TCP bind and connect, from version 4 on; never allowed again. */
const NETWORK = 0b11n
/** Abstract sockets and signals outside the confined processes, from version 6 on. */
const SCOPES = 0b11n

const O_PATH = 0o10000000

type Right = keyof typeof FILE_RIGHTS

const READ: readonly Right[] = ['readFile', 'readFolder']
const WRITE: readonly Right[] = [
  ...(['writeFile', 'readFile', 'readFolder', 'removeFolder', 'removeFile'] as const),
  ...(['makeFolder', 'makeFile', 'truncate'] as const),
]
const DEVICE: readonly Right[] = ['readFile', 'writeFile', 'deviceControl']
/** Rights that a rule for a file, rather than a folder, may have. */
const OF_FILES: readonly Right[] = ['execute', 'writeFile', 'readFile', 'truncate', 'deviceControl']

/**
 * Limits this thread, and the program that replaces it, to the files of the view, no TCP, and no signals to processes
 * outside. Throws SystemCallError without Landlock. Paths that do not exist are skipped.
 */
export function enforceLandlock(view: SandboxView): void {
  const version = landlockVersion()
  const known = (rights: readonly Right[]) =>
    rights.reduce((sum, right) => {
      const [bit, since] = FILE_RIGHTS[right]
      return since <= version ? sum | (1n << BigInt(bit)) : sum
    }, 0n)
  const all = known(Object.keys(FILE_RIGHTS) as Right[])
  const ruleset = landlockRuleset({ files: all, network: NETWORK, scopes: SCOPES })
  const allow = (paths: readonly string[], rights: readonly Right[]) => {
    for (const path of paths) {
      const file = openPath(path)
      if (file === null) continue
      const isFolder = fstatSync(file).isDirectory()
      landlockAllow(ruleset, known(isFolder ? rights : rights.filter((one) => OF_FILES.includes(one))), file)
      closeSync(file)
    }
  }
  allow([...view.readable, ...(view.hasProc ? ['/proc'] : [])], READ)
  allow(view.programs, [...READ, 'execute'])
  allow(view.devices, DEVICE)
  allow(view.writable, WRITE)
  landlockEnforce(ruleset)
  closeSync(ruleset)
}

function openPath(path: string): number | null {
  try {
    return openSync(path, O_PATH | constants.O_RDONLY)
  } catch {
    return null
  }
}
