import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { flagsPage } from './help.ts'

// Writes docs/flags.md from the table; with --check it only tells, by its exit code, whether the page is current.
const path = fileURLToPath(new URL('../../docs/flags.md', import.meta.url))
if (!process.argv.includes('--check')) {
  writeFileSync(path, flagsPage())
} else if (readFileSync(path, 'utf8') !== flagsPage()) {
  process.stderr.write('docs/flags.md is not current: run node src/config/write-docs.ts\n')
  process.exitCode = 1
}
