import { FLAG_OF_LABEL, type MetricRow, type MetricRows, REPORTERS } from './metric-row.ts'
import { MAX_SERIES } from './metric-series.ts'
import { EXTRA_METRICS } from './metrics-extras.ts'
import { MONEY_METRICS } from './metrics-money.ts'
import { NODE_METRICS } from './metrics-node.ts'
import { RECORDING_METRICS } from './metrics-recordings.ts'
import { SEGMENT_METRICS } from './metrics-segments.ts'
import { METRICS, UNCOUNTED } from './metrics-table.ts'
import { VERIFICATION_METRICS } from './metrics-verification.ts'

const FLAGS = { perStream: '-metricsPerStream', clientIp: '-metricsClientIP' } as const

/** The content of docs/metrics.md. */
export function metricsPage(): string {
  return `# Metrics

Written by \`npm run docs\` from the table in \`src/io/http/metrics-table.ts\`; a test keeps it current.

With \`-monitor\` a node serves metrics for Prometheus at \`/metrics\` of its control API (\`-cliAddr\`); without it that path
answers 404, and until the node is ready 503. Names have the prefix \`livepeer_\`. Those that the Go node has, with types, labels
and buckets, are the same here (docs/protocol/operations.md §6); the others follow the conventions of Prometheus.

- A node has the metrics that it can move, each from its start on: a counter begins with 0. Series whose labels only come with
  events begin with the first of them.
- All have the labels \`node_id\` (account and host name) and \`node_type\`: \`bctr\` gateway, \`orch\` orchestrator, \`trcr\`
  transcoder, \`rdmr\` redeemer, \`dflt\` any other; \`versions\` has only the second.
- Labels in brackets need a flag: \`manifest_id\` and \`sender\` \`-metricsPerStream\`, \`client_ip\` \`-metricsClientIP\`.
- A metric has at most ${MAX_SERIES} series with labels that come with events. Then the one that moved longest ago makes room, and
  what it had counted goes to one with the value \`other\`: sums stay true.
- Money is counted once in a whole cluster: \`sum(livepeer_ticket_value_recv)\` over all nodes is what was received,
  \`sum(livepeer_value_redeemed)\` what was paid on chain. A counter begins with 0 again when its node restarts, which
  \`increase()\` allows for.
- Metrics of the process, \`process_*\` and \`nodejs_*\`, are those of prom-client.

## Streams and segments

${table(SEGMENT_METRICS)}
## Recordings, verification, events for other programs

${table({ ...RECORDING_METRICS, ...VERIFICATION_METRICS, ...EXTRA_METRICS })}
## Payments and tickets

${table(MONEY_METRICS)}
## Node, peers, chain

${table(NODE_METRICS)}
## Buckets

${bucketsOf(METRICS)}
## Events that move no metric

${Object.entries(UNCOUNTED)
  .map(([kind, why]) => `- \`${kind}\`: ${why}`)
  .join('\n')}
`
}

function table(rows: MetricRows): string {
  const lines = Object.entries(rows).map(([name, row]) => {
    const cells = [`\`${name}\``, row.type, labels(row), row.by.map((who) => REPORTERS[who]).join('; ')]
    return `| ${[...cells, `${row.help}${extent(row)}`, source(row)].join(' | ')} |\n`
  })
  return `| name | type | labels | at | what | moved by |\n|---|---|---|---|---|---|\n${lines.join('')}`
}

function labels({ flagLabels = [], labels = {} }: MetricRow): string {
  return [
    ...Object.keys(labels).map((label) => `\`${label}\``),
    ...flagLabels.map((label) => `[\`${label}\`]`),
  ].join(' ')
}

function extent(row: MetricRow): string {
  return row.perStreamOnly ? `; only with \`${FLAGS[FLAG_OF_LABEL.manifest_id]}\`` : ''
}

function source(row: MetricRow): string {
  return 'read' in row
    ? `read ${row.read}`
    : Object.keys(row.on)
        .map((kind) => `\`${kind}\``)
        .join(' ')
}

function bucketsOf(rows: MetricRows): string {
  const lines = Object.entries(rows).flatMap(([name, row]) =>
    row.type === 'histogram' ? [`- \`${name}\`: ${row.buckets.join(' ')}\n`] : [],
  )
  return lines.join('')
}
