import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ALERT_CODES, alertName } from '../../domain/alerts.ts'
import { alertsPage, prometheusRules } from './alert-rules.ts'

const inTree = (path: string) =>
  readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8')

test('docs/alerts.md and the rules for Prometheus are those of the table', () => {
  assert.equal(inTree('docs/alerts.md'), alertsPage(), 'npm run docs')
  assert.equal(inTree('deploy/prometheus/alerts.yml'), prometheusRules(), 'npm run docs')
})

test('Prometheus has each rule once', () => {
  const names = [...prometheusRules().matchAll(/- alert: (\w+)/g)].map(([, name]) => name)
  assert.deepEqual(names, ALERT_CODES.map(alertName))
})
