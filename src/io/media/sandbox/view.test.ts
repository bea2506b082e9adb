import assert from 'node:assert/strict'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { realPath, sandboxView } from './view.ts'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url)).replace(/\/$/, '')
const WORKER = fileURLToPath(new URL('../worker/worker.ts', import.meta.url))

test('a worker sees code, libraries and its folder, but not the folders around them', (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'livepeer-view-'))
  t.after(() => rmSync(parent, { recursive: true }))
  const folder = join(parent, '0')
  mkdirSync(folder)
  const view = sandboxView({ module: WORKER, folder, usesGpu: false })
  const shown = [...view.readable, ...view.programs, ...view.devices, ...view.writable]
  const sees = (path: string) => shown.some((one) => path === one || path.startsWith(`${one}/`))
  for (const path of [
    ROOT,
    join(ROOT, 'README.md'),
    parent,
    join(parent, '1'),
    '/',
    '/etc/passwd',
    '/proc',
    '/root',
    '/bin/sh',
    '/usr/bin/sh',
    '/dev',
  ])
    assert.equal(sees(path), false, path)
  for (const path of [WORKER, process.execPath, folder, '/dev/null']) assert.ok(sees(path), path)
  assert.deepEqual(view.writable, [folder])
  for (const path of shown) {
    assert.ok(existsSync(path), path)
    assert.equal(lstatSync(path).isSymbolicLink(), false, path)
  }
})

test('a worker on a GPU also sees its devices and what drivers read of the system', () => {
  const view = sandboxView({ module: WORKER, folder: null, usesGpu: true })
  assert.ok(view.readable.includes('/sys') && view.hasProc)
  assert.deepEqual(view.writable, [])
})

test('a path is followed through links to folders and files, and the links are recorded', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-view-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const at = (name: string) => join(folder, name)
  mkdirSync(at('real/inner'), { recursive: true })
  writeFileSync(at('real/inner/file'), '')
  symlinkSync('real', at('relative'))
  symlinkSync(at('relative/inner'), at('absolute'))
  symlinkSync('loop', at('loop'))
  symlinkSync('nowhere', at('broken'))
  const links: Record<string, string> = {}
  assert.equal(realPath(at('absolute/file'), links), at('real/inner/file'))
  assert.deepEqual(links, { [at('absolute')]: at('relative/inner'), [at('relative')]: 'real' })
  for (const name of ['loop', 'broken', 'absolute/missing']) assert.equal(realPath(at(name), {}), null, name)
})
