import { luckSentence } from '../../commands/status/luck.ts'
import { moneyRows } from '../../commands/status/money.ts'
import { ether } from '../../lib/amounts.ts'
import {
  dayName,
  type GatewayRow,
  gatewayRows,
  LEDGER,
  type Ledger,
  luckByDay,
  moneyByDay,
} from '../models/ledger.ts'
import { REWARDS, type RewardRow, type Rewards, rewardRows, rewardsByRound } from '../models/rewards.ts'
import { seen } from '../state.ts'
import { ChartPart } from './chart.tsx'
import { type Column, State, Table } from './table.tsx'
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

const REWARD_COLUMNS: readonly Column<RewardRow>[] = [
  { title: 'Round', cell: ({ round }) => round },
  {
    title: 'Reward',
    cell: ({ reward, wasCalled }) => <State tone={wasCalled ? 'good' : 'bad'} word={reward} />,
  },
  { title: 'Gas', cell: ({ gas }) => gas, isNumber: true },
  { title: 'Transaction', cell: ({ txHash }) => <code>{txHash}</code> },
]

const BY_DAY = { place: 'Day', nameOf: dayName, unit: 'ETH' } as const

/** What was earned and spent. */
export function Money() {
  const { chain, tickets } = seen.value!.status
  return (
    <>
      <Periods />
      {tickets && <Book />}
      {chain && <RewardHistory />}
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
      <ChartPart {...BY_DAY} title="Received, won, redeemed and gas by day" chart={moneyByDay(ledger)} />
      <ChartPart
        {...{ ...BY_DAY, band: [3, 2] }}
        title="Luck: won and expected since the first day"
        chart={luckByDay(ledger)}
      />
      <p>{luckSentence(ledger)}</p>
      <Table
        {...{ caption: 'By gateway, over the last 31 days', columns: GATEWAYS, rows: gatewayRows(ledger) }}
        empty="none"
        keyOf={({ gateway }) => gateway}
      />
    </>
  )
}

function RewardHistory() {
  const figures = useFigures('rewards', REWARDS)
  if (!figures) return <p class="empty">The rewards are being read …</p>
  if ('fault' in figures) return <p class="fault">The rewards cannot be shown: {figures.fault}</p>
  return <RewardsPart rewards={figures.value} />
}

function RewardsPart({ rewards }: { readonly rewards: Rewards }) {
  const rows = rewardRows(rewards)
  return (
    <>
      {rows.length > 1 && (
        <ChartPart
          {...{ place: 'Round', nameOf: String, unit: 'LPT' }}
          title="Rewards by round"
          chart={rewardsByRound(rewards)}
        />
      )}
      <Table
        {...{ caption: 'Rewards of the last rounds', columns: REWARD_COLUMNS, rows }}
        empty="none was noted by this node or its cluster"
        keyOf={({ round }) => round}
      />
    </>
  )
}
