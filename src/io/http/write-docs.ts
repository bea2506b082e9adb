import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { alertsPage, prometheusRules } from './alert-rules.ts'
import { metricsPage } from './metrics-page.ts'

// Writes docs/metrics.md, docs/alerts.md and the rules for Prometheus from their tables.
const write = (path: string, text: string) =>
  writeFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), text)
write('docs/metrics.md', metricsPage())
write('docs/alerts.md', alertsPage())
write('deploy/prometheus/alerts.yml', prometheusRules())
