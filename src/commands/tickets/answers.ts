import { z } from 'zod'
import { plain } from '../status/answer.ts'

/* What the control API answers about tickets, as far as this command shows it; texts of the node are made printable. */

const MAX_LISTED = 500
const MAX_STEPS = 1_000
const MAX_LINES = 100_000

const text = z.string().transform((given) => plain(given))
const sentence = z.string().transform((given) => plain(given, 700))
const whole = z
  .union([z.string().regex(/^-?\d{1,200}$/), z.number().int()])
  .transform((written) => BigInt(written))
const count = z.number().int()
const id = z.string().regex(/^0x[0-9a-f]{64}$/)

const ticket = z.object({
  ticket: id,
  ...{ sender: text, recipient: text, state: text, reason: text },
  ...{ faceValueWei: whole, expectedWei: whole, receivedAtMs: z.number(), updatedAtMs: z.number() },
  ...{ creationRound: whole, expiryBlock: whole.nullable(), blocksLeft: whole.nullable() },
  ...{ txHash: text.nullable(), block: whole.nullable() },
  ...{ paidWei: whole.nullable(), feeWei: whole.nullable() },
  ...{ sessionId: text.nullable(), source: text.nullable(), receivedBy: text.nullable() },
})

/** A ticket of a list. */
export type ListedTicket = z.infer<typeof ticket>

/** `/tickets`. */
export const ticketList = z.object({
  tickets: z.array(ticket).max(MAX_LISTED),
  next: z.string().max(100).nullable(),
})

/** `/ticket`. */
export const ticketStory = ticket.extend({
  story: z
    .array(
      z.object({
        ...{ atMs: z.number(), node: text.nullable(), step: text, reason: text },
        ...{ txHash: text.nullable(), block: whole.nullable(), redeemer: text.nullable() },
        ...{ paidWei: whole.nullable(), feeWei: whole.nullable(), says: sentence.nullable() },
      }),
    )
    .max(MAX_STEPS),
  transactions: z
    .array(
      z.object({
        ...{ account: text, nonce: count, state: text, sentAtMs: z.number().nullable() },
        ...{ txHashes: z.array(text).max(MAX_STEPS), feeWei: whole.nullable(), tickets: count },
      }),
    )
    .max(MAX_STEPS),
})

/** One ticket's story. */
export type ToldTicket = z.infer<typeof ticketStory>

/** `/tickets/retry`. */
export const retried = z.object({ ticket: id, retried: z.literal(true) })

const sums = {
  ...{ ticketsReceived: count, ticketsWon: count, ticketsHandedIn: count, ticketsRedeemed: count },
  ...{ expectedWei: whole, receivedParts: whole, wonWei: whole, lowWei: whole, highWei: whole },
  ...{ handedInWei: whole, redeemedFaceWei: whole, feesWei: whole, redeemGasWei: whole },
}
const line = z.object({ day: text, sender: text.nullable(), ...sums })
const day = z.object({
  ...{ day: text, receivedWei: whole, wonWei: whole, handedInWei: whole, feesWei: whole },
  ...{ redeemGasWei: whole, rewardGasWei: whole, otherGasWei: whole, netWei: whole },
})

/** `/ledger`. */
export const ledger = z.object({
  lines: z.array(line).max(MAX_LINES),
  days: z.array(day).max(366),
})

/** A gateway on one day. */
export type LedgerLine = z.infer<typeof line>
/** A day. */
export type LedgerDay = z.infer<typeof day>
