import { resolve } from 'node:path'

/** Written where a package is made, from whose folder `.git` is left out (`src/config/write-commit.ts`). */
export const COMMIT_FILE = 'commit.txt'

/** The digits of a commit that are shown: enough to find it. */
const SHOWN_DIGITS = 12
const COMMIT = /^[0-9a-f]{12,64}$/

/**
 * The commit that the program in this folder is made of: that of its repository, or the one noted when it was packed.
 * Null where there is neither. Reads files only, so that no git is needed.
 */
export function commitOf(folder: string, readText: (path: string) => string | null): string | null {
  const read = (path: string) => readText(path)?.trim() ?? null
  const found = commitOfRepository(resolve(folder, '.git'), read) ?? read(resolve(folder, COMMIT_FILE))
  return found !== null && COMMIT.test(found) ? found.slice(0, SHOWN_DIGITS) : null
}

type Read = (path: string) => string | null

function commitOfRepository(git: string, read: Read): string | null {
  // In a worktree, `.git` is a file that names its folder, and branches are in the main repository's.
  const worktree = /^gitdir: (.+)$/.exec(read(git) ?? '')?.[1]
  const folder = worktree === undefined ? git : resolve(git, '..', worktree)
  const head = read(resolve(folder, 'HEAD'))
  const branch = /^ref: (refs\/[\w./-]+)$/.exec(head ?? '')?.[1]
  if (branch === undefined || branch.includes('..')) return head
  const common = resolve(folder, read(resolve(folder, 'commondir')) ?? '.')
  return read(resolve(folder, branch)) ?? read(resolve(common, branch)) ?? packed(common, branch, read)
}

function packed(common: string, branch: string, read: Read): string | null {
  const lines = read(resolve(common, 'packed-refs'))?.split('\n') ?? []
  return lines.find((line) => line.endsWith(` ${branch}`))?.split(' ', 1)[0] ?? null
}
