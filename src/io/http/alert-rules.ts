import { ALERT_FORMS } from '../../domain/alert-target.ts'
import { ALERT_CODES, type AlertCode, alertName, ruleOf } from '../../domain/alerts.ts'
import { counted } from '../../lib/counted.ts'

/** The rules for Prometheus, as the text of `deploy/prometheus/alerts.yml`: those of the table, and no others. */
export function prometheusRules(): string {
  return `# Written by npm run docs from src/domain/alerts.ts. Nodes need -monitor.
groups:
  - name: livepeer
    rules:
${ALERT_CODES.map(ruleText).join('')}`
}

/** A query for what a rule finds; what concerns a whole cluster is told once, whichever of its nodes see it. */
export function queryOf(code: AlertCode): string {
  const series = `livepeer_alert{alert="${code}"}`
  return ruleOf(code).scope === 'cluster' ? `max by (alert, job) (${series}) > 0` : `${series} > 0`
}

function ruleText(code: AlertCode): string {
  const { forMs, means, severity, title } = ruleOf(code)
  return `      - alert: ${alertName(code)}
        expr: ${queryOf(code)}
        for: ${forMs / 1_000}s
        labels:
          severity: ${severity}
        annotations:
          summary: ${title}
          description: ${JSON.stringify(`${sentence(means)} livepeer status says more.`)}
`
}

/** The page about alerts, as the text of `docs/alerts.md`. */
export function alertsPage(): string {
  const rows = ALERT_CODES.map((code) => {
    const { forMs, means, scope, severity, title } = ruleOf(code)
    const after = forMs === 0 ? 'at once' : `after ${counted(forMs / 1_000, 'second')}`
    const by = scope === 'node' ? 'each node' : 'one node of a cluster'
    return `| \`${code}\` | ${title} | ${means} | ${severity} | ${after} | ${by} |\n`
  })
  return `# Alerts

Written by \`npm run docs\` from the table in \`src/domain/alerts.ts\`; a test keeps it current.

\`-alert URL\` tells what needs action, to each URL that is given: once when it begins, and once when it has been over for a
minute. What was told is kept over a restart. A target that does not take a message within ten seconds is tried again, up to
every five minutes. Redirects are not followed. Give \`-alert\` to every node: in a cluster one of those that have it tells what
concerns all of them, preferably one that keeps winning tickets, and another takes over when that one ends. Whether reward is
called any node of a cluster reads from the chain, unless each runs with \`-reward=false\`.

| URL | form of the message |
|---|---|
| \`https://…\` | JSON: \`{"version": 1, "node", "alerts": [{"id", "status": "firing" or "over", "alert", "title", "severity", "about", "says", "change", "sinceMs", "endedAtMs"}]}\` |
| \`slack+https://…\` | a text for Slack’s incoming webhooks, and others that take \`{"text"}\` |
| \`discord+https://…\` | a text for Discord’s webhooks |
| \`alertmanager+https://HOST:9093\` | Alertmanager’s \`/api/v2/alerts\`, again every minute while an alert lasts |

\`http://\` works as well as \`https://\` with each of the ${ALERT_FORMS.length} forms. The URLs of webhooks are secrets: write them to a file, one on
each line, and give its path, or set \`LP_ALERT\`. Nothing of a URL but its host is ever shown.

The same rules for Prometheus are in \`deploy/prometheus/alerts.yml\`; they go by the metric \`livepeer_alert\`, which every node with
\`-monitor\` has, and \`deploy/grafana/livepeer.json\` is a board for Grafana.

| rule | title | finds | severity | told | by |
|---|---|---|---|---|---|
${rows.join('')}`
}

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`
}
