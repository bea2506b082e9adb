import {
  MAX_WIN_PROB,
  type Payment,
  type PriceInfo,
  recipientRandHash,
  type SignedTicket,
  type TicketParams,
  ticketHash,
  type WinningTicket,
} from '../../src/domain/ticket.ts'
import { type Address, addressOfKey, keccak256, signHash } from '../../src/lib/crypto.ts'
import { quickSigner } from './quick-signer.ts'

/** The recipient's secret behind winning tickets. */
const WINNING_RAND = 7n

/** An orchestrator's offer. */
export interface Offer {
  readonly ticketParams: TicketParams
  readonly priceInfo: PriceInfo
}

/** A sender with its own key: makes payments of real, signed tickets for offers. */
export class FakePayer {
  readonly address: Address
  readonly #signHash: (hash: Uint8Array) => Uint8Array
  readonly #nonces = new Map<string, number>()

  /** `quick` signs with `quickSigner`; the key is derived from the name unless one is given. */
  constructor(name: string, options: { quick?: boolean; key?: Uint8Array } = {}) {
    const key = options.key ?? keccak256(new TextEncoder().encode(name))
    this.#signHash = options.quick ? quickSigner(key) : (hash) => signHash(key, hash)
    this.address = addressOfKey(key)
  }

  /** A payment of the next `count` tickets. */
  pay({ ticketParams, priceInfo }: Offer, count: number): Payment {
    const id = Buffer.from(ticketParams.recipientRandHash).toString('hex')
    const from = this.#nonces.get(id) ?? 0
    this.#nonces.set(id, from + count)
    const nonces = Array.from({ length: count }, (_, i) => from + i + 1)
    return {
      sender: this.address,
      ticketParams,
      expirationParams: ticketParams.expirationParams,
      expectedPrice: priceInfo,
      tickets: nonces.map((senderNonce) => ({ senderNonce, sig: this.sign(ticketParams, senderNonce) })),
    }
  }

  /** Signs one ticket. */
  sign(params: TicketParams, senderNonce: number): Uint8Array {
    return this.#signHash(ticketHash(this.ticket(params, senderNonce)))
  }

  /** One ticket as the chain sees it, unsigned. */
  ticket(params: TicketParams, senderNonce: number): SignedTicket {
    return {
      recipient: params.recipient,
      sender: this.address,
      faceValue: params.faceValue,
      winProb: params.winProb,
      senderNonce,
      recipientRandHash: params.recipientRandHash,
      expirationParams: params.expirationParams,
      paramsExpirationBlock: params.expirationBlock,
      sig: new Uint8Array(65),
    }
  }

  /** A signed ticket that wins, of one ether unless `fields` say otherwise; it stays good for a long time. */
  winning(
    fields: Partial<TicketParams> & Pick<TicketParams, 'recipient' | 'expirationParams'>,
    senderNonce = 1,
  ): WinningTicket {
    const params = {
      ...{ faceValue: 10n ** 18n, winProb: MAX_WIN_PROB, seed: 0n, expirationBlock: 1_000_000n },
      recipientRandHash: recipientRandHash(WINNING_RAND),
      ...fields,
    }
    const sig = this.sign(params, senderNonce)
    return { ...this.ticket(params, senderNonce), sig, recipientRand: WINNING_RAND }
  }
}
