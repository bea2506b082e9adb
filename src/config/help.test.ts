import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { flagsPage } from './help.ts'

test('docs/flags.md matches the table of flags (to update it: node src/config/write-docs.ts)', () => {
  const page = readFileSync(new URL('../../docs/flags.md', import.meta.url), 'utf8')
  assert.equal(page, flagsPage())
})
