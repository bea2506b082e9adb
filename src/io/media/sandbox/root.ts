import { mkdirSync, rmdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { bindMount, changeRoot, type MountBan, mountNew, restrictMount } from './syscalls.ts'
import type { SandboxView } from './view.ts'

/**
 * Where the new root is assembled: a folder that every system has and that contains nothing of the view. Only the new
 * namespace sees the change.
 */
const PLACE = '/proc'
const OLD_ROOT = '.old'
/** It holds folders and links only. */
const ROOT_OPTIONS = 'mode=755,size=1m,nr_inodes=4096'

/** Makes a root from the parts of the view and moves this process's own mount namespace there. */
export function enterRoot(view: SandboxView): void {
  mountNew('tmpfs', PLACE, ROOT_OPTIONS)
  const show = (paths: readonly string[], bans: readonly MountBan[]) => {
    for (const path of paths) {
      const target = join(PLACE, path)
      if (statSync(path).isDirectory()) mkdirSync(target, { recursive: true })
      else {
        mkdirSync(dirname(target), { recursive: true })
        writeFileSync(target, '', { flag: 'a' })
      }
      bindMount(path, target)
      restrictMount(target, bans)
    }
  }
  show(view.readable, ['readOnly', 'noSetuid', 'noDevices'])
  show(
    view.programs.filter((path) => !isBelow(path, view.readable)),
    ['readOnly', 'noSetuid', 'noDevices'],
  )
  show(view.devices, ['noSetuid', 'noExecution'])
  show(view.writable, ['noSetuid', 'noDevices', 'noExecution'])
  for (const [path, target] of Object.entries(view.links)) {
    if (isBelow(path, view.readable)) continue
    mkdirSync(dirname(join(PLACE, path)), { recursive: true })
    symlinkSync(target, join(PLACE, path))
  }
  mkdirSync(join(PLACE, OLD_ROOT))
  if (view.hasProc) {
    mkdirSync(join(PLACE, 'proc'))
    mountNew('proc', join(PLACE, 'proc'), '')
  }
  changeRoot(PLACE, OLD_ROOT)
  rmdirSync(`/${OLD_ROOT}`)
  restrictMount('/', ['readOnly'], { alsoBelow: false })
}

function isBelow(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => path.startsWith(`${folder}/`))
}
