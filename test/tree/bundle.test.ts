import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { BUNDLED_PROGRAMS } from '../../bin/programs.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('the bundle holds every program of the package, and every one that the node starts', () => {
  const started = globSync('src/**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] }).flatMap((path) =>
    [...readFileSync(`${root}${path}`, 'utf8').matchAll(/program(?:File|Url)\('([^']+)'\)/g)].map(
      ([, name]) => `${name}.ts`,
    ),
  )
  assert.ok(started.length >= 5, String(started))
  const expected = new Set(['main.ts', 'commands/bench/main.ts', 'commands/wizard/main.ts', ...started])
  assert.deepEqual([...BUNDLED_PROGRAMS].sort(), [...expected].sort())
})
