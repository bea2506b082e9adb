import type { SenderInfo } from '../../domain/float.ts'
import type { PricePerPixel } from '../../domain/ticket.ts'
import type { Address } from '../../lib/crypto.ts'
import { fundsOutlook, type Spending } from '../../services/gateway/spending.ts'
import type { PriceBook } from '../../services/orchestrator/price-book.ts'

/** Gateways shown with a price of their own. */
const MAX_SHOWN = 20

/** A price for one gateway, in wei per pixel: a whole number or a fraction such as `1/3`. */
export interface GatewayPrice {
  readonly gateway: Address
  readonly weiPerPixel: string
}

/** The prices that an orchestrator asks, in wei per pixel. */
export interface PriceFigures {
  /** For all gateways; null while the rate of its currency is not known. */
  readonly base: string | null
  /** Agreed with single gateways. */
  readonly perGateway: readonly GatewayPrice[]
  /** What was offered last, with the cost of redeeming where that is added; the latest last. */
  readonly offered: readonly GatewayPrice[]
}

/** What a gateway pays with, in wei, and how long it lasts. */
export interface FundsFigures {
  readonly depositWei: bigint
  /** What is left of the reserve. */
  readonly reserveWei: bigint
  /** The expected value of the tickets sent, an hour, over the last hour. */
  readonly spentPerHourWei: bigint
  /** Null while nothing is spent. */
  readonly depositLastsMs: number | null
  /** From when the deposit is used up. */
  readonly reserveLastsMs: number | null
}

/** The prices of a price book. */
export function priceFigures({ everyone, offered, single }: PriceBook): PriceFigures {
  return {
    base: textOf(everyone),
    perGateway: [...single].slice(0, MAX_SHOWN).flatMap(([gateway, price]) => {
      const weiPerPixel = textOf(price)
      return weiPerPixel === null ? [] : [{ gateway, weiPerPixel }]
    }),
    offered: [...offered].slice(-MAX_SHOWN).map(([gateway, price]) => ({ gateway, weiPerPixel: `${price}` })),
  }
}

/** The funds of a gateway at its present spending. */
export function fundsFigures(
  { deposit, fundsRemaining }: SenderInfo,
  spending: Pick<Spending, 'perHour'>,
): FundsFigures {
  const outlook = fundsOutlook({ deposit, reserve: fundsRemaining }, spending.perHour)
  return {
    depositWei: deposit,
    reserveWei: fundsRemaining,
    spentPerHourWei: outlook.perHour,
    depositLastsMs: outlook.depositLastsMs,
    reserveLastsMs: outlook.reserveLastsMs,
  }
}

/** Null while the price cannot be known. */
function textOf(price: () => PricePerPixel): string | null {
  try {
    return `${price()}`
  } catch {
    return null
  }
}
