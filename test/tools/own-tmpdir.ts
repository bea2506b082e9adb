import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

/** Gives a test file a folder for temporary files that no other process uses; it is removed after the tests. */
export function useOwnTmpdir(): void {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-tests-'))
  // A database server in it may run as another user.
  chmodSync(folder, 0o711)
  process.env.TMPDIR = folder
  after(() => rmSync(folder, { recursive: true, force: true }))
}
