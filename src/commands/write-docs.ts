import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { errorsPage } from './errors-page.ts'
import { troubleshootingPage } from './troubleshooting-page.ts'

// Writes docs/errors.md and docs/troubleshooting.md from the tables.
const path = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url))
writeFileSync(path('errors.md'), errorsPage())
writeFileSync(path('troubleshooting.md'), troubleshootingPage())
