import type { ClientHttp2Stream } from 'node:http2'
import { type Client, Code, ConnectError } from '@connectrpc/connect'
import { Http2SessionManager } from '@connectrpc/connect-node'
import type { RedeemerRefusal } from '../../domain/cause-facts.ts'
import { RedeemerCallError, type RedeemerFault } from '../../domain/redeemer-call.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import { type Address, addressBytes } from '../../lib/crypto.ts'
import { abortError } from '../../lib/errors.ts'
import type { RedeemerConnection } from '../../services/redemption/redeemer-peers.ts'
import { clientThrough, type SessionManager } from './client-over.ts'
import { readMaxFloat, writeTicket } from './convert-payment.ts'
import { TicketRedeemer } from './gen/redeemer_pb.ts'
import { contextOf, distrust, type OwnCerts } from './own-certs.ts'
import { RECIPIENT_HEADER, REDEEMER_SECRET_HEADER, REFUSAL_HEADER } from './redeemer-endpoint.ts'

/**
 * A Go redeemer disconnects a peer that pings more often than every five minutes (wire.md §3), so dead connections are
 * detected by unanswered calls instead of pings.
 */
const IDLE_MS = 10 * 60_000

/** A Go redeemer's error for a ticket that it already has: the signature is the key of its table (payments.md §11). */
const KNOWN_TICKET = 'UNIQUE constraint failed'

interface Opened {
  readonly sessions: Http2SessionManager
  readonly client: Client<typeof TicketRedeemer>
}

/** A client of a redeemer over one connection, which is opened when needed and again after a failure (wire.md §14). */
export class RedeemerClient implements RedeemerConnection {
  readonly name: string
  readonly #url: URL
  readonly #own: OwnCerts | null
  readonly #headers: Readonly<Record<string, string>>
  #open: Opened | null = null

  constructor(options: {
    /** `https://HOST:PORT`. */
    url: string
    /** Empty for none. */
    secret: string
    /** The recipient of the tickets, so that the redeemer of another one refuses the first call; absent: not told. */
    recipient?: Address
    /** The certificates by which redeemer and orchestrator authenticate each other; null for no verification. */
    own: OwnCerts | null
  }) {
    this.#url = new URL(options.url)
    this.#own = options.own
    this.name = this.#url.host
    this.#headers = {
      ...(options.secret !== '' && { [REDEEMER_SECRET_HEADER]: options.secret }),
      ...(options.recipient && { [RECIPIENT_HEADER]: options.recipient }),
    }
  }

  async queue(ticket: WinningTicket, signal: AbortSignal): Promise<void> {
    try {
      await this.#call(signal, (client, options) => client.queueTicket(writeTicket(ticket), options))
    } catch (error) {
      if (error instanceof RedeemerCallError && error.message.includes(KNOWN_TICKET)) return
      throw error
    }
  }

  async maxFloat(sender: Address, signal: AbortSignal): Promise<bigint> {
    const answer = await this.#call(signal, (client, options) =>
      client.maxFloat({ sender: addressBytes(sender) }, options),
    )
    return readMaxFloat(answer)
  }

  async *floats(sender: Address, signal: AbortSignal): AsyncGenerator<bigint, void> {
    try {
      const options = { signal, headers: this.#headers }
      for await (const update of this.#client.monitorMaxFloat({ sender: addressBytes(sender) }, options)) {
        yield readMaxFloat(update)
      }
    } catch (error) {
      throw this.#failure(error, signal)
    }
  }

  reset(): void {
    this.#open?.sessions.abort()
    this.#open = null
  }

  get #client(): Client<typeof TicketRedeemer> {
    const open = this.#open ?? this.#connect()
    this.#open = open
    return open.client
  }

  #connect(): Opened {
    const sessions = new Http2SessionManager(
      this.#url,
      { idleConnectionTimeoutMs: IDLE_MS },
      // Other certificates are self-signed and new at every start (wire.md §2).
      this.#own ? contextOf(this.#own) : { rejectUnauthorized: false },
    )
    const manager: SessionManager = {
      authority: sessions.authority,
      request: async (...request) => heard(await sessions.request(...request)),
      notifyResponseByteRead: (stream) => sessions.notifyResponseByteRead(stream),
    }
    return { sessions, client: clientThrough(TicketRedeemer, manager, this.#url) }
  }

  async #call<Answer>(
    signal: AbortSignal,
    call: (
      client: Client<typeof TicketRedeemer>,
      options: { signal: AbortSignal; headers: Record<string, string> },
    ) => Promise<Answer>,
  ): Promise<Answer> {
    try {
      return await call(this.#client, { signal, headers: this.#headers })
    } catch (error) {
      throw this.#failure(error, signal)
    }
  }

  #failure(error: unknown, signal: AbortSignal): Error {
    if (signal.aborted) return abortError(signal)
    const { cause, code, metadata, rawMessage } = ConnectError.from(error)
    const why = distrust(cause)
    // A peer that cannot prove to be the redeemer counts as away.
    const fault = why ? 'away' : faultOf(code)
    const refusal = refusalOf(metadata.get(REFUSAL_HEADER), code)
    return new RedeemerCallError(fault, `${this.name}: ${why ?? rawMessage}`, { cause: error, refusal })
  }
}

/**
 * The manager may stop listening between the end of a connection and its event, and an unhandled error would end the
 * process.
 */
function heard(stream: ClientHttp2Stream): ClientHttp2Stream {
  const { session } = stream
  if (session && !session.listeners('error').includes(ignore)) session.on('error', ignore)
  return stream
}

function ignore(): void {}

const REFUSALS: ReadonlySet<string> = new Set<RedeemerRefusal>(['secret', 'certificate', 'recipient'])

/** What a redeemer refuses: as it says itself or, if it does not, what its status means. */
function refusalOf(told: string | null, code: Code): RedeemerRefusal {
  if (told !== null && REFUSALS.has(told)) return told as RedeemerRefusal
  switch (code) {
    case Code.Unauthenticated:
      return 'secret'
    case Code.PermissionDenied:
      return 'recipient'
    case Code.Unimplemented:
      return 'not-a-redeemer'
    default:
      return 'other'
  }
}

/** The fault for a status: refused, unable or away. */
function faultOf(code: Code): RedeemerFault {
  switch (code) {
    case Code.PermissionDenied:
    case Code.InvalidArgument:
    case Code.Unauthenticated:
    case Code.Unimplemented:
      return 'refused'
    case Code.Internal:
    case Code.ResourceExhausted:
    case Code.Unknown:
      return 'unable'
    default:
      return 'away'
  }
}
