import type { Causes } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { StreamAuthority, StreamGrant, StreamVerdict } from '../../services/gateway/stream-authority.ts'
import type { RecordingAuthority, RecordingGrant } from '../../services/recordings/recordings.ts'
import { goJson } from './go-json.ts'
import {
  recordingGrantOf,
  type StreamFields,
  storeAt,
  streamConfigOf,
  streamFieldsOf,
} from './stream-config.ts'
import { callWebhook, type WebhookAnswer, WebhookError } from './webhook-call.ts'

/** A publisher waits this long at most, all tries together. */
const LIMIT_MS = 10_000
const MAX_ANSWER_BYTES = 1_000_000
/** How much of a refusal is read to tell whether a recording is not known. */
const MAX_REFUSAL_BYTES = 4_096
/** The pauses before further tries. */
const PAUSES_MS = [250, 500]
/** Answers of what lies before a webhook, which itself decided nothing. */
const UNDECIDED_STATUSES: ReadonlySet<number> = new Set([502, 503, 504])

/** Settings of the webhook; tests lower the limit. */
export interface AuthWebhookOptions {
  /** `-authWebhookUrl`. */
  readonly url: string
  readonly limitMs?: number
}

/** What the webhook depends on. */
export interface AuthWebhookNeeds {
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
  readonly causes: Causes
}

interface Question {
  readonly url: string
  readonly sinceMs: number
  readonly maxRefusalBytes: number
}

/**
 * Asks the operator's webhook about each new stream (gateway.md §4). Only what decided nothing is asked again: a
 * connection that failed, or an error of what lies in between. What it answers is not logged.
 */
export class AuthWebhook implements StreamAuthority, RecordingAuthority, Service {
  readonly name = 'authorisation webhook'
  readonly #url: string
  readonly #limitMs: number
  readonly #needs: AuthWebhookNeeds
  #signal = new AbortController().signal

  constructor({ limitMs = LIMIT_MS, url }: AuthWebhookOptions, needs: AuthWebhookNeeds) {
    this.#url = url
    this.#limitMs = limitMs
    this.#needs = needs
  }

  start(scope: Scope): void {
    this.#signal = scope.signal
  }

  async decide(url: string): Promise<StreamVerdict> {
    return this.#decide(url, 0)
  }

  async #decide(url: string, maxRefusalBytes: number): Promise<StreamVerdict> {
    const { causes, clock, events } = this.#needs
    const sinceMs = clock.now()
    const verdict = await this.#ask({ url, sinceMs, maxRefusalBytes })
    if (verdict.kind !== 'undecided') causes.over('auth-webhook-failing')
    const outcome = verdict.kind === 'unusable' ? 'allowed' : verdict.kind
    events.tell({ kind: 'stream-judged', outcome, tookMs: clock.now() - sinceMs })
    return verdict
  }

  /** Asks about the viewer of a recording, in the same way (gateway.md §6). */
  async judge(url: string): ReturnType<RecordingAuthority['judge']> {
    const verdict = await this.#decide(url, MAX_REFUSAL_BYTES)
    if (verdict.kind === 'allowed') return { kind: 'allowed', grant: verdict.grant?.recording ?? null }
    if (verdict.kind === 'unusable')
      return verdict.recording
        ? { kind: 'allowed', grant: verdict.recording }
        : { kind: 'denied', isUnknown: false }
    return { kind: 'denied', isUnknown: verdict.kind === 'denied' && verdict.isUnknown === true }
  }

  async #ask({ maxRefusalBytes, sinceMs, url }: Question): Promise<StreamVerdict> {
    const { clock, log } = this.#needs
    const body = goJson({ url })
    let reason = ''
    for (const pauseMs of [0, ...PAUSES_MS]) {
      const leftMs = sinceMs + this.#limitMs - clock.now() - pauseMs
      if (leftMs <= 0) break
      try {
        if (pauseMs > 0) await clock.sleep(pauseMs, this.#signal)
        const limits = { maxBytes: MAX_ANSWER_BYTES, maxRefusalBytes, limitMs: leftMs }
        const call = { url: this.#url, body, ...limits }
        const answer = await callWebhook(call, this.#signal)
        if (!UNDECIDED_STATUSES.has(answer.status)) return this.#judge(answer)
        reason = `it answers ${answer.status}`
      } catch (error) {
        if (isAbort(error)) return UNDECIDED
        reason = messageOf(error)
        log.debug('authorisation webhook gave no answer', { error })
        const isWorthwhile = error instanceof WebhookError && RETRIED.has(error.code)
        if (!isWorthwhile) break
      }
    }
    return this.#undecided(reason)
  }

  /** The reason is for the operator: it tells where the webhook is. */
  #undecided(reason: string): StreamVerdict {
    const facts = { webhook: maskUrl(this.#url), reason }
    this.#needs.causes.met({ code: 'auth-webhook-failing', facts })
    return UNDECIDED
  }

  #judge({ body, status }: WebhookAnswer): StreamVerdict {
    if (status !== 200) {
      const isUnknown = body.includes('not found')
      return { kind: 'denied', reason: `the webhook denies it with status ${status}`, isUnknown }
    }
    if (body === '') return { kind: 'allowed', grant: null }
    let fields: StreamFields
    try {
      fields = streamFieldsOf(JSON.parse(body))
    } catch (error) {
      // JSON.parse quotes what it cannot read.
      const why = error instanceof NodeError ? error.message : 'it is not JSON'
      return this.#undecided(`its answer cannot be used: ${why}`)
    }
    if (!fields.manifestID) return { kind: 'denied', reason: 'empty manifest id not allowed' }
    return this.#grant(fields)
  }

  #grant(fields: StreamFields): StreamVerdict {
    let recording: RecordingGrant | undefined
    try {
      recording = recordingGrantOf(fields)
      const objectStore = fields.objectStore ? storeAt('objectStore', fields.objectStore) : null
      const config = streamConfigOf(fields)
      const names = { sessionId: fields.sessionID || null, streamId: fields.streamID || null }
      const grant: StreamGrant = { config, ...names, recording, objectStore }
      return { kind: 'allowed', grant }
    } catch (error) {
      return { kind: 'unusable', reason: messageOf(error), ...(recording && { recording }) }
    }
  }
}

const UNDECIDED: StreamVerdict = {
  kind: 'undecided',
  reason: 'the webhook that decides on streams gives no answer that can be used',
}

/** Faults after which the webhook cannot have answered. */
const RETRIED: ReadonlySet<string> = new Set(['unreachable', 'cut-short'])
