import type { NodeAnswer, SeenNode } from './answer.ts'
import { problemsOf } from './problems.ts'

type Status = SeenNode['status']
type Chain = NonNullable<Status['chain']>
type TicketGroup = NonNullable<Status['tickets']>['groups'][number]

const X = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const HOT = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const NOW_MS = Date.UTC(2026, 8, 1, 12)
const MINUTE_MS = 60_000
const ROUND = 4_000n
const ETHER = 10n ** 18n
const TX = `0x${'7a'.repeat(32)}`
const REDEEMER = 'r.example:8935'

function node(address: string, roles: readonly string[], status: Partial<Status>): SeenNode {
  const head = { version: '0.1.0', ready: true, nowMs: NOW_MS, unread: [] }
  return { address, kind: 'status', status: { ...head, roles: [...roles], ...status } }
}

const orchestrator = (status: Partial<Status>) => node('10.0.0.7:7935', ['orchestrator'], status)
const redeemer = (status: Partial<Status>) => node('10.0.0.5:4935', ['redeemer'], status)
const rewarder = (status: Partial<Status>) => node('10.0.0.6:2935', ['reward'], status)

function chain(changes: Partial<Chain> = {}): Chain {
  return {
    ...{ chainId: '42161', account: HOT, balance: ETHER / 2n, redemptionsLeft: null, block: '300000000' },
    ...{ blockAgeSeconds: 1, l1Block: 22_000_100n, endpoints: [], transactions: [], recipientState: null },
    rounds: { lastInitialized: ROUND, current: ROUND, startL1Block: 22_000_000n, nextL1Block: 22_005_760n },
    ...changes,
  }
}

function recipient(changes: Partial<NonNullable<Chain['recipientState']>>): Partial<Status> {
  const state = { registered: true, active: true, activationRound: 3_000n, lastRewardRound: ROUND }
  return { recipient: X, chain: chain({ recipientState: { ...state, ...changes } }) }
}

const endpoint = (name: string, kind: string, reason?: string) => ({
  endpoint: `https://${name}.example`,
  state: { kind, sinceMs: NOW_MS - 15 * MINUTE_MS, ...(reason !== undefined && { reason }) },
})

/** A redeemer with two tickets in a state, which expire in some minutes. */
function tickets(state: string, reason: string): Partial<Status> {
  const group: TicketGroup = {
    ...{ state, reason, count: 2, faceValueWei: ETHER / 5n, firstExpiryBlock: 22_000_120n },
  }
  return {
    chain: chain({ redemptionsLeft: 800n }),
    tickets: {
      ...{ received: 900, won: 9, groups: [group], redeemedWei: 0n, paymentsRefused: 0, handedRefused: {} },
    },
  }
}

function reward(changes: Partial<NonNullable<Status['reward']>>): Partial<Status> {
  return {
    chain: chain(),
    reward: {
      ...{ mode: 'automatic', state: 'called', why: null, orchestrator: X, account: HOT, inFlight: null },
      ...{ currentRound: ROUND, lastRewardRound: ROUND, nextLookMs: NOW_MS + MINUTE_MS, roundsLeft: 400n },
      ...{ lastError: null, called: 3, missed: 0n, ...changes },
    },
  }
}

const redeemers = (answers: boolean, lastError: string): Partial<Status> => ({
  redeemers: [{ name: REDEEMER, answers, sinceMs: NOW_MS - 5 * MINUTE_MS, lastError }],
})

const transcoder = (outOfRotation: string | null) => ({
  ...{ name: 't1', address: '10.0.1.3:40112', hardware: 'GPU 0', capacity: 8, load: 0, streams: [] },
  outOfRotation,
})

/** What an operator notices, by which the examples are sorted. */
export type ProblemGroup =
  | 'node'
  | 'chain'
  | 'orchestrator'
  | 'tickets'
  | 'reward'
  | 'transcoding'
  | 'gateway'

/** An example of each problem that `livepeer status` concludes from the figures of nodes. */
const EXAMPLES: Readonly<Record<ProblemGroup, readonly (readonly NodeAnswer[])[]>> = {
  node: [
    [{ address: '10.0.0.7:7935', kind: 'silent', why: 'connect ECONNREFUSED' }],
    [{ address: '10.0.0.7:7935', kind: 'no-token', shown: false }],
    [{ address: '10.0.0.7:7935', kind: 'no-token', shown: true }],
    [{ address: '10.0.0.7:8080', kind: 'stranger', why: 'no JSON' }],
    [orchestrator({ ready: false, waitingFor: 'the chain' })],
    [orchestrator({ ready: false, drain: 'drained' })],
    [orchestrator({ version: '0.9.0', unread: ['money'] })],
    [orchestrator({ storeFault: 'the disk is full' })],
    [orchestrator({ storeReadMs: NOW_MS - 42_000 })],
    [orchestrator({ cluster: { node: '1'.repeat(16), isIn: true, members: [lostMember()] } })],
    [
      redeemer({ ...tickets('redeemed', ''), chain: chain({ redemptionsLeft: 800n }) }),
      rewarder(reward({ account: HOT })),
    ],
  ],
  chain: [
    [redeemer({ chain: chain({ endpoints: [endpoint('a', 'broken', 'connect ECONNREFUSED')] }) })],
    [
      redeemer({
        chain: chain({
          endpoints: [endpoint('a', 'healthy'), endpoint('b', 'stale', 'its newest block is old')],
        }),
      }),
    ],
    [redeemer({ chain: chain({ blockAgeSeconds: 300 }) })],
    [
      redeemer({
        chain: chain({ rounds: { ...chain().rounds!, lastInitialized: ROUND - 1n } }),
      }),
    ],
    [
      redeemer({
        chain: chain({
          transactions: [
            { purpose: `redeem ${TX}`, txHash: TX, sentAtMs: NOW_MS - 20 * MINUTE_MS, attempts: 3 },
          ],
        }),
      }),
    ],
  ],
  orchestrator: [
    [orchestrator(recipient({ registered: false, active: false }))],
    [orchestrator(recipient({ active: false }))],
    [orchestrator({ ...redeemers(false, 'connect ECONNREFUSED'), ...openTickets(3) })],
    [orchestrator(redeemers(true, 'wrong secret'))],
  ],
  tickets: [
    ...['gas-too-high', 'no-ether', 'chain-unavailable', 'redeemer-refuses'].map((reason) => [
      redeemer(tickets('open', reason)),
    ]),
    ...['underfunded', 'not-worth-gas', 'chain-refuses', 'redeemer-away', 'redeemer-unable', 'reverted'].map(
      (reason) => [redeemer(tickets('open', reason))],
    ),
    [redeemer(tickets('submitted', ''))],
    [redeemer(tickets('delivered', ''))],
    [
      redeemer({
        ...tickets('redeemed', ''),
        chain: chain({ balance: ETHER / 1_000n, redemptionsLeft: 2n }),
      }),
    ],
  ],
  reward: [
    [rewarder(recipient({ lastRewardRound: ROUND - 2n }))],
    [rewarder(recipient({ lastRewardRound: 0n }))],
    [rewarder(reward({ state: 'off', why: 'the account is not registered' }))],
    [rewarder(reward({ state: 'due', lastError: { atMs: NOW_MS, message: 'no endpoint answers' } }))],
    [rewarder(reward({ roundsLeft: 1n }))],
    [
      node('10.0.0.6:2935', ['roundInitializer'], {
        chain: chain({
          rounds: {
            ...{ lastInitialized: ROUND - 1n, current: ROUND },
            ...{ startL1Block: 22_000_090n, nextL1Block: 22_005_850n },
          },
        }),
        rounds: {
          ...{ state: 'waits', inFlight: null, initialized: 0 },
          lastError: { atMs: NOW_MS, message: 'no endpoint answers' },
        },
      }),
    ],
  ],
  transcoding: [
    [orchestrator({ transcoders: [] })],
    [orchestrator({ transcoders: [transcoder(null), transcoder('silent')] })],
    [
      orchestrator({
        media: { waiting: 0, devices: [{ device: '0', sessions: 0, outOfService: 'it gave no picture' }] },
      }),
    ],
    [
      node('10.0.0.8:6935', ['transcoder'], {
        worker: { orchestrator: null, running: 0, lastError: 'connect ECONNREFUSED' },
      }),
    ],
  ],
  gateway: [
    [
      node('10.0.0.9:5935', ['gateway'], {
        overpaid: [
          {
            ...{ orchestrator: 'https://o.example:8935', chargedWei: 3n * 10n ** 15n, earnedWei: 10n ** 15n },
            ...{ untilMs: NOW_MS + MINUTE_MS, times: 2 },
          },
        ],
      }),
    ],
  ],
}

/** What `livepeer status` says of each example, by what an operator notices. */
export function problemExamples(): Readonly<Record<ProblemGroup, readonly string[]>> {
  const said = Object.entries(EXAMPLES).map(([group, examples]) => [group, examples.flatMap(problemsOf)])
  return Object.fromEntries(said)
}

function openTickets(count: number): Partial<Status> {
  const group: TicketGroup = {
    ...{ state: 'open', reason: 'redeemer-away', count, faceValueWei: ETHER, firstExpiryBlock: null },
  }
  return { tickets: { ...tickets('open', '').tickets!, groups: [group] } }
}

function lostMember(): NonNullable<Status['cluster']>['members'][number] {
  return {
    ...{ node: '3'.repeat(16), address: '10.0.0.3:8935', roles: ['orchestrator'], version: '0.1.0' },
    ...{ alive: false, silentMs: 42_000 },
    work: { takesSegments: false, maxSessions: 20, sessions: 0 },
  }
}
