import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A small separate disk: a tmpfs, which requires root. */
export class SmallDisk implements Disposable {
  readonly path: string
  readonly #filler: string

  private constructor(path: string) {
    this.path = path
    this.#filler = join(path, 'filler')
  }

  /** Null if this machine does not allow it. */
  static mount(bytes: number): SmallDisk | null {
    const disk = new SmallDisk(mkdtempSync(join(tmpdir(), 'livepeer-disk-')))
    const args = ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', disk.path]
    if (spawnSync('mount', args, { stdio: 'ignore' }).status === 0) return disk
    rmSync(disk.path, { recursive: true })
    return null
  }

  makeReadOnly(): void {
    spawnSync('mount', ['-o', 'remount,ro', this.path], { stdio: 'ignore' })
  }

  /** Fills the disk completely. */
  fill(): void {
    const file = openSync(this.#filler, 'a')
    try {
      for (const size of [65_536, 1]) {
        const piece = new Uint8Array(size)
        while (hasRoom(file, piece));
      }
    } finally {
      closeSync(file)
    }
  }

  free(): void {
    rmSync(this.#filler)
  }

  [Symbol.dispose](): void {
    spawnSync('umount', ['--lazy', this.path], { stdio: 'ignore' })
    rmSync(this.path, { recursive: true, force: true })
  }
}

function hasRoom(file: number, piece: Uint8Array): boolean {
  try {
    return writeSync(file, piece) > 0
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false
    throw error
  }
}
