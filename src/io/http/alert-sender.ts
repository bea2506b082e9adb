import type { AlertTarget } from '../../domain/alert-target.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { hiderOf } from '../../lib/mask-url.ts'
import { escaped } from '../../lib/printable.ts'
import type { ToldAlerts } from '../../services/alerts/alerts.ts'
import { alertMessage } from './alert-messages.ts'

/** A target has this long to take a message. */
const TIMEOUT_MS = 10_000
/** Of a refusal this much is read, for the log. */
const MAX_REFUSAL_BYTES = 2_000
const MAX_SHOWN = 200

/** Why an alert was not sent. */
export type AlertFault = 'alert-not-sent'

/**
 * Tells a target of alerts, in its form, as JSON. Follows no redirect, reads no more of the answer than it shows, and waits ten seconds.
 * Throws NodeError `alert-not-sent`, whose text shows nothing of the URL but its host.
 */
export async function sendAlert(
  { form, url }: AlertTarget,
  { alerts, ...about }: ToldAlerts,
  signal: AbortSignal,
  { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
): Promise<void> {
  const hide = hiderOf(url)
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const { authorization, href } = withoutCredentials(url)
    const response = await fetch(href, {
      ...{
        method: 'POST',
        redirect: 'manual',
        signal: limit,
        body: JSON.stringify(alertMessage(form, alerts, about)),
      },
      headers: { 'content-type': 'application/json', 'user-agent': 'livepeer-ts', ...authorization },
    })
    const text = response.ok ? '' : await beginningOf(response)
    await response.body?.cancel().catch(() => {})
    if (response.ok) return
    throw new Error(`status ${response.status}${text === '' ? '' : `: ${text}`}`)
  } catch (error) {
    signal.throwIfAborted()
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    throw new NodeError<AlertFault>('alert-not-sent', escaped(hide(messageOf(cause))).slice(0, MAX_SHOWN))
  }
}

/** `fetch` refuses a URL with credentials. */
function withoutCredentials(text: string): { href: string; authorization: Record<string, string> } {
  const url = new URL(text)
  const { password, username } = url
  if (username === '' && password === '') return { href: url.href, authorization: {} }
  url.username = ''
  url.password = ''
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { href: url.href, authorization: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } }
}

async function beginningOf(response: Response): Promise<string> {
  const reader = response.body?.getReader()
  if (!reader) return ''
  const chunks: Uint8Array[] = []
  for (let size = 0; size < MAX_REFUSAL_BYTES; ) {
    const { done, value } = await reader.read()
    if (done) break
    chunks.push(value)
    size += value.length
  }
  reader.cancel().catch(() => {})
  return Buffer.concat(chunks).subarray(0, MAX_REFUSAL_BYTES).toString('utf8').trim()
}
