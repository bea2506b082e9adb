import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { glob, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { OUTSIDE } from '../../bin/make-bundle.ts'
import { BUNDLED_PROGRAMS } from '../../bin/programs.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const DIST = fileURLToPath(new URL('../../dist/', import.meta.url))

test('every part of the bundle can be loaded, also those that a node loads only when a flag asks for them', async () => {
  await import('../../bin/bundle.ts')
  const parts = (await readdir(DIST)).filter(
    (name) => name.endsWith('.js') && !BUNDLED_PROGRAMS.includes(name.replace(/\.js$/, '.ts')),
  )
  assert.ok(parts.length > 20, parts.join())
  const program = `for (const url of ${JSON.stringify(parts.map((name) => pathToFileURL(join(DIST, name)).href))})
    await import(url).catch((error) => console.log(url, error.message))
  process.exit()`
  const node = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', program]
  const { stdout } = await promisify(execFile)(process.execPath, node)
  assert.equal(stdout, '')
})

test('a package that is loaded when a flag asks for it is outside of the bundle, or has a module that names its exports', async () => {
  const loaded: string[] = []
  for await (const path of glob('src/**/*.ts', { cwd: ROOT, exclude: ['src/**/*.test.ts'] })) {
    const source = await readFile(join(ROOT, path), 'utf8')
    for (const [, name] of source.matchAll(/await import\('([^.'][^']*)'\)/g)) loaded.push(name!)
  }
  assert.deepEqual(
    loaded.filter((name) => !OUTSIDE.includes(name) && !name.startsWith('node:')),
    [],
    'bundled CommonJS has no exports with names',
  )
  assert.ok(loaded.includes('@platformatic/kafka'))
})
