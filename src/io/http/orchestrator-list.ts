import { z } from 'zod'
import type { ListedOrchestrator, OrchestratorList } from '../../services/gateway/webhook-orchestrators.ts'
import { inLowerCase } from './go-json.ts'
import { fetchJson, WebhookError } from './webhook-call.ts'

/** As long as peers wait (gateway.md §7). */
const LIMIT_MS = 3_000
const MAX_ANSWER_BYTES = 1_000_000

const schema = z.array(z.object({ address: z.string().nullish(), score: z.number().nullish() })).nullable()

/** Fetches the list of orchestrators from the operator's webhook (gateway.md §7). */
export class WebhookList implements OrchestratorList {
  readonly #url: string
  readonly #limitMs: number

  constructor({ limitMs = LIMIT_MS, url }: { readonly url: string; readonly limitMs?: number }) {
    this.#url = url
    this.#limitMs = limitMs
  }

  async fetch(signal: AbortSignal): Promise<readonly ListedOrchestrator[]> {
    const call = { url: this.#url, maxBytes: MAX_ANSWER_BYTES, limitMs: this.#limitMs }
    return orchestratorsIn(await fetchJson(call, signal))
  }
}

/** The orchestrators that an answer lists. Throws WebhookError `unusable`. */
export function orchestratorsIn(json: unknown): readonly ListedOrchestrator[] {
  const parsed = schema.safeParse(inLowerCase(json))
  if (!parsed.success) {
    const { message, path } = parsed.error.issues[0]!
    throw new WebhookError('unusable', `its answer cannot be used: ${[...path, message].join(': ')}`)
  }
  return (parsed.data ?? []).map(({ address, score }) => ({ address: address ?? '', score: score ?? 0 }))
}
