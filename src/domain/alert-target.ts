import type { Alert } from './alerts.ts'

/** The forms of messages, by what comes before `http` in a URL of `-alert`; a plain URL takes this project's own JSON. */
export const ALERT_FORMS = ['webhook', 'slack', 'discord', 'alertmanager'] as const

/** One of them. */
export type AlertForm = (typeof ALERT_FORMS)[number]

/** Where alerts are sent, and in which form. The URL may hold a secret. */
export interface AlertTarget {
  readonly form: AlertForm
  readonly url: string
}

/** What is told of an alert. */
export interface ToldAlert extends Alert {
  readonly sinceMs: number
  /** Null while it lasts. */
  readonly endedAtMs: number | null
}

const ALERTMANAGER_PATH = '/api/v2/alerts'

/**
 * The target that a URL of `-alert` names: `https://…` for JSON, `slack+https://…`, `discord+https://…`,
 * `alertmanager+https://…`; http as well as https. Null for any other text.
 */
export function alertTargetOf(text: string): AlertTarget | null {
  const [, prefix, rest] = /^(?:([a-z]+)\+)?(https?:\/\/.+)$/i.exec(text) ?? []
  const form = prefix === undefined ? 'webhook' : ALERT_FORMS.find((name) => name === prefix.toLowerCase())
  const url = rest === undefined ? null : URL.parse(rest)
  if (!form || !url || url.hostname === '' || (prefix !== undefined && form === 'webhook')) return null
  if (form === 'alertmanager' && url.pathname === '/') url.pathname = ALERTMANAGER_PATH
  return { form, url: url.href }
}
