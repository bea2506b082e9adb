import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { SmallDisk } from '../../test/tools/small-disk.ts'
import { Store } from '../io/store/store.ts'
import { openDataDir } from './data-dir.ts'

const folder = mkdtempSync(join(tmpdir(), 'livepeer-data-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function refused(path: string, why: string) {
  return {
    code: 'data-dir-unusable',
    message: `the data folder ${path} cannot be used, ${why}: fix that, or give another with -dataDir`,
  }
}

test('a data folder is made with its parents, for its owner only, and the write test leaves no file', async () => {
  const path = join(folder, 'deep', 'er')
  await openDataDir(path)
  await openDataDir(path)
  assert.equal(statSync(path).mode & 0o777, 0o700)
  assert.deepEqual(readdirSync(path), [])
})

test('the error names a file in its place or above it', async () => {
  const file = join(folder, 'file')
  writeFileSync(file, 'x')
  await assert.rejects(openDataDir(file), refused(file, 'there is a file where a folder should be'))
  const below = join(file, 'data')
  await assert.rejects(openDataDir(below), refused(below, 'there is a file where a folder should be'))
})

test('a folder that the file system does not make is refused, not tried for ever', {
  skip: process.platform !== 'linux' && 'there is no /proc',
}, async () => {
  await assert.rejects(openDataDir('/proc/nowhere/data'), { code: 'data-dir-unusable', message: /nowhere/ })
})

test('the error names a folder without permission', {
  skip: process.getuid?.() === 0 && 'root may do everything',
}, async () => {
  const path = join(folder, 'forbidden')
  mkdirSync(path)
  chmodSync(path, 0o500)
  await assert.rejects(openDataDir(path), refused(path, 'this user may not access it'))
})

test('the error names a full and a read-only disk, also when only the database runs into it', async (t) => {
  using disk = SmallDisk.mount(1024 * 1024)
  if (!disk) return t.skip('no tmpfs can be mounted here: that takes root')
  disk.fill()
  await assert.rejects(openDataDir(disk.path), refused(disk.path, 'the disk is full'))
  const location = join(disk.path, 'node.sqlite3')
  await assert.rejects(new Store({ location }).open(), {
    code: 'store-unwritable',
    message: `the database ${location} cannot be used, the disk is full: fix that, or give the node another -dataDir`,
  })
  disk.free()
  await openDataDir(disk.path)
  disk.makeReadOnly()
  await assert.rejects(openDataDir(disk.path), refused(disk.path, 'the file system is read-only'))
  await assert.rejects(new Store({ location }).open(), {
    code: 'store-unwritable',
    message: /^the database .* cannot be used, (the file system is read-only|it is read-only): /,
  })
})
