import { z } from 'zod'
import { NodeError } from '../../lib/errors.ts'
import type { PerfStats } from '../../services/gateway/perf-scores.ts'
import { callWebhook } from './webhook-call.ts'

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
    const call = { url: this.#url, body: null, maxBytes: MAX_ANSWER_BYTES, limitMs: this.#limitMs }
    const { body, status } = await callWebhook(call, signal)
    if (status < 200 || status > 299) throw unusable(`it answers ${status}`)
    let json: unknown
    try {
      json = JSON.parse(body)
    } catch {
      throw unusable('its answer is not JSON')
    }
    const parsed = schema.safeParse(json)
    if (!parsed.success) throw unusable(`its answer cannot be used: ${parsed.error.issues[0]!.message}`)
    const scores = new Map<string, number>()
    for (const [address, ofRegion] of Object.entries(parsed.data)) {
      const score = ofRegion && Object.hasOwn(ofRegion, this.#region) ? ofRegion[this.#region]?.score : null
      if (typeof score === 'number') scores.set(address.toLowerCase(), score)
    }
    return scores
  }
}

function unusable(reason: string): NodeError<'unusable-scores'> {
  return new NodeError<'unusable-scores'>('unusable-scores', reason)
}
