import { z } from 'zod'
import type { Causes } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { segmentLimitMs } from '../../domain/segment.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf, NodeError } from '../../lib/errors.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import { TimeLimit } from '../../lib/patience.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type {
  JudgedResult,
  ResultVerifier,
  Verdict,
  VerifierFault,
} from '../../services/gateway/result-verifier.ts'
import type { VerifierFiles, VerifierPlace } from './verifier-place.ts'
import { callWebhook, type WebhookAnswer, WebhookError } from './webhook-call.ts'

const MAX_ANSWER_BYTES = 1_000_000
/** Results that are with the verifier at once; each lies in a folder or a bucket meanwhile. */
const MAX_AT_ONCE = 16
/** The pauses before further tries. */
const PAUSES_MS = [250, 500]
/** Answers of what lies before a verifier, which itself judged nothing. */
const UNDECIDED_STATUSES: ReadonlySet<number> = new Set([502, 503, 504])
/** After this many results in a row waited this long without a verdict, one waits every `PROBE_MS`; the others go on unjudged. */
const AWAY_AFTER = 3
const IN_VAIN_MS = 500
const PROBE_MS = 5_000
/** Faults after which the verifier cannot have answered. */
const RETRIED: ReadonlySet<string> = new Set(['unreachable', 'cut-short'])

const schema = z.object({
  results: z.array(
    z.object({
      video_available: z.boolean().nullish(),
      audio_available: z.boolean().nullish(),
      audio_dist: z.number().nullish(),
      tamper: z.number().nullish(),
      ocsvm_dist: z.number().nullish(),
    }),
  ),
})

type Found = z.infer<typeof schema>['results'][number]

/** What the verifier depends on. */
export interface ExternalVerifierNeeds {
  readonly place: VerifierPlace
  readonly clock: Clock
  readonly causes: Causes
  readonly events: NodeEvents
}

/**
 * Has results judged by the classifier at `-verifierUrl` (gateway.md §12), which reads them in a folder that both share, or
 * fetches them from a bucket. It has as long as an orchestrator, together with the time in which the files are written. Only
 * what judged nothing is asked again; a verifier that is away is a cause, and says nothing against a result. One that lets three
 * results in a row wait in vain is waited for by one result every five seconds, until it judges one.
 */
export class ExternalVerifier implements ResultVerifier, Service {
  readonly name = 'verifier of results'
  readonly #url: string
  readonly #needs: ExternalVerifierNeeds
  #atOnce = 0
  /** Results in a row that waited in vain. */
  #inVain = 0
  /** When one waits again, and whether one does. */
  #nextProbeMs = 0
  #isProbing = false

  constructor(url: string, needs: ExternalVerifierNeeds) {
    this.#url = url
    this.#needs = needs
  }

  /** Throws NodeError where no file could ever be written. */
  async start(_scope: Scope): Promise<void> {
    await this.#needs.place.open()
  }

  async judge(result: JudgedResult, signal: AbortSignal): Promise<Verdict | null> {
    const { causes, clock, events } = this.#needs
    const sinceMs = clock.now()
    const { manifestId, orchestrator } = result
    let verdict: Verdict | null = null
    try {
      verdict = await this.#askUnlessAway(result, signal)
      if (verdict) causes.over('verifier-failing')
    } catch (error) {
      if (isAbort(error) && signal.aborted) throw error
      const facts = { verifier: maskUrl(this.#url), reason: messageOf(error) }
      causes.met({ code: 'verifier-failing', facts })
    }
    const found = verdict ? (verdict.fault ?? 'good') : 'none'
    events.tell({
      kind: 'result-judged',
      manifestId,
      orchestrator,
      verdict: found,
      tookMs: clock.now() - sinceMs,
    })
    return verdict
  }

  /** Null where others have just waited in vain. */
  async #askUnlessAway(result: JudgedResult, signal: AbortSignal): Promise<Verdict | null> {
    if (this.#inVain < AWAY_AFTER) return await this.#askInTurn(result, signal)
    if (this.#isProbing || this.#needs.clock.now() < this.#nextProbeMs) return null
    this.#isProbing = true
    try {
      return await this.#askInTurn(result, signal)
    } finally {
      this.#isProbing = false
    }
  }

  async #askInTurn(result: JudgedResult, signal: AbortSignal): Promise<Verdict> {
    if (this.#atOnce >= MAX_AT_ONCE) throw unusable(`${MAX_AT_ONCE} other results wait for it`)
    this.#atOnce++
    const limitMs = segmentLimitMs(result.durationMs)
    const sinceMs = this.#needs.clock.now()
    const limits = { endMs: sinceMs + limitMs, expected: result.renditions.length }
    try {
      await using files = await this.#written(result, limitMs, signal)
      const verdict = await this.#ask(bodyOf(result, files), limits, signal)
      this.#inVain = 0
      return verdict
    } catch (error) {
      if (!signal.aborted) this.#noteFailure(sinceMs)
      throw error
    } finally {
      this.#atOnce--
    }
  }

  /** A failure that takes no time holds up nobody. */
  #noteFailure(sinceMs: number): void {
    const now = this.#needs.clock.now()
    this.#inVain = now - sinceMs < IN_VAIN_MS ? 0 : this.#inVain + 1
    this.#nextProbeMs = now + PROBE_MS
  }

  /** Writes the files of a result where the verifier finds them. A bucket may hang. */
  async #written(
    { renditions, source }: JudgedResult,
    limitMs: number,
    signal: AbortSignal,
  ): Promise<VerifierFiles> {
    const { clock, place } = this.#needs
    using limit = new TimeLimit(clock, limitMs)
    try {
      return await place.write(
        source,
        renditions.map(({ bytes, profile }) => ({ name: profile.name, bytes })),
        AbortSignal.any([signal, limit.signal]),
      )
    } catch (error) {
      if (signal.aborted) throw error
      const why = limit.signal.aborted ? ` within ${limitMs} ms` : `: ${messageOf(error)}`
      throw unusable(`the files for it could not be written${why}`)
    }
  }

  async #ask(
    body: string,
    { endMs, expected }: { readonly endMs: number; readonly expected: number },
    signal: AbortSignal,
  ): Promise<Verdict> {
    const { clock } = this.#needs
    let reason = 'no time was left to ask it'
    for (const pauseMs of [0, ...PAUSES_MS]) {
      const limitMs = endMs - clock.now() - pauseMs
      if (limitMs <= 0) break
      if (pauseMs > 0) await clock.sleep(pauseMs, signal)
      try {
        const answer = await callWebhook(
          { url: this.#url, body, maxBytes: MAX_ANSWER_BYTES, limitMs },
          signal,
        )
        if (!UNDECIDED_STATUSES.has(answer.status)) return verdictOf(answer, expected)
        reason = `it answers ${answer.status}`
      } catch (error) {
        if (!(error instanceof WebhookError && RETRIED.has(error.code))) throw error
        reason = error.message
      }
    }
    throw unusable(reason)
  }
}

/** The question in the classifier's words; it is named twice, since its versions differ in the name. */
function bodyOf(
  { orchestrator, renditions }: JudgedResult,
  files: { readonly source: string; readonly renditions: readonly string[] },
): string {
  return JSON.stringify({
    ...{ source: files.source, orchestratorID: orchestrator, orchestrator_id: orchestrator },
    renditions: renditions.map(({ pixels, profile }, index) => ({
      uri: files.renditions[index],
      resolution: { width: profile.width, height: profile.height },
      frame_rate: profile.fps / (profile.fpsDen || 1),
      pixels: Number(pixels),
    })),
  })
}

/** The verdict in a verifier's answer about `expected` renditions. Throws NodeError `unusable`. */
export function verdictOf({ body, status }: WebhookAnswer, expected: number): Verdict {
  if (status < 200 || status > 299) throw unusable(`it answers ${status}`)
  const { data } = schema.safeParse(jsonOf(body))
  if (!data) throw unusable('its answer has no results that can be read')
  const { results } = data
  if (results.length !== expected) throw unusable(`it judges ${results.length} renditions of ${expected}`)
  const fault = results.map(faultOf).find((one) => one !== null) ?? null
  const score = results.reduce((sum, { ocsvm_dist }) => sum + (ocsvm_dist ?? 0) / results.length, 0)
  return { fault, score }
}

function faultOf({ audio_available, audio_dist, tamper, video_available }: Found): VerifierFault | null {
  if (audio_available && (audio_dist ?? 0) !== 0) return 'audio-mismatch'
  if (video_available === false) return 'video-unavailable'
  return (tamper ?? 0) > 0 ? 'tampered' : null
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return null
  }
}

function unusable(reason: string): NodeError<'unusable'> {
  return new NodeError<'unusable'>('unusable', reason)
}
