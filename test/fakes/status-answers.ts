import { type NodeAnswer, readAnswer, type SeenNode } from '../../src/commands/status/answer.ts'
import type { ChainFigures, TicketFigures, TicketGroup } from '../../src/node/status/facts.ts'
import type { MoneyFigures, MoneySums } from '../../src/node/status/money.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'

/** Status answers of an operator's nodes, of which a test changes the relevant part. */

/** The registered orchestrator, and the accounts of the other nodes. */
export const REGISTERED = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
export const REDEEMER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
export const ORCHESTRATOR = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
export const NOW_MS = Date.UTC(2026, 8, 1, 12)

const ETHER = 10n ** 18n
const ROUND = 4000n

type Known<T, Name extends keyof T> = T & { readonly [Key in Name]: NonNullable<T[Key]> }
type KnownChain = Known<ChainFigures, 'rounds' | 'recipientState'>

/** A node's view of its chain. */
export function chainFigures(
  account: ChainFigures['account'],
  changes: Partial<ChainFigures> = {},
): KnownChain {
  return {
    chainId: '42161',
    account,
    balance: ETHER / 2n,
    redemptionsLeft: null,
    block: '300000000',
    blockAgeSeconds: 1,
    l1Block: '22000100',
    rounds: {
      lastInitialized: ROUND,
      current: ROUND,
      startL1Block: 22_000_000n,
      nextL1Block: 22_005_760n,
    },
    gasPrice: 10n ** 8n,
    gasLimits: { min: 0n, max: null, ceiling: 2n * 10n ** 9n },
    endpoints: [{ endpoint: 'https://rpc.example', state: { kind: 'healthy', sinceMs: 0 }, head: 1n }],
    transactions: [],
    recipientState: {
      ...{ registered: true, active: true, activationRound: 3000n, deactivationRound: 2n ** 256n - 1n },
      ...{ lastRewardRound: ROUND, serviceUri: 'https://balancer.example:8935', stake: ETHER },
    },
    ...changes,
  } as KnownChain
}

/** Tickets in these groups. */
export function ticketFigures(
  groups: readonly TicketGroup[],
  changes: Partial<TicketFigures> = {},
): TicketFigures {
  const count = (state: string) =>
    groups.filter((group) => group.state === state).reduce((sum, group) => sum + group.count, 0)
  return {
    ...{ received: 900, won: groups.reduce((sum, group) => sum + group.count, 0), groups },
    ...{ open: count('open'), submitted: count('submitted'), delivered: count('delivered') },
    ...{ redeemed: count('redeemed'), refused: count('refused'), redeemedWei: '0' },
    ...{ paymentsRefused: 0, handedRefused: {}, ...changes },
  }
}

/** Tickets in one state, of a tenth of an ether each. */
export function group(
  state: string,
  reason: string,
  count: number,
  firstExpiryBlock: bigint | null = null,
): TicketGroup {
  return { state, reason, count, faceValueWei: (BigInt(count) * ETHER) / 10n, firstExpiryBlock }
}

/** What a node earned and spent: all of it today, and `earlier` what came before this week. */
export function moneyFiguresOf(
  today: Partial<MoneySums>,
  changes: Partial<Omit<MoneyFigures, 'today'>> & { readonly earlier?: Partial<MoneySums> } = {},
): MoneyFigures {
  const { earlier = {}, ...figures } = changes
  const ever: Record<keyof MoneySums, bigint> = { ...NO_SUMS, ...today }
  for (const [name, wei] of Object.entries(earlier)) ever[name as keyof MoneySums] += wei
  return {
    ...{ sinceMs: Date.UTC(2026, 7, 3), today: { ...NO_SUMS, ...today }, round: ROUND },
    ...{ thisRound: { ...NO_SUMS, ...today }, thisWeek: { ...NO_SUMS, ...today }, ever },
    ...figures,
  }
}

const NO_SUMS: MoneySums = {
  ...{ receivedWei: 0n, wonWei: 0n, handedInWei: 0n, redeemedWei: 0n },
  ...{ redeemGasWei: 0n, rewardGasWei: 0n, otherGasWei: 0n, netWei: 0n },
}

const common = { version: '0.1.0', ready: true, nowMs: NOW_MS, network: 'arbitrum-one-mainnet' }

/** A redeemer with its own account, without problems. */
export function redeemerStatus(changes: Partial<NodeStatus> = {}): NodeStatus {
  return {
    ...common,
    roles: ['redeemer'],
    recipient: REGISTERED,
    chain: chainFigures(REDEEMER, { redemptionsLeft: 800n }),
    floatStreams: 12,
    money: moneyFiguresOf(
      { handedInWei: ETHER / 5n, redeemedWei: ETHER / 10n, redeemGasWei: ETHER / 10_000n },
      { earlier: { handedInWei: ETHER / 2n, redeemedWei: (6n * ETHER) / 10n, redeemGasWei: ETHER / 1_000n } },
    ),
    tickets: ticketFigures([group('redeemed', '', 7)], { redeemedWei: String((7n * ETHER) / 10n) }),
    ...changes,
  }
}

/** A reward service with the registered key, without problems. */
export function rewardStatus(changes: Partial<NonNullable<NodeStatus['reward']>> = {}): NodeStatus {
  return {
    ...common,
    roles: ['reward'],
    chain: chainFigures(REGISTERED),
    reward: {
      ...{ mode: 'automatic', state: 'called', why: null, orchestrator: REGISTERED, account: REGISTERED },
      ...{ currentRound: ROUND, lastRewardRound: ROUND, nextLookMs: NOW_MS + 60_000, inFlight: null },
      ...{ balance: ETHER / 2n, roundsLeft: 400n, lastError: null, called: 3, missed: 0n },
      ...changes,
    },
    money: moneyFiguresOf({ rewardGasWei: ETHER / 50_000n }, { earlier: { rewardGasWei: ETHER / 1_000n } }),
  }
}

/** An orchestrator that hands its tickets to the redeemer, without problems. */
export function orchestratorStatus(changes: Partial<NodeStatus> = {}): NodeStatus {
  return {
    ...common,
    roles: ['orchestrator', 'transcoder'],
    recipient: REGISTERED,
    chain: chainFigures(ORCHESTRATOR, { balance: 0n }),
    serviceUri: 'https://10.0.0.7:8935',
    money: moneyFiguresOf(
      { receivedWei: ETHER / 8n, wonWei: ETHER / 5n, redeemedWei: ETHER / 10n },
      { earlier: { receivedWei: ETHER, wonWei: (7n * ETHER) / 10n, redeemedWei: (6n * ETHER) / 10n } },
    ),
    sessions: 3,
    segments: { transcoded: 120, failed: 0, retried: 0 },
    tickets: ticketFigures([group('delivered', '', 2, 22_011_520n), group('redeemed', '', 7)]),
    redeemers: [{ name: '10.0.0.5:8935', answers: true, sinceMs: NOW_MS - 3_600_000, lastError: null }],
    floatIsOwnView: false,
    ...changes,
  }
}

/** A node's answer, parsed from the JSON that it sends. */
export function answerOf(address: string, status: NodeStatus): SeenNode {
  const answer: NodeAnswer = readAnswer(
    address,
    { httpStatus: 200, body: bodyOf(status) },
    { atMs: NOW_MS, withToken: false },
  )
  if (answer.kind !== 'status') throw new Error(`${address} was read as ${answer.kind}`)
  return answer
}

/** As written by the control API. */
export function bodyOf(status: NodeStatus): string {
  return JSON.stringify(status, (_, value) => (typeof value === 'bigint' ? value.toString() : value))
}
