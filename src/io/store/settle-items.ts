import { z } from 'zod'
import type { StoreError } from './database.ts'

/** A payment as `settle_segments_3` takes it; amounts are text. */
export interface PaymentItem {
  /** Hash of the secret number of its tickets. */
  readonly hash: string
  readonly nonces: readonly number[]
  /** Wei, a fraction. */
  readonly credit: string
  readonly winners: readonly { readonly hash: string }[]
  readonly [field: string]: unknown
}

/** Stands for the secret number of a payment of which only the tickets that won count. */
export const KEPT = 'kept'

/** What counts of a payment that is refused: its tickets that won, or these of them. */
export function onlyWinners(payment: PaymentItem, winners = payment.winners): PaymentItem {
  return {
    ...payment,
    ...{ hash: KEPT, nonces: [], credit: '0', received: '0', price: null, idle: 0, winners },
  }
}

/** A fee to be set aside. */
export interface HoldItem {
  readonly segment: string
  readonly holder: string
  readonly pixels: string
  readonly now: number
  readonly [field: string]: unknown
}

/** The end of a segment. */
export interface EndItem {
  readonly segment: string
  readonly holder: string
  /** Wei, a fraction; null where nothing is taken. */
  readonly fee: string | null
  readonly now: number
}

/** What `settle_segments_3` takes for a segment that begins or ends. */
export interface Item {
  readonly sender: string
  readonly session: string
  readonly payment?: PaymentItem
  readonly hold?: HoldItem
  readonly end?: EndItem
}

/** What it answers. */
export const Answer = z.object({
  winners: z.array(z.string()).nullish(),
  hold: z.union([z.object({ price: z.string(), overrun: z.string() }), z.literal('busy')]).nullish(),
  amount: z.string().nullish(),
})

/** What it answers; `refused` where this node refuses an item while the database is away. */
export type Answer = z.infer<typeof Answer> & { readonly refused?: StoreError }
