import {
  type BalanceRow,
  balanceRows,
  type EndpointRow,
  endpointRows,
  roundLine,
  type TransactionRow,
  transactionRows,
} from '../models/chain.ts'
import { seen } from '../state.ts'
import { type Column, State, Table } from './table.tsx'

const BALANCES: readonly Column<BalanceRow>[] = [
  { title: 'Balance', cell: ({ what }) => what },
  { title: 'Amount', cell: ({ amount }) => amount, isNumber: true },
  { title: 'Lasts for', cell: ({ lasts }) => lasts },
  { title: 'Account', cell: ({ account }) => <code>{account}</code> },
]

const ENDPOINTS: readonly Column<EndpointRow>[] = [
  { title: 'Endpoint', cell: ({ endpoint }) => endpoint },
  { title: 'State', cell: ({ isGood, state }) => <State tone={isGood ? 'good' : 'bad'} word={state} /> },
  { title: 'Newest block', cell: ({ block }) => block, isNumber: true },
  { title: 'Behind the first', cell: ({ lag }) => lag, isNumber: true },
  { title: 'Why', cell: ({ reason }) => reason },
]

const TRANSACTIONS: readonly Column<TransactionRow>[] = [
  { title: 'Transaction', cell: ({ txHash }) => <code>{txHash}</code> },
  { title: 'Purpose', cell: ({ purpose }) => purpose },
  { title: 'Sent', cell: ({ sent }) => sent },
  { title: 'Attempts', cell: ({ attempts }) => attempts, isNumber: true },
]

/** The chain as the node sees it: the round, balances, endpoints, and what is on its way. */
export function Chain() {
  const node = seen.value!
  return (
    <>
      <p>{roundLine(node) ?? 'No round is known yet'}.</p>
      <Table
        {...{ caption: 'Balances', columns: BALANCES, rows: balanceRows(node) }}
        empty="none"
        keyOf={({ what }) => what}
      />
      <Table
        {...{ caption: 'RPC endpoints', columns: ENDPOINTS, rows: endpointRows(node) }}
        empty="none"
        keyOf={({ endpoint }) => endpoint}
      />
      <Table
        {...{ caption: 'Transactions under way', columns: TRANSACTIONS, rows: transactionRows(node) }}
        empty="none"
        keyOf={({ txHash }) => txHash}
      />
    </>
  )
}
