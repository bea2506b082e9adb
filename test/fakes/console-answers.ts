import type { MemberFigures } from '../../src/node/status/cluster.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import type { ConsoleAnswers } from './console-node.ts'
import {
  chainFigures,
  group,
  moneyFiguresOf,
  ORCHESTRATOR,
  orchestratorStatus,
  REDEEMER,
  ticketFigures,
} from './status-answers.ts'

/** Figures of an orchestrator of a busy cluster, for the console's tests and pictures. */

const ETHER = 10n ** 18n
const DAY_MS = 86_400_000
const DAYS = 14
const GATEWAYS = [REDEEMER, '0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65'] as const
/** What the days won, in thousandths of what was to be expected of them. */
const FORTUNE = [1_100, 640, 980, 1_320, 760, 1_010, 1_240, 880, 940, 1_400, 700, 1_050, 1_120, 900]

/** The name of a transcoder that is markup. */
export const HOSTILE = '<img src=x onerror=alert(1)>"\'&amp;'

/** The answers of such a node at a time; one of its transcoders has this name. */
export function busyAnswers(nowMs: number, name = HOSTILE): ConsoleAnswers {
  return {
    status: { ...busyStatus(nowMs, name), ...asked(nowMs) },
    ledger: ledger(nowMs),
    rewards: { rounds: FORTUNE.map((fortune, ago) => rewardOf(4_000 - ago, fortune, nowMs)) },
    tickets: { tickets: TICKETS.map((one) => ticketOf(one, nowMs)), next: null },
    ticket: story(nowMs),
  }
}

function busyStatus(nowMs: number, name: string): NodeStatus {
  const transcoder = {
    ...{ hardware: 'GPU 0', capacity: 8, sinceMs: nowMs - DAY_MS, running: 1, done: 512, failed: 0 },
    ...{ lastAnswerMs: nowMs - 1_000, outOfRotation: null, version: '0.1.0', streams: ['movie'] },
  }
  return orchestratorStatus({
    nowMs,
    chain: chainFigures(ORCHESTRATOR, {
      balance: ETHER / 2n,
      redemptionsLeft: 812n,
      endpoints: [
        {
          endpoint: 'https://rpc-1.example',
          state: { kind: 'healthy', sinceMs: nowMs - DAY_MS },
          head: 300_000_000n,
        },
        {
          endpoint: 'https://rpc-2.example',
          state: { kind: 'stale', sinceMs: nowMs - 900_000, reason: 'its newest block is old' },
          head: 299_999_120n,
        },
      ] as ReturnType<typeof chainFigures>['endpoints'],
    }),
    capacity: { maxSessions: 20 },
    sessions: 13,
    segments: { transcoded: 182_400, failed: 3, retried: 12 },
    redeemers: [
      { name: '10.0.0.5:8935', answers: true, sinceMs: nowMs - DAY_MS, lastError: null },
      { name: '10.0.0.6:8935', answers: true, sinceMs: nowMs - DAY_MS, lastError: null },
    ],
    transcoders: [
      { ...transcoder, name: 'atelier-3', address: '10.0.1.3:40112', load: 6 },
      { ...transcoder, name, address: '10.0.1.4:40188', load: 7 },
    ],
    tickets: ticketFigures(
      [
        group('open', 'params-live', 3, 22_011_520n),
        group('delivered', '', 2, 22_011_520n),
        group('redeemed', '', 118),
        group('refused', 'underfunded', 1),
      ],
      { received: 41_200 },
    ),
    money: moneyFiguresOf(
      { receivedWei: ETHER / 8n, wonWei: ETHER / 5n, redeemedWei: ETHER / 10n, redeemGasWei: ETHER / 2_000n },
      { earlier: { receivedWei: 2n * ETHER, wonWei: 2n * ETHER, redeemedWei: (19n * ETHER) / 10n } },
    ),
    reward: {
      ...{ mode: 'automatic', state: 'called', why: null, orchestrator: REDEEMER, account: ORCHESTRATOR },
      ...{ currentRound: 4000n, lastRewardRound: 4000n, nextLookMs: nowMs + 60_000, inFlight: null },
      ...{ balance: ETHER / 2n, roundsLeft: 400n, lastError: null, called: 14, missed: 0n },
    },
    cluster: { node: '1'.repeat(16), isIn: true, members: members() },
  })
}

/** What an operator changed while it ran, as the control API adds it to the status. */
function asked(nowMs: number) {
  return {
    settings: [{ name: 'maxSessions', flag: '-maxSessions', value: '20', commandLine: '10', kept: '20' }],
    changes: [
      {
        ...{ atMs: nowMs - 1_800_000, from: '127.0.0.1', by: 'loopback', path: '/setMaxSessions' },
        ...{ params: { maxSessions: '20', persist: 'true' }, status: 200, result: '' },
      },
    ],
  }
}

function members(): MemberFigures[] {
  const member = (digit: string, changes: Partial<MemberFigures>): MemberFigures => ({
    ...{ node: digit.repeat(16), address: `10.0.0.${digit}:8935`, account: ORCHESTRATOR, version: '0.1.0' },
    ...{ roles: ['orchestrator'], alive: true, silentMs: 0, seenMs: 1_200, leads: [] },
    work: { takesSegments: true, maxSessions: 20, sessions: 11, segments: 4 },
    ...changes,
  })
  const idle = { takesSegments: false, maxSessions: 0, sessions: 0, segments: 0 }
  return [
    member('1', { work: { takesSegments: true, maxSessions: 20, sessions: 13, segments: 5 } }),
    member('2', { work: { takesSegments: true, maxSessions: 20, sessions: 18, segments: 7 } }),
    member('3', { alive: false, silentMs: 42_000, seenMs: 48_000 }),
    member('5', { roles: ['redeemer'], work: idle, leads: [{ duty: 'redeem', forMs: 3 * DAY_MS }] }),
    member('6', { roles: ['redeemer'], work: idle }),
  ]
}

function ledger(nowMs: number) {
  const dayName = (ago: number) => new Date(nowMs - ago * DAY_MS).toISOString().slice(0, 10)
  const days = FORTUNE.map((fortune, index) => {
    const expected = ((ETHER / 8n) * BigInt(80 + ((index * 37) % 60))) / 100n
    const won = (expected * BigInt(fortune)) / 1_000n
    return { day: dayName(DAYS - 1 - index), expected, won, gas: won / 200n }
  })
  const line = (share: bigint, sender: string, { day, expected, gas, won }: (typeof days)[number]) => {
    const [own, ownWon] = [(expected * share) / 10n, (won * share) / 10n]
    return {
      ...{ day, sender, expectedWei: `${own}`, wonWei: `${ownWon}`, lowWei: `${(own * 6n) / 10n}` },
      ...{ highWei: `${(own * 14n) / 10n}`, ticketsReceived: 1_400, ticketsWon: 5, handedInWei: '0' },
      ...{ feesWei: `${ownWon}`, redeemGasWei: `${(gas * share) / 10n}` },
    }
  }
  const total = (of: 'expected' | 'won') => days.reduce((sum, day) => sum + day[of], 0n)
  return {
    lines: days.flatMap((day) => [line(7n, GATEWAYS[0], day), line(3n, GATEWAYS[1], day)]),
    days: days.map(({ day, expected, gas, won }) => ({
      ...{
        day,
        receivedWei: `${expected}`,
        wonWei: `${won}`,
        handedInWei: '0',
        feesWei: `${(won * 9n) / 10n}`,
      },
      ...{
        redeemGasWei: `${gas}`,
        rewardGasWei: `${ETHER / 100_000n}`,
        otherGasWei: '0',
        netWei: `${won - gas}`,
      },
    })),
    total: {
      ...{ expectedWei: `${total('expected')}`, wonWei: `${total('won')}`, ticketsReceived: 39_200 },
      ...{ lowWei: `${(total('expected') * 85n) / 100n}`, highWei: `${(total('expected') * 115n) / 100n}` },
      ticketsWon: 140,
    },
  }
}

/** The reward of a round; one of them was not called. */
function rewardOf(round: number, fortune: number, nowMs: number) {
  const called = round !== 3_994
  return {
    ...{ round: `${round}`, atMs: nowMs, txHash: called ? `0x${'6'.repeat(64)}` : null },
    rewardLptu: called ? `${(ETHER * BigInt(20_000 + fortune)) / 1_000n}` : null,
    feeWei: called ? `${ETHER / 100_000n}` : null,
  }
}

interface Kind {
  readonly digit: string
  readonly state: string
  readonly reason?: string
}

const TICKETS: readonly Kind[] = [
  { digit: 'a', state: 'open', reason: 'params-live' },
  { digit: 'b', state: 'delivered' },
  { digit: 'c', state: 'submitted' },
  { digit: 'd', state: 'redeemed' },
  { digit: 'e', state: 'redeemed' },
  { digit: 'f', state: 'refused', reason: 'underfunded' },
]

function ticketOf({ digit, reason = '', state }: Kind, nowMs: number) {
  const hasEnded = state === 'redeemed' || state === 'refused'
  return {
    ...{ ticket: `0x${digit.repeat(64)}`, sender: GATEWAYS[0], recipient: REDEEMER, state, reason },
    ...{ faceValueWei: `${ETHER / 40n}`, expectedWei: `${ETHER / 100_000n}`, creationRound: '4000' },
    ...{ receivedAtMs: nowMs - 3_600_000, updatedAtMs: nowMs, expiryBlock: hasEnded ? null : '22011520' },
    ...{
      blocksLeft: hasEnded ? null : '11420',
      txHash: hasEnded ? `0x${'9'.repeat(64)}` : null,
      block: null,
    },
    ...{ paidWei: state === 'redeemed' ? `${ETHER / 40n}` : null, feeWei: null, sessionId: 'a1b2c3d4' },
    ...{ source: 'paid', receivedBy: '1'.repeat(16) },
  }
}

function story(nowMs: number) {
  const step = {
    ...{ atMs: nowMs - 3_600_000, node: '1'.repeat(16), reason: '', txHash: null, block: null },
    ...{ paidWei: null, feeWei: null, redeemer: null, says: null },
  }
  return {
    ...ticketOf({ digit: 'b', state: 'delivered' }, nowMs),
    story: [
      { ...step, step: 'received' },
      { ...step, step: 'open', reason: 'redeemer-unable', redeemer: '10.0.0.5:8935', says: HOSTILE },
      { ...step, step: 'delivered', redeemer: '10.0.0.6:8935' },
    ],
    transactions: [
      {
        ...{
          account: REDEEMER,
          nonce: 41,
          state: 'sent',
          sentAtMs: nowMs - 60_000,
          feeWei: null,
          tickets: 3,
        },
        txHashes: [`0x${'7'.repeat(64)}`, `0x${'8'.repeat(64)}`],
      },
    ],
  }
}
