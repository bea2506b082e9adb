import type { SeenNode } from '../../commands/status/answer.ts'
import { redeems } from '../../commands/status/problems.ts'
import { duration, l1Blocks, purposeOf } from '../../commands/status/words.ts'
import { ether } from '../../lib/amounts.ts'
import { larger } from '../../lib/bigints.ts'
import { counted } from '../../lib/counted.ts'

/** An RPC endpoint as a row. */
export interface EndpointRow {
  readonly endpoint: string
  readonly state: string
  readonly isGood: boolean
  /** Its newest block; `?` while it has not been asked. */
  readonly block: string
  /** How far it is behind the one that is furthest. */
  readonly lag: string
  readonly reason: string
}

/** The RPC endpoints of a node. */
export function endpointRows({ status: { chain, nowMs } }: SeenNode): EndpointRow[] {
  const endpoints = chain?.endpoints ?? []
  const heads = endpoints.flatMap(({ head }) => head ?? [])
  const furthest = heads.reduce(larger, 0n)
  return endpoints.map(({ endpoint, head = null, state }) => {
    const since = state.sinceMs === undefined ? '' : ` for ${duration(nowMs - state.sinceMs)}`
    return {
      endpoint,
      state: state.kind === 'untried' ? 'not used yet' : `${state.kind}${since}`,
      isGood: state.kind === 'healthy' || state.kind === 'untried',
      block: head === null ? '?' : String(head),
      lag: head === null ? '?' : head === furthest ? 'none' : counted(furthest - head, 'block'),
      reason: state.reason ?? '',
    }
  })
}

/** A balance, and how long it lasts. */
export interface BalanceRow {
  readonly what: string
  readonly account: string
  readonly amount: string
  readonly lasts: string
}

/** What a node pays with, and for how many rounds, redemptions or days that lasts. */
export function balanceRows(node: SeenNode): BalanceRow[] {
  const { chain, funds, reward } = node.status
  if (!chain) return []
  const lasts = [
    ...(chain.redemptionsLeft === null || !redeems(node)
      ? []
      : [`about ${counted(chain.redemptionsLeft, 'redemption')}`]),
    ...(reward?.roundsLeft == null ? [] : [`about ${counted(reward.roundsLeft, 'round')} of rewards`]),
  ]
  const { account } = chain
  const time = (ms: number | null) => (ms === null ? 'nothing spent lately' : `about ${duration(ms)}`)
  return [
    {
      ...{ what: 'account, for gas', account, lasts: lasts.join(', ') },
      amount: chain.balance === null ? 'not known yet' : ether(chain.balance),
    },
    ...(funds
      ? [
          {
            ...{ what: 'deposit', account, amount: ether(funds.depositWei) },
            lasts: time(funds.depositLastsMs),
          },
          {
            ...{ what: 'reserve', account, amount: ether(funds.reserveWei) },
            lasts: funds.reserveLastsMs === null ? '' : `then ${duration(funds.reserveLastsMs)} more`,
          },
        ]
      : []),
  ]
}

/** A transaction that is not known to be mined, as a row. */
export interface TransactionRow {
  readonly purpose: string
  readonly txHash: string
  readonly sent: string
  readonly attempts: number
}

/** The transactions of a node that are under way. */
export function transactionRows({ status: { chain, nowMs } }: SeenNode): TransactionRow[] {
  return (chain?.transactions ?? []).map(({ attempts, purpose, sentAtMs, txHash }) => ({
    ...{ purpose: purposeOf(purpose), txHash, attempts },
    sent: `${duration(nowMs - sentAtMs)} ago`,
  }))
}

/** `round 4000, 5660 L1 blocks (about 19 h) left`; null off the chain and while no round is known. */
export function roundLine({ status: { chain } }: SeenNode): string | null {
  const rounds = chain?.rounds
  if (!rounds) return null
  const notYet = rounds.lastInitialized < rounds.current ? ', not initialised yet' : ''
  const left = chain.l1Block === null ? '' : `, ${l1Blocks(rounds.nextL1Block - chain.l1Block)} left`
  return `round ${rounds.current}${notYet}${left}`
}
