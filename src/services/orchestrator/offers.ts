import { AUTH_TOKEN_SECONDS, checkAuthToken, isAuthentic, makeAuthToken } from '../../domain/auth-token.ts'
import type { Capabilities } from '../../domain/capabilities.ts'
import type { AuthToken, OrchestratorInfo } from '../../domain/segment.ts'
import { formatHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import type { Log } from '../../lib/log.ts'
import type { Recipient } from './recipient.ts'

/** The secrets that make auth tokens: the first signs, all verify. */
export interface AuthKeys {
  readonly keys: readonly Uint8Array[]
}

/** What an offer says of this node. */
export interface OffersOptions {
  /** Base URL of all later calls; empty when this node takes no work itself. */
  readonly serviceUri: string
  readonly nodes: readonly string[]
  readonly capabilities: Capabilities
}

/** What offers are made with. */
export interface OffersNeeds {
  /** The address by which this orchestrator signs its results. */
  readonly signer: { readonly address: Address }
  readonly recipient: Recipient
  readonly authKeys: AuthKeys
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
}

/** Makes the offers of an orchestrator, and the auth tokens of its sessions that go with them. */
export class Offers {
  readonly #options: OffersOptions
  readonly #needs: OffersNeeds

  constructor(options: OffersOptions, needs: OffersNeeds) {
    this.#options = options
    this.#needs = needs
  }

  /** Offers a new session. Rejects when no ticket params can be made. */
  async fresh(sender: Address): Promise<OrchestratorInfo> {
    const { authKeys, dice, recipient } = this.#needs
    const quote = await recipient.quote(sender, null)
    const sessionId = formatHex(dice.bytes(4)).slice(2)
    const expiration = this.#unixSeconds() + AUTH_TOKEN_SECONDS
    return this.#describe(quote, makeAuthToken(authKeys.keys[0]!, sessionId, expiration))
  }

  /**
   * The info that goes with an answer: fresh params under the request's own token. When params cannot be offered just
   * now the work is answered all the same, without info: the gateway then keeps what it has (payments.md §15, 21).
   */
  async renewed(sender: Address, token: AuthToken): Promise<OrchestratorInfo | null> {
    try {
      return this.#describe(await this.#needs.recipient.quote(sender, token.sessionId), token)
    } catch (error) {
      this.#needs.log.warn('could not make new ticket params', { sender, error })
      return null
    }
  }

  /** The token of a segment, if it is ours and holds. Throws AuthTokenError. */
  checked(token: AuthToken | null): AuthToken {
    return checkAuthToken(this.#needs.authKeys.keys, token, this.#unixSeconds())
  }

  /** Whether a token is ours, expired or not. */
  isAuthentic(token: AuthToken): boolean {
    return isAuthentic(this.#needs.authKeys.keys, token)
  }

  #describe(quote: Awaited<ReturnType<Recipient['quote']>>, authToken: AuthToken): OrchestratorInfo {
    return {
      transcoder: this.#options.serviceUri,
      ticketParams: quote.ticketParams,
      priceInfo: quote.priceInfo,
      address: this.#needs.signer.address,
      capabilities: this.#options.capabilities,
      authToken,
      storage: [],
      nodes: this.#options.nodes,
    }
  }

  #unixSeconds(): bigint {
    return BigInt(Math.floor(this.#needs.clock.now() / 1000))
  }
}
