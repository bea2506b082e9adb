import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const NAME = /^livepeer-media-(\d+)-/

/**
 * Makes a folder for temporary files of this process, and removes those of processes that are gone: one that was killed
 * could not clear up after itself.
 */
export async function openWorkFolder(parent = tmpdir()): Promise<string> {
  for (const name of await readdir(parent)) {
    const owner = NAME.exec(name)?.[1]
    if (owner !== undefined && !isAlive(Number(owner)))
      await rm(join(parent, name), { recursive: true, force: true })
  }
  return await mkdtemp(join(parent, `livepeer-media-${process.pid}-`))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
