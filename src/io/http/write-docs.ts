import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { metricsPage } from './metrics-page.ts'

// Writes docs/metrics.md from the table.
writeFileSync(fileURLToPath(new URL('../../../docs/metrics.md', import.meta.url)), metricsPage())
