import { moneyRows } from '../../commands/status/money.ts'
import { ether } from '../../lib/amounts.ts'
import { seen } from '../state.ts'
import { type Column, Table } from './table.tsx'

/** What was earned and spent. */
export function Money() {
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
