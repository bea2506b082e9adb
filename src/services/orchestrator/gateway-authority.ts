import type { PricePerPixel } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'

/** A decision on a gateway that asks for an offer. */
export type GatewayVerdict =
  /** `price` in wei per pixel; null for the operator's usual price. */
  | { readonly kind: 'allowed'; readonly price: PricePerPixel | null }
  /** The reason is for the gateway. */
  | { readonly kind: 'denied'; readonly reason: string }

/** Decides which gateways get offers, and at what price. */
export interface GatewayAuthority {
  /** Never rejects, and takes a bounded time. */
  decide(gateway: Address): Promise<GatewayVerdict>
}
