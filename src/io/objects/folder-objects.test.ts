import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { objectsSuite } from '../../../test/suites/objects.ts'
import { SmallDisk } from '../../../test/tools/small-disk.ts'
import { seededDice } from '../../lib/dice.ts'
import { FolderObjects } from './folder-objects.ts'

const root = await mkdtemp(join(tmpdir(), 'folder-objects-'))
after(() => rm(root, { recursive: true, force: true }))
let folders = 0

async function opened(): Promise<{ folder: string; objects: FolderObjects }> {
  const folder = join(root, String(folders++), 'store')
  return { folder, objects: new FolderObjects({ folder }, { dice: seededDice(folder) }) }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

objectsSuite('in a folder', async () => (await opened()).objects, { checksPaths: true })

test('a file in a folder lies at its path, and nothing else does', async () => {
  const { folder, objects } = await opened()
  const url = await objects.save('movie/P/0.ts', bytes('x'))
  assert.equal(url, `file://${folder}/movie/P/0.ts`)
  await Promise.all(['a', 'b', 'c'].map((text) => objects.save('movie/P/0.ts', bytes(text))))
  assert.deepEqual(await readdir(join(folder, 'movie/P')), ['0.ts'])
})

test('what a crash left unfinished in a folder is no file of the store', async () => {
  const { folder, objects } = await opened()
  await objects.save('m/0.ts', bytes('x'))
  await writeFile(join(folder, 'm/.unfinished-00'), 'hal')
  assert.deepEqual(
    (await objects.list('m/')).files.map(({ path }) => path),
    ['m/0.ts'],
  )
  assert.equal(await objects.load('m/.unfinished-00'), null)
  await assert.rejects(objects.save('m/.unfinished-00', bytes('x')), { code: 'bad-path' })
  await objects.drop('m/')
  assert.deepEqual(await readdir(folder), [])
})

test('a folder store reads nothing that lies elsewhere', async () => {
  const { folder, objects } = await opened()
  await objects.save('m/0.ts', bytes('x'))
  const secret = join(root, 'secret')
  await writeFile(secret, 'not yours')
  await symlink(secret, join(folder, 'm/1.ts'))
  for (const path of ['m/1.ts', '../secret', 'm/../../secret', '/etc/passwd', 'm/0.ts/x', 'm\0/0.ts'])
    assert.equal(await objects.load(path), null, path)
  assert.deepEqual(
    (await objects.list('')).files.map(({ path }) => path),
    ['m/0.ts'],
  )
})

test('empty folders go with their last file, and a folder that goes while a file comes is made again', async () => {
  const { folder, objects } = await opened()
  for (let i = 0; i < 50; i++) {
    await Promise.all([objects.save(`m/P/${i}.ts`, bytes('x')), i > 0 && objects.remove(`m/P/${i - 1}.ts`)])
  }
  assert.equal((await objects.list('m/')).files.length, 1)
  await objects.remove('m/P/49.ts')
  assert.deepEqual(await readdir(folder), [])
})

test('a disk that fails is told with the folder and the reason', async () => {
  const { folder, objects } = await opened()
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'm'), 'a file where a folder should be')
  await assert.rejects(objects.save('m/0.ts', bytes('x')), {
    code: 'store-failed',
    message: `a file in ${folder} could not be saved: there is a file where a folder should be`,
  })
  if (process.getuid?.() === 0) return
  await chmod(folder, 0o500)
  await assert.rejects(objects.save('n/0.ts', bytes('x')), { code: 'store-failed' })
  await chmod(folder, 0o700)
})

test('a check makes the folder, leaves no file in it, and tells what can never be written', async (t) => {
  const { folder, objects } = await opened()
  await objects.check()
  await objects.check()
  assert.deepEqual(await readdir(folder), [])
  await writeFile(join(folder, 'file'), 'x')
  for (const path of ['file', 'file/below']) {
    const wrong = new FolderObjects({ folder: join(folder, path) }, { dice: seededDice(path) })
    await assert.rejects(wrong.check(), {
      code: 'store-refused',
      message: `${join(folder, path)} cannot be used, there is a file where a folder should be`,
    })
  }
  using disk = SmallDisk.mount(64 * 1024)
  if (!disk) return t.diagnostic('no tmpfs can be mounted here: that takes root')
  const small = new FolderObjects({ folder: disk.path }, { dice: seededDice('disk') })
  disk.fill()
  await small.check()
  disk.makeReadOnly()
  await assert.rejects(small.check(), { message: /cannot be used, the file system is read-only$/ })
})

test('a folder that the file system does not make is refused, not tried for ever', {
  skip: process.platform !== 'linux' && 'there is no /proc',
}, async () => {
  const objects = new FolderObjects({ folder: '/proc/nowhere/store' }, { dice: seededDice('proc') })
  await assert.rejects(objects.check(), { code: 'store-refused', message: /^\/proc\/nowhere\/store cannot/ })
  await assert.rejects(objects.save('m/0.ts', bytes('x')), { code: 'store-failed' })
})
