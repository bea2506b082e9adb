import { create } from '@bufbuild/protobuf'
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect'
import type { WinningTicket } from '../../domain/ticket.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { type Address, equalTexts } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type PeerLimitOptions, PeerLimits } from '../../lib/peer-limits.ts'
import { callPeer, type Routes } from './calls.ts'
import { readAddress, readTicket, writeMaxFloat } from './convert.ts'
import { type MaxFloatUpdate, QueueTicketResSchema, TicketRedeemer } from './gen/redeemer_pb.ts'

/** The header in which an orchestrator shows the secret it shares with its redeemer. Not known to Go nodes. */
export const REDEEMER_SECRET_HEADER = 'livepeer-redeemer-secret'

/**
 * What one host may ask for, behind which all of an operator's orchestrators may be: tickets far beyond what is ever won
 * (more are taken a little later), the floats of ten thousand senders for each of several orchestrators, and fewer than
 * half of the streams that the redeemer has room for.
 */
const LIMITS: RedeemerLimits = {
  tickets: { callsPerSecond: 500, burst: 5_000 },
  floats: { callsPerSecond: 500, burst: 40_000, streams: 20_000 },
}

/** How much one host may ask for. */
export interface RedeemerLimits {
  readonly tickets: Omit<PeerLimitOptions, 'streams'>
  readonly floats: PeerLimitOptions
}

/** The redeemer behind the endpoint. Refusals are NodeErrors. */
export interface RedeemerApi {
  /** Resolves once the ticket is on disk. */
  queue(ticket: WinningTicket): Promise<void>
  maxFloat(sender: Address): Promise<bigint>
  /** The sender's float and its changes, until the signal is aborted. */
  floats(sender: Address, signal: AbortSignal): AsyncIterable<bigint>
}

/** What the codes of refusals are on the wire (wire.md §14); what is not here is INTERNAL. */
const CODES: Readonly<Record<string, Code>> = {
  'wrong-recipient': Code.PermissionDenied,
  'malformed-ticket': Code.InvalidArgument,
  'rand-does-not-match': Code.InvalidArgument,
  'invalid-signature': Code.InvalidArgument,
  'not-winning': Code.InvalidArgument,
  expired: Code.InvalidArgument,
  'no-room': Code.ResourceExhausted,
}

/** What a redeemer serves (wire.md §14). */
export class RedeemerEndpoint implements Routes {
  readonly #secret: string
  readonly #ownOnly: boolean
  readonly #api: RedeemerApi
  readonly #log: Log
  readonly #tickets: PeerLimits
  readonly #floatCalls: PeerLimits
  readonly #stopping = new AbortController()

  constructor(
    options: {
      /** What orchestrators have to show; empty for nothing. */
      secret: string
      /** Whether they have to show a certificate of the operator. */
      ownOnly?: boolean
      limits?: RedeemerLimits
    },
    needs: { api: RedeemerApi; log: Log; clock?: Clock },
  ) {
    this.#secret = options.secret
    this.#ownOnly = options.ownOnly ?? false
    this.#api = needs.api
    this.#log = needs.log
    const { clock = systemClock } = needs
    const { floats, tickets } = options.limits ?? LIMITS
    this.#tickets = new PeerLimits({ ...tickets, streams: 0 }, { clock })
    this.#floatCalls = new PeerLimits(floats, { clock })
  }

  stop(): void {
    this.#stopping.abort()
  }

  readonly grpc = (router: ConnectRouter): void => {
    const api = this.#api
    router.service(TicketRedeemer, {
      queueTicket: (request, context) =>
        this.#answer(context, async () => {
          this.#limit(this.#tickets, context, 'hands in tickets')
          await api.queue(understood(() => readTicket(request)))
          return create(QueueTicketResSchema)
        }),
      maxFloat: ({ sender }, context) =>
        this.#answer(context, async () => {
          this.#limit(this.#floatCalls, context, 'asks for floats')
          return writeMaxFloat(await api.maxFloat(readAddress(sender)))
        }),
      monitorMaxFloat: ({ sender }, context) => this.#floats(readAddress(sender), context),
    })
  }

  async *#floats(sender: Address, context: HandlerContext): AsyncGenerator<MaxFloatUpdate, void> {
    this.#admit(context)
    const host = hostOf(context)
    this.#limit(this.#floatCalls, context, 'asks for floats')
    const giveBack = this.#floatCalls.takeStream(host)
    if (!giveBack) {
      throw new ConnectError(`${host} listens to too many floats already`, Code.ResourceExhausted)
    }
    const signal = AbortSignal.any([context.signal, this.#stopping.signal])
    try {
      for await (const value of this.#api.floats(sender, signal)) yield writeMaxFloat(value)
    } catch (error) {
      throw this.#failure(error)
    } finally {
      giveBack()
    }
  }

  #limit(limits: PeerLimits, context: HandlerContext, what: string): void {
    const host = hostOf(context)
    if (limits.takeCall(host)) return
    this.#log.debug('a host asks for too much', { host, what })
    throw new ConnectError(`${host} ${what} too fast: try again later`, Code.ResourceExhausted)
  }

  async #answer<Answer>(context: HandlerContext, work: () => Promise<Answer>): Promise<Answer> {
    this.#admit(context)
    try {
      return await work()
    } catch (error) {
      throw this.#failure(error)
    }
  }

  #admit({ requestHeader, values }: HandlerContext): void {
    if (this.#ownOnly && !values.get(callPeer)?.identity) {
      throw new ConnectError(
        'this redeemer asks for a certificate: give the orchestrator -certs too',
        Code.Unauthenticated,
      )
    }
    if (this.#secret === '') return
    const shown = requestHeader.get(REDEEMER_SECRET_HEADER) ?? ''
    if (equalTexts(shown, this.#secret)) return
    throw new ConnectError(
      shown === ''
        ? 'this redeemer asks for a secret: give the orchestrator the same -redeemerSecret'
        : 'wrong secret: orchestrator and redeemer need the same -redeemerSecret',
      Code.Unauthenticated,
    )
  }

  #failure(error: unknown): ConnectError {
    if (error instanceof ConnectError) return error
    if (!(error instanceof NodeError)) this.#log.error('a call failed unexpectedly', { error })
    const code = error instanceof NodeError ? CODES[error.code] : undefined
    const text = error instanceof NodeError ? messageOf(error) : 'internal error'
    return new ConnectError(text, code ?? Code.Internal)
  }
}

function hostOf({ values }: HandlerContext): string {
  return values.get(callPeer)?.host ?? 'unknown'
}

function understood<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    throw new ConnectError(messageOf(error), Code.InvalidArgument)
  }
}
