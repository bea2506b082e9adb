import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { flagsPage } from './help.ts'

// Writes docs/flags.md from the table. With --check it writes nothing and exits with 1 when the page is out of date.
const path = fileURLToPath(new URL('../../docs/flags.md', import.meta.url))
if (!process.argv.includes('--check')) {
  writeFileSync(path, flagsPage())
} else if (readFileSync(path, 'utf8') !== flagsPage()) {
  process.stderr.write('docs/flags.md is out of date: run node src/config/write-docs.ts\n')
  process.exitCode = 1
}
