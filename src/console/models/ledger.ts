import * as z from 'zod'
import { BOOK_TOTAL, LUCK_FIGURES } from '../../commands/status/luck.ts'
import { ether } from '../../lib/amounts.ts'
import { count, list, text, whole } from './figures.ts'

const day = z.string().regex(/^\d{4}-\d\d-\d\d$/)

/** `/ledger`: what came of tickets, by day and by gateway. */
export const LEDGER = z.object({
  lines: list(
    z.object({
      ...{ day, sender: text.nullable(), ...LUCK_FIGURES, ticketsReceived: count, ticketsWon: count },
      ...{ handedInWei: whole, feesWei: whole, redeemGasWei: whole },
    }),
  ),
  days: list(
    z.object({
      ...{ day, receivedWei: whole, wonWei: whole, handedInWei: whole, feesWei: whole },
      ...{ redeemGasWei: whole, rewardGasWei: whole, otherGasWei: whole, netWei: whole },
    }),
  ),
  total: BOOK_TOTAL,
})
export type Ledger = z.output<typeof LEDGER>

/** A line of a chart: a value at each place of the horizontal axis. */
export interface Line {
  readonly label: string
  readonly values: readonly number[]
}

/** Values over days or rounds, to be drawn. They are rounded, so nothing is computed with them. */
export interface Chart {
  /** The days since 1970, or the rounds, in their order. */
  readonly places: readonly number[]
  readonly lines: readonly Line[]
}

/** What was received, won, redeemed and spent on gas, by day. */
export function moneyByDay({ days }: Ledger): Chart {
  const line = (label: string, of: (day: Ledger['days'][number]) => bigint): Line => ({
    label,
    values: days.map((one) => inEther(of(one))),
  })
  const lines = [
    line('received, expected value', ({ receivedWei }) => receivedWei),
    line('won', ({ handedInWei, wonWei }) => wonWei + handedInWei),
    line('redeemed', ({ feesWei }) => feesWei),
    line('gas', ({ otherGasWei, redeemGasWei, rewardGasWei }) => redeemGasWei + rewardGasWei + otherGasWei),
  ]
  return { places: days.map((one) => numberOf(one.day)), lines }
}

/** What was won since the first day, beside what was expected, and the band in which 95 of 100 such histories end. */
export function luckByDay({ lines }: Ledger): Chart {
  const byDay = [...Map.groupBy(lines, (line) => line.day)].sort(([a], [b]) => (a < b ? -1 : 1))
  const sums = { expected: 0, squares: 0, won: 0 }
  const at = byDay.map(([day, ofDay]) => {
    for (const { expectedWei, highWei, wonWei } of ofDay) {
      sums.expected += inEther(expectedWei)
      sums.won += inEther(wonWei)
      // Tickets are drawn each by itself, so the squares of their deviations add up.
      sums.squares += inEther(highWei - expectedWei) ** 2
    }
    return { day, ...sums, half: Math.sqrt(sums.squares) }
  })
  return {
    places: at.map(({ day }) => numberOf(day)),
    lines: [
      { label: 'won', values: at.map(({ won }) => won) },
      { label: 'expected', values: at.map(({ expected }) => expected) },
      {
        label: 'at least, in 95 of 100 cases',
        values: at.map((one) => Math.max(0, one.expected - one.half)),
      },
      { label: 'at most, in 95 of 100 cases', values: at.map((one) => one.expected + one.half) },
    ],
  }
}

/** What came of one gateway's tickets, as a row. */
export interface GatewayRow {
  readonly gateway: string
  readonly tickets: string
  readonly received: string
  readonly won: string
  readonly redeemed: string
  readonly gas: string
  /** What was won more or less than expected, and how far chance carries it. */
  readonly luck: string
}

/** The gateways, those that brought most first. */
export function gatewayRows({ lines }: Ledger): GatewayRow[] {
  const bySender = Map.groupBy(lines, ({ sender }) => sender)
  const sums = [...bySender].map(([sender, of]) => {
    const sum = (value: (line: Ledger['lines'][number]) => bigint) =>
      of.reduce((total, line) => total + value(line), 0n)
    const number = (value: (line: Ledger['lines'][number]) => number) =>
      of.reduce((total, line) => total + value(line), 0)
    const squares = number(({ expectedWei, highWei }) => inEther(highWei - expectedWei) ** 2)
    return {
      ...{ sender, expected: sum((line) => line.expectedWei), own: sum((line) => line.wonWei) },
      won: sum((line) => line.wonWei + line.handedInWei),
      ...{ fees: sum((line) => line.feesWei), gas: sum((line) => line.redeemGasWei) },
      tickets: `${number((line) => line.ticketsWon)} of ${number((line) => line.ticketsReceived)}`,
      half: Math.sqrt(squares),
    }
  })
  sums.sort(
    (a, b) =>
      Number(b.expected + b.won > a.expected + a.won) - Number(b.expected + b.won < a.expected + a.won),
  )
  return sums.map(({ expected, fees, gas, half, own, sender, tickets, won }) => ({
    gateway: sender ?? 'not known by gateway',
    tickets,
    ...{ received: ether(expected), won: ether(won), redeemed: ether(fees), gas: ether(gas) },
    luck: luckOf(inEther(own), inEther(expected), half),
  }))
}

function luckOf(won: number, expected: number, half: number): string {
  if (expected === 0 || half === 0) return ''
  const percent = (part: number) => Math.round((part / expected) * 100)
  const more = percent(won - expected)
  return `${more > 0 ? '+' : ''}${more} %, of ±${percent(half)} %`
}

function inEther(wei: bigint): number {
  return Number(wei) / 1e18
}

function numberOf(day: string): number {
  return Date.parse(`${day}T00:00:00Z`) / DAY_MS
}

/** A day as YYYY-MM-DD, from the days since 1970. */
export function dayName(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10)
}

const DAY_MS = 86_400_000
