import { moneyRows } from '../../commands/status/money.ts'
import { ether } from '../../lib/amounts.ts'
import {
  type GatewayRow,
  gatewayRows,
  LEDGER,
  type Ledger,
  luckByDay,
  luckSentence,
  moneyByDay,
} from '../models/ledger.ts'
import { seen } from '../state.ts'
import { Chart } from './chart.tsx'
import { type Column, Table } from './table.tsx'
import { useFigures } from './use-figures.ts'

const GATEWAYS: readonly Column<GatewayRow>[] = [
  { title: 'Gateway', cell: ({ gateway }) => <code>{gateway}</code> },
  { title: 'Tickets won', cell: ({ tickets }) => tickets, isNumber: true },
  { title: 'Received, expected', cell: ({ received }) => received, isNumber: true },
  { title: 'Won', cell: ({ won }) => won, isNumber: true },
  { title: 'Redeemed', cell: ({ redeemed }) => redeemed, isNumber: true },
  { title: 'Gas', cell: ({ gas }) => gas, isNumber: true },
  { title: 'Luck', cell: ({ luck }) => luck, isNumber: true },
]

/** What was earned and spent. */
export function Money() {
  const { tickets } = seen.value!.status
  return (
    <>
      <Periods />
      {tickets && <Book />}
    </>
  )
}

function Periods() {
  const money = moneyRows([seen.value!])
  if (!money) return <p class="empty">Nothing earned and nothing spent.</p>
  const { periods, rows } = money
  const columns: readonly Column<(typeof rows)[number]>[] = [
    { title: 'Amount', cell: ({ label }) => label },
    ...periods.map((title, at) => ({
      ...{ title, isNumber: true },
      cell: ({ amounts }: (typeof rows)[number]) => ether(amounts[at] ?? 0n),
    })),
  ]
  return (
    <Table {...{ caption: 'Earned and spent', columns, rows }} empty="nothing" keyOf={({ label }) => label} />
  )
}

function Book() {
  const figures = useFigures('ledger', LEDGER)
  if (!figures) return <p class="empty">The book is being read …</p>
  if ('fault' in figures) return <p class="fault">The book cannot be shown: {figures.fault}</p>
  return <BookPart ledger={figures.value} />
}

function BookPart({ ledger }: { readonly ledger: Ledger }) {
  return (
    <>
      <Chart title="Received, won, redeemed and gas by day" chart={moneyByDay(ledger)} />
      <Chart title="Luck: won and expected since the first day" chart={luckByDay(ledger)} band={[3, 2]} />
      <p>{luckSentence(ledger)}</p>
      <Table
        {...{ caption: 'By gateway, over the last 31 days', columns: GATEWAYS, rows: gatewayRows(ledger) }}
        empty="none"
        keyOf={({ gateway }) => gateway}
      />
    </>
  )
}
