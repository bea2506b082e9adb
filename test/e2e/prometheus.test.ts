import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ALERT_CODES, type AlertCode, alertName, ruleOf } from '../../src/domain/alerts.ts'
import { METRICS } from '../../src/io/http/metrics-table.ts'

/** The rules for Prometheus and the board for Grafana, with Debian's promtool; skipped where that is not installed. */

const inTree = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const RULES = inTree('deploy/prometheus/alerts.yml')
const skip = spawnSync('promtool', ['--version']).error !== undefined && 'promtool is not installed'

const folder = mkdtempSync(join(tmpdir(), 'livepeer-rules-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function promtool(...words: string[]): void {
  const { status, stderr, stdout } = spawnSync('promtool', words, { cwd: folder, encoding: 'utf8' })
  assert.equal(status, 0, `${stdout}${stderr}`.slice(0, 2_000))
}

test('promtool takes the rules', { skip }, () => promtool('check', 'rules', '--lint-fatal', RULES))

test('each rule fires once it has lasted, of a cluster once for all, and ends; nothing fires while all is well', {
  skip,
}, () => {
  copyFileSync(RULES, join(folder, 'alerts.yml'))
  const tests = [well(), ...ALERT_CODES.map(faulty)]
  // YAML takes JSON.
  const text = JSON.stringify({ rule_files: ['alerts.yml'], evaluation_interval: '30s', tests })
  writeFileSync(join(folder, 'tests.yml'), text)
  promtool('test', 'rules', 'tests.yml')
})

const series = (code: AlertCode, node: string, values: string) => ({
  series: `livepeer_alert{alert="${code}",severity="${ruleOf(code).severity}",node_id="${node}",job="livepeer"}`,
  values,
})

function well() {
  return {
    ...{ name: 'well', interval: '30s' },
    input_series: ALERT_CODES.map((code) => series(code, 'a', '0x40')),
    alert_rule_test: ALERT_CODES.map((code) => ({
      eval_time: '20m',
      alertname: alertName(code),
      exp_alerts: [],
    })),
  }
}

/** Two nodes see it from the second minute to the twentieth. */
function faulty(code: AlertCode) {
  const { forMs, means, scope, severity, title } = ruleOf(code)
  const nodes = ['a', 'b']
  const firing = (of: Record<string, string>) => ({
    exp_labels: { severity, job: 'livepeer', alert: code, ...of },
    exp_annotations: {
      summary: title,
      description: `${means[0]!.toUpperCase()}${means.slice(1)}. livepeer status says more.`,
    },
  })
  const all = scope === 'cluster' ? [firing({})] : nodes.map((node_id) => firing({ node_id }))
  const beganS = 120
  const at = (seconds: number, exp_alerts: unknown[]) => ({
    ...{ eval_time: `${seconds}s`, alertname: alertName(code), exp_alerts },
  })
  return {
    ...{ name: code, interval: '30s' },
    input_series: nodes.map((node) => series(code, node, '0x3 1x35 0x20')),
    alert_rule_test: [
      at(90, []),
      ...(forMs > 0 ? [at(beganS + forMs / 1_000 - 30, [])] : []),
      at(beganS + forMs / 1_000, all),
      at(beganS + 1_020, all),
      at(beganS + 1_110, []),
    ],
  }
}

interface Panel {
  readonly title: string
  readonly targets: readonly { readonly expr: string }[]
}
const board = JSON.parse(readFileSync(inTree('deploy/grafana/livepeer.json'), 'utf8')) as {
  readonly panels: readonly (Panel & {
    readonly id: number
    readonly gridPos: Record<'x' | 'y' | 'w' | 'h', number>
  })[]
}

test('every query of the board is of metrics that nodes have, and of labels that these have', () => {
  assert.ok(board.panels.length > 10)
  for (const { targets, title } of board.panels) {
    assert.ok(targets.length > 0, title)
    for (const { expr } of targets) {
      const names = [...expr.matchAll(/livepeer_([a-z0-9_]+)/g)].map(([, name]) => name!)
      assert.ok(names.length > 0, expr)
      for (const name of names) {
        assert.ok(Object.hasOwn(METRICS, name), `${title}: livepeer_${name} is no metric`)
        const known = new Set([
          'job',
          'instance',
          'node_id',
          'node_type',
          ...Object.keys(METRICS[name]!.labels ?? {}),
        ])
        const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, labels]) => labels!.split(/, */))
        assert.deepEqual(
          grouped.filter((label) => !known.has(label)),
          [],
          `${title}: ${expr}`,
        )
      }
    }
  }
})

test('the panels of the board do not overlap, and each has its own number', () => {
  const { panels } = board
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  for (const [i, { gridPos: a, title }] of panels.entries()) {
    assert.ok(a.x + a.w <= 24, title)
    for (const { gridPos: b, title: other } of panels.slice(i + 1)) {
      const isApart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
      assert.ok(isApart, `${title} lies over ${other}`)
    }
  }
})

test('promtool reads every query of the board', { skip }, () => {
  const rules = board.panels
    .flatMap(({ targets }) => targets)
    .map(({ expr }, i) => ({
      record: `query_${i}`,
      expr: expr.replaceAll('$job', '.*').replaceAll('$__rate_interval', '5m'),
    }))
  writeFileSync(join(folder, 'board.yml'), JSON.stringify({ groups: [{ name: 'board', rules }] }))
  promtool('check', 'rules', 'board.yml')
})
