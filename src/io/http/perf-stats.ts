import { z } from 'zod'
import type { PerfStats } from '../../services/gateway/perf-scores.ts'
import { fetchJson, WebhookError } from './webhook-call.ts'

const LIMIT_MS = 10_000
const MAX_ANSWER_BYTES = 10_000_000

const regions = z.record(z.string(), z.looseObject({ score: z.number().nullish() }).nullable())
const schema = z.record(z.string(), regions.nullable())

/** Fetches the performance scores of orchestrators (gateway.md §9). */
export class PerfStatsPage implements PerfStats {
  readonly #url: string
  readonly #region: string
  readonly #limitMs: number

  constructor(options: { readonly url: string; readonly region: string; readonly limitMs?: number }) {
    this.#url = options.url
    this.#region = options.region
    this.#limitMs = options.limitMs ?? LIMIT_MS
  }

  async fetch(signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    const call = { url: this.#url, maxBytes: MAX_ANSWER_BYTES, limitMs: this.#limitMs }
    return scoresIn(await fetchJson(call, signal), this.#region)
  }
}

/** The scores that an answer has for a region, by address in lower case. Throws WebhookError `unusable`. */
export function scoresIn(json: unknown, region: string): ReadonlyMap<string, number> {
  const parsed = schema.safeParse(json)
  if (!parsed.success)
    throw new WebhookError('unusable', `its answer cannot be used: ${parsed.error.issues[0]!.message}`)
  const scores = new Map<string, number>()
  for (const [address, ofRegion] of Object.entries(parsed.data)) {
    const score = ofRegion && Object.hasOwn(ofRegion, region) ? ofRegion[region]?.score : null
    if (typeof score === 'number') scores.set(address.toLowerCase(), score)
  }
  return scores
}
