import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { create } from '@bufbuild/protobuf'
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect'
import type { RedeemerRefusal } from '../../domain/cause-facts.ts'
import { type Causes, noCauses } from '../../domain/causes.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { type Address, equalTexts } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type PeerLimitOptions, PeerLimits } from '../../lib/peer-limits.ts'
import { callPeer, type Peer, peerOf, type Routes, type StreamHandler } from './calls.ts'
import { readTicket, writeMaxFloat } from './convert-payment.ts'
import { FloatStreams, type ListenToFloat } from './float-streams.ts'
import { QueueTicketResSchema, TicketRedeemer } from './gen/redeemer_pb.ts'
import { readAddress } from './wire-message.ts'

/** The header with the secret that an orchestrator shares with its redeemer. Go nodes do not know it. */
export const REDEEMER_SECRET_HEADER = 'livepeer-redeemer-secret'

/**
 * The header with the recipient of an orchestrator's tickets, so that one that works for another operator is refused
 * with its first call rather than with its first winning ticket. Go nodes neither send nor read it.
 */
export const RECIPIENT_HEADER = 'livepeer-ticket-recipient'

/** The header of a refusal that says what is refused: `secret`, `certificate` or `recipient`. */
export const REFUSAL_HEADER = 'livepeer-redeemer-refusal'

/**
 * Limits of one host, behind which all of an operator's orchestrators may be: far more tickets than are ever won
 * (surplus ones are accepted slightly later), the floats of ten thousand senders for each of several orchestrators, and
 * less than half of the redeemer's streams.
 */
const LIMITS: RedeemerLimits = {
  tickets: { callsPerSecond: 500, burst: 5_000 },
  floats: { callsPerSecond: 500, burst: 40_000, streams: 20_000 },
}

/** Limits of one host. */
export interface RedeemerLimits {
  readonly tickets: Omit<PeerLimitOptions, 'streams'>
  readonly floats: PeerLimitOptions
  /** How long a stream of floats may take to send its request; absent: the default. */
  readonly questionMs?: number
}

/** The redeemer behind the endpoint. Refusals are NodeErrors. */
export interface RedeemerApi {
  /** Resolves once the ticket is on disk. */
  queue(ticket: WinningTicket): Promise<void>
  maxFloat(sender: Address): Promise<bigint>
  /** Reports the sender's float and its changes until the returned function is called. */
  listen(sender: Address, tell: (value: bigint) => void): () => void
}

const MONITOR_PATH = `/${TicketRedeemer.typeName}/${TicketRedeemer.method.monitorMaxFloat.name}`

/** The wire codes of refusals (wire.md §14); INTERNAL for any other. */
const CODES: Readonly<Record<string, Code>> = {
  'wrong-recipient': Code.PermissionDenied,
  'malformed-ticket': Code.InvalidArgument,
  'rand-does-not-match': Code.InvalidArgument,
  'invalid-signature': Code.InvalidArgument,
  'not-winning': Code.InvalidArgument,
  expired: Code.InvalidArgument,
  'no-room': Code.ResourceExhausted,
  'beyond-funds': Code.ResourceExhausted,
  'funds-unknown': Code.ResourceExhausted,
}

/** Serves the calls of a redeemer (wire.md §14). */
export class RedeemerEndpoint implements Routes {
  readonly #secret: string
  readonly #recipient: string | null
  readonly #ownOnly: boolean
  readonly #api: RedeemerApi
  readonly #causes: Causes
  readonly #log: Log
  readonly #tickets: PeerLimits
  readonly #floatCalls: PeerLimits
  readonly #streams: FloatStreams

  constructor(
    options: {
      /** The secret that orchestrators must send; empty for none. */
      secret: string
      /** Whom the redeemer redeems for; absent: calls for others are not told apart. */
      recipient?: Address
      /** Whether they must show a certificate of the operator. */
      ownOnly?: boolean
      limits?: RedeemerLimits
    },
    needs: { api: RedeemerApi; causes?: Causes; log: Log; clock?: Clock },
  ) {
    this.#secret = options.secret
    this.#recipient = options.recipient?.toLowerCase() ?? null
    this.#ownOnly = options.ownOnly ?? false
    this.#api = needs.api
    this.#causes = needs.causes ?? noCauses
    this.#log = needs.log
    const { clock = systemClock } = needs
    const { floats, questionMs, tickets } = options.limits ?? LIMITS
    this.#streams = new FloatStreams(questionMs)
    this.#tickets = new PeerLimits({ ...tickets, streams: 0 }, { clock })
    this.#floatCalls = new PeerLimits(floats, { clock })
  }

  stop(): void {
    this.#streams.stop()
  }

  readonly grpc = (router: ConnectRouter): void => {
    const api = this.#api
    router.service(TicketRedeemer, {
      queueTicket: (request, context) =>
        this.#answer(context, { limits: this.#tickets, what: 'hands in tickets' }, async () => {
          await api.queue(understood(() => readTicket(request)))
          return create(QueueTicketResSchema)
        }),
      maxFloat: ({ sender }, context) =>
        this.#answer(context, { limits: this.#floatCalls, what: 'asks for floats' }, async () =>
          writeMaxFloat(await api.maxFloat(readAddress(sender))),
        ),
    })
  }

  /** A stream of floats takes much less memory without the library. */
  readonly stream = (path: string): StreamHandler | null =>
    path === MONITOR_PATH ? (stream, headers) => this.#monitor(stream, headers) : null

  #monitor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    try {
      const onClose = this.#admitStream(peerOf(stream), headers)
      const listen: ListenToFloat = (sender, tell) => {
        try {
          return this.#api.listen(sender, tell)
        } catch (error) {
          throw this.#failure(error)
        }
      }
      this.#streams.take(stream, headers, { listen, onClose })
    } catch (error) {
      this.#streams.refuse(stream, headers, this.#failure(error))
    }
  }

  /** Returns a function that gives back the host's stream. Throws ConnectError. */
  #admitStream(peer: Peer | null, headers: IncomingHttpHeaders): () => void {
    this.#limit(this.#floatCalls, peer, 'asks for floats')
    this.#admit(peer, (name) => {
      const shown = headers[name]
      return typeof shown === 'string' ? shown : ''
    })
    const giveBack = this.#floatCalls.takeStream(hostOf(peer))
    if (giveBack) return giveBack
    throw new ConnectError(`${hostOf(peer)} listens to too many floats already`, Code.ResourceExhausted)
  }

  #limit(limits: PeerLimits, peer: Peer | null, what: string): void {
    const host = hostOf(peer)
    if (limits.takeCall(host)) return
    this.#log.debug('a host asks for too much', { host, what })
    throw new ConnectError(`${host} ${what} too fast: try again later`, Code.ResourceExhausted)
  }

  async #answer<Answer>(
    { requestHeader, values }: HandlerContext,
    { limits, what }: { limits: PeerLimits; what: string },
    work: () => Promise<Answer>,
  ): Promise<Answer> {
    const peer = values.get(callPeer)
    // Checked first, so that secrets cannot be guessed faster than the limit.
    this.#limit(limits, peer, what)
    this.#admit(peer, (name) => requestHeader.get(name) ?? '')
    try {
      return await work()
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** Throws ConnectError unless the caller may hand in tickets here. `header`: a header's text; empty if absent. */
  #admit(peer: Peer | null, header: (name: string) => string): void {
    if (this.#ownOnly && !peer?.identity) {
      throw this.#refusal(
        peer,
        'certificate',
        'this redeemer asks for a certificate: give the orchestrator -certs too',
        Code.Unauthenticated,
      )
    }
    const shown = header(REDEEMER_SECRET_HEADER)
    if (this.#secret !== '' && !equalTexts(shown, this.#secret)) {
      throw this.#refusal(
        peer,
        'secret',
        shown === ''
          ? 'this redeemer asks for a secret: give the orchestrator the same -redeemerSecret'
          : 'wrong secret: orchestrator and redeemer need the same -redeemerSecret',
        Code.Unauthenticated,
      )
    }
    const recipient = header(RECIPIENT_HEADER)
    if (this.#recipient === null || recipient === '' || recipient.toLowerCase() === this.#recipient) return
    throw this.#refusal(
      peer,
      'recipient',
      `this redeemer redeems for ${this.#recipient}, not for ${recipient.slice(0, 42)}`,
      Code.PermissionDenied,
    )
  }

  /** The refusal of an orchestrator, which its own operator sees and this one too. */
  #refusal(peer: Peer | null, why: RedeemerRefusal, text: string, code: Code): ConnectError {
    const host = hostOf(peer)
    this.#causes.met({ code: 'orchestrator-refused', facts: { host, why, text } }, host)
    return new ConnectError(text, code, { [REFUSAL_HEADER]: why })
  }

  #failure(error: unknown): ConnectError {
    if (error instanceof ConnectError) return error
    if (!(error instanceof NodeError)) this.#log.error('a call failed unexpectedly', { error })
    const code = error instanceof NodeError ? CODES[error.code] : undefined
    const text = error instanceof NodeError ? messageOf(error) : 'internal error'
    return new ConnectError(text, code ?? Code.Internal)
  }
}

function hostOf(peer: Peer | null): string {
  return peer?.host ?? 'unknown'
}

function understood<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    throw new ConnectError(messageOf(error), Code.InvalidArgument)
  }
}
