import { ether } from '../../lib/amounts.ts'
import { larger } from '../../lib/bigints.ts'
import type { SeenNode } from './answer.ts'
import { oncePerStore } from './clusters.ts'
import { redeems } from './problems.ts'
import { instant } from './words.ts'

/** The amounts of a period, in wei. */
type Sums = NonNullable<SeenNode['status']['money']>['today']

const PERIODS = ['today', 'thisRound', 'thisWeek', 'ever'] as const
const LABEL_WIDTH = 30
const COLUMN_WIDTH = 17
/** Of a date without its time. */
const DATE_CHARS = 10

/** Amounts of all nodes together, one for each period. */
type Row = readonly [label: string, amounts: readonly bigint[]]

/** What some nodes earned and spent: the periods, and for each kind of amount one of each period. */
export interface MoneyRows {
  readonly periods: readonly string[]
  readonly rows: readonly { readonly label: string; readonly amounts: readonly bigint[] }[]
}

/** What the nodes earned and spent, as a table of text; empty when none of them did. */
export function moneyTable(nodes: readonly SeenNode[]): string[] {
  const money = moneyRows(nodes)
  if (!money) return []
  const { periods, rows } = money
  return [columns('', periods), ...rows.map(({ amounts, label }) => columns(label, amounts.map(ether)))]
}

/**
 * What the nodes earned and spent; null when none of them did. Each amount is counted once: payments and what
 * was redeemed of them at the nodes that were paid, what else a redeemer redeemed beside that, gas where it was paid, and all
 * of a shared store once.
 */
export function moneyRows(nodes: readonly SeenNode[]): MoneyRows | null {
  const keepers = oncePerStore(nodes).filter(({ status: { money } }) => money)
  const paid = keepers.filter(
    ({ status: { recipient, roles } }) => recipient && roles?.includes('orchestrator'),
  )
  const handing = paid.filter(({ status: { redeemers } }) => redeemers !== undefined)
  const desks = keepers.filter((node) => redeems(node) && !paid.includes(node))
  const handedOn = (of: keyof Sums) => total(handing, of)
  const redeemed = total(paid, 'redeemedWei')
  const elsewhere = total(desks, 'redeemedWei').map((all, i) => larger(all - handedOn('redeemedWei')[i]!, 0n))
  const gas = GAS.map(([, of]) => total(keepers, of))
  const earned = sum([redeemed, elsewhere])
  const rows: Row[] =
    paid.length > 0
      ? [
          ['expected value received', total(paid, 'receivedWei')],
          ['won, face value', total(paid, 'wonWei')],
          ['redeemed', redeemed],
          ...unlessZero('redeemed for other nodes', elsewhere),
        ]
      : [
          ...unlessZero('won, face value', total(desks, 'wonWei')),
          ...unlessZero('handed in, face value', total(desks, 'handedInWei')),
          ...unlessZero('redeemed', elsewhere),
        ]
  rows.push(...GAS.flatMap(([label], i) => unlessZero(label, gas[i]!)))
  if (rows.every(([, amounts]) => amounts.every((amount) => amount === 0n))) return null
  const net: Row = [
    'net: redeemed less gas',
    sum([earned, ...gas.map((amounts) => amounts.map((wei) => -wei))]),
  ]
  return { periods: headOf(keepers), rows: [...rows, net].map(([label, amounts]) => ({ label, amounts })) }
}

const GAS = [
  ['gas of redemptions', 'redeemGasWei'],
  ['gas of rewards', 'rewardGasWei'],
  ['gas of other transactions', 'otherGasWei'],
] as const

function headOf(nodes: readonly SeenNode[]): string[] {
  const rounds = new Set(nodes.flatMap(({ status: { money } }) => money?.round ?? []))
  const since = nodes.flatMap(({ status: { money } }) => money?.sinceMs ?? [])
  const round = rounds.size === 1 ? `round ${[...rounds][0]}` : 'this round'
  const first = since.length === 0 ? 'ever' : `since ${instant(Math.min(...since)).slice(0, DATE_CHARS)}`
  return ['today, UTC', round, 'since Monday', first]
}

function columns(label: string, cells: readonly string[]): string {
  return `${label.padEnd(LABEL_WIDTH)}${cells.map((cell) => cell.padStart(COLUMN_WIDTH)).join('')}`.trimEnd()
}

function total(nodes: readonly SeenNode[], of: keyof Sums): bigint[] {
  return PERIODS.map((period) =>
    nodes.reduce((sum, { status: { money } }) => sum + (money?.[period]?.[of] ?? 0n), 0n),
  )
}

function sum(rows: readonly (readonly bigint[])[]): bigint[] {
  return PERIODS.map((_, i) => rows.reduce((sum, amounts) => sum + amounts[i]!, 0n))
}

function unlessZero(label: string, amounts: readonly bigint[]): Row[] {
  return amounts.every((amount) => amount === 0n) ? [] : [[label, amounts]]
}
