import type { AlertForm, ToldAlert } from '../../domain/alert-target.ts'
import { alertName, ruleOf } from '../../domain/alerts.ts'

/** Discord refuses longer texts. */
const MAX_DISCORD_CHARS = 2_000
const MAX_SLACK_CHARS = 12_000
/** An alert that is not told again is over for Alertmanager after this time. */
const ALERTMANAGER_MS = 5 * 60_000

/** A message that tells a target of alerts, as a value for JSON. `node` names who tells it. */
export function alertMessage(
  form: AlertForm,
  alerts: readonly ToldAlert[],
  { node, nowMs }: { readonly node: string; readonly nowMs: number },
): unknown {
  switch (form) {
    case 'webhook':
      return { version: 1, node, alerts: alerts.map(asJson) }
    case 'slack':
      return { text: linesOf(alerts, node, MAX_SLACK_CHARS) }
    case 'discord':
      // Nobody is called by a text that others wrote.
      return { content: linesOf(alerts, node, MAX_DISCORD_CHARS), allowed_mentions: { parse: [] } }
    case 'alertmanager':
      return alerts.map((alert) => asAlertmanager(alert, node, nowMs))
  }
}

function asJson({ about, change, code, endedAtMs, says, sinceMs }: ToldAlert) {
  const { severity, title } = ruleOf(code)
  return {
    id: `${code}/${about}/${sinceMs}`,
    status: endedAtMs === null ? 'firing' : 'over',
    ...{ alert: code, title, severity, about, says, change, sinceMs, endedAtMs },
  }
}

function linesOf(alerts: readonly ToldAlert[], node: string, most: number): string {
  const lines = alerts.map(({ change, code, endedAtMs, says, sinceMs }) => {
    const { severity, title } = ruleOf(code)
    if (endedAtMs === null) return `${severity.toUpperCase()}: ${title} (${node}): ${says}. To do: ${change}`
    const minutes = Math.max(1, Math.round((endedAtMs - sinceMs) / 60_000))
    return `Over after ${minutes} min: ${title} (${node}): ${says}`
  })
  // Slack and its kin read these signs as mark-up.
  const text = lines.join('\n').replace(/[<>&]/g, (sign) => ({ '<': '‹', '>': '›', '&': '+' })[sign]!)
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`
}

function asAlertmanager(
  { about, change, code, endedAtMs, says, sinceMs }: ToldAlert,
  node: string,
  nowMs: number,
) {
  const { severity, title } = ruleOf(code)
  return {
    labels: { alertname: alertName(code), severity, node, ...(about !== '' && { about }) },
    annotations: { summary: title, description: `${says}: ${change}` },
    startsAt: new Date(sinceMs).toISOString(),
    endsAt: new Date(endedAtMs ?? nowMs + ALERTMANAGER_MS).toISOString(),
  }
}
