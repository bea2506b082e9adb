import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { LAYERS } from '../tools/layers.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const glob = (patterns: readonly string[]) =>
  patterns.flatMap((pattern) => globSync(pattern, { cwd: root })).sort()

test('every test file is in exactly one layer', () => {
  const all = glob(['{src,devnet,bench,test}/**/*.test.ts'])
  assert.ok(all.includes(relative(root, fileURLToPath(import.meta.url))))
  assert.deepEqual(Object.values(LAYERS).flatMap(glob).sort(), all)
})
