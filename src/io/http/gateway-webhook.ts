import { z } from 'zod'
import type { Causes } from '../../domain/causes.ts'
import { pricePerPixel } from '../../domain/price.ts'
import type { PricePerPixel } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort, messageOf, NodeError } from '../../lib/errors.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { GatewayAuthority, GatewayVerdict } from '../../services/orchestrator/gateway-authority.ts'
import { inLowerCase } from './go-json.ts'
import { callWebhook, type WebhookAnswer } from './webhook-call.ts'

/** Gateways wait for an offer for at most 6 s (gateway.md §7). */
const LIMIT_MS = 5_000
const MAX_ANSWER_BYTES = 100_000
/** Questions under way at once: any host may ask for offers. */
const MAX_QUESTIONS = 100

const schema = z.object({
  priceinfo: z.object({ priceperunit: z.int(), pixelsperunit: z.int() }).nullish(),
})

/** Settings of the webhook; tests lower the limit. */
export interface GatewayWebhookOptions {
  /** `-authWebhookUrl` of an orchestrator. */
  readonly url: string
  readonly limitMs?: number
}

/**
 * Asks the operator's webhook about each gateway that wants an offer (wire.md §10). A gateway is let in by status 200 with
 * a JSON object, which may set its price. Answers are not logged, nor told to the gateway.
 */
export class GatewayWebhook implements GatewayAuthority, Service {
  readonly name = 'webhook for gateways'
  readonly #url: string
  readonly #limitMs: number
  readonly #causes: Causes
  #signal = new AbortController().signal
  #questions = 0

  constructor({ limitMs = LIMIT_MS, url }: GatewayWebhookOptions, needs: { readonly causes: Causes }) {
    this.#url = url
    this.#limitMs = limitMs
    this.#causes = needs.causes
  }

  start(scope: Scope): void {
    this.#signal = scope.signal
  }

  async decide(gateway: Address): Promise<GatewayVerdict> {
    if (this.#questions >= MAX_QUESTIONS) return UNDECIDED
    this.#questions++
    try {
      const body = JSON.stringify({ id: gateway })
      const call = { url: this.#url, body, maxBytes: MAX_ANSWER_BYTES, limitMs: this.#limitMs }
      const verdict = judge(await callWebhook(call, this.#signal))
      this.#causes.over('gateway-webhook-failing')
      return verdict
    } catch (error) {
      if (!isAbort(error)) {
        const facts = { webhook: maskUrl(this.#url), reason: messageOf(error) }
        this.#causes.met({ code: 'gateway-webhook-failing', facts })
      }
      return UNDECIDED
    } finally {
      this.#questions--
    }
  }
}

const UNDECIDED: GatewayVerdict = {
  kind: 'denied',
  reason: 'the webhook that decides gives no answer that can be used',
}

function judge({ body, status }: WebhookAnswer): GatewayVerdict {
  if (status !== 200) return { kind: 'denied', reason: `status=${status}` }
  return { kind: 'allowed', price: priceOf(body) }
}

/** The price that a webhook sets for a gateway; null for none. Throws NodeError without a word of the answer. */
export function priceOf(body: string): PricePerPixel | null {
  let json: unknown
  try {
    json = JSON.parse(body)
  } catch {
    throw unusable('it is not JSON')
  }
  const parsed = schema.safeParse(inLowerCase(json))
  if (!parsed.success) throw unusable(parsed.error.issues[0]!.message)
  const { priceinfo } = parsed.data
  if (!priceinfo) return null
  try {
    return pricePerPixel({
      pricePerUnit: BigInt(priceinfo.priceperunit),
      pixelsPerUnit: BigInt(priceinfo.pixelsperunit),
    })
  } catch (error) {
    throw unusable(messageOf(error))
  }
}

function unusable(why: string): NodeError<'unusable-answer'> {
  return new NodeError<'unusable-answer'>('unusable-answer', `its answer cannot be used: ${why}`)
}
