// Named like this, what is not used of it stays out of the files of the console.
import * as z from 'zod'
import { ether } from '../../lib/amounts.ts'
import { parsedJson } from '../../lib/parsed-json.ts'
import type { Line } from './screen.ts'

const wei = z
  .union([z.string().regex(/^-?\d{1,200}$/), z.number().int()])
  .transform((written) => BigInt(written))
const count = z.number().int().nonnegative()

/** What a book says of luck: what was won, what was to be expected, and the band that chance leaves, in wei. */
export const LUCK_FIGURES = { expectedWei: wei, wonWei: wei, lowWei: wei, highWei: wei }

/** The sum of a book: what all tickets of its days came to. */
export const BOOK_TOTAL = z.object({ ...LUCK_FIGURES, ticketsReceived: count, ticketsWon: count })

const BOOK = z.object({ total: BOOK_TOTAL })

/** As much of a node's book (`/ledger`) as tells of luck. */
export type LuckBook = z.output<typeof BOOK>

/** The book in the answer of a node; null where it has none, or has it in another form. */
export function luckBookIn(body: string): LuckBook | null {
  const parsed = BOOK.safeParse(parsedJson(body))
  return parsed.success ? parsed.data : null
}

/** What was won of what was expected, in one sentence. */
export function luckSentence({ total }: LuckBook): string {
  const { expectedWei, highWei, lowWei, ticketsReceived, ticketsWon, wonWei } = total
  if (ticketsReceived === 0) return 'No tickets were received in this time.'
  const won = `${ether(wonWei)} was won with ${ticketsWon} of ${ticketsReceived} tickets; ${ether(expectedWei)} was to be expected`
  const band = `95 of 100 times it is between ${ether(lowWei)} and ${ether(highWei)}`
  const verdict =
    wonWei < lowWei
      ? 'This is less luck than chance explains'
      : wonWei > highWei
        ? 'This is more luck than chance explains'
        : ''
  return verdict === '' ? `${won}, and ${band}.` : `${won}, and ${band}. ${verdict}.`
}

/** The luck of a node, or of the nodes that share its store; nothing where no tickets were received. */
export function luckLines(name: string, book: LuckBook | undefined): Line[] {
  if (!book || book.total.ticketsReceived === 0) return []
  return [
    [1, name],
    [2, luckSentence(book)],
  ]
}
